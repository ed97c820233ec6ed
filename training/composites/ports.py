"""Labelled ports as backgrounds: their reflectance, their water, and the places on it where nothing lies."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from detector import masks
from detector.geometry import Grid, Window
from detector.scene import open_scene
from training.labels import Label, LabelledScene
from training.simulate.noise import Array
from training.simulate.spectra import BANDS


@dataclass
class Port:
    """A real image with all of :data:`BANDS`.

    Attributes:
        name: the place.
        pixels: (bands, height, width) reflectance, NaN where there is no data.
        grid: its grid.
        pixel_m: metres on the ground of one pixel.
        labels: the real vessels, as labelled.
    """

    name: str
    pixels: Array
    grid: Grid
    pixel_m: float
    labels: list[Label]

    @cached_property
    def water(self) -> NDArray[np.bool_]:
        """Water for sure: NDWI well above 0, in pieces of a few hectares, nothing labelled on it."""
        green, nir = self.pixels[1], self.pixels[3]
        with np.errstate(invalid="ignore", divide="ignore"):
            found = masks.water(self.pixels[[1, 3]], ("B03", "B08")) & ((green - nir) > 0.02 * (green + nir))
            # A hull that nobody labelled is brighter than the water round it.
            share = np.maximum(ndimage.uniform_filter(found.astype(np.float32), 15), 1e-3)
            level = ndimage.uniform_filter(np.where(found, nir, 0.0), 15) / share
            noise = 1.4826 * np.median(np.abs(nir - level)[found]) if found.any() else 1.0
            found &= np.abs(nir - level) < max(6.0 * noise, 0.01)
        found &= ~self._labelled
        return np.asarray(ndimage.binary_opening(found, np.ones((3, 3))))

    @cached_property
    def _labelled(self) -> NDArray[np.bool_]:
        from affine import Affine
        from rasterio.features import geometry_mask
        from shapely import Polygon

        if not self.labels:
            return np.zeros(self.pixels.shape[1:], bool)
        hulls = [Polygon(label.corners).buffer(30.0 / self.pixel_m) for label in self.labels]
        return np.asarray(geometry_mask(hulls, self.pixels.shape[1:], Affine.identity(), invert=True))

    @cached_property
    def from_shore(self) -> Array:
        """Metres from each pixel's centre to the nearest one that is not water."""
        return np.asarray(ndimage.distance_transform_edt(self.water) * self.pixel_m, np.float32)


def read_port(scene: LabelledScene) -> Port | None:
    """A labelled scene as a background, or None where it lacks a band."""
    with open_scene(scene.path, require=()) as source:
        if not set(BANDS) <= set(source.bands):
            return None
        grid = source.grid
        pixels = source.reflectance(Window(0, 0, grid.width, grid.height), BANDS)
        size = grid.pixel_size()
    return Port(scene.place, np.asarray(pixels, np.float32), grid, float(np.mean(size)), scene.labels)
