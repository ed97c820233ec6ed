"""The weekly picture: how many different vessels a site had each week, by images and by AIS side by side.

Three figures that must not be mixed up. `seen`: vessels in the images of the week that are not the same ship twice, by the
links of `detector.loadings` within the week. `present`: an estimate of all that were there at some time of the week,
seen or not. `ais_seen`: different MMSIs heard inside the zones. With them goes the effort, because a week with two clear
looks and a week with none are not the same week. Explained in docs/flags.md.
"""

from __future__ import annotations

import csv
import math
import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detector.atomic import replacing
from detector.detections import Detections
from detector.errors import BargewatchError, ConfigError, TableError
from detector.flags.aisdata import ReadReport
from detector.flags.flagging import FlaggedVessels
from detector.flags.weeklyais import AisWeeks, read_weeks
from detector.flags.weeklyzone import ZoneWeeks
from detector.loadings.count import MIN_CLEAR, RECALL
from detector.loadings.overpasses import overpass_starts
from detector.loadings.sites import Site, load_site
from detector.loadings.tables import Tables, read_tables
from detector.textformats import plain_cell

Floats = NDArray[np.float64]

COLUMNS = (
    "site", "zone_id", "week_start", "week_end", "looks", "usable_looks", "observed_share", "ais_hours", "group", "seen",
    "seen_low", "seen_high", "present", "present_low", "present_high", "ais_seen", "note",
)  # fmt: skip
FILE = "weekly.csv"
WEEK = 7.0
_MONDAY = 4.0  # 1970-01-05 in days since 1970-01-01


@dataclass
class WeeklyPicture:
    """What `weekly_picture` found.

    Attributes:
        rows: as COLUMNS; a row a zone (None: the whole site), week and group. Groups are `all`, `class:…` and `flag:…`.
            Numbers that are not known are NaN, `ais_seen` None where AIS says nothing of the group.
        reports, failed: of the AIS files.
    """

    site: str
    rows: list[dict[str, Any]]
    reports: list[ReadReport] = field(default_factory=list)
    failed: dict[str, BargewatchError] = field(default_factory=dict)

    def write(self, folder: str | os.PathLike[str]) -> Path:
        """Write weekly.csv into a folder, made if need be.

        Raises:
            TableError: the folder cannot be made or written.
        """
        place = Path(folder)
        try:
            place.mkdir(exist_ok=True)
        except OSError as error:
            raise TableError(f"cannot make the folder {folder}: {error.strerror or error}") from error
        with replacing(place / FILE) as draft, open(draft, "w", encoding="utf-8", newline="") as file:
            table = csv.writer(file, lineterminator="\n")
            table.writerow(COLUMNS)
            table.writerows([plain_cell(row[name], "{:.4g}".format) for name in COLUMNS] for row in self.rows)
        return place / FILE


def weekly_picture(
    vessels: FlaggedVessels | Detections,
    looks: Iterable[Mapping[str, Any]] | str | os.PathLike[str],
    site: Site | str | os.PathLike[str],
    *,
    ais: Iterable[str | os.PathLike[str]] = (),
    ais_time: datetime | str | None = None,
    min_clear: float = MIN_CLEAR,
    recall: float = RECALL,
    seed: int = 0,
) -> WeeklyPicture:
    """Different vessels of each week (Monday to Sunday, UTC) at a site and its zones.

    Args:
        vessels: best with flags; where AIS told which ship a hull is, the MMSI decides whether two hulls are one ship.
        looks: the looks table of the same run of `predict`.
        ais: AIS files of the whole time; a file that cannot be used is named in `failed`.
        recall: chance that a vessel is in the table where its zone was seen.
        seed: of the draws behind the intervals.

    Raises:
        TableError: tables that do not fit together.
        SiteError: no such site.
        ConfigError: an argument out of range.
    """
    if not 0 < min_clear <= 1 or not 0 < recall < 1:
        raise ConfigError(f"min_clear is {min_clear} and recall {recall}; use numbers between 0 and 1")
    place = load_site(site)
    detections = vessels.detections if isinstance(vessels, FlaggedVessels) else vessels
    tables = read_tables(detections, looks, place, min_clear)
    if not tables.zones:
        raise TableError(
            f"the site {place.name} has no zone where vessels are counted; give one with berths or anchorages"
        )
    groups = _groups(tables)
    heard = read_weeks(list(ais), tables, groups, time=ais_time)
    weeks = _weeks(tables.start, tables.end)
    rng = np.random.default_rng([seed, 52])
    mmsi = _mmsi(vessels)
    parts = [ZoneWeeks(at, tables, weeks, mmsi, recall, rng) for at in tables.zones]
    rows = []
    for part in parts:
        rows += [
            _row(tables, [part], part.at.zone.id, n, group, heard)
            for n in range(len(weeks))
            for group in groups
        ]
    rows += [_row(tables, parts, None, n, group, heard) for n in range(len(weeks)) for group in groups]
    return WeeklyPicture(place.name, rows, heard.reports, heard.failed)


