"""Spectral evidence of coal inside a box: dark, and as dark in near infrared as in blue.

Coal reflects 3–8 % almost evenly from blue to near infrared (ECOSTRESS spectral library, coal and lignite).
Water is as dark but falls towards near infrared; paint, containers, grain and ore are brighter or coloured.
At 10 m a hold is two pixels wide, so this is evidence and not proof.
"""

from __future__ import annotations

import numpy as np
import shapely
from numpy.typing import NDArray

from detector.boxes import Floats
from detector.geometry import Window
from detector.scene import Scene

_BANDS = ("B02", "B03", "B04", "B08")
_DARK = (0.07, 0.13)  # mean reflectance: certainly dark enough, certainly too bright
_FLAT = (0.25, 0.60)  # spread over mean: certainly flat, certainly coloured


def coal_score(scene: Scene, corners: Floats) -> NDArray[np.float64]:
    """Share of the inner pixels of each box (n, 4, 2 in scene pixels) that look like coal, 0–1.

    The inner part leaves out the rim that is mixed with water or quay. NaN for a scene without near infrared,
    which cannot tell coal from water, and for a box with no inner pixel.
    """
    scores = np.full(len(corners), np.nan)
    if not set(_BANDS) <= set(scene.bands):
        return scores
    # From top to bottom, so that blocks of the file that were decoded for one box serve its neighbours.
    for i in np.argsort(corners[:, :, 1].mean(axis=1)):
        box = corners[i]
        centre = box.mean(axis=0)
        inner = centre + (box - centre) * 0.7
        low, high = np.floor(inner.min(axis=0)).astype(int), np.ceil(inner.max(axis=0)).astype(int)
        window = Window(low[0], low[1], max(high[0] - low[0], 1), max(high[1] - low[1], 1))
        cols, rows = np.meshgrid(
            np.arange(window.col, window.col + window.width) + 0.5,
            np.arange(window.row, window.row + window.height) + 0.5,
        )
        pixels = scene.reflectance(window, _BANDS)[:, shapely.contains_xy(shapely.Polygon(inner), cols, rows)]
        pixels = pixels[:, np.isfinite(pixels).all(axis=0)]
        if pixels.shape[1]:
            scores[i] = float(_likeness(pixels).mean())
    return scores


def _likeness(pixels: NDArray[np.float32]) -> NDArray[np.float32]:
    """How much each pixel (4, n) looks like coal, 0–1."""
    mean = pixels.mean(axis=0)
    spread = (pixels.max(axis=0) - pixels.min(axis=0)) / np.maximum(mean, 0.01)
    dark = np.clip((_DARK[1] - mean) / (_DARK[1] - _DARK[0]), 0.0, 1.0)
    flat = np.clip((_FLAT[1] - spread) / (_FLAT[1] - _FLAT[0]), 0.0, 1.0)
    return np.asarray(dark * flat)
