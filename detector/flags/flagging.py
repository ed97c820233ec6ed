"""From a vessel table, AIS and lists to flagged vessels: reads AIS near the scenes, gathers facts, applies the rules."""

from __future__ import annotations

import os
import warnings
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from detector import formats
from detector.columns import objects
from detector.detections import EXTRA, SCHEMA, Detections
from detector.errors import BargewatchError, SiteError, TableError
from detector.flags.ais import read_ais
from detector.flags.aisdata import AisData, Near, ReadReport
from detector.flags.evidence import scene_facts, scene_time
from detector.flags.rules import Settings, load_settings
from detector.flags.watchlistfiles import read_watchlists
from detector.loadings.sites import Site, Zone, load_site
from detector.textformats import Kind

if TYPE_CHECKING:
    from geopandas import GeoDataFrame

_MARGIN_KM = 40.0  # around the detections: the radius of coverage, and half an hour at 20 knots
#: Why flags are there that the table came with: the parts of bargewatch that give them know, the table does not say.
_GIVEN_BEFORE = {
    "underway": "a wake shows that it moves",
    "recovered": "the pixels of two looks, held against each other, show it, the network did not",
}
_Paths = Iterable[str | os.PathLike[str]]


@dataclass
class FlaggedVessels:
    """The vessel table with its flags, and beside it what AIS says and why each flag is there.

    detections: the table of the contract, `flags` filled in. extra: the columns of EXTRA, a value a row (None, NaN or an
    empty list where nothing is known). reports: what was read of each AIS file. failed: inputs that could not be used, with
    their reasons. unseen: ships of a list that AIS puts among the detections and that match none.
    """

    detections: Detections
    extra: dict[str, NDArray[Any]]
    reports: list[ReadReport] = field(default_factory=list)
    failed: dict[str, BargewatchError] = field(default_factory=dict)
    unseen: list[str] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.detections)

    def __getitem__(self, name: str) -> NDArray[Any]:
        return self.extra[name] if name in self.extra else self.detections[name]

    @property
    def counts(self) -> dict[str, int]:
        """How many vessels have each flag, the most frequent first."""
        return dict(Counter(flag for flags in self.detections["flags"] for flag in flags).most_common())

    def write(self, path: str | os.PathLike[str], crs: Any = "EPSG:4326") -> None:
        """Write the table with the extra columns after its own; as `Detections.write`."""
        formats.write(
            path, {**SCHEMA, **EXTRA}, {**self.detections.columns, **self.extra}, layer="vessels", crs=crs
        )

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> FlaggedVessels:
        """A table that `write` wrote.

        Raises:
            TableError: as `Detections.read`; also where the extra columns are missing.
        """
        columns = formats.read(path, {**SCHEMA, **EXTRA}, layer="vessels")
        extra = {name: _column(kind, columns.pop(name)) for name, kind in EXTRA.items()}
        try:
            return cls(Detections.from_columns(**columns), extra)
        except TableError as error:
            raise TableError(f"{path}: {error}") from None

    def to_geodataframe(self, crs: Any = "EPSG:4326") -> GeoDataFrame:
        """The table with the extra columns as a GeoDataFrame."""
        return formats.to_geodataframe({**SCHEMA, **EXTRA}, {**self.detections.columns, **self.extra}, crs)


