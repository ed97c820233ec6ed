"""A scene as a person sees it: true colour with a stretch that clouds do not spoil."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from detector.geometry import Window

if TYPE_CHECKING:
    from detector.scene import Scene

# Pixels read at a time: about one row of the 1024-pixel tiles that a JPEG 2000 granule is stored in.
_STRIP = 11_300_000


class Stretch:
    """Reflectance to 8-bit colour: dark haze taken off, clouds let go white, shadows lifted."""

    def __init__(self, reflectance: NDArray[np.float32]) -> None:
        seen = reflectance[:, np.isfinite(reflectance).all(axis=0)]
        # Clouds are bright in every band; without them the limits belong to water and land.
        ground = seen[:, seen.min(axis=0) < 0.25] if seen.size else seen
        if ground.shape[1] < max(50, 0.02 * seen.shape[1]):
            ground = seen
        if not ground.shape[1]:
            ground = np.zeros((3, 1), np.float32)
        # Half of the haze stays in, or turbid water turns lurid; the span leaves room for hulls above water.
        dark = np.percentile(ground, 0.5, axis=1)
        self.low = 0.5 * dark + 0.25 * dark.min()
        span = np.percentile(ground.max(axis=0) - self.low.min(), 99.5) * 1.15
        self.span = float(np.clip(span, 0.14, 0.40))

    def __call__(self, reflectance: NDArray[np.float32]) -> NDArray[np.uint8]:
        """uint8 (height, width, 3) of reflectance (3, height, width); no data is dark grey."""
        level = np.clip((reflectance - self.low[:, None, None].astype(np.float32)) / self.span, 0, 1)
        colour = np.sqrt(level) * 0.92 + level * 0.08
        colour = np.nan_to_num(colour * 255, nan=38.0)
        return np.ascontiguousarray(np.moveaxis(colour, 0, 2).round().astype(np.uint8))


def _visible(scene: Scene) -> list[str]:
    bands: list[str] = [band for band in ("B04", "B03", "B02") if band in scene.bands]
    if len(bands) == 3:
        return bands
    return [(bands or [band for band in scene.bands if band != "SCL"])[0]] * 3  # grey


def true_colour(scene: Scene, window: Window) -> NDArray[np.float32]:
    bands = _visible(scene)
    if bands[0] == bands[1]:
        return np.repeat(scene.reflectance(window, bands[:1]), 3, axis=0)
    return scene.reflectance(window, bands)


def overview(scene: Scene, factor: int) -> NDArray[np.float32]:
    """The scene in true colour, averaged over blocks of factor × factor; memory is bounded by strips."""
    width, height = scene.grid.width, scene.grid.height
    rows = max(1, _STRIP // max(1, width * factor)) * factor
    strips = []
    for row in range(0, height, rows):
        strip = true_colour(scene, Window(0, row, width, min(rows, height - row)))
        strips.append(_averaged(strip, factor))
    return np.concatenate(strips, axis=1)


def _averaged(strip: NDArray[np.float32], factor: int) -> NDArray[np.float32]:
    if factor == 1:
        return strip
    _, height, width = strip.shape
    pad = (0, 0), (0, -height % factor), (0, -width % factor)
    blocks = np.pad(strip, pad, constant_values=np.nan)
    blocks = blocks.reshape(3, blocks.shape[1] // factor, factor, blocks.shape[2] // factor, factor)
    count = np.isfinite(blocks).sum(axis=(2, 4))
    total = np.nansum(blocks, axis=(2, 4), dtype=np.float32)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan).astype(np.float32)
