"""GeoPackage on sqlite3: the tables of the standard, and its binary geometry.

OGC 12-128r18, GeoPackage Encoding Standard 1.3.1: clause 1.1 (SQLite container), 2.1 (features), 2.4 (attributes),
2.1.3 (geometry encoding). sqlite3 and not GDAL, because one transaction has to hold several layers.
"""

from __future__ import annotations

import sqlite3
import struct
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from detector.textformats import Kind

_APPLICATION_ID = 0x47504B47  # "GPKG"
_VERSION = 10300
_SRS = 4326
_TYPES: dict[Kind, str] = {
    "text": "TEXT",
    "float": "REAL",
    "int": "INTEGER",
    "bool": "BOOLEAN",
    "list": "TEXT",
}
_WGS84 = (
    'GEOGCS["WGS 84",DATUM["WGS_1984",SPHEROID["WGS 84",6378137,298.257223563,AUTHORITY["EPSG","7030"]],'
    'AUTHORITY["EPSG","6326"]],PRIMEM["Greenwich",0,AUTHORITY["EPSG","8901"]],UNIT["degree",0.0174532925199433,'
    'AUTHORITY["EPSG","9122"]],AXIS["Latitude",NORTH],AXIS["Longitude",EAST],AUTHORITY["EPSG","4326"]]'
)
_TABLES = (
    """CREATE TABLE gpkg_spatial_ref_sys (srs_name TEXT NOT NULL, srs_id INTEGER NOT NULL PRIMARY KEY,
    organization TEXT NOT NULL, organization_coordsys_id INTEGER NOT NULL, definition TEXT NOT NULL, description TEXT)""",
    """CREATE TABLE gpkg_contents (table_name TEXT NOT NULL PRIMARY KEY, data_type TEXT NOT NULL, identifier TEXT UNIQUE,
    description TEXT DEFAULT '', last_change DATETIME NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ','now')),
    min_x DOUBLE, min_y DOUBLE, max_x DOUBLE, max_y DOUBLE, srs_id INTEGER,
    CONSTRAINT fk_gc_r_srs_id FOREIGN KEY (srs_id) REFERENCES gpkg_spatial_ref_sys(srs_id))""",
    """CREATE TABLE gpkg_geometry_columns (table_name TEXT NOT NULL, column_name TEXT NOT NULL,
    geometry_type_name TEXT NOT NULL, srs_id INTEGER NOT NULL, z TINYINT NOT NULL, m TINYINT NOT NULL,
    CONSTRAINT pk_geom_cols PRIMARY KEY (table_name, column_name), CONSTRAINT uk_gc_table_name UNIQUE (table_name),
    CONSTRAINT fk_gc_tn FOREIGN KEY (table_name) REFERENCES gpkg_contents(table_name),
    CONSTRAINT fk_gc_srs FOREIGN KEY (srs_id) REFERENCES gpkg_spatial_ref_sys(srs_id))""",
)
_REFERENCES = (
    (
        "Undefined Cartesian SRS",
        -1,
        "NONE",
        -1,
        "undefined",
        "undefined Cartesian coordinate reference system",
    ),
    (
        "Undefined geographic SRS",
        0,
        "NONE",
        0,
        "undefined",
        "undefined geographic coordinate reference system",
    ),
    ("WGS 84 geodetic", _SRS, "EPSG", _SRS, _WGS84, "longitude, latitude"),
)
# "GP", version 0, little endian with an envelope of four numbers, the reference system, the envelope.
_HEADER = struct.Struct("<2sBBi4d")
_FLAGS = 0b0000_0011


def is_geopackage(connection: sqlite3.Connection) -> bool:
    """Whether a database says that it is one."""
    return int(connection.execute("PRAGMA application_id").fetchone()[0]) == _APPLICATION_ID


def create(connection: sqlite3.Connection) -> None:
    """Make an empty database a GeoPackage."""
    connection.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {_VERSION}")
    for statement in _TABLES:
        connection.execute(statement)
    connection.executemany("INSERT INTO gpkg_spatial_ref_sys VALUES (?, ?, ?, ?, ?, ?)", _REFERENCES)