def flag_vessels(
    vessels: Detections,
    *,
    ais: _Paths = (),
    watchlists: _Paths = (),
    site: str | os.PathLike[str] | Site | None = None,
    rules: str | os.PathLike[str] | Settings | None = None,
    flag_states: Sequence[str] = (),
    ais_time: datetime | str | None = None,
) -> FlaggedVessels:
    """Flag the kept vessels of a table; rejected ones pass through without flags.

    Args:
        vessels: of one or many scenes.
        ais: AIS files (ais.py says which kinds); without any, every vessel is `ais-unknown`.
        watchlists: lists of ships (watchlistfiles.py says which kinds).
        site: berths and waters; default: the shipped site that the table names.
        rules: a file of rules on top of configs/flags.yaml, or settings.
        flag_states: flags to look for besides North Korea's: codes, names or MIDs.
        ais_time: of AIS files without a time column.

    A file that cannot be used is named in `failed`, and the others are used.

    Raises:
        ConfigError: rules, settings or flag states that make no sense.
        SiteError: `site` is unknown or damaged.
        TableError: `ais_time` is no time.
    """
    settings = (rules if isinstance(rules, Settings) else load_settings(rules)).asking_for(flag_states)
    zones, sites = _zones(vessels, site)
    watchlist, failed = read_watchlists(watchlists)
    kept = vessels["status"] == "kept"
    scenes: dict[tuple[str, str | None], list[int]] = defaultdict(list)
    for row in np.flatnonzero(kept).tolist():
        scenes[vessels["scene_id"][row], vessels["acquired"][row]].append(row)
    data = _read(list(ais), vessels, scenes, settings, ais_time)
    facts: list[dict[str, Any]] = [{} for _ in range(len(vessels))]
    unseen: list[str] = []
    for (_, acquired), rows in scenes.items():
        usable = data if data is not None and len(data.failed) < len(data.reports) else None
        found, missed = scene_facts(
            vessels[rows],
            [zones[r] for r in rows],
            [sites[r] for r in rows],
            scene_time(acquired),
            usable,
            watchlist,
            settings,
        )
        unseen += missed
        for row, fact in zip(rows, found, strict=True):
            facts[row] = fact
    flags, reasons = _apply(vessels, facts, settings)
    extra = {
        name: _column(kind, [fact.get(name) for fact in facts])
        for name, kind in EXTRA.items()
        if kind != "list"
    }
    return FlaggedVessels(
        detections=vessels.with_columns(flags=flags),
        extra={**extra, "flag_reasons": objects(reasons)},
        reports=[] if data is None else data.reports,
        failed={**({} if data is None else data.failed), **failed},
        unseen=unseen,
    )


def _read(
    paths: Sequence[str | os.PathLike[str]],
    vessels: Detections,
    scenes: dict[tuple[str, str | None], list[int]],
    settings: Settings,
    ais_time: datetime | str | None,
) -> AisData | None:
    if not paths:
        return None
    window = settings.matching.window_minutes * 60
    near = []
    for (_, acquired), rows in scenes.items():
        time = scene_time(acquired)
        if time is None:
            continue
        lon, lat = vessels["lon"][rows], vessels["lat"][rows]
        lon = (lon - lon[0] + 180.0) % 360.0 - 180.0 + lon[0]  # a scene may lie across 180°
        high = _MARGIN_KM / 110.6
        wide = min(high / max(float(np.cos(np.radians(np.abs(lat).max()))), 0.05), 90.0)
        near.append(
            Near(
                west=float(lon.min()) - wide,
                south=float(lat.min()) - high,
                east=float(lon.max()) + wide,
                north=float(lat.max()) + high,
                start=time - window,
                end=time + window,
            )
        )
    return read_ais(paths, near, time=ais_time)


def _apply(
    vessels: Detections, facts: Sequence[dict[str, Any]], settings: Settings
) -> tuple[list[list[str]], list[list[str]]]:
    """Flags and reasons of each vessel; flags that no rule gives, from elsewhere, stay."""
    ours = {rule.flag for rule in settings.rules}
    flags, reasons = [], []
    for before, fact in zip(vessels["flags"], facts, strict=True):
        given = [(rule.flag, reason) for rule in settings.rules if fact and (reason := rule.apply(fact))]
        others = [flag for flag in before if flag not in ours]
        flags.append(others + [flag for flag, _ in given])
        reasons.append(
            [f"{flag}: {_GIVEN_BEFORE.get(flag, 'flagged before')}" for flag in others]
            + [f"{flag}: {reason}" for flag, reason in given]
        )
    return flags, reasons


def _zones(
    vessels: Detections, site: str | os.PathLike[str] | Site | None
) -> tuple[list[Zone | None], list[str | None]]:
    """The zone and the site's name of each vessel: of the table where it says, of `site` otherwise."""
    given = None if site is None else load_site(site)
    known: dict[str, Site | None] = {}
    zones: list[Zone | None] = []
    names: list[str | None] = []
    assigned = given.assign(list(vessels["geometry"])) if given else [None] * len(vessels)
    for name, zone_id, ours in zip(vessels["site"], vessels["zone_id"], assigned, strict=True):
        if given is not None:
            zones.append(given.zone(ours) if ours else None)
            names.append(given.name)
            continue
        if name is not None and name not in known:
            known[name] = _shipped(name)
        where = known.get(name) if name is not None else None
        zones.append(next((z for z in where.zones if z.id == zone_id), None) if where else None)
        names.append(name)
    return zones, names


def _shipped(name: str) -> Site | None:
    try:
        return load_site(name)
    except SiteError:
        warnings.warn(f"site {name!r} of the table does not ship; give its file (--site, site=)", stacklevel=4)
        return None


def _column(kind: Kind, values: Sequence[Any]) -> NDArray[Any]:
    if kind == "float":
        return np.array([np.nan if value is None else value for value in values], np.float64)
    return objects(values)