def _weeks(start: float, end: float) -> list[tuple[float, float]]:
    first = math.floor((start - _MONDAY) / WEEK) * WEEK + _MONDAY
    return [(monday, monday + WEEK) for monday in np.arange(first, end, WEEK).tolist()]


def _groups(tables: Tables) -> list[str]:
    """`all`, the classes, and the flags of the table with the most frequent first."""
    flags = Counter(flag for at in tables.zones for row in at.vessels["flags"] for flag in row)
    classes = ("vessel", "coal_barge")
    return [
        "all",
        *(f"class:{c}" for c in classes),
        *(f"flag:{f}" for f, _ in flags.most_common() if f not in classes),
    ]


def _mmsi(vessels: FlaggedVessels | Detections) -> dict[tuple[Any, ...], int]:
    """MMSI of the matched hulls, by scene and place."""
    if isinstance(vessels, Detections):
        return {}
    table = vessels.detections
    keys = zip(table["scene_id"], table["lon"].tolist(), table["lat"].tolist(), strict=True)
    return {
        key: int(number) for key, number in zip(keys, vessels["ais_mmsi"], strict=True) if number is not None
    }


# ---- rows


def _row(
    tables: Tables, parts: Sequence[ZoneWeeks], zone: str | None, number: int, group: str, heard: AisWeeks
) -> dict[str, Any]:
    start, end = parts[0].weeks[number]
    counts = [part.vessels(number, group) for part in parts]
    # In the site's sum an area has what was seen of it; a zone alone says nothing there.
    there = [
        seen if zone is None and part.passing else draws
        for part, (_, seen, draws) in zip(parts, counts, strict=True)
    ]
    row: dict[str, Any] = {
        "site": tables.site.name,
        "zone_id": zone,
        "week_start": _text(start),
        "week_end": _text(end),
        "looks": _overpasses([part.looks(number, usable=False) for part in parts]),
        "usable_looks": _overpasses([part.looks(number, usable=True) for part in parts]),
        "observed_share": float(np.mean([part.observed(number) for part in parts])),
        "ais_hours": heard.hours(start),
        "group": group,
        "seen": sum(count for count, _, _ in counts),
        **_interval("seen", np.sum([draws for _, draws, _ in counts], axis=0), ends_only=True),
        **_interval("present", _sum(there)),
        "ais_seen": heard.vessels(start, zone, group),
    }
    notes = [
        _part_note(parts[0], number),
        "no usable look" if not row["usable_looks"] else "",
        "vessels pass through an area: only what was seen" if zone and parts[0].passing else "",
        "a vessel that changed zones counts in each" if zone is None and len(parts) > 1 else "",
    ]
    return {**row, "note": "; ".join(note for note in notes if note)}


def _interval(name: str, draws: Floats | None, *, ends_only: bool = False) -> dict[str, float]:
    if draws is None:
        return dict.fromkeys((name, f"{name}_low", f"{name}_high"), math.nan)
    low, high = np.quantile(draws, [0.05, 0.95], method="inverted_cdf")
    ends = {f"{name}_low": float(low), f"{name}_high": float(high)}
    return ends if ends_only else {name: float(draws.mean()), **ends}


def _sum(parts: Sequence[Floats | None]) -> Floats | None:
    known = [draws for draws in parts if draws is not None]
    return np.asarray(np.sum(known, axis=0)) if len(known) == len(parts) else None


def _overpasses(times: Sequence[Floats]) -> int:
    return len(overpass_starts(np.sort(np.concatenate(times))))


def _part_note(part: ZoneWeeks, number: int) -> str:
    if part.spans[number] == tuple(part.weeks[number]):
        return ""
    first, last = part.spans[number]
    return f"counted from {when(first):%Y-%m-%d} to {when(last - 0.5):%Y-%m-%d}, where there are looks"


def when(days: float) -> datetime:
    """UTC of days since 1970-01-01."""
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(days=days)


def _text(days: float) -> str:
    return f"{when(days):%Y-%m-%dT%H:%M:%SZ}"
