"""Scenes divided into chips, each described by simple numbers of colour and texture."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from detector.detections import Detections
from detector.encoding import BANDS, decode_reflectance
from detector.geometry import Window
from detector.masks import water
from detector.scene import Scene, open_scene
from training.chips import read_encoded

Floats = NDArray[np.float64]
LEAST_VALID = 0.5
LEAST_WATER = 0.02
"""Chips with less of it hold no vessels that matter."""


@dataclass
class Candidate:
    """A chip that could be labelled.

    Attributes:
        path: the scene.
        window: the pixels of the scene.
        features: (k,) see `features`.
        boxes: (n, 4, 2) predicted boxes whose centre lies in the chip, scene pixels.
        confidence: (n,) of them.
        rows: (n,) their rows in the vessel table.
    """

    path: Path
    window: Window
    features: Floats
    boxes: Floats
    confidence: Floats
    rows: NDArray[np.int64]


def candidates(path: Path, size: int, vessels: Detections | None) -> Iterator[Candidate]:
    """The chips of a scene that have data and water, row by row, without overlap.

    Args:
        path: the scene.
        size: side of a chip, scene pixels.
        vessels: predictions; those with the id or the file stem of this scene are its own.

    Raises:
        SceneError: the scene cannot be read, or lacks red, green or blue.
    """
    with open_scene(path) as scene:
        grid = scene.grid
        boxes, confidence, rows = predicted(scene, path, vessels)
        centres = boxes.mean(axis=1)
        rows_at, cols_at = _edges(grid.height, size), _edges(grid.width, size)
        for top, bottom in pairwise(rows_at):
            for left, right in pairwise(cols_at):
                window = Window(left, top, right - left, bottom - top)
                pixels = _pixels(scene, window)
                if pixels is None:
                    continue
                inside = ((centres >= (left, top)) & (centres < (right, bottom))).all(axis=1)
                yield Candidate(path, window, features(pixels), boxes[inside], confidence[inside], rows[inside])


def _edges(length: int, size: int) -> list[int]:
    """Where chips begin and end: side by side, all about as long as `size`."""
    parts = max(round(length / size), 1)
    return [round(length * i / parts) for i in range(parts + 1)]


def predicted(scene: Scene, path: Path, vessels: Detections | None) -> tuple[Floats, Floats, NDArray[np.int64]]:
    """Predicted boxes (n, 4, 2) of a scene that were kept, in its pixels, their confidence, and their rows in the table."""
    if vessels is None:
        return np.empty((0, 4, 2)), np.empty(0), np.empty(0, np.int64)
    names = (scene.id, path.stem, path.name)
    rows = [i for i, row in enumerate(vessels) if row["scene_id"] in names and row["status"] == "kept"]
    corners = []
    for i in rows:
        ring = np.asarray(vessels["geometry"][i].exterior.coords)[:4]
        corners.append(np.stack(scene.grid.from_lonlat(ring[:, 0], ring[:, 1]), axis=-1))
    confidence = np.array([vessels["confidence"][i] for i in rows], float)
    return np.array(corners, float).reshape(-1, 4, 2), confidence, np.array(rows, np.int64)


def _pixels(scene: Scene, window: Window) -> NDArray[np.uint8] | None:
    """Encoded pixels (4, h, w), or None where there is too little data or water."""
    encoded = read_encoded(scene, window, {})
    if (encoded[:3] > 0).all(axis=0).mean() < LEAST_VALID:
        return None
    shown = BANDS if encoded[3].any() else BANDS[:3]
    mask = water(decode_reflectance(encoded[: len(shown)]), shown)
    return encoded if mask.mean() >= LEAST_WATER else None


def features(encoded: NDArray[np.uint8]) -> Floats:
    """Colour and texture of encoded pixels (4, h, w), 28 numbers; those of near infrared are 0 where there is none.

    Of each band: mean, deviation, 5th, 50th, 95th and 99.8th percentile of the grey values (the last tells of small
    bright things), and the mean size of the gradient.
    """
    out = []
    for band in encoded.astype(np.float64):
        seen = band[band > 0]
        if not seen.size:
            out += [0.0] * 7
            continue
        filled = np.where(band > 0, band, np.median(seen))
        down, right = np.gradient(filled)
        out += [seen.mean(), seen.std(), *np.percentile(seen, (5, 50, 95, 99.8)), np.hypot(down, right).mean()]
    return np.array(out)
