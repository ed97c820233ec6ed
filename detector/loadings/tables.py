"""The vessel and looks tables as counting needs them: checked, in order, one look a zone and overpass.

What is done with tables that are not as they should be:

- rows in any order are sorted; a time without zone is UTC, as everywhere;
- looks at one zone within half an hour are one overpass (granules overlap): its clear fraction is that of the
  clearer granule, its vessels are those of all of them, and a hull that two of them show counts once;
- a vessel that was not given to any site gets its zone from its outline;
- rows of other sites, where some are of this one, are left out with a warning;
- an empty looks table, an unknown zone, a look without time, vessels without a look and tables that are all of
  another site are a TableError: a number made of them would be wrong without looking wrong.
"""

from __future__ import annotations

import math
import os
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detector.columns import is_missing, utc_text
from detector.detections import Detections
from detector.errors import TableError
from detector.loadings.looks import COLUMNS, read_looks
from detector.loadings.overpasses import OVERPASS_DAYS, doubles, overpass_starts
from detector.loadings.series import to_days
from detector.loadings.sites import Site, Zone
from detector.wording import counted

TablePath = str | os.PathLike[str]
LookRows = Iterable[Mapping[str, Any]]


@dataclass(frozen=True)
class ZoneLooks:
    """Every look at one zone, and the vessels that lay in it.

    Attributes:
        times: (n,) days since 1970-01-01 UTC, increasing.
        acquired: (n,) the same as UTC ISO 8601 text.
        clear: (n,) clear fraction.
        usable: (n,) where clear enough to say that what was not seen was not there.
        vessels: kept vessels of the zone, in the order of the looks.
        look: (vessels,) index of each vessel's look.
    """

    zone: Zone
    times: NDArray[np.float64]
    acquired: tuple[str, ...]
    clear: NDArray[np.float64]
    usable: NDArray[np.bool_]
    vessels: Detections
    look: NDArray[np.int64]


@dataclass(frozen=True)
class Tables:
    """A site's zones with their looks.

    Attributes:
        start, end: the days from the first look to the last, whole days UTC; days since 1970-01-01.
        outside: kept vessels that lie in no zone.
        doubles: vessels left out because another granule of the same overpass shows them.
    """

    site: Site
    zones: tuple[ZoneLooks, ...]
    start: float
    end: float
    outside: int
    doubles: int


def read_tables(
    vessels: Detections | TablePath, looks: LookRows | TablePath, site: Site, min_clear: float
) -> Tables:
    """Bring a vessel table and a looks table together, zone by zone.

    Args:
        vessels: a table, or the path of one.
        looks: rows (dicts or a DataFrame), or the path of a CSV file.
        min_clear: least clear fraction of a usable look.

    Raises:
        TableError: see the text at the top of this module.
    """
    if isinstance(vessels, str | os.PathLike):
        vessels = Detections.read(vessels)
    if not isinstance(vessels, Detections):
        raise TableError(f"vessels must be Detections or the path of their file, not {type(vessels).__name__}")
    rows = _this_site(_look_rows(looks), site)
    found, zone_ids = _in_zones(vessels.kept, site)
    outside = len(found) - sum(zone_id is not None for zone_id in zone_ids)
    inside = np.array([zone_id is not None for zone_id in zone_ids], bool)
    found, zone_ids = found[inside], [zone_id for zone_id in zone_ids if zone_id is not None]
    times = _times(found, rows)
    single = ~doubles(found, times)
    left_out = len(found) - int(single.sum())
    found, times = found[single], times[single]
    zone_ids = [zone_id for zone_id, keep in zip(zone_ids, single, strict=True) if keep]
    zones = []
    for zone in site.zones:
        if zone.kind == "stockpile":
            continue
        mine = np.array([zone_id == zone.id for zone_id in zone_ids], bool)
        zone_rows = [row for row in rows if row["zone_id"] == zone.id]
        zones.append(_zone_looks(zone, zone_rows, found[mine], times[mine], min_clear))
    first, last = min(row["day"] for row in rows), max(row["day"] for row in rows)
    return Tables(site, tuple(zones), float(math.floor(first)), math.floor(last) + 1.0, outside, left_out)


