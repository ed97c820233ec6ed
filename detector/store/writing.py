"""Writing a store: whole scenes or none, by one process at a time."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from detector import __version__
from detector.atomic import check_writable
from detector.columns import utc_text
from detector.detections import EXTRA, SCHEMA, Detections
from detector.errors import StoreError, TableError
from detector.flags.flagging import FlaggedVessels
from detector.store import geopackage, schema
from detector.store.lock import only_writer
from detector.store.settings import Settings
from detector.store.store import Acquisition, Store, explained

if TYPE_CHECKING:
    from detector.loadings.count import LoadingCount

SUFFIX = ".gpkg"


class WritableStore(Store):
    """A store that this process alone writes; made by `open_store`."""

    def __init__(self, path: str | os.PathLike[str], site: str) -> None:
        try:
            self.path = check_writable(path)
        except TableError as error:
            raise StoreError(str(error)) from None
        if self.path.suffix.lower() != SUFFIX:
            raise StoreError(f"{path}: a store is a GeoPackage; name it something{SUFFIX}")
        if self.path.exists() and not os.access(self.path, os.W_OK):
            raise StoreError(f"no permission to write {path}; change it, or name another file")
        self._stack = ExitStack()
        self._stack.enter_context(only_writer(self.path))
        with self._closed_on_error():
            self._connection = self._connect(self._stack)
            self._check_pages()
            with self._transaction():
                version = schema.version_of(self._connection, self.path)
                if version == 0:
                    schema.create(self._connection)
                    schema.set_meta(self._connection, "site", site)
                    schema.set_meta(
                        self._connection, "created", utc_text(datetime.now(UTC).replace(microsecond=0))
                    )
                    schema.set_meta(self._connection, "created_by", f"bargewatch {__version__}")
                else:
                    schema.bring_up(self._connection, version)
                if self.site != site:
                    raise StoreError(
                        f"{path} is the store of the site {self.site}, not of {site}; name another file"
                    )

    def _check_pages(self) -> None:
        """A file that was cut off may open and fail at the thousandth scene."""
        said = self._connection.execute("PRAGMA quick_check(1)").fetchone()[0]
        if said != "ok":
            raise sqlite3.DatabaseError(" ".join(str(said).split()))

    def use(self, settings: Settings) -> int:
        """Say which settings rows have from now on; rows of others are marked stale, and those of these are not.

        Returns:
            How many acquisitions are stale.
        """
        with self._transaction():
            known = "SELECT 1 FROM settings WHERE digest = ?"
            if self._connection.execute(known, (settings.digest,)).fetchone() is None:
                table = schema.TABLES["settings"]
                geopackage.insert(self._connection, "settings", table.columns, [settings.row()])
            self._connection.execute(
                "UPDATE acquisitions SET stale = (settings IS NOT ?) WHERE stale IS NOT (settings IS NOT ?)",
                (settings.digest, settings.digest),
            )
            schema.set_meta(self._connection, "settings", settings.digest)
            count = self._connection.execute("SELECT count(*) FROM acquisitions WHERE stale").fetchone()[0]
        return int(count)

    def save(self, acquisition: Acquisition, looks: Iterable[Mapping[str, Any]], vessels: Detections) -> None:
        """Write a scene, in place of what was there of it: all of it, or none.

        Raises:
            StoreError: it cannot be written, for a full disk say.
        """
        with self._transaction():
            for name in ("acquisitions", "looks", "vessels"):
                self._connection.execute(f"DELETE FROM {name} WHERE scene_id = ?", (acquisition.scene_id,))
            insert = geopackage.insert
            insert(self._connection, "acquisitions", schema.ACQUISITIONS, [vars(acquisition)])
            insert(self._connection, "looks", schema.LOOKS, looks)
            insert(self._connection, "vessels", SCHEMA, vessels, vessels["geometry"])

    def save_flags(self, flagged: FlaggedVessels, scenes: Collection[str], inputs: str | None) -> None:
        """Write the flags of all vessels of some scenes.

        Args:
            flagged: of `vessels(scenes=scenes)`, in the same order.
            inputs: digest of what they were flagged with; None to have it done again.
        """
        columns = {"flags": "list", **EXTRA}
        names = ", ".join(f"{geopackage.quoted(name)} = ?" for name in columns)
        with self._transaction():
            numbers: dict[str, list[int]] = {}
            for fid, scene_id in self._connection.execute("SELECT fid, scene_id FROM vessels ORDER BY fid"):
                numbers.setdefault(scene_id, []).append(fid)
            position = dict.fromkeys(numbers, 0)
            for row, scene_id in enumerate(flagged.detections["scene_id"]):
                fid = numbers[scene_id][position[scene_id]]
                position[scene_id] += 1
                values = [geopackage.stored(kind, flagged[name][row]) for name, kind in columns.items()]
                self._connection.execute(f"UPDATE vessels SET {names} WHERE fid = ?", (*values, fid))
            self._connection.executemany(
                "UPDATE acquisitions SET flagged_by = ? WHERE scene_id = ?",
                [(inputs, scene) for scene in scenes],
            )
            geopackage.touch(self._connection, "vessels")

    def save_count(self, count: LoadingCount | None) -> None:
        """Write the visits and loadings in place of those there; None where there is nothing to count."""
        visits: Sequence[Mapping[str, Any]] = () if count is None else count.visit_rows
        loadings: Sequence[Mapping[str, Any]] = () if count is None else count.loading_rows
        with self._transaction():
            self._connection.execute("DELETE FROM visits")
            self._connection.execute("DELETE FROM loadings")
            # Numbered from 1 each time: the same count is the same table.
            self._connection.execute("DELETE FROM sqlite_sequence WHERE name IN ('visits', 'loadings')")
            table = schema.TABLES["visits"]
            geometry = [row["geometry"] for row in visits]
            geopackage.insert(self._connection, "visits", table.columns, visits, geometry)
            geopackage.insert(self._connection, "loadings", schema.LOADINGS, loadings)

    def sweep(self) -> None:
        """Remove the half-written files of runs that were killed."""
        for folder in (self.scenes, self.chips, *(self.chips.iterdir() if self.chips.is_dir() else ())):
            for draft in folder.glob(".*") if folder.is_dir() else ():
                if draft.is_dir():
                    shutil.rmtree(draft, ignore_errors=True)

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with explained(self.path):
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise


def open_store(path: str | os.PathLike[str], site: str) -> WritableStore:
    """Open a store to write it; made where there is none, brought up to date where it is older.

    Raises:
        StoreBusyError: another process writes it.
        StoreError: it is something else, damaged, of a later version or another site, or cannot be written.
    """
    return WritableStore(path, site)
