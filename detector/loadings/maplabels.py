"""Where the numbers of zones stand on a map, so that none covers another number or zone."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import shapely

from detector.loadings.mappanel import Panel
from detector.loadings.zones import Zone

#: Of the width of a panel: the room that a number takes.
_LABEL = 0.042

LonLat = tuple[float, float]


def label_places(zones: Sequence[Zone], panel: Panel) -> list[tuple[Zone, LonLat, LonLat]]:
    """Where the number of each zone that the panel shows goes, and the point of the zone that it stands for.

    Inside a zone that has room for it; else beside it, away from numbers and zones that are there already. The number of an
    area stands at a corner, for its middle is where the other zones are.
    """
    west, south, east, north = panel
    km = np.array(panel.km_per_degree)
    room = _LABEL * max(panel.shape_km)
    frame = shapely.box(*panel)
    shown = [zone for zone in zones if zone.polygon.intersects(frame) and not zone.polygon.contains(frame)]
    taken: list[np.ndarray] = []
    placed = []
    for zone in sorted(shown, key=lambda zone: (zone.kind == "area", -zone.polygon.area)):
        visible = zone.polygon.intersection(frame)
        if zone.kind == "area":
            left, _, right, top = visible.bounds
            inset = 0.8 * room / km
            options = [(left + inset[0], top - inset[1]), (right - inset[0], top - inset[1])]
            centre = None
        else:
            point = visible.representative_point()
            centre = (float(point.x), float(point.y))
            wide, high = Panel(*visible.bounds).shape_km
            options = [centre] if min(wide, high) > 1.3 * room else []
            around = np.radians(np.arange(22.5, 360, 45.0))
            for reach in (1.6, 2.4, 3.4):
                distance = reach * room + min(wide, high) / 2
                options += [
                    (centre[0] + distance * math.sin(a) / km[0], centre[1] + distance * math.cos(a) / km[1])
                    for a in around
                ]
        others = [other.polygon for other in shown if other is not zone and other.kind != "area"]
        rim = 0.6 * room / km

        def cost(place: LonLat, others: Any = others, rim: Any = rim) -> float:
            inside = (
                west + rim[0] <= place[0] <= east - rim[0] and south + rim[1] <= place[1] <= north - rim[1]
            )
            near = sum(np.hypot(*((np.array(place) - other) * km)) < 1.25 * room for other in taken)
            covers = shapely.contains_xy(others, *place).sum()
            return float(8 * (not inside) + 4 * near + covers)

        best = min(options, key=cost)
        taken.append(np.array(best))
        placed.append((zone, best, centre or best))
    return placed