# ---- looks


def _look_rows(looks: LookRows | TablePath) -> list[dict[str, Any]]:
    """Checked looks, each with its time in days as `day`, in order of time."""
    if isinstance(looks, str | os.PathLike):
        name, rows = str(looks), list[Mapping[str, Any]](read_looks(looks))
    else:
        name = "looks"
        if not isinstance(looks, Iterable):
            raise TableError(f"looks must be rows or the path of their file, not {type(looks).__name__}")
        rows = looks.to_dict("records") if hasattr(looks, "to_dict") else list(looks)
    if not rows:
        raise TableError(
            f"{name}: the looks table is empty; give the one that `predict --looks` wrote, and if this is it, no"
            " scene touched the site"
        )
    checked = [_look(row, f"{name}, row {number}") for number, row in enumerate(rows, 1)]
    return sorted(checked, key=lambda row: (row["day"], row["scene_id"], row["zone_id"]))


def _look(row: Mapping[str, Any], where: str) -> dict[str, Any]:
    if missing := [column for column in COLUMNS if column not in row]:
        raise TableError(f"{where}: the column {missing[0]!r} is missing; it needs {', '.join(COLUMNS)}")
    texts = {
        name: "" if is_missing(row[name]) else str(row[name]) for name in ("scene_id", "site", "zone_id")
    }
    if not texts["scene_id"] or not texts["zone_id"]:
        raise TableError(f"{where}: scene_id and zone_id are needed, received {dict(row)}")
    if is_missing(row["acquired"]) or row["acquired"] == "":
        raise TableError(
            f"{where}: scene {texts['scene_id']} has no time, so it has no place in a series; "
            "give `predict` the time of the scene (--acquired, acquired=) or take its rows out of both tables"
        )
    acquired = utc_text(row["acquired"], f"{where}, acquired")
    try:
        clear = float(row["clear_fraction"])
    except (TypeError, ValueError):
        clear = math.nan
    if not 0 <= clear <= 1:
        raise TableError(f"{where}: clear_fraction is {row['clear_fraction']!r}; use a number from 0 to 1")
    return {**texts, "acquired": acquired, "day": _day(acquired), "clear_fraction": clear}


def _day(acquired: str) -> float:
    return to_days(datetime.fromisoformat(acquired))


def _this_site(rows: list[dict[str, Any]], site: Site) -> list[dict[str, Any]]:
    mine = [row for row in rows if row["site"] in ("", site.name)]
    others = sorted({row["site"] for row in rows} - {"", site.name})
    if not mine:
        raise TableError(
            f"the looks are of the site {', '.join(others)}, not of {site.name}; "
            "give the site that `predict` had, or run it again with this one"
        )
    if others:
        warnings.warn(f"left out the looks of other sites: {', '.join(others)}", stacklevel=4)
    known = {zone.id for zone in site.zones}
    if unknown := next((row["zone_id"] for row in mine if row["zone_id"] not in known), None):
        raise TableError(
            f"the looks table has the zone {unknown!r}, which the site {site.name} does not have "
            f"({', '.join(sorted(known))}); give the site file that `predict` had, or run it again"
        )
    return mine


# ---- vessels


