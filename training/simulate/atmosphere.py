"""Haze, clouds and their shadows over a painted surface.

Haze adds path radiance that falls with wavelength and takes contrast away (the residue that atmospheric
correction leaves over turbid coasts); clouds cover, and shade the ground away from the sun.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from training.simulate.noise import Array, axis_lookup, fractal_tile, smoothstep
from training.simulate.sensor import PIXEL_M
from training.simulate.spectra import spectrum

_PATH = np.array([0.115, 0.098, 0.080, 0.058, 0.018], np.float32)
_LOSS = np.array([0.34, 0.30, 0.26, 0.20, 0.08], np.float32)
# Molecular path reflectance at the sensor: what L1C holds above L2A for clean air (Vermote et al. 1997, 6S,
# rounded).
RAYLEIGH = np.array([0.072, 0.042, 0.021, 0.008, 0.001], np.float32)
_CELL = 6  # pixels a cell of the cloud field
_BASE_M = 1400.0  # height of the clouds


class Atmosphere:
    """``haze`` 0 to 1; ``cloud_fraction`` 0 to 1; ``sun`` (grid azimuth, elevation) in degrees."""

    def __init__(self, seed: int, haze: float, cloud_fraction: float, sun: tuple[float, float]) -> None:
        rng = np.random.default_rng([seed, 19])
        self._haze, self.cloud_fraction = haze, cloud_fraction
        self._veil = fractal_tile(rng, 256, 3.2, longest=150)
        self._cloud = fractal_tile(rng, 512, 3.1, longest=60)
        self._wisp = fractal_tile(rng, 512, 2.4, longest=40)
        self._thin = fractal_tile(rng, 256, 3.0, longest=80)
        field = np.sort(self._cloud.ravel())
        self._threshold = float(field[int((1.0 - min(cloud_fraction, 0.999)) * (field.size - 1))])
        length = _BASE_M / np.tan(np.radians(max(sun[1], 15.0))) / PIXEL_M
        self._fall = (length * np.cos(np.radians(sun[0])), -length * np.sin(np.radians(sun[0])))  # rows, cols

    def _cover(self, rows: NDArray[np.floating], cols: NDArray[np.floating]) -> Array:
        if self.cloud_fraction <= 0:
            return np.zeros((len(rows), len(cols)), np.float32)
        field = axis_lookup(self._cloud, rows / _CELL, cols / _CELL)
        field = field + 0.16 * axis_lookup(self._cloud, rows / 1.9 + 50, cols / 1.9 + 80)
        field = field + 0.07 * axis_lookup(self._wisp, rows, cols)
        return smoothstep(field, self._threshold - 0.10, self._threshold + 0.75)

    def cover_at(self, row: float, col: float) -> float:
        """Cloud cover (0 to 1) at one pixel."""
        return float(self._cover(np.array([row]), np.array([col]))[0, 0])

    def apply(
        self, surface: Array, rows: NDArray[np.int64], cols: NDArray[np.int64]
    ) -> tuple[Array, Array, Array]:
        """(reflectance with haze and clouds, cloud cover, shadow), the last two (h, w) between 0 and 1."""
        r, c = rows.astype(np.float64), cols.astype(np.float64)
        cloud = self._cover(r, c)
        shadow = self._cover(r - self._fall[0], c - self._fall[1]) * (1.0 - cloud)
        veil = np.clip(self._haze * (1.0 + 0.28 * axis_lookup(self._veil, r / 16, c / 16)), 0.0, 1.6)
        lift = (len(surface), 1, 1)
        out = surface * (1.0 - 0.72 * shadow) if self.cloud_fraction > 0 else surface
        out = out * (1.0 - _LOSS.reshape(lift) * veil) + _PATH.reshape(lift) * veil
        if self.cloud_fraction > 0:
            tone = 0.62 + 0.20 * axis_lookup(self._thin, r / 5, c / 5) + 0.25 * cloud
            white = spectrum("cloud").reshape(lift) * np.clip(tone, 0.35, 1.25)
            out = out * (1.0 - cloud) + white * cloud
        return np.asarray(out, np.float32), cloud, np.asarray(shadow, np.float32)


def classify(reflectance: Array, cloud: Array, shadow: Array) -> NDArray[np.uint8]:
    """A scene classification like that of Sen2Cor (SCL codes), by simple rules on one resolution.

    4 vegetation, 5 bare, 6 water, 7 unclassified, 3 cloud shadow, 8 and 9 cloud, 10 thin cloud. Ships and
    quays come out as 5 or 7, as they do in real products.
    """
    _, green, red, nir, swir = reflectance
    ndvi = (nir - red) / np.maximum(nir + red, 1e-3)
    scl = np.full(green.shape, 7, np.uint8)
    scl[(nir > 0.10) & (swir > 0.08)] = 5
    scl[(ndvi > 0.35) & (nir > 0.12)] = 4
    scl[(green > nir) & (swir < 0.10) & (nir < 0.16)] = 6
    scl[shadow > 0.45] = 3
    for level, code in ((0.12, 10), (0.35, 8), (0.65, 9)):
        scl[cloud > level] = code
    return scl