def create_table(
    connection: sqlite3.Connection,
    name: str,
    columns: Mapping[str, Kind],
    description: str,
    *,
    spatial: bool = False,
    unique: Sequence[str] = (),
) -> None:
    """A layer of polygons in WGS84, or a table of attributes; both are seen by QGIS."""
    parts = ["fid INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL"]
    parts += ["geom POLYGON"] if spatial else []
    parts += [f"{quoted(column)} {_TYPES[kind]}" for column, kind in columns.items()]
    parts += [f"UNIQUE ({', '.join(map(quoted, unique))})"] if unique else []
    connection.execute(f"CREATE TABLE {quoted(name)} ({', '.join(parts)})")
    connection.execute(
        "INSERT INTO gpkg_contents (table_name, data_type, identifier, description, srs_id) VALUES (?, ?, ?, ?, ?)",
        (name, "features" if spatial else "attributes", name, description, _SRS if spatial else 0),
    )
    if spatial:
        connection.execute(
            "INSERT INTO gpkg_geometry_columns VALUES (?, 'geom', 'POLYGON', ?, 0, 0)", (name, _SRS)
        )


def grow(connection: sqlite3.Connection, name: str, columns: Mapping[str, Kind]) -> None:
    """Add the columns that a table of an older version lacks."""
    there = {row[1] for row in connection.execute(f"PRAGMA table_info({quoted(name)})")}
    for column, kind in columns.items():
        if column not in there:
            connection.execute(f"ALTER TABLE {quoted(name)} ADD COLUMN {quoted(column)} {_TYPES[kind]}")


def insert(
    connection: sqlite3.Connection,
    name: str,
    columns: Mapping[str, Kind],
    rows: Iterable[Mapping[str, Any]],
    geometry: Sequence[shapely.Polygon] | NDArray[Any] | None = None,
) -> None:
    """Add rows, and note the time of the change."""
    names = [*(["geom"] if geometry is not None else []), *map(quoted, columns)]
    values = [[stored(kind, row[column]) for column, kind in columns.items()] for row in rows]
    if geometry is not None:
        values = [[blob, *row] for blob, row in zip(blobs(geometry), values, strict=True)]
    marks = ", ".join("?" * len(names))
    connection.executemany(f"INSERT INTO {quoted(name)} ({', '.join(names)}) VALUES ({marks})", values)
    touch(connection, name)


def touch(connection: sqlite3.Connection, name: str) -> None:
    """Note the time of a change of a table."""
    connection.execute(
        "UPDATE gpkg_contents SET last_change = strftime('%Y-%m-%dT%H:%M:%fZ','now') WHERE table_name = ?",
        (name,),
    )


def read_column(kind: Kind, values: Iterable[Any]) -> list[Any]:
    """Values of a column as they were before `insert`."""
    if kind == "list":
        return [text.split(";") if text else [] for text in values]
    return [None if v is None else bool(v) for v in values] if kind == "bool" else list(values)


def quoted(name: str) -> str:
    """An SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def stored(kind: Kind, value: Any) -> Any:
    """A value as it is kept."""
    if value is None:
        return None
    if kind == "float":
        return float(value)  # sqlite3 keeps NaN as NULL
    if kind in ("int", "bool"):
        return int(value)
    return ";".join(value) if kind == "list" else str(value)


# ---- geometry


def blobs(polygons: Sequence[shapely.Polygon] | NDArray[Any]) -> list[bytes]:
    """Polygons (WGS84) as GeoPackage geometry."""
    shapes = np.asarray(polygons, dtype=object)
    bodies = shapely.to_wkb(shapes, byte_order=1, include_srid=False)
    bounds = shapely.bounds(shapes).reshape(-1, 4).tolist()
    return [
        _HEADER.pack(b"GP", 0, _FLAGS, _SRS, west, east, south, north) + body
        for body, (west, south, east, north) in zip(bodies, bounds, strict=True)
    ]


def polygons_of(stored: Iterable[bytes]) -> list[Any]:
    """Shapes from GeoPackage geometry, also as other programs write it."""
    return list(shapely.from_wkb([blob[_body(blob) :] for blob in stored]))


def _body(blob: bytes) -> int:
    """Where the WKB begins: the envelope may have none, two, three or four ranges."""
    return 8 + (0, 32, 48, 48, 64)[blob[3] >> 1 & 7]


def add_functions(connection: sqlite3.Connection) -> None:
    """Functions that the triggers of a spatial index call, which QGIS makes on demand (clause F.3 of the standard)."""

    def bound(index: int) -> Any:
        def function(blob: bytes | None) -> float | None:
            return (
                None if blob is None else float(shapely.bounds(shapely.from_wkb(blob[_body(blob) :]))[index])
            )

        return function

    for index, name in enumerate(("ST_MinX", "ST_MinY", "ST_MaxX", "ST_MaxY")):
        connection.create_function(name, 1, bound(index), deterministic=True)
    connection.create_function(
        "ST_IsEmpty", 1, lambda blob: None if blob is None else blob[3] >> 4 & 1, deterministic=True
    )
