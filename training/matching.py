"""Which detections are which labelled vessels: one to one, on the ground, in metres.

Detections are taken from the most to the least confident, and each takes the best label that is still free (as PASCAL
VOC does, Everingham et al., IJCV 2010, section 4.2). So the pairs among the detections above a confidence do not depend
on those below it, and one matching serves every threshold.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FALSE_ALARM = -1
"""Value in a match array: no label."""
IGNORED = -2
"""Value in a match array: on an ignore area, counts neither way."""
IGNORE_IOU = 0.1
"""A box that overlaps an ignore area by more than this counts neither way, as does one whose middle lies in it."""

Match = NDArray[np.int64]
"""(detections,) number of the label, or FALSE_ALARM or IGNORED."""


@dataclass
class SceneBoxes:
    """Labels and detections of a scene in local metres, x east and y north.

    Attributes:
        labels: (n, 4, 2) corners of the vessels to find.
        ignore: (m, 4, 2) corners of the areas that count neither way.
        boxes: (k, 4, 2) corners of the detections.
        confidence: (k,) their confidence.
        length_m: (k,) length that the detections claim.
        heading_deg: (k,) axis that they claim, degrees clockwise from north.
    """

    labels: NDArray[np.float64]
    ignore: NDArray[np.float64]
    boxes: NDArray[np.float64]
    confidence: NDArray[np.float64]
    length_m: NDArray[np.float64]
    heading_deg: NDArray[np.float64]


def match_by_distance(scene: SceneBoxes, radius_m: float) -> Match:
    """Pair detections with the nearest free label whose middle is within a radius."""
    labels, boxes = scene.labels.mean(axis=1), scene.boxes.mean(axis=1)
    distance = np.linalg.norm(boxes[:, None] - labels[None], axis=2)
    return _greedy(scene, -distance, -radius_m)


def match_by_overlap(scene: SceneBoxes, least: float = 0.5) -> Match:
    """Pair detections with the free label of largest intersection over union, at least `least`."""
    return _greedy(scene, overlaps(scene.boxes, scene.labels), least)


def overlaps(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """(n, m) intersection over union of convex boxes (n, 4, 2) and (m, 4, 2)."""
    import shapely

    out = np.zeros((len(a), len(b)))
    if not len(a) or not len(b):
        return out
    first, second = shapely.convex_hull(shapely.multipoints(a)), shapely.convex_hull(shapely.multipoints(b))
    i, j = shapely.STRtree(second).query(first, predicate="intersects")
    shared = shapely.area(shapely.intersection(first[i], second[j]))
    together = shapely.area(first[i]) + shapely.area(second[j]) - shared
    out[i, j] = np.divide(shared, together, out=np.zeros_like(shared), where=together > 0)
    return out


def _greedy(scene: SceneBoxes, merit: NDArray[np.float64], least: float) -> Match:
    """The best free label for each detection in order of confidence; `merit` is (detections, labels)."""
    match = np.full(len(scene.boxes), FALSE_ALARM, dtype=np.int64)
    free = np.ones(len(scene.labels), dtype=bool)
    for number in np.argsort(-scene.confidence, kind="stable"):
        candidates = np.flatnonzero(free & (merit[number] >= least))
        if len(candidates):
            best = candidates[np.argmax(merit[number, candidates])]
            match[number], free[best] = best, False
    match[(match == FALSE_ALARM) & on_ignore(scene)] = IGNORED
    return match


def on_ignore(scene: SceneBoxes) -> NDArray[np.bool_]:
    """(detections,) whether a box lies on an ignore area: its middle is inside, or they overlap."""
    import shapely

    hit = np.zeros(len(scene.boxes), dtype=bool)
    if not len(scene.boxes) or not len(scene.ignore):
        return hit
    hit |= (overlaps(scene.boxes, scene.ignore) > IGNORE_IOU).any(axis=1)
    areas = shapely.convex_hull(shapely.multipoints(scene.ignore))
    middles = shapely.points(scene.boxes.mean(axis=1))
    hit[np.unique(shapely.STRtree(areas).query(middles, predicate="intersects")[0])] = True
    return hit


def long_side(corners: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(n,) length and axis (degrees clockwise from y, 0–180) of boxes (n, 4, 2)."""
    a, b = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 1]
    along = np.where((np.hypot(*a.T) >= np.hypot(*b.T))[:, None], a, b)
    return np.hypot(*along.T), np.degrees(np.arctan2(along[:, 0], along[:, 1])) % 180.0


def axis_error(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """Angle between two axes in degrees, 0–90: a bow and a stern are the same."""
    return np.abs((a - b + 90.0) % 180.0 - 90.0)


def average_precision(match: Match, confidence: NDArray[np.float64], labels: int) -> float:
    """Area under the precision-recall curve with precision made monotone, at every recall (VOC 2010 and later).

    Ignored detections are left out. NaN without labels.
    """
    if not labels:
        return float("nan")
    counted = match != IGNORED
    order = np.argsort(-confidence[counted], kind="stable")
    hits = (match[counted] >= 0)[order]
    if not len(hits):
        return 0.0
    recall = np.cumsum(hits) / labels
    precision = np.cumsum(hits) / np.arange(1, len(hits) + 1)
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    return float(np.sum(np.diff(recall, prepend=0.0) * envelope))
