"""Draws quays, piers, sheds, heaps and moles on a canvas."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from affine import Affine
from rasterio.features import rasterize
from shapely.affinity import translate

from training.simulate.canvas import Bounds, Canvas
from training.simulate.noise import Array, hash01
from training.simulate.port import Structure
from training.simulate.sensor import STEP_M
from training.simulate.spectra import spectrum

_BOXES = (
    "red_oxide",
    "blue_paint",
    "grey_paint",
    "rust",
    "orange_paint",
    "white_paint",
    "green_paint",
    "old_concrete",
)


@dataclass(frozen=True)
class StructureDrawing:
    """Draws one structure. ``sun`` is (azimuth on the grid, elevation) in degrees."""

    structure: Structure
    sun: tuple[float, float]

    @property
    def bounds(self) -> Bounds:
        x0, y0, x1, y1 = self.structure.outline.bounds
        reach = 3.0 * self.structure.height_m + 4.0
        return x0 - reach, y0 - reach, x1 + reach, y1 + reach

    def draw(self, canvas: Canvas) -> None:
        view = canvas.crop(self.bounds)
        if view is None:
            return
        item = self.structure
        if item.height_m > 2.0 and item.pattern != "heap":
            length = item.height_m / np.tan(np.radians(max(self.sun[1], 15.0)))
            s, c = np.sin(np.radians(self.sun[0])), np.cos(np.radians(self.sun[0]))
            shade = self._mask(view, -length * s, length * c) | self._mask(
                view, -length * s / 2, length * c / 2
            )
            view.data[:, shade] *= 0.6
        inside = self._mask(view, 0.0, 0.0)
        if inside.any():
            view.data[:, inside] = self._surface(view)[:, inside]

    def _mask(self, view: Canvas, dx: float, dy: float) -> np.ndarray:
        shape = translate(self.structure.outline, dx, dy)
        transform = Affine(STEP_M, 0.0, view.x0, 0.0, STEP_M, view.y0)
        return np.asarray(
            rasterize([shape], out_shape=view.data.shape[1:], transform=transform, dtype="uint8") > 0
        )

    def _surface(self, view: Canvas) -> Array:
        """Reflectance (bands, h, w) of the surface everywhere on the view."""
        item = self.structure
        x, y = item.outline.centroid.x, item.outline.centroid.y
        u, v = view.frame(x, y, item.heading_deg)
        salt = int(abs(x) * 7 + abs(y) * 13) & 0xFFFF
        base = spectrum(item.material)[:, None, None]
        if item.pattern == "panels":
            big = hash01(np.floor(u / 46).astype(np.int64), np.floor(v / 31).astype(np.int64), salt)
            small = hash01(np.floor(u / 9).astype(np.int64), np.floor(v / 8).astype(np.int64), salt + 1)
            return np.asarray(base * (0.72 + 0.36 * big + 0.22 * small), np.float32)
        if item.pattern == "rubble":
            small = hash01(np.floor(u / 5).astype(np.int64), np.floor(v / 5).astype(np.int64), salt)
            return np.asarray(base * (0.65 + 0.7 * small), np.float32)
        if item.pattern == "heap":
            return np.asarray(base * self._lit(u, v), np.float32)
        if item.pattern == "containers":
            return self._containers(u, v, salt)
        return np.asarray(np.broadcast_to(base, (base.shape[0], *u.shape)), np.float32)

    def _lit(self, u: Array, v: Array) -> Array:
        """Light on a long heap: the flank that faces the sun is brighter."""
        wide = 15.0  # m, half the breadth of a usual heap
        sun_v = np.sin(np.radians(self.sun[0] - self.structure.heading_deg))
        flank = np.clip(v / wide, -1, 1)
        return np.asarray(1.0 + 0.45 * flank * sun_v + 0.10 * np.sin(u / 9.0), np.float32)

    def _containers(self, u: Array, v: Array, salt: int) -> Array:
        """Rows of stacks with lanes between; each stack has its own colour."""
        lane = np.mod(v, 23.0) < 6.5
        i, j = np.floor(u / 13.0).astype(np.int64), np.floor(v / 7.0).astype(np.int64)
        pick = hash01(i, j, salt)
        palette = np.stack([spectrum(name) for name in _BOXES])
        index = np.minimum((pick / 0.85 * len(_BOXES)).astype(int), len(_BOXES) - 1)
        colour = np.moveaxis(palette[index], -1, 0) * (0.7 + 0.5 * hash01(i, j, salt + 2))
        empty = lane | (pick > 0.85)
        return np.asarray(np.where(empty, spectrum("asphalt")[:, None, None], colour), np.float32)
