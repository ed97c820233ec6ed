"""The tables of a store, their version, and how an older store is brought up to it.

Columns that a later bargewatch adds to a table are added to an old store too; that needs no new version. What an older
bargewatch could not understand does: a number more, and a function in `MIGRATIONS` that makes the old into the new.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass

from detector import detections
from detector.detections import EXTRA
from detector.errors import StoreError
from detector.loadings import rows, visits
from detector.store import geopackage, settings
from detector.textformats import Kind

VERSION = 1
#: Version -> what makes a store of it into one of the next; all of them run in one transaction.
MIGRATIONS: dict[int, Callable[[sqlite3.Connection], None]] = {}

META = "bargewatch"


@dataclass(frozen=True)
class Table:
    """A table of a store; `unique` columns tell its rows apart."""

    columns: dict[str, Kind]
    description: str
    spatial: bool = False
    unique: tuple[str, ...] = ()


ACQUISITIONS: dict[str, Kind] = {
    "scene_id": "text",
    "acquired": "text",
    "site": "text",
    "status": "text",
    "source": "text",
    "level": "text",
    "tiles": "list",
    "products": "list",
    "zones": "list",
    "image": "text",
    "sha256": "text",
    "windows": "int",
    "skipped": "int",
    "vessels": "int",
    "rejected": "int",
    "settings": "text",
    "stale": "bool",
    "flagged_by": "text",
    "version": "text",
    "computed": "text",
}
LOOKS: dict[str, Kind] = {
    "scene_id": "text",
    "acquired": "text",
    "site": "text",
    "zone_id": "text",
    "clear_fraction": "float",
}
VESSELS: dict[str, Kind] = {**detections.SCHEMA, **EXTRA}
_COUNTS = ("looks", "usable_looks", "visits_seen")
LOADINGS: dict[str, Kind] = {
    name: "text" if name in rows.TEXT_COLUMNS else "int" if name in _COUNTS else "float"
    for name in rows.COLUMNS
}

TABLES: dict[str, Table] = {
    "vessels": Table(VESSELS, "Vessels, rejected boxes among them (status)", spatial=True),
    "visits": Table(dict(visits.SCHEMA), "Visits to zones", spatial=True, unique=("visit_id",)),
    "loadings": Table(LOADINGS, "Loadings, by zone and period, with 90 % intervals"),
    "looks": Table(LOOKS, "What could be seen of each zone", unique=("scene_id", "zone_id")),
    "acquisitions": Table(ACQUISITIONS, "Scenes: one row an overpass", unique=("scene_id",)),
    "settings": Table(dict(settings.COLUMNS), "Models and settings of scenes", unique=("digest",)),
    META: Table({"key": "text", "value": "text"}, "About this store", unique=("key",)),
}


def create(connection: sqlite3.Connection) -> None:
    """Make an empty database a store."""
    geopackage.create(connection)
    for name, table in TABLES.items():
        geopackage.create_table(
            connection, name, table.columns, table.description, spatial=table.spatial, unique=table.unique
        )
    connection.execute("CREATE INDEX vessels_scene ON vessels (scene_id)")
    set_meta(connection, "schema", str(VERSION))


def version_of(connection: sqlite3.Connection, path: object) -> int:
    """The version of a store; 0 of an empty database.

    Raises:
        StoreError: it is something else, or of a version that this bargewatch does not know.
    """
    tables = {
        str(row[0]) for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
    }
    if not tables:
        return 0
    if not geopackage.is_geopackage(connection) or META not in tables:
        kind = "GeoPackage" if geopackage.is_geopackage(connection) else "SQLite database"
        raise StoreError(f"{path} is a {kind}, but no store of bargewatch; name another file")
    text = get_meta(connection, "schema") or ""
    if not text.isdigit() or not 1 <= int(text):
        raise StoreError(f"{path} does not say of which version it is ({text!r}); restore a copy of it")
    if int(text) > VERSION:
        raise StoreError(
            f"{path} was written by a later bargewatch (store version {text}, this one knows {VERSION}); "
            "install the later one, or name another file"
        )
    return int(text)


def bring_up(connection: sqlite3.Connection, version: int) -> None:
    """Bring a store of an older version, or of an older bargewatch, up to this one; inside a transaction."""
    for number in range(version, VERSION):
        MIGRATIONS[number](connection)
    if version < VERSION:
        set_meta(connection, "schema", str(VERSION))
    for name, table in TABLES.items():
        geopackage.grow(connection, name, table.columns)


def get_meta(connection: sqlite3.Connection, key: str) -> str | None:
    """A fact about the store."""
    row = connection.execute(f"SELECT value FROM {META} WHERE key = ?", (key,)).fetchone()
    return None if row is None else str(row[0])


def set_meta(connection: sqlite3.Connection, key: str, value: str) -> None:
    """Note a fact about the store."""
    connection.execute(
        f"INSERT INTO {META} (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
        (key, value),
    )
