"""Seamless random textures: spectral noise that tiles, and hashes of lattice cells.

A scene of 120 million pixels cannot afford fresh noise everywhere, so textures are made once as tiles that
wrap around (Fourier synthesis is periodic by construction) and are looked up by world position. The same
position therefore always gives the same value, whichever block is painted first.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import fft, ndimage

Array = NDArray[np.float32]


def fractal_tile(rng: np.random.Generator, size: int, beta: float, longest: float | None = None) -> Array:
    """A periodic (size, size) tile with power spectrum ~ f^-beta, mean 0 and standard deviation 1.

    ``longest`` (cells) flattens the spectrum beyond that wavelength. Fourier filtering method: Saupe, in
    Peitgen & Saupe (eds.), The Science of Fractal Images, 1988, ch. 2.
    """
    white = rng.standard_normal((size, size), dtype=np.float32)
    fy = fft.fftfreq(size)[:, None]
    fx = fft.rfftfreq(size)[None, :]
    f = np.hypot(fx, fy)
    floor = 1.0 / (longest or size)
    gain = np.maximum(f, floor) ** (-beta / 2)
    gain[0, 0] = 0.0
    tile = fft.irfft2(fft.rfft2(white) * gain.astype(np.float32), s=(size, size))
    return np.asarray((tile - tile.mean()) / tile.std(), dtype=np.float32)


def swell_tile(
    rng: np.random.Generator, size: int, heading_deg: float, wavelength: float, spread: float
) -> Array:
    """Periodic sea-surface slope texture: energy round one wavelength (cells) and direction, plus chop."""
    white = rng.standard_normal((size, size), dtype=np.float32)
    fy = fft.fftfreq(size)[:, None]
    fx = fft.rfftfreq(size)[None, :]
    f = np.hypot(fx, fy) + 1e-9
    cos = np.abs(fx * np.sin(np.radians(heading_deg)) - fy * np.cos(np.radians(heading_deg))) / f
    peak = np.exp(-0.5 * (np.log(f * wavelength) / 0.35) ** 2) * cos ** (2.0 / spread)
    chop = 0.30 * (f > 0.02) * (0.35 + 0.65 * cos**2) * np.minimum((f / 0.06) ** -0.9, 2.0)
    tile = fft.irfft2(fft.rfft2(white) * (peak + chop).astype(np.float32), s=(size, size))
    return np.asarray((tile - tile.mean()) / tile.std(), dtype=np.float32)


def lookup(tile: Array, rows: NDArray[np.int64], cols: NDArray[np.int64]) -> Array:
    """Values of a periodic tile at the crossing of whole rows and columns: (len(rows), len(cols))."""
    return np.asarray(tile[np.ix_(rows % tile.shape[0], cols % tile.shape[1])])


def smooth_lookup(tile: Array, y: NDArray[np.floating], x: NDArray[np.floating]) -> Array:
    """Bilinear values of a periodic tile at any positions (y and x of one shape, in cells)."""
    return np.asarray(ndimage.map_coordinates(tile, (y, x), order=1, mode="grid-wrap"), dtype=np.float32)


def axis_lookup(tile: Array, y: NDArray[np.floating], x: NDArray[np.floating]) -> Array:
    """Bilinear values of a periodic tile on the crossing of two axes: (len(y), len(x))."""
    n, m = tile.shape
    y0, x0 = np.floor(y).astype(np.int64), np.floor(x).astype(np.int64)
    fy, fx = (y - y0).astype(np.float32), (x - x0).astype(np.float32)
    top, bottom = tile[y0 % n], tile[(y0 + 1) % n]
    lines = top + (bottom - top) * fy[:, None]
    left, right = lines[:, x0 % m], lines[:, (x0 + 1) % m]
    return np.asarray(left + (right - left) * fx[None, :])


def hash01(i: NDArray[np.integer], j: NDArray[np.integer], salt: int) -> Array:
    """A number in [0, 1) for each lattice cell (i, j): uncorrelated, repeatable, no state.

    Integer finaliser of MurmurHash3 (Appleby, public domain).
    """
    with np.errstate(over="ignore"):
        h = i.astype(np.uint32) * np.uint32(0x9E3779B1) ^ j.astype(np.uint32) * np.uint32(0x85EBCA77)
        h = h ^ np.uint32((salt * 0xC2B2AE3D) & 0xFFFFFFFF)
        h = (h ^ (h >> np.uint32(16))) * np.uint32(0x85EBCA6B)
        h = (h ^ (h >> np.uint32(13))) * np.uint32(0xC2B2AE35)
        h = h ^ (h >> np.uint32(16))
    return np.asarray((h >> np.uint32(8)).astype(np.float32) / np.float32(1 << 24))


def smoothstep(x: NDArray[np.floating] | float, low: float, high: float) -> Array:
    """0 below ``low``, 1 above ``high``, smooth between (low may exceed high)."""
    t = np.clip((np.asarray(x, dtype=np.float32) - np.float32(low)) / np.float32(high - low), 0.0, 1.0)
    return np.asarray(t * t * (3.0 - 2.0 * t), dtype=np.float32)
