"""The vessel table: one row a vessel, the same columns in memory and in every file format."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, overload

import numpy as np
from numpy.typing import NDArray

from detector import columns as check
from detector import formats
from detector.errors import TableError
from detector.textformats import Kind

if TYPE_CHECKING:
    from geopandas import GeoDataFrame

CLASSES = ("vessel", "coal_barge")
STATUSES = ("kept", "land", "cloud", "fixed", "size", "duplicate")

SCHEMA: dict[str, Kind] = {
    "scene_id": "text",
    "acquired": "text",
    "class": "text",
    "confidence": "float",
    "lon": "float",
    "lat": "float",
    "length_m": "float",
    "width_m": "float",
    "heading_deg": "float",
    "heading_ambiguous": "bool",
    "coal_score": "float",
    "status": "text",
    "site": "text",
    "zone_id": "text",
    "flags": "list",
}
COLUMNS = (*SCHEMA, "geometry")
# Columns that `bargewatch flag` adds. match_score: probability of the match; unmatched_probability: that no AIS ship
# explains the hull; flag_reasons: one "flag: reason" for each flag, in the same order.
EXTRA: dict[str, Kind] = {
    "ais_status": "text",
    "ais_mmsi": "int",
    "ais_imo": "int",
    "ais_name": "text",
    "ais_flag": "text",
    "ais_distance_m": "float",
    "match_score": "float",
    "unmatched_probability": "float",
    "transfer_probability": "float",
    "flag_reasons": "list",
}

# What a column holds when it is not given: nothing is known, and nothing is held against the vessel.
_DEFAULTS: dict[str, Callable[[], Any]] = {
    "acquired": lambda: None,
    "coal_score": lambda: np.nan,
    "status": lambda: "kept",
    "site": lambda: None,
    "zone_id": lambda: None,
    "flags": list,
}

_CHECKS: dict[str, check.Check] = {
    "scene_id": check.text,
    "acquired": check.optional_time,
    "class": check.choice(*CLASSES),
    "confidence": check.number(0, 1),
    "lon": check.number(-180, 180),
    "lat": check.number(-90, 90),
    "length_m": check.number(0, 5000, optional=True),
    "width_m": check.number(0, 5000, optional=True),
    "heading_deg": check.number(0, 360, optional=True),
    "heading_ambiguous": check.boolean,
    "coal_score": check.number(0, 1, optional=True),
    "status": check.choice(*STATUSES),
    "site": check.optional_text,
    "zone_id": check.optional_text,
    "flags": check.text_list,
    "geometry": check.polygon,
}


@dataclass(frozen=True, eq=False)
class Detections:
    """Vessels as columns of equal length; make one with `from_columns`, `empty`, `concat` or `read`.

    Columns: scene_id, acquired (UTC ISO 8601 string or None), class, confidence, lon, lat (degrees),
    length_m, width_m (metres on the ground), heading_deg (clockwise from true north), heading_ambiguous,
    coal_score (NaN: unknown), status, site, zone_id (or None), flags (list of str) and geometry (shapely
    polygon, WGS84).

    ``det["length_m"]`` is a column, ``det[3]`` a row (dict), ``det[mask]`` a smaller table; iterating gives
    rows.
    """

    columns: dict[str, NDArray[Any]]

    @classmethod
    def from_columns(cls, **columns: Any) -> Detections:
        """A checked table of sequences by column name (`class` is a keyword: ``**{"class": …}``).

        acquired, coal_score, status, site, zone_id and flags may be left out: unknown, kept, none.

        Raises:
            TableError: a column is missing, unknown, of another length or holds a value that it cannot.
        """
        if unknown := [name for name in columns if name not in COLUMNS]:
            raise TableError(f"unknown column {unknown[0]!r}; the vessel table has {', '.join(COLUMNS)}")
        if missing := [name for name in COLUMNS if name not in columns and name not in _DEFAULTS]:
            raise TableError(f"the vessel table lacks the column {missing[0]!r}")
        rows = len(columns["geometry"])
        for name, default in _DEFAULTS.items():
            if name not in columns:
                columns[name] = [default() for _ in range(rows)]
        for name in COLUMNS:
            if len(columns[name]) != rows:
                raise TableError(
                    f"column {name!r} has {len(columns[name])} rows, 'geometry' has {rows}; make them equal"
                )
        return cls({name: _CHECKS[name](name, columns[name]) for name in COLUMNS})

    @classmethod
    def from_rows(cls, rows: Iterable[Mapping[str, Any]]) -> Detections:
        """A checked table of rows, each with the same names."""
        rows = list(rows)
        if not rows:
            return cls.empty()
        try:
            return cls.from_columns(**{name: [row[name] for row in rows] for name in rows[0]})
        except KeyError as error:
            raise TableError(f"a row lacks the column {error}; give every row the same columns") from None

    @classmethod
    def empty(cls) -> Detections:
        """A table with every column and no row."""
        return cls.from_columns(**{name: [] for name in COLUMNS})

    @classmethod
    def concat(cls, tables: Iterable[Detections]) -> Detections:
        """All rows of several tables, in order."""
        tables = list(tables)
        if not tables:
            return cls.empty()
        return cls({name: np.concatenate([table.columns[name] for table in tables]) for name in COLUMNS})

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> Detections:
        """The table in a .geojson, .gpkg, .parquet or .csv file; columns unknown to bargewatch are ignored with a warning.

        Raises:
            TableError: the file is missing or damaged, lacks a column, or holds a value that it cannot hold.
        """
        columns = formats.read(path, SCHEMA, layer="vessels", unread=EXTRA)
        try:
            return cls.from_columns(**columns)
        except TableError as error:
            raise TableError(f"{path}: {error}") from None

    def write(self, path: str | os.PathLike[str], crs: Any = "EPSG:4326") -> None:
        """Write the table whole or not at all, in the format that the suffix names.

        .geojson, .gpkg (layer "vessels"), .parquet (GeoParquet) or .csv (geometry as WKT).

        Args:
            path: where to write; an older file is replaced.
            crs: CRS of the geometry. GeoJSON takes WGS84 alone (RFC 7946); lon and lat are WGS84 in any case.

        Raises:
            TableError: another suffix, a folder that is missing or not writable, or a CRS that does not fit.
            MissingDependencyError: .parquet without pyarrow.
        """
        formats.write(path, SCHEMA, self.columns, layer="vessels", crs=crs)

    def to_geodataframe(self, crs: Any = "EPSG:4326") -> GeoDataFrame:
        """The table as a GeoDataFrame with its geometry in `crs`; flags are lists."""
        return formats.to_geodataframe(SCHEMA, self.columns, crs)

    def with_columns(self, **columns: Any) -> Detections:
        """A copy with some columns replaced, checked like `from_columns`."""
        return type(self).from_columns(**{**self.columns, **columns})

    @property
    def kept(self) -> Detections:
        """Only the rows that were not rejected."""
        mask: NDArray[np.bool_] = self.columns["status"] == "kept"
        return self[mask]

    def __len__(self) -> int:
        return len(self.columns["geometry"])

    @overload
    def __getitem__(self, key: str) -> NDArray[Any]: ...
    @overload
    def __getitem__(self, key: int | np.integer[Any]) -> dict[str, Any]: ...
    @overload
    def __getitem__(self, key: slice | NDArray[Any] | Sequence[Any]) -> Detections: ...
    def __getitem__(self, key: Any) -> NDArray[Any] | dict[str, Any] | Detections:
        if isinstance(key, str):
            if key not in self.columns:
                raise KeyError(f"no column {key!r}; the vessel table has {', '.join(COLUMNS)}")
            return self.columns[key]
        if isinstance(key, int | np.integer):
            return {name: _plain(column[key]) for name, column in self.columns.items()}
        if not isinstance(key, slice):
            key = np.asarray(key)
            if not key.size:
                key = key.astype(bool if len(self) == 0 else int)
        return type(self)({name: column[key] for name, column in self.columns.items()})

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return (self[row] for row in range(len(self)))

    def __repr__(self) -> str:
        return f"<Detections: {len(self)} vessels, {int((self.columns['status'] == 'kept').sum())} kept>"


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value