def _in_zones(vessels: Detections, site: Site) -> tuple[Detections, list[str | None]]:
    """The vessels of a site (and of none), and the zone of each."""
    sites, zones = vessels["site"], vessels["zone_id"]
    mine = np.array([name in (None, site.name) for name in sites], bool)
    if len(mine) and not mine.all():
        others = ", ".join(sorted({str(name) for name in sites[~mine]}))
        if not mine.any():
            raise TableError(
                f"the vessels are of the site {others}, not of {site.name}; "
                "give the site that `predict` had, or run it again with this one"
            )
        warnings.warn(f"left out the vessels of other sites: {others}", stacklevel=4)
    known = {zone.id for zone in site.zones}
    if unknown := next((z for z in zones[mine] if z is not None and z not in known), None):
        raise TableError(
            f"the vessel table has the zone {unknown!r}, which the site {site.name} does not have "
            f"({', '.join(sorted(known))}); give the site file that `predict` had, or run it again"
        )
    chosen = vessels[mine]
    zone_ids: list[str | None] = list(chosen["zone_id"])
    unasked = [row for row in range(len(chosen)) if chosen["site"][row] is None and zone_ids[row] is None]
    for row, zone_id in zip(unasked, site.assign(list(chosen["geometry"][unasked])), strict=True):
        zone_ids[row] = zone_id
    return chosen, zone_ids


def _times(vessels: Detections, rows: list[dict[str, Any]]) -> NDArray[np.float64]:
    """The time of each vessel, by its own or by that of its scene's looks; days."""
    of_scene = {row["scene_id"]: row["day"] for row in rows}
    times = np.empty(len(vessels))
    for i, (scene_id, acquired) in enumerate(zip(vessels["scene_id"], vessels["acquired"], strict=True)):
        look, own = of_scene.get(scene_id), None if acquired is None else _day(acquired)
        if look is None and own is None:
            raise TableError(
                f"scene {scene_id} of the vessel table has no time and no look; "
                "give the vessel table and the looks table of one run of `predict`"
            )
        if look is not None and own is not None and abs(look - own) > OVERPASS_DAYS:
            raise TableError(
                f"scene {scene_id} was taken {acquired} by the vessel table but at another time by the looks "
                "table; give the tables of one run of `predict`"
            )
        times[i] = own if look is None else look
    return times


# ---- both


def _zone_looks(
    zone: Zone,
    rows: list[dict[str, Any]],
    vessels: Detections,
    times: NDArray[np.float64],
    min_clear: float,
) -> ZoneLooks:
    days = np.array([row["day"] for row in rows], float)
    starts = overpass_starts(days)
    clear = np.array([row["clear_fraction"] for row in rows], float)
    clearest = np.maximum.reduceat(clear, starts) if len(starts) else clear
    look = _look_of(zone, vessels, times, days[starts], {row["scene_id"]: row["day"] for row in rows})
    order = np.lexsort((vessels["length_m"], vessels["lat"], vessels["lon"], look))
    return ZoneLooks(
        zone=zone,
        times=days[starts],
        acquired=tuple(rows[start]["acquired"] for start in starts),
        clear=clearest,
        usable=clearest >= min_clear,
        vessels=vessels[order],
        look=look[order],
    )


def _look_of(
    zone: Zone,
    vessels: Detections,
    times: NDArray[np.float64],
    starts: NDArray[np.float64],
    of_scene: Mapping[str, float],
) -> NDArray[np.int64]:
    """The look in which each vessel of a zone was seen: that of its scene, else that of its time."""
    moments = np.array([of_scene.get(s, t) for s, t in zip(vessels["scene_id"], times, strict=True)], float)
    look = np.searchsorted(starts, moments, side="right") - 1
    # A scene a little earlier than the first of its overpass that shows this zone belongs to it too.
    late = np.clip(look + 1, 0, max(len(starts) - 1, 0))
    if len(starts):
        gap = np.where(look >= 0, moments - starts[np.maximum(look, 0)], np.inf)
        soon = (gap > OVERPASS_DAYS) & (starts[late] >= moments)
        look = np.where(soon, late, look)
        lost = (look < 0) | (np.abs(moments - starts[np.maximum(look, 0)]) > OVERPASS_DAYS)
    else:
        lost = np.ones(len(vessels), bool)
    if lost.any():
        scene = vessels["scene_id"][int(lost.argmax())]
        raise TableError(
            f"{counted(int(lost.sum()), 'vessel')} in the zone {zone.id!r} without a look, the first in scene {scene}; "
            "give the vessel table and the looks table of one run of `predict`"
        )
    return look.astype(np.int64)
