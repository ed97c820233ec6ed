"""Change on the pixels of chips, brought to the vessel table: what the detector missed, and what never moves.

Optional: counting works from the tables alone.

- A vessel is *recovered* where an object arrived at a look or left after it, or where something seen at one look is there
  at the next by its pixels, and the table has no box there. Its row is flagged `recovered`.
- A box is *fixed* where the pixels show the same thing, never water, over the whole series.

What arrived and left, and the dark area of stockpiles, come with it.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from detector.atomic import replacing
from detector.columns import objects
from detector.detections import Detections
from detector.loadings.chiplooks import read_chip_looks
from detector.loadings.chipseries import ChipSeries
from detector.loadings.looks import read_looks
from detector.loadings.sites import Site
from detector.loadings.stockpile import STOCKPILES_FILE, StockpileRow, stockpile_rows, write_stockpiles
from detector.textformats import WGS84, Kind, write_geojson
from detector.wording import counted

CHANGES_FILE = "changes.geojson"
SCHEMA: dict[str, Kind] = {
    "site": "text",
    "zone_id": "text",
    "kind": "text",
    "earlier": "text",
    "later": "text",
    "lon": "float",
    "lat": "float",
    "length_m": "float",
    "width_m": "float",
    "heading_deg": "float",
    "area_m2": "float",
    "chance": "float",
}


@dataclass(frozen=True)
class Changes:
    """What the chips of a site show.

    Attributes:
        vessels: the table given, with fixed boxes marked and recovered vessels added at its end.
        objects: one row a thing that arrived or left: site, zone_id, kind, earlier, later (UTC), lon, lat, length_m,
            width_m, heading_deg, area_m2, chance, geometry (WGS84).
        stockpiles: dark area of each stockpile at each look.
        remarks: what a reader of the result should know.
    """

    vessels: Detections
    objects: tuple[dict[str, Any], ...]
    stockpiles: tuple[StockpileRow, ...]
    remarks: tuple[str, ...]

    def write(self, folder: str | os.PathLike[str]) -> list[Path]:
        """Write changes.geojson, and stockpiles.csv where the site has stockpiles, into a folder.

        Raises:
            TableError: the folder cannot be written.
        """
        place = Path(folder)
        columns = {name: objects([row[name] for row in self.objects]) for name in (*SCHEMA, "geometry")}
        with replacing(place / CHANGES_FILE) as draft:
            write_geojson(draft, SCHEMA, columns, columns["geometry"], "changes", WGS84)
        if not self.stockpiles:
            return [place / CHANGES_FILE]
        write_stockpiles(place / STOCKPILES_FILE, self.stockpiles)
        return [place / CHANGES_FILE, place / STOCKPILES_FILE]


def apply_changes(
    vessels: Detections | str | os.PathLike[str],
    looks: Iterable[Mapping[str, Any]] | str | os.PathLike[str],
    site: Site,
    chips: str | os.PathLike[str],
) -> Changes:
    """Compare consecutive looks on the chips of a site.

    Args:
        vessels, looks: tables of `predict`, or their paths; chips of scenes without a look are left alone.
        chips: the folder that `predict --chips` wrote.

    Raises:
        TableError: no such folder, or chips that do not fit the site.
        SceneError: a chip cannot be read.
    """
    table = vessels if isinstance(vessels, Detections) else Detections.read(vessels)
    rows = rows_of(looks)
    status = table["status"].copy()
    added: list[Detections] = []
    found: list[dict[str, Any]] = []
    stockpiles: list[StockpileRow] = []
    remarks: list[str] = []
    for zone in site.zones:
        if zone.kind == "area":
            continue
        scenes = {str(row["scene_id"]) for row in rows if row["zone_id"] == zone.id}
        seen = read_chip_looks(chips, zone, scenes)
        if zone.kind == "stockpile":
            stockpiles += stockpile_rows(seen, zone, site.name)
            continue
        if len(seen) < 2:
            remarks.append(f"{counted(len(seen), 'chip')} of {zone.id}: no two looks to compare")
            continue
        series = ChipSeries.of(seen, zone)
        mine = series.rows_by_look(table)
        fixed = series.fixed(table, mine)
        status[fixed] = "fixed"
        found += series.object_rows(site.name)
        added.append(series.recovered(table.with_columns(status=status), mine, site))
        if len(fixed) or len(added[-1]):
            remarks.append(
                f"by the pixels at {zone.id}: {counted(len(added[-1]), 'vessel')} recovered, "
                f"{len(fixed)} found never to move"
            )
        if not all(pair.registered for pair in series.pairs):
            number = sum(not pair.registered for pair in series.pairs)
            remarks.append(
                f"{number} of {len(series.pairs)} pairs of looks at {zone.id} show too little land to be aligned"
            )
    marked = table.with_columns(status=status) if len(table) else table
    return Changes(Detections.concat([marked, *added]), tuple(found), tuple(stockpiles), tuple(remarks))


def rows_of(looks: Iterable[Mapping[str, Any]] | str | os.PathLike[str]) -> Sequence[Mapping[str, Any]]:
    """The rows of a looks table given as rows, a DataFrame or a path.

    Raises:
        TableError: the file cannot be read as one.
    """
    if isinstance(looks, str | os.PathLike):
        return read_looks(looks)
    return looks.to_dict("records") if hasattr(looks, "to_dict") else list(looks)
