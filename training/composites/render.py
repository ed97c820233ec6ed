"""Vessels as two layers: what they add to a pixel, and the share of the real image that still shows through.

Drawing is affine in what it is drawn on: hulls replace it, shadows and foam scale it. Drawn once on a canvas of 1 and once
on one of 2, the difference is what shows through, `through`, and the rest is what is `added`; both go through the sensor's
blur and into 10 m pixels of the native grid, and from there to the image's own grid, as the image itself did.
A mixed pixel at the hull's edge is then `added + through * real`, with the real water of that very place.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from training.composites.cargo import Fitting
from training.simulate.canvas import Canvas
from training.simulate.drawing import HullDrawing
from training.simulate.hulls import Vessel
from training.simulate.noise import Array
from training.simulate.sensor import PIXEL_M, SUB, NoiseModel, blur_sigma
from training.simulate.spectra import BANDS
from training.simulate.wakes import WakeDrawing

_SWIR = BANDS.index("B11")


@dataclass(frozen=True)
class FittedHull(HullDrawing):
    """A hull with a given fitting."""

    fitted: Fitting | None = None

    def _fitting(self) -> Fitting:
        assert self.fitted is not None
        return self.fitted


@dataclass(frozen=True)
class View:
    """How the sensor sees a group of vessels.

    Attributes:
        sun: grid azimuth and elevation in degrees.
        blur: factor on the width of the sensor's Gaussian.
        path: path reflectance (bands) over the hulls.
        murk, wind: of the wakes (`training.simulate.wakes`).
        parity: order of the bands in time, 1 or -1.
        order: of the resampling from the native grid, 0 (nearest) or 1 (bilinear).
    """

    sun: tuple[float, float]
    blur: float
    path: Array
    murk: float
    wind: float
    parity: int
    order: int


@dataclass
class Layers:
    """(bands, height, width) of a window of the image: `real * through + added`."""

    added: Array
    through: Array


def draw(
    vessels: Sequence[tuple[Vessel, Fitting]],
    view: View,
    centre: tuple[float, float],
    size: tuple[int, int],
    pixel_m: float,
    rng: np.random.Generator,
) -> Layers:
    """Layers of vessels on a window of an image.

    Args:
        vessels: vessels, in metres from the middle of the group (x to the right, y down), with their fittings.
        view: see `View`.
        centre: (column, row) position of the middle in the window, corner convention.
        size: (height, width) of the window.
        pixel_m: metres on the ground of one pixel of the image.
        rng: for the place of the native grid, and noise.
    """
    reach = float(np.ceil(max(size) * pixel_m / 2 / PIXEL_M) + 4) * PIXEL_M
    x0, y0 = -reach + rng.uniform(-5, 5), -reach + rng.uniform(-5, 5)
    side = int(2 * reach / PIXEL_M)
    side += side % 2
    drawn = [_drawn(vessels, view, x0, y0, side * SUB, level) for level in (1.0, 2.0)]
    through, added = drawn[1] - drawn[0], 2 * drawn[0] - drawn[1]
    through, added = _to_pixels(through, view.blur), _to_pixels(added, view.blur)
    hull = 1.0 - np.clip(through, 0.0, 1.0)
    lift = (len(BANDS), 1, 1)
    # Haze hides some of the hull (by about twice the path reflectance, as for a thin scattering layer) and adds its own.
    added = added * (1.0 - 2.0 * view.path.reshape(lift)) + hull * view.path.reshape(lift)
    added = added + hull * _noise(added, view.sun[1], rng)
    rows = (np.arange(size[0]) + 0.5 - centre[1]) * pixel_m
    cols = (np.arange(size[1]) + 0.5 - centre[0]) * pixel_m
    at = np.meshgrid((rows - y0) / PIXEL_M - 0.5, (cols - x0) / PIXEL_M - 0.5, indexing="ij")

    def resampled(layer: Array, outside: float) -> Array:
        parts = [ndimage.map_coordinates(band, at, order=view.order, cval=outside) for band in layer]
        return np.asarray(parts, np.float32)

    return Layers(resampled(added, 0.0), resampled(through, 1.0))


def _drawn(
    vessels: Sequence[tuple[Vessel, Fitting]], view: View, x0: float, y0: float, side: int, level: float
) -> Array:
    canvas = Canvas(np.full((len(BANDS), side, side), level, np.float32), x0, y0)
    for vessel, _ in vessels:
        if vessel.speed_kn > 0.5:
            WakeDrawing(vessel, view.murk, view.wind, view.parity).draw(canvas)
    for vessel, fitted in vessels:
        FittedHull(vessel, view.sun, view.parity, fitted).draw(canvas)
    return canvas.data


def _to_pixels(fine: Array, blur: float) -> Array:
    """2 m sub-pixels to native pixels; B11 to its 20 m, shown on the 10 m grid."""
    shape = (len(BANDS), fine.shape[1] // SUB, fine.shape[2] // SUB)
    out = np.empty(shape, np.float32)
    for k, band in enumerate(BANDS):
        # The optics' share of the blur scales with the pixel.
        sigma = blur_sigma(band) * SUB * blur * (2 if k == _SWIR else 1)
        smooth = ndimage.gaussian_filter(fine[k], sigma, mode="nearest", truncate=3.0)
        out[k] = smooth.reshape(shape[1], SUB, shape[2], SUB).mean(axis=(1, 3))
    coarse = out[_SWIR].reshape(shape[1] // 2, 2, shape[2] // 2, 2).mean(axis=(1, 3))
    out[_SWIR] = np.repeat(np.repeat(coarse, 2, axis=0), 2, axis=1)
    return out


def _noise(surface: Array, elevation: float, rng: np.random.Generator) -> Array:
    model = NoiseModel.of(elevation)
    variance = model.floor[:, None, None] + model.slope[:, None, None] * np.maximum(surface, 0.0)
    white = rng.standard_normal(surface.shape, dtype=np.float32)
    coarse = rng.standard_normal((surface.shape[1] // 2, surface.shape[2] // 2), dtype=np.float32)
    white[_SWIR] = np.repeat(np.repeat(coarse, 2, axis=0), 2, axis=1)
    return np.asarray(np.sqrt(variance) * white, np.float32)
