"""Why a box is not a vessel: every rejected box keeps the first reason that applies.

Reasons: `land` (nothing round the box is water), `cloud` (it lies in cloud), `size` (no ship has it),
`duplicate` (an earlier scene of the same overpass shows the same hull). `fixed` is given where looks over
time show that it never moves.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

import numpy as np
import shapely
from numpy.typing import NDArray

from detector import masks
from detector.boxes import Floats, Measures
from detector.geometry import Window

#: Metres. Shorter hulls are below one and a half pixels; the longest ship is 399 m and its box may be a pixel
#: more.
LENGTH_RANGE_M = (15.0, 440.0)
#: Metres. The widest ships are 65 m; two rafted hulls seen as one are wider, and are worth a look.
WIDTH_RANGE_M = (4.0, 130.0)
#: Share of dry pixels round a box above which it is on land. A ship at a quay has about half of its ring dry.
LAND_SHARE = 0.97
RING_M = 60.0
CLOUD_SHARE = 0.5
#: Granules of one overpass are cut from one pass of a few minutes; the next satellite comes a day or more
#: later.
OVERPASS = timedelta(minutes=30)


def size_rejected(measures: Measures) -> NDArray[np.bool_]:
    """Which boxes have a length or width that no ship has."""
    length, width = measures.length_m, measures.width_m
    return np.asarray(
        (length < LENGTH_RANGE_M[0]) | (length > LENGTH_RANGE_M[1])
        | (width < WIDTH_RANGE_M[0]) | (width > WIDTH_RANGE_M[1])
    )  # fmt: skip


def land_rejected(
    corners: Floats, water: NDArray[np.bool_], window: Window, pixel_m: float
) -> NDArray[np.bool_]:
    """Which boxes (n, 4, 2 in scene pixels) have no water round them, by the water mask of a window."""
    local = corners - np.array([window.col, window.row])
    dry = [masks.land_fraction(water, box, RING_M / pixel_m) for box in local]
    return np.asarray([share > LAND_SHARE for share in dry], bool)


def cloud_rejected(corners: Floats, cloud: NDArray[np.bool_], window: Window) -> NDArray[np.bool_]:
    """Which boxes (n, 4, 2 in scene pixels) lie mostly in cloud, by the cloud mask of a window."""
    local = corners - np.array([window.col, window.row])
    return np.asarray([_share(cloud, box) > CLOUD_SHARE for box in local], bool)


def _share(mask: NDArray[np.bool_], box: Floats) -> float:
    """Share of the pixels of a box (in pixels of the mask) that are set."""
    height, width = mask.shape
    low = np.clip(np.floor(box.min(axis=0)).astype(int), 0, [width - 1, height - 1])
    high = np.clip(np.ceil(box.max(axis=0)).astype(int), low + 1, [width, height])
    cols, rows = np.meshgrid(np.arange(low[0], high[0]) + 0.5, np.arange(low[1], high[1]) + 0.5)
    inside = shapely.contains_xy(shapely.Polygon(box), cols, rows)
    part = mask[low[1] : high[1], low[0] : high[0]]
    return float(part[inside].mean()) if inside.any() else float(part.mean())


class Overpasses:
    """Remembers the vessels of earlier scenes, to tell those that granules of one overpass show twice."""

    def __init__(self) -> None:
        self._seen: list[tuple[datetime, NDArray[np.object_]]] = []

    def duplicates(
        self,
        acquired: datetime | None,
        polygons: Sequence[shapely.Polygon] | NDArray[np.object_],
    ) -> NDArray[np.bool_]:
        """Which polygons (WGS84) an earlier scene of the same overpass has, the same scene too; then remembers these.

        Scenes without a time cannot be compared.
        """
        hulls = np.asarray(polygons, dtype=object)
        double = np.zeros(len(hulls), bool)
        if acquired is None:
            return double
        for moment, earlier in self._seen:
            if abs(moment - acquired) <= OVERPASS and len(earlier) and len(hulls):
                here, there = shapely.STRtree(earlier).query(hulls, predicate="intersects")
                shared = shapely.area(shapely.intersection(hulls[here], earlier[there]))
                smaller = np.minimum(shapely.area(hulls[here]), shapely.area(earlier[there]))
                double[here[shared > 0.4 * smaller]] = True
        self._seen.append((acquired, hulls[~double]))
        return double
