"""Overpasses: granules that one satellite took within half an hour are one look, and a hull in two of them is one vessel."""

from __future__ import annotations

import numpy as np
import shapely
from numpy.typing import NDArray

from detector.detections import Detections
from detector.filters import OVERPASS

OVERPASS_DAYS = OVERPASS.total_seconds() / 86400
_SAME_HULL = 0.4  # share of the smaller outline that two granules' boxes of one hull have in common at least


def overpass_starts(times: NDArray[np.float64]) -> NDArray[np.int64]:
    """Indices in increasing times at which another overpass begins."""
    starts: list[int] = []
    for i, time in enumerate(times.tolist()):
        if not starts or time - times[starts[-1]] > OVERPASS_DAYS:
            starts.append(i)
    return np.array(starts, np.int64)


def doubles(vessels: Detections, times: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which vessels another granule of the same overpass shows better, or are rows given twice."""
    double = np.zeros(len(vessels), bool)
    hulls, scenes, confidence = vessels["geometry"], vessels["scene_id"], vessels["confidence"]
    order = np.lexsort((vessels["lat"], vessels["lon"], -vessels["length_m"], -confidence, times))
    for group in np.split(order, overpass_starts(times[order])[1:]):
        ranked = group[np.lexsort((np.arange(len(group)), -confidence[group]))]
        one, other = shapely.STRtree(hulls[ranked]).query(hulls[ranked], predicate="intersects")
        for better, worse in sorted(zip(one.tolist(), other.tolist(), strict=True)):
            if better >= worse:
                continue
            a, b = ranked[better], ranked[worse]
            if double[a] or double[b]:
                continue
            if scenes[a] == scenes[b]:
                double[b] = bool(hulls[a].equals(hulls[b]))
            else:
                shared = hulls[a].intersection(hulls[b]).area
                double[b] = shared > _SAME_HULL * min(hulls[a].area, hulls[b].area)
    return double
