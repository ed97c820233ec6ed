"""What a store and the folders beside it hold, without what the clock wrote."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from hashlib import sha256
from pathlib import Path
from typing import Any

CLOCK = {("acquisitions", "computed"), ("gpkg_contents", "last_change")}
CLOCK_KEYS = ("created",)


def dump(path: Path) -> dict[str, list[tuple[Any, ...]]]:
    """Table -> rows, sorted; row numbers and times of day are left out."""
    with closing(sqlite3.connect(path)) as store:
        names = [row[0] for row in store.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        tables = {name: _rows(store, name) for name in names if name != "sqlite_sequence"}
    tables["bargewatch"] = [row for row in tables["bargewatch"] if row[0] not in CLOCK_KEYS]
    return tables


def _rows(store: sqlite3.Connection, name: str) -> list[tuple[Any, ...]]:
    columns = [row[1] for row in store.execute(f"PRAGMA table_info({name})")]
    wanted = [column for column in columns if column != "fid" and (name, column) not in CLOCK]
    listed = ", ".join(f'"{column}"' for column in wanted)
    return sorted(store.execute(f"SELECT {listed} FROM {name}"), key=repr)


def files(store: Path) -> dict[str, str]:
    """Images and chips beside a store -> what they hold; the manifest knows the time and is left out."""
    return {
        str(path.relative_to(folder.parent).with_suffix("")).replace(folder.name, folder.suffix): _hash(path)
        for folder in (store.with_suffix(".scenes"), store.with_suffix(".chips"))
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name not in ("manifest.jsonl", ".fetching")
    }


def drafts(store: Path) -> list[Path]:
    """Half-written files of runs that were killed."""
    return list(_hidden(store.with_suffix(".scenes"))) + list(_hidden(store.with_suffix(".chips")))


def _hidden(folder: Path) -> Iterator[Path]:
    return (path for path in folder.rglob(".*") if path.is_dir())


def check_whole(path: Path) -> int:
    """Every scene of a store is there with all its rows, or not at all; how many there are."""
    with closing(sqlite3.connect(path)) as store:
        assert store.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        if not store.execute("SELECT 1 FROM sqlite_master WHERE name = 'acquisitions'").fetchone():
            return 0
        told = store.execute("SELECT scene_id, vessels + rejected FROM acquisitions").fetchall()
        count = "SELECT scene_id, count(*) FROM {} GROUP BY scene_id"
        vessels = dict(store.execute(count.format("vessels")).fetchall())
        looks = dict(store.execute(count.format("looks")).fetchall())
    assert {scene: number for scene, number in told if number} == vessels
    assert set(looks) == {scene for scene, _ in told}
    return len(told)


def _hash(path: Path) -> str:
    return sha256(path.read_bytes()).hexdigest()
