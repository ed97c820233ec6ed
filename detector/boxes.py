"""Oriented boxes: read off the network, merged across windows, and measured on the ground.

A box is (x, y, a, b, angle): centre, sides along and across the angle, and the angle clockwise from +x as
seen on the image, in radians, all in pixels of the frame that it is in.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from detector.geometry import Grid

Floats = NDArray[np.float64]


@dataclass
class Boxes:
    """Boxes as corners, with a score and a class each.

    Attributes:
        corners: (n, 4, 2) pixel positions of the scene, in order round the box.
        scores: (n,) confidence.
        classes: (n,) class numbers.
    """

    corners: Floats
    scores: Floats
    classes: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.scores)

    def __getitem__(self, which: NDArray[np.generic]) -> Boxes:
        return Boxes(self.corners[which], self.scores[which], self.classes[which])

    @property
    def centres(self) -> Floats:
        """(n, 2) middles of the boxes."""
        return np.asarray(self.corners.mean(axis=1))

    @classmethod
    def empty(cls) -> Boxes:
        """No boxes."""
        return cls(np.zeros((0, 4, 2)), np.zeros(0), np.zeros(0, np.int64))

    @classmethod
    def concat(cls, parts: list[Boxes]) -> Boxes:
        """All boxes of several lists, in order."""
        if not parts:
            return cls.empty()
        return cls(
            np.concatenate([p.corners for p in parts]),
            np.concatenate([p.scores for p in parts]),
            np.concatenate([p.classes for p in parts]),
        )


def corners_of(boxes: NDArray[np.floating]) -> Floats:
    """(n, 5) boxes to (n, 4, 2) corners."""
    boxes = np.asarray(boxes, float).reshape(-1, 5)
    cos, sin = np.cos(boxes[:, 4]), np.sin(boxes[:, 4])
    along = np.stack([cos, sin], axis=1) * boxes[:, 2:3] / 2
    across = np.stack([-sin, cos], axis=1) * boxes[:, 3:4] / 2
    centre = boxes[:, :2]
    front, back = centre + along, centre - along
    return np.stack([front + across, front - across, back - across, back + across], axis=1)


def decode(raw: NDArray[np.float32], confidence: float) -> tuple[Floats, Floats, NDArray[np.int64]]:
    """Boxes (n, 5), scores and classes above a threshold, of raw output (4 + classes + 1, anchors).

    Places that are not finite or have no size are dropped: a network fed with odd pixels may produce them.
    """
    scores = raw[4:-1].max(axis=0)
    chosen = np.flatnonzero(scores >= confidence)
    picked = raw[:, chosen].astype(np.float64)
    boxes = np.column_stack([picked[:4].T, picked[-1]])
    sound = np.isfinite(boxes).all(axis=1) & (boxes[:, 2] > 0) & (boxes[:, 3] > 0)
    return boxes[sound], picked[4:-1].max(axis=0)[sound], picked[4:-1].argmax(axis=0)[sound]


def merge(boxes: Boxes, *, overlap: float = 0.3, inside: float = 0.65) -> Boxes:
    """Keep the most confident of boxes that show the same hull (greedy non-maximum suppression, any class).

    Two boxes show the same hull when their intersection over union exceeds `overlap`, when one lies inside
    the other by more than `inside` of the smaller (a part of a hull, or hull and wake), or when their centre lines
    cross, as those of two hulls cannot. Ships side by side stay two.

    Overlaps are exact polygon areas of neighbours found by a spatial index, so the cost grows with the number
    of touching pairs and not with the square of the number of boxes. Ties are broken by place, so the order
    of the input does not matter.
    """
    if len(boxes) < 2:
        return boxes
    import shapely

    order = np.lexsort((boxes.classes, *boxes.corners.reshape(-1, 8).T, -boxes.scores))
    boxes = boxes[order]
    polygons = shapely.polygons(boxes.corners)
    first, second = shapely.STRtree(polygons).query(polygons, predicate="intersects")
    forward = first < second
    first, second = first[forward], second[forward]
    shared = shapely.area(shapely.intersection(polygons[first], polygons[second]))
    area = shapely.area(polygons)
    union = area[first] + area[second] - shared
    same = (shared > overlap * union) | (shared > inside * np.minimum(area[first], area[second]))
    lines = _centre_lines(boxes.corners)
    same |= shapely.crosses(lines[first], lines[second])
    rivals: dict[int, list[int]] = {}
    for i, j in zip(first[same], second[same], strict=True):
        rivals.setdefault(int(i), []).append(int(j))
    keep = np.ones(len(boxes), bool)
    for i in range(len(boxes)):
        if keep[i]:
            keep[rivals.get(i, [])] = False
    return boxes[keep]


def _centre_lines(corners: Floats) -> NDArray[np.object_]:
    """The line along the middle of each box (n, 4, 2), less a tenth at both ends, where boxes may be too long."""
    import shapely

    sides = (corners + np.roll(corners, -1, axis=1)) / 2  # middles of the four sides
    lines = np.stack([sides[:, [0, 2]], sides[:, [1, 3]]])
    spans = np.linalg.norm(lines[:, :, 1] - lines[:, :, 0], axis=-1)
    ends = lines[spans.argmax(axis=0), np.arange(len(corners))]
    return np.asarray(shapely.linestrings(ends * 0.9 + ends[:, ::-1] * 0.1))


@dataclass
class Measures:
    """Length and width in metres on the ground; axis in degrees clockwise from true north, below 180."""

    length_m: Floats
    width_m: Floats
    heading_deg: Floats


def measure(corners: Floats, grid: Grid) -> Measures:
    """Length, width and axis on the ground of boxes (n, 4, 2) in pixels of a grid.

    On a grid whose pixels are not square on the ground a box is a parallelogram; its sides are then measured
    as they are, the longer one being the length.
    """
    n = len(corners)
    out = Measures(np.zeros(n), np.zeros(n), np.zeros(n))
    for i, box in enumerate(corners):
        jacobian = grid.ground_jacobian(*box.mean(axis=0))
        sides = np.array([box[0] - box[3], box[0] - box[1]]) @ jacobian.T
        lengths = np.hypot(sides[:, 0], sides[:, 1])
        east, north = sides[int(lengths.argmax())]
        out.length_m[i], out.width_m[i] = lengths.max(), lengths.min()
        # The remainder of a tiny negative angle rounds to 180 itself, which is 0 again.
        out.heading_deg[i] = np.degrees(np.arctan2(east, north)) % 180.0 % 180.0
    return out
