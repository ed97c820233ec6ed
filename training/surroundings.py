"""Where a scene is water, and how far a hull lies from land: what false alarms and misses are counted by.

Water is the product's own mask (`detector.masks.water`, docs/masks.md), with near infrared where the scene has it. Land is
what is neither water nor without data, less two things that the mask cannot tell from land: the labelled hulls,
grown by `HULL_MARGIN` pixels, and pieces smaller than `SMALLEST_LAND_M2` (wash, unlabelled hulls). A hull's distance to
land runs from its box to the nearest pixel of land. Cloud and surf are land to the mask, so a vessel beside them
counts as near land.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detector.geometry import Grid, Window
from detector.scene import Scene

SHORES = (("near quay", 0.0, 100.0), ("sheltered", 100.0, 500.0), ("open water", 500.0, math.inf))
"""Name, and distance to land in metres from (inclusive) and to (exclusive)."""
FAR_M = 600.0
"""Distances are not followed further."""
HULL_MARGIN = 1.5
"""Pixels around a hull that are mixed with it."""
SMALLEST_LAND_M2 = 5000.0
"""Smaller pieces are wash, buoys or unlabelled hulls; a detached breakwater of 250 m x 20 m just counts as land."""

NO_DATA, LAND, WATER = 0, 1, 2
_PIECE = 2048
_MARGIN = 32

Surface = NDArray[np.uint8]
"""(height, width) of NO_DATA, LAND and WATER."""


def surface_of(scene: Scene) -> Surface:
    """What each pixel of a scene is, read piece by piece.

    Raises:
        MissingBandError: the scene lacks the bands of a water mask.
    """
    from detector import masks

    bands = ("B03", "B08") if {"B03", "B08"} <= set(scene.bands) else ("B04", "B03", "B02")
    height, width = scene.grid.height, scene.grid.width
    out = np.zeros((height, width), np.uint8)
    for row in range(0, height, _PIECE):
        for col in range(0, width, _PIECE):
            wide = Window(col - _MARGIN, row - _MARGIN, _PIECE + 2 * _MARGIN, _PIECE + 2 * _MARGIN)
            reflectance = scene.reflectance(wide, bands)
            piece = np.where(np.isfinite(reflectance).any(axis=0), LAND, NO_DATA)
            piece[masks.water(reflectance, bands)] = WATER
            place = out[row : row + _PIECE, col : col + _PIECE]
            place[:] = piece[_MARGIN : _MARGIN + place.shape[0], _MARGIN : _MARGIN + place.shape[1]]
    return out


def kept_surface(scene: Scene, path: Path) -> Surface:
    """`surface_of` a scene, kept in a file for the next time."""
    from detector.atomic import replacing

    if path.is_file():
        with np.load(path) as file:
            return np.asarray(file["surface"], np.uint8)
    surface = surface_of(scene)
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as draft:
        np.savez_compressed(draft, surface=surface)
    return surface


@dataclass
class Surroundings:
    """Water and land of a scene with its labelled vessels.

    Attributes:
        surface: what each pixel is.
        grid: the scene's grid.
        hulls: (n, 4, 2) pixel corners of the labelled vessels.
    """

    surface: Surface
    grid: Grid
    hulls: NDArray[np.float64]

    @cached_property
    def pixel_m(self) -> tuple[float, float]:
        """Metres on the ground of a column and of a row."""
        return self.grid.pixel_size()

    @cached_property
    def _land(self) -> NDArray[np.bool_]:
        return np.asarray((self.surface == LAND) & ~_burned(self.hulls, self.surface.shape))

    @cached_property
    def _shore(self) -> NDArray[np.float32]:
        """Metres from each pixel to land, in pieces, so that memory stays bounded."""
        height, width = self.surface.shape
        out = np.empty((height, width), np.float32)
        pad = math.ceil(FAR_M / min(self.pixel_m))
        for row in range(0, height, _PIECE):
            for col in range(0, width, _PIECE):
                wide, high = min(_PIECE, width - col), min(_PIECE, height - row)
                land = _cut(self._land, Window(col - pad, row - pad, wide + 2 * pad, high + 2 * pad))
                out[row : row + high, col : col + wide] = self._distance(land)[pad:-pad, pad:-pad]
        return out

    def water_km2(self) -> dict[str, float]:
        """Area of water by shore class; labelled hulls count as water, which they float on."""
        water = (self.surface == WATER) | _burned(self.hulls, self.surface.shape, margin=0.0)
        distance = self._shore[water]
        km2 = self.pixel_m[0] * self.pixel_m[1] / 1e6
        out = {}
        for name, low, high in SHORES:
            out[name] = float(((distance >= low) & ((distance < high) | (high == math.inf))).sum()) * km2
        return out

    def shore_m(self, corners: NDArray[np.float64]) -> NDArray[np.float64]:
        """(n,) metres from boxes (n, 4, 2 in pixels) to land, inf beyond `FAR_M`; NaN outside the scene.

        Each box is taken out of the land before, for an unlabelled hull is land to the mask.
        """
        pad = math.ceil(FAR_M / min(self.pixel_m)) + 2
        out = np.full(len(corners), np.nan)
        for number, box in enumerate(corners):
            low, high = np.floor(box.min(axis=0)).astype(int) - 2, np.ceil(box.max(axis=0)).astype(int) + 2
            near = Window(int(low[0]), int(low[1]), int(high[0] - low[0]), int(high[1] - low[1]))
            box = box[None] - low
            inside, own = _burned(box, near[:1:-1], margin=0.0), _burned(box, near[:1:-1])
            inside &= _cut(self.surface != NO_DATA, near)
            if not inside.any():
                continue
            if not (_cut(self._land, near) & own).any():
                out[number] = _cut(self._shore, near)[inside].min()
                continue
            wide = Window(near.col - pad, near.row - pad, near.width + 2 * pad, near.height + 2 * pad)
            land = _cut(self._land, wide)
            land[pad:-pad, pad:-pad] &= ~own
            out[number] = self._distance(land)[pad:-pad, pad:-pad][inside].min()
        return out

    def _distance(self, land: NDArray[np.bool_]) -> NDArray[np.float64]:
        """Metres from each pixel to the edge of the nearest land, inf beyond `FAR_M`; specks are no land."""
        from scipy import ndimage

        dx, dy = self.pixel_m
        labels, count = ndimage.label(land, structure=np.ones((3, 3)))
        large = np.bincount(labels.ravel(), minlength=count + 1) * dx * dy >= SMALLEST_LAND_M2
        large[0] = False
        if not large.any():
            return np.full(land.shape, np.inf)
        distance = ndimage.distance_transform_edt(~large[labels], sampling=(dy, dx))
        distance = np.maximum(distance - min(dx, dy) / 2, 0.0)
        return np.where(distance > FAR_M, np.inf, distance)


def _cut(mask: NDArray[Any], window: Window) -> NDArray[Any]:
    """A window of a mask, false (or 0) where it sticks out."""
    out = np.zeros((window.height, window.width), mask.dtype)
    top, left = max(window.row, 0), max(window.col, 0)
    part = mask[top : max(window.row + window.height, 0), left : max(window.col + window.width, 0)]
    row, col = top - window.row, left - window.col
    out[row : row + part.shape[0], col : col + part.shape[1]] = part
    return out


def _burned(
    boxes: NDArray[np.float64], shape: tuple[int, ...], margin: float = HULL_MARGIN
) -> NDArray[np.bool_]:
    """Pixels that boxes (n, 4, 2), grown by a margin of pixels, touch with their centre; without a margin, at all."""
    import shapely
    from rasterio import features

    if not len(boxes):
        return np.zeros(shape, bool)
    shapes = shapely.buffer(shapely.convex_hull(shapely.multipoints(boxes)), margin)
    shapes = [one for one in shapes if one.geom_type == "Polygon"]
    if not shapes:
        return np.zeros(shape, bool)
    burned = features.rasterize(shapes, out_shape=shape[:2], fill=0, default_value=1, dtype="uint8", all_touched=not margin)
    return np.asarray(burned, bool)
