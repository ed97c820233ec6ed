"""What has been fetched into a folder: one JSON line a scene, added when the scene is whole."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from detector.errors import ConfigError, TableError
from detector.imagery.scenefile import file_hash

NAME = "manifest.jsonl"
LOOKS = "looks.csv"
#: A scene is done when it was written, or is known to show nothing of the site.
FETCHED, CLOUDED, EMPTY = "fetched", "clouded", "empty"


class Manifest:
    """The manifest of a folder; the last line of a scene holds.

    A line that was cut by a crash is dropped: its scene is fetched again.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.path = folder, folder / NAME
        self.records: dict[str, dict[str, Any]] = {}
        for record in _lines(self.path):
            self.records[record["scene_id"]] = record

    def done(self, scene_id: str, fingerprint: str, tiles: tuple[str, ...]) -> dict[str, Any] | None:
        """The record of a scene that need not be fetched again: same area, no new tile, its file unharmed."""
        record = self.records.get(scene_id)
        if record is None or record.get("fingerprint") != fingerprint:
            return None
        if not set(tiles) <= set(record.get("tiles", ())):
            return None  # a neighbour was published later
        if record["status"] != FETCHED:
            return record
        path = self.folder / record["file"]
        try:
            same = path.stat().st_size == record["bytes"] and file_hash(path) == record["sha256"]
        except OSError:
            return None
        return record if same else None

    def add(self, record: dict[str, Any]) -> None:
        """Append a line; it is on the disk when this returns."""
        line = json.dumps(record, ensure_ascii=False, sort_keys=True) + "\n"
        try:
            with open(self.path, "ab+") as file:
                file.seek(0, os.SEEK_END)
                if file.tell():
                    file.seek(-1, os.SEEK_END)
                    if file.read(1) != b"\n":  # a line that a crash cut
                        file.write(b"\n")
                file.write(line.encode())
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise TableError(f"cannot write {self.path}: {error.strerror or error}") from error
        self.records[record["scene_id"]] = record

    def write_looks(self) -> Path:
        """Write the looks table of all scenes, also of those that cloud hid."""
        from detector.loadings.looks import write_looks

        records = sorted(self.records.values(), key=lambda record: (record["acquired"], record["scene_id"]))
        path = self.folder / LOOKS
        write_looks(path, [row for record in records for row in record["looks"]])
        return path


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return
    except OSError as error:
        raise TableError(f"cannot read {path}: {error.strerror or error}") from error
    for line in text.splitlines():
        try:
            record = json.loads(line)
        except ValueError:
            continue
        if isinstance(record, dict) and {"scene_id", "status", "looks", "acquired"} <= record.keys():
            yield record


@contextmanager
def only_writer(folder: Path) -> Iterator[None]:
    """Hold a folder for one process; released by the system when the process ends, however it ends.

    Raises:
        ConfigError: another process is fetching into it.
    """
    try:
        import fcntl
    except ImportError:  # Windows: no lock
        yield
        return
    with open(folder / ".fetching", "w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise ConfigError(
                f"another process is fetching into {folder}; wait, or use another folder"
            ) from None
        yield
