"""Count loadings: from the vessel and looks tables of a site to visits, and to loadings with their intervals.

A vessel seen at a berth is a fact. That two sightings are one visit is an inference with a probability, and
the number of loadings, most of which nobody saw, is an estimate with a 90 % interval. The tables keep them apart.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from detector.atomic import check_writable, replacing
from detector.columns import objects
from detector.detections import Detections
from detector.errors import ConfigError, TableError
from detector.loadings.identity import Errors, Identity
from detector.loadings.links import Links, fit_stay, link, pairs_of
from detector.loadings.rows import (
    COLUMNS,
    LOADING_KINDS,
    PERIODS,
    TEXT_COLUMNS,
    Period,
    Span,
    began_within,
    periods_of,
    site_rows,
    zone_rows,
)
from detector.loadings.sites import Site, load_site
from detector.loadings.tables import Tables, ZoneLooks, read_tables
from detector.loadings.visits import COLUMNS as VISIT_COLUMNS
from detector.loadings.visits import SCHEMA as VISIT_SCHEMA
from detector.loadings.visits import identity_of, visit_rows, zone_series
from detector.textformats import WGS84, plain_cell, write_geojson
from detector.wording import counted

if TYPE_CHECKING:
    from geopandas import GeoDataFrame
    from pandas import DataFrame

    from detector.loadings.change import Changes
    from detector.loadings.estimate import ZoneEstimate
    from detector.loadings.payload import Payload
    from detector.loadings.prices import Prices

#: A zone of which less was seen tells nothing by what it did not show.
MIN_CLEAR = 0.7
RECALL = 0.85

#: Kinds that an estimate can be made for.
COUNTABLE_KINDS = ("coal_berth", "berth", "anchorage")

VISITS_FILE, LOADINGS_FILE = "visits.geojson", "loadings.csv"


@dataclass(frozen=True)
class LoadingCount:
    """What `count_loadings` found.

    Attributes:
        loading_rows: rows of the Loadings table: zones in the order of the site file, each with its periods, then the
            whole site (zone_id None). Numbers that are not known are NaN.
        visit_rows: rows of the Visits table.
        estimates: by zone id; None where none was made.
        links: by zone id; `links[zone].chains()` gives the vessels of each visit, in the order of its rows, as indices
            into `tables`.
        tables: the looks and vessels that went in.
        remarks: what was done with the input that a reader of the result should know.
        changes: what the pixels showed, where chips were given.
    """

    loading_rows: tuple[dict[str, Any], ...]
    visit_rows: tuple[dict[str, Any], ...]
    estimates: Mapping[str, ZoneEstimate | None]
    links: Mapping[str, Links]
    tables: Tables
    remarks: tuple[str, ...]
    changes: Changes | None = None

    def __repr__(self) -> str:
        return (
            f"<LoadingCount of {self.tables.site.name}: {len(self.loading_rows)} rows of loadings, "
            f"{len(self.visit_rows)} visits>"
        )

    @cached_property
    def table(self) -> DataFrame:
        """The Loadings table."""
        import pandas

        columns = {name: [row[name] for row in self.loading_rows] for name in COLUMNS}
        # Without a type, text with None among it would come out with NaN.
        return pandas.DataFrame(
            {n: pandas.Series(v, dtype=object if n in TEXT_COLUMNS else None) for n, v in columns.items()}
        )

    @cached_property
    def visits(self) -> GeoDataFrame:
        """The Visits table, geometry in WGS84."""
        from detector.formats import to_geodataframe

        return to_geodataframe(VISIT_SCHEMA, self._visit_columns())

    def write(self, folder: str | os.PathLike[str]) -> tuple[Path, Path]:
        """Write visits.geojson and loadings.csv into a folder, made if need be; both or neither.

        Raises:
            TableError: the folder cannot be made or written.
        """
        place = prepare_folder(folder)
        visits, loadings = place / VISITS_FILE, place / LOADINGS_FILE
        columns = self._visit_columns()
        with replacing(visits) as visits_draft, replacing(loadings) as loadings_draft:
            write_geojson(visits_draft, VISIT_SCHEMA, columns, columns["geometry"], "visits", WGS84)
            with open(loadings_draft, "w", encoding="utf-8", newline="") as file:
                table = csv.writer(file, lineterminator="\n")
                table.writerow(COLUMNS)
                table.writerows(
                    [plain_cell(row[name], _rounded) for name in COLUMNS] for row in self.loading_rows
                )
        return visits, loadings

    def _visit_columns(self) -> dict[str, Any]:
        return {name: objects([row[name] for row in self.visit_rows]) for name in VISIT_COLUMNS}


def prepare_folder(folder: str | os.PathLike[str]) -> Path:
    """The folder for results, made if its parent is there.

    Raises:
        TableError: it is a file, or cannot be made or written.
    """
    place = Path(folder)
    if place.exists() and not place.is_dir():
        raise TableError(f"{folder} is a file; give a folder for {VISITS_FILE} and {LOADINGS_FILE}")
    try:
        place.mkdir(exist_ok=True)
    except OSError as error:
        raise TableError(f"cannot make the folder {folder}: {error.strerror or error}") from error
    for name in (VISITS_FILE, LOADINGS_FILE):
        check_writable(place / name)
    return place


def count_loadings(
    vessels: Detections | str | os.PathLike[str],
    looks: Iterable[Mapping[str, Any]] | str | os.PathLike[str],
    site: Site | str | os.PathLike[str],
    *,
    period: Period = "month",
    kinds: Sequence[str] = LOADING_KINDS,
    min_clear: float = MIN_CLEAR,
    recall: float = RECALL,
    errors: Errors | None = None,
    seed: int = 0,
    chips: str | os.PathLike[str] | None = None,
    payload: Payload | str | os.PathLike[str] | None = None,
    prices: Prices | str | os.PathLike[str] | None = None,
) -> LoadingCount:
    """Visits and loadings at the zones of a site.

    Zones of the kinds in `kinds` give loadings. Anchorages get the same estimate of visits, which are no loadings and
    are not in the row of the site; areas, which vessels pass through, get visits alone; stockpiles nothing.

    Args:
        vessels: the vessel table or its path; rejected vessels are left out.
        looks: the looks table: rows, a DataFrame or its path.
        site: a site, its name or the path of a site file.
        period: "month", "quarter", "year" (UTC) or "all". The count covers the days from the first look to the last.
        kinds: of zones whose visits are loadings.
        min_clear: least clear fraction of a look that can show a zone to be empty.
        recall: belief about the chance that a vessel is in the table where its zone was seen.
        errors: of the measurements by which ships are told apart.
        seed: of the random draws; the same input and seed give the same numbers.
        chips: the folder of `predict --chips`: vessels that were missed are recovered from the pixels, and boxes that
            never move are left out (`detector.loadings.change`).
        payload: what ships carry, or the path of a file like configs/payload.yaml, which is the default. Loadings at coal
            berths become tonnes by it (`detector.loadings.tonnage`).
        prices: of a tonne of coal by period, or the path of a file like configs/prices.yaml, which is the default.

    Raises:
        TableError: tables that do not fit together (`detector.loadings.tables`).
        SiteError: no such site.
        ConfigError: an argument out of range, or a file of payloads or prices that is not as it should be.
    """
    from detector.loadings.payload import load_payload
    from detector.loadings.prices import load_prices
    from detector.loadings.tonnage import add_tonnes

    _check(period, kinds, min_clear, recall)
    carried, worth = load_payload(payload), load_prices(prices)
    place = load_site(site)
    changes: Changes | None = None
    if chips is not None:
        from detector.loadings.change import apply_changes, rows_of

        looks = rows_of(looks)
        changes = apply_changes(vessels, looks, place, chips)
        vessels = changes.vessels
    tables = read_tables(vessels, looks, place, min_clear)
    spans = periods_of(tables.start, tables.end, period)
    loading_rows: list[dict[str, Any]] = []
    every_visit: list[dict[str, Any]] = []
    estimates: dict[str, ZoneEstimate | None] = {}
    links: dict[str, Links] = {}
    for number, at in enumerate(tables.zones):
        identity = identity_of(at, errors)
        pairs = pairs_of(at, identity)
        linked = link(at, pairs, fit_stay(at, pairs, recall), recall)
        visits = visit_rows(at, linked, tables.site.name)
        estimate = _estimate(at, identity, tables, spans, recall, seed + number, began_within(visits, spans))
        estimates[at.zone.id], links[at.zone.id] = estimate, linked
        every_visit += visits
        loading_rows += zone_rows(at, visits, estimate, tables.site.name, spans, kinds)
    loading_rows += site_rows(loading_rows, estimates, every_visit, tables, spans, kinds)
    add_tonnes(
        loading_rows,
        {at.zone.id: at.zone.kind for at in tables.zones},
        every_visit,
        estimates,
        spans,
        carried,
        worth,
        loading_kinds=kinds,
        length_error_m=(errors or Errors()).length_m,
        seed=seed,
    )
    remarks = (*_remarks(tables), *(changes.remarks if changes else ()))
    return LoadingCount(tuple(loading_rows), tuple(every_visit), estimates, links, tables, remarks, changes)


def _check(period: str, kinds: Sequence[str], min_clear: float, recall: float) -> None:
    if period not in PERIODS:
        raise ConfigError(f"unknown period {period!r}; use {', '.join(PERIODS)}")
    if isinstance(kinds, str) or not kinds or not set(kinds) <= set(COUNTABLE_KINDS):
        raise ConfigError(f"kinds is {kinds!r}; use some of {', '.join(COUNTABLE_KINDS)}")
    if not 0 < min_clear <= 1:
        raise ConfigError(f"min_clear is {min_clear}; use a number above 0 and up to 1")
    if not 0 < recall < 1:
        raise ConfigError(f"recall is {recall}; use a number above 0 and below 1")


def _estimate(
    at: ZoneLooks,
    identity: Identity,
    tables: Tables,
    spans: Sequence[Span],
    recall: float,
    seed: int,
    seen: NDArray[np.int64],
) -> ZoneEstimate | None:
    if at.zone.kind not in COUNTABLE_KINDS or not len(at.times):
        return None
    from detector.loadings.estimate import at_least, estimate

    series = zone_series(at, identity, tables.start, tables.end)
    return at_least(estimate(series, [span.counted for span in spans], recall=recall, seed=seed), seen)


def _remarks(tables: Tables) -> tuple[str, ...]:
    remarks = []
    if tables.outside:
        remarks.append(
            f"not counted, because they lie in no zone of {tables.site.name}: {counted(tables.outside, 'vessel')}"
        )
    if tables.doubles:
        remarks.append(f"shown twice in one overpass and counted once: {counted(tables.doubles, 'vessel')}")
    for looks in tables.zones:
        if not len(looks.times):
            remarks.append(f"there is no look at {looks.zone.id}")
        partial = int((~looks.usable[looks.look]).sum())
        if partial:
            remarks.append(
                f"at {looks.zone.id}, in the visits but not in the estimate, because seen in looks too cloudy to "
                f"show an empty berth: {counted(partial, 'vessel')}"
            )
    return tuple(remarks)


def _rounded(value: float) -> str:
    return repr(round(value, 4))
