"""Hulls side by side and hulls merely near each other, as an image of 10 m would show them."""

from __future__ import annotations

import numpy as np

from detector.detections import Detections
from detector.plane import Plane
from tests.aisscenes import boxes

PLANE = Plane(122.3, 30.2)


def hulls(
    seed: int, pairs: int = 60, separate: int = 120, single: int = 120
) -> tuple[Detections, np.ndarray]:
    """A vessel table and which of its rows are truly side by side.

    Pairs have 2 to 15 m of water between them; those with less than 10 m mostly show as one blob. Separate ships lie 60 to
    300 m apart, parallel as ships at anchor do. Beams scatter by a fifth about the usual one, and a third of all hulls
    are barges with a length of 4.5 beams. Errors: middle 8 m on each axis, length 12 m, width 6 m, axis 8°.
    """
    rng = np.random.default_rng(seed)
    rows: list[tuple[float, ...]] = []

    def size() -> tuple[float, float]:
        length = rng.uniform(50, 190)
        ratio = 4.5 if rng.random() < 1 / 3 else 6.7
        return length, length / ratio * np.exp(rng.normal(0, 0.15))

    for number in range(pairs + separate + single):
        x, y, axis = (number % 20) * 3000.0, (number // 20) * 3000.0, rng.uniform(0, 180)
        along = np.array([np.sin(np.radians(axis)), np.cos(np.radians(axis))])
        across = np.array([along[1], -along[0]])
        (l1, w1), (l2, w2) = size(), size()
        if number >= pairs + separate:
            rows.append((x, y, l1, w1, axis, 0))
            continue
        paired = number < pairs
        gap = rng.uniform(2, 15) if paired else rng.uniform(60, 300)
        shift = rng.uniform(-0.2, 0.2) * min(l1, l2)
        if paired and gap < 10 and rng.random() < 0.7:
            rows.append((x, y, max(l1, l2), w1 + w2 + gap, axis, 1))
            continue
        step = across * (gap + (w1 + w2) / 2) + along * shift
        turn = 0 if paired else rng.normal(0, 10)
        rows.append((x, y, l1, w1, axis, paired))
        rows.append((x + step[0], y + step[1], l2, w2, axis + turn, paired))
    x, y, length, width, axis, truth = np.array(rows).T
    n = len(x)
    table = boxes(
        PLANE,
        x + rng.normal(0, 8, n),
        y + rng.normal(0, 8, n),
        np.maximum(length + rng.normal(0, 12, n), 20),
        np.maximum(width + rng.normal(0, 6, n), 6),
        axis + rng.normal(0, 8, n),
    )
    return table, truth.astype(bool)
