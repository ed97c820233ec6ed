"""AIS of a site by weeks: which ships were heard inside which zone, and in how many hours anything was heard at all.

Blocks of positions are reduced to ship, zone and week as they are read, so memory does not grow with the files.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from detector.errors import BargewatchError
from detector.flags.ais import reduce_ais
from detector.flags.aisdata import AisData, Near, ReadReport
from detector.flags.identity import flag_of
from detector.loadings.tables import Tables

_DAY = 86_400.0
_AROUND_DEG = 0.5  # some 50 km: ships this near show that AIS was received
_MONDAY = 4.0


@dataclass
class AisWeeks:
    """Ships heard in each zone and week; without AIS files nothing is known of any week.

    Attributes:
        ships: (week, zone id) -> MMSIs; weeks by the day on which they begin, since 1970-01-01.
        heard: hours since 1970 in which any ship was heard within some 50 km.
        flag_groups: groups that an MMSI can tell.
    """

    given: bool
    ships: dict[tuple[float, str], set[int]] = field(default_factory=dict)
    heard: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    flag_groups: dict[str, str] = field(default_factory=dict)
    reports: list[ReadReport] = field(default_factory=list)
    failed: dict[str, BargewatchError] = field(default_factory=dict)

    def hours(self, week: float) -> int | None:
        """Hours of the week, out of 168, in which AIS was heard around the site; None without AIS."""
        if not self.given:
            return None
        return int(((self.heard >= week * 24) & (self.heard < (week + 7) * 24)).sum())

    def vessels(self, week: float, zone: str | None, group: str) -> int | None:
        """Different MMSIs heard in a zone (None: any) in a week; None where AIS cannot say, or nothing was heard at all."""
        if not self.hours(week) or not (group == "all" or group in self.flag_groups):
            return None
        found: set[int] = set()
        for (when, where), ships in self.ships.items():
            if when == week and zone in (None, where):
                found |= ships
        if group == "all":
            return len(found)
        return sum(flag_of(ship) == self.flag_groups[group] for ship in found)


def read_weeks(
    paths: Sequence[str | os.PathLike[str]],
    tables: Tables,
    groups: Sequence[str],
    *,
    time: datetime | str | None = None,
) -> AisWeeks:
    """Read AIS files once, over the days of the looks.

    Args:
        groups: those of the table; flags of states (flag-KP) can be told from MMSIs alone.

    Raises:
        TableError: `time` is no time.
    """
    states = {group: group.removeprefix("flag:flag-") for group in groups if group.startswith("flag:flag-")}
    weeks = AisWeeks(given=bool(paths), flag_groups=states)
    if not paths:
        return weeks
    polygons = {at.zone.id: at.zone.polygon for at in tables.zones}
    west, south, east, north = shapely.total_bounds(list(polygons.values())).tolist()
    near = Near(
        west - _AROUND_DEG,
        south - _AROUND_DEG,
        east + _AROUND_DEG,
        north + _AROUND_DEG,
        tables.start * _DAY,
        tables.end * _DAY,
    )
    for polygon in polygons.values():
        shapely.prepare(polygon)

    def reduce(part: dict[str, NDArray[Any]]) -> tuple[NDArray[np.int64], dict[str, NDArray[np.int64]]]:
        week = ((part["time"] / _DAY - _MONDAY) // 7).astype(np.int64)
        found = {}
        for name, polygon in polygons.items():
            inside = shapely.contains_xy(polygon, part["lon"], part["lat"])
            found[name] = np.unique(np.column_stack([week, part["mmsi"]])[inside], axis=0)
        return np.unique((part["time"] // 3600).astype(np.int64)), found

    data = AisData({}, {}, [])
    hours = [np.zeros(0, np.int64)]
    for heard, found in reduce_ais(paths, [near], data, reduce, time=time):
        hours.append(heard)
        for name, pairs in found.items():
            for number, mmsi in pairs.tolist():
                weeks.ships.setdefault((number * 7 + _MONDAY, name), set()).add(mmsi)
    weeks.heard = np.unique(np.concatenate(hours))
    weeks.reports, weeks.failed = data.reports, data.failed
    return weeks
