"""Where land meets water: a height field whose zero line is a fractal coast, bent to make room for harbours.

Heights are pseudo-metres: near the shore they are roughly the distance to it, positive on land.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from training.simulate.noise import Array, axis_lookup, fractal_tile, lookup, smooth_lookup, smoothstep
from training.simulate.port import Harbour
from training.simulate.sensor import PIXEL_M

_MARGIN = 12  # coarse cells round the scene


@dataclass(frozen=True)
class Shore:
    """The large-scale shape of a coast."""

    estuary: bool  # a river mouth with a southern bank (Nampo), else one open coast
    roughness_m: float


class Relief:
    """Height and distance-like fields of a scene of (height, width) pixels."""

    def __init__(
        self, size: tuple[int, int], shore: Shore, seed: int, harbours: int, harbour_half_m: float
    ) -> None:
        rng = np.random.default_rng([seed, 7])
        self.size = size
        self.cell = 4 if max(size) <= 3000 else 10  # pixels a coarse cell
        rows = -(-size[0] // self.cell) + 2 * _MARGIN
        cols = -(-size[1] // self.cell) + 2 * _MARGIN
        step = self.cell * PIXEL_M
        self._y = ((np.arange(rows) - _MARGIN + 0.5) * step).astype(np.float32)
        self._x = ((np.arange(cols) - _MARGIN + 0.5) * step).astype(np.float32)
        coarse = 512 if max(rows, cols) <= 512 else 2048
        shape = fractal_tile(rng, coarse, 3.2, longest=max(40.0, max(size) * PIXEL_M / step / 3))
        self.hills = fractal_tile(rng, coarse, 3.4, longest=90)
        self.detail = fractal_tile(rng, 1024, 2.3, longest=48)
        height = self._trend(rng, shore) + shore.roughness_m * shape[:rows, :cols]
        self.natural = height.astype(np.float32)  # the coast as it was before anything was built
        self.harbours = self._find_harbours(height, harbours, harbour_half_m, rng)
        self.calm = np.zeros_like(height)  # 1 where the coast is built and has no natural detail
        for harbour in self.harbours:
            height = self._make_room(height, harbour)
        self.coarse = height.astype(np.float32)
        self.near_harbour = self._harbour_distance()

    def _trend(self, rng: np.random.Generator, shore: Shore) -> Array:
        h, w = self.size[0] * PIXEL_M, self.size[1] * PIXEL_M
        t = np.clip(self._x / w, 0.0, 1.0)[None, :]
        y = self._y[:, None]
        phase = rng.uniform(0, 2 * np.pi, 3)
        wave = 0.030 * np.sin(2 * np.pi * t + phase[0]) + 0.015 * np.sin(5 * np.pi * t + phase[1])
        if not shore.estuary:
            return np.asarray(h * (0.28 + 0.42 * t + wave) - y, np.float32)
        north = h * (0.36 + wave) - y
        south = y - h * (0.98 - 0.22 * t**1.5 + 0.02 * np.sin(4 * np.pi * t + phase[2]))
        return np.asarray(np.maximum(north, south), np.float32)

    def _find_harbours(
        self, height: Array, count: int, half_m: float, rng: np.random.Generator
    ) -> list[Harbour]:
        """Places on the northern shore, spread over the width, facing the water to the south."""
        step = self.cell * PIXEL_M
        smooth = ndimage.gaussian_filter(height, half_m * 0.35 / step)
        found: list[Harbour] = []
        for k in range(count):
            t = (k + 0.5 + (rng.uniform(-0.2, 0.2) if count > 1 else -0.02)) / count
            x = t * self.size[1] * PIXEL_M
            col = int(np.argmin(np.abs(self._x - x)))
            reach = int(half_m * 0.7 / step)
            ends = []
            for c in (max(col - reach, 0), min(col + reach, len(self._x) - 1)):
                land = np.flatnonzero((smooth[:-1, c] > 0) & (smooth[1:, c] <= 0))
                ends.append((self._x[c], self._y[land[-1 if count == 1 else 0]]) if land.size else None)
            if ends[0] is None or ends[1] is None:
                continue
            (xa, ya), (xb, yb) = ends[0], ends[1]
            angle = float(np.clip(np.degrees(np.arctan2(yb - ya, xb - xa)), -38, 38))
            y = float((ya + yb) / 2)
            if not 0.08 * self.size[0] * PIXEL_M < y < 0.92 * self.size[0] * PIXEL_M:
                continue
            seed = int(rng.integers(1 << 30))
            found.append(Harbour(x, y, angle, half_m, f"port{k + 1}" if count > 1 else "port", seed))
        return found

    def _make_room(self, height: Array, harbour: Harbour) -> Array:
        """Land behind the quay line, water in front, and a smooth hand-over to the natural coast."""
        u, v = harbour.local(self._x[None, :], self._y[:, None])
        half = harbour.half_m
        along = smoothstep(np.abs(u), half + 420, half + 40)
        basin = min(1500.0, 1.2 * half)
        across = smoothstep(v, basin + 900, basin) * smoothstep(v, -900, -420)
        weight = along * across
        self.calm = np.maximum(self.calm, weight)
        wanted = -(np.asarray(v, np.float32) + 20.0)
        built = height * (1 - weight) + np.clip(wanted, -400, 300) * weight
        # What the blend leaves as a bar in the basin, or a pond behind the quay, is taken away.
        built = np.where((weight > 0.5) & (v > 20), np.minimum(built, -25.0), built)
        return np.asarray(
            np.where((weight > 0.5) & (v < -60) & (v > -420), np.maximum(built, 25.0), built), np.float32
        )

    def _harbour_distance(self) -> Array:
        """Metres to the nearest harbour front, on the coarse grid (large when there is none)."""
        best = np.full(self.coarse.shape, 1e6, np.float32)
        for harbour in self.harbours:
            u, v = harbour.local(self._x[None, :], self._y[:, None])
            beyond = np.maximum(np.abs(u) - harbour.half_m, 0.0)
            best = np.minimum(best, np.hypot(beyond, v).astype(np.float32))
        return best

    def _axes(self, rows: NDArray[np.int64], cols: NDArray[np.int64]) -> tuple[Array, Array]:
        y = (rows + 0.5) / self.cell + _MARGIN - 0.5
        x = (cols + 0.5) / self.cell + _MARGIN - 0.5
        low, high = np.float64(0), np.array(self.coarse.shape, float) - 1.001
        return np.clip(y, low, high[0]), np.clip(x, low, high[1])

    def height(self, rows: NDArray[np.int64], cols: NDArray[np.int64]) -> Array:
        """Height at whole pixels: (len(rows), len(cols))."""
        y, x = self._axes(rows, cols)
        rough = 26.0 * (1.0 - axis_lookup(self.calm, y, x))
        return np.asarray(
            axis_lookup(self.coarse, y, x) + rough * lookup(self.detail, rows, cols), np.float32
        )

    def field(self, coarse: Array, rows: NDArray[np.int64], cols: NDArray[np.int64]) -> Array:
        """Any array on the coarse grid, at whole pixels."""
        y, x = self._axes(rows, cols)
        return axis_lookup(coarse, y, x)

    def hill(self, rows: NDArray[np.int64], cols: NDArray[np.int64]) -> Array:
        """Relative relief inland (mean 0, standard deviation 1) at whole pixels."""
        return axis_lookup(self.hills, (rows + 0.5) / self.cell, (cols + 0.5) / self.cell)

    def height_at(self, x: NDArray[np.floating], y: NDArray[np.floating]) -> Array:
        """Height at positions in metres; used to keep vessels off the land."""
        cell = self.cell * PIXEL_M
        cy, cx = np.asarray(y) / cell + _MARGIN - 0.5, np.asarray(x) / cell + _MARGIN - 0.5
        base = ndimage.map_coordinates(self.coarse, (cy, cx), order=1, mode="nearest")
        calm = ndimage.map_coordinates(self.calm, (cy, cx), order=1, mode="nearest")
        fine = smooth_lookup(self.detail, np.asarray(y) / PIXEL_M - 0.5, np.asarray(x) / PIXEL_M - 0.5)
        return np.asarray(base + 26.0 * (1.0 - calm) * fine, np.float32)
