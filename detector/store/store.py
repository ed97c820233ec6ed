"""The store of a site: acquisitions, looks, vessels, visits and loadings in one GeoPackage, and chips beside it."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Collection, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from detector import __version__
from detector.columns import utc_text
from detector.detections import SCHEMA, Detections
from detector.errors import StoreError
from detector.store import geopackage, schema

#: Seconds to wait for another program (QGIS) that holds the file for a moment.
PATIENCE_S = 30.0


@dataclass(frozen=True)
class Acquisition:
    """One overpass, and what came of it.

    Attributes:
        status: `fetched`, `clouded` (only looks) or `empty`, as in the manifest of `bargewatch fetch`.
        tiles, products, zones: tiles that were there, products whose pixels were read, zones that were downloaded.
        image: name of the image in the folder of scenes, and its SHA-256; None where there is none.
        windows, skipped: of the search; see `SceneResult`.
        settings: digest of the model and settings behind the rows of this scene.
        stale: those are not the settings of the last run: such rows are not counted.
        flagged_by: digest of the AIS files and lists that the vessels were flagged with.
    """

    scene_id: str
    acquired: str
    site: str
    status: str
    settings: str
    source: str | None = None
    level: str | None = None
    tiles: tuple[str, ...] = ()
    products: tuple[str, ...] = ()
    zones: tuple[str, ...] = ()
    image: str | None = None
    sha256: str | None = None
    windows: int = 0
    skipped: int = 0
    vessels: int = 0
    rejected: int = 0
    stale: bool = False
    flagged_by: str | None = None
    version: str = __version__
    computed: str = field(default_factory=lambda: utc_text(datetime.now(UTC).replace(microsecond=0)))


class Store:
    """A store that is read; `open_store` gives one that is also written.

    Raises:
        StoreError: there is no such file, or it is no store that this bargewatch can read.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(os.path.realpath(path))
        if not self.path.is_file():
            raise StoreError(f"{path}: there is no such store; `bargewatch watch --store` makes one")
        self._stack = ExitStack()
        self._connection = self._connect(self._stack)
        with self._closed_on_error():
            version = schema.version_of(self._connection, self.path)
            if version == 0:
                raise StoreError(f"{path} is empty; remove it and run again")
            if version < schema.VERSION:
                raise StoreError(f"{path} is of version {version}; `bargewatch watch` brings it up to date")
            self._connection.execute("PRAGMA query_only = 1")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file, and let go of it."""
        self._stack.close()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self.path)!r})"

    @property
    def chips(self) -> Path:
        """Where the pixels of the zones are kept."""
        return self.path.with_suffix(".chips")

    @property
    def scenes(self) -> Path:
        """Where images are fetched to."""
        return self.path.with_suffix(".scenes")

    @property
    def site(self) -> str | None:
        """The site that the store is of."""
        with explained(self.path):
            return schema.get_meta(self._connection, "site")

    def acquisitions(self) -> dict[str, Acquisition]:
        """Scene id -> acquisition, in the order of time."""
        columns = self._read("acquisitions", schema.ACQUISITIONS, "ORDER BY acquired, scene_id")
        tuples = ("tiles", "products", "zones")
        columns |= {name: [tuple(value) for value in columns[name]] for name in tuples}
        rows = zip(*columns.values(), strict=True)
        return {row[0]: Acquisition(**dict(zip(columns, row, strict=True))) for row in rows}

    def looks(self, *, stale: bool = False) -> list[dict[str, Any]]:
        """Rows of the looks table.

        Args:
            stale: also rows of other settings than those of the last run.
        """
        columns = self._read("looks", schema.LOOKS, f"{_fresh(stale)} ORDER BY acquired, scene_id, fid")
        return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]

    def vessels(self, *, stale: bool = False, scenes: Collection[str] | None = None) -> Detections:
        """The vessel table, rejected boxes with it; scenes in the order of time.

        Args:
            stale: also rows of other settings than those of the last run.
            scenes: ids of the scenes wanted; None for all.
        """
        columns = self._vessel_columns(stale, scenes)
        return Detections.from_columns(**{name: columns[name] for name in (*SCHEMA, "geometry")})

    def layer(self, name: str) -> list[dict[str, Any]]:
        """Rows of the layer `visits` or `loadings` as they were last counted."""
        table = schema.TABLES[name]
        columns = self._read(name, table.columns, "ORDER BY fid", geometry=table.spatial)
        return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]

    def _vessel_columns(self, stale: bool, scenes: Collection[str] | None) -> dict[str, list[Any]]:
        order = "(SELECT acquired FROM acquisitions a WHERE a.scene_id = vessels.scene_id), scene_id, fid"
        columns = self._read("vessels", schema.VESSELS, f"{_fresh(stale)} ORDER BY {order}", geometry=True)
        if scenes is None:
            return columns
        wanted = [row for row, scene_id in enumerate(columns["scene_id"]) if scene_id in scenes]
        return {name: [values[row] for row in wanted] for name, values in columns.items()}

    def _read(
        self, name: str, kinds: Mapping[str, Any], rest: str, geometry: bool = False
    ) -> dict[str, list[Any]]:
        """Columns of a table; those that an older store lacks are empty."""
        with explained(self.path):
            there = {
                row[1] for row in self._connection.execute(f"PRAGMA table_info({geopackage.quoted(name)})")
            }
            names = [geopackage.quoted(column) if column in there else "NULL" for column in kinds]
            names += ["geom"] if geometry else []
            rows = self._connection.execute(f"SELECT {', '.join(names)} FROM {name} {rest}").fetchall()
        table = [list(values) for values in zip(*rows, strict=True)] or [[] for _ in names]
        columns = {
            column: geopackage.read_column(kind, values)
            for (column, kind), values in zip(kinds.items(), table[: len(kinds)], strict=True)
        }
        if geometry:
            columns["geometry"] = geopackage.polygons_of(table[-1])
        return columns

    def _connect(self, stack: ExitStack) -> sqlite3.Connection:
        with explained(self.path):
            connection = sqlite3.connect(self.path, timeout=PATIENCE_S, isolation_level=None)
            stack.enter_context(closing(connection))
            geopackage.add_functions(connection)
        return connection

    @contextmanager
    def _closed_on_error(self) -> Iterator[None]:
        try:
            with explained(self.path):
                yield
        except BaseException:
            self.close()
            raise


def _fresh(stale: bool) -> str:
    return "" if stale else "WHERE scene_id IN (SELECT scene_id FROM acquisitions WHERE NOT stale)"


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """What SQLite says, in a sentence.

    Raises:
        StoreError: instead of `sqlite3.Error`.
    """
    try:
        yield
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorname", "") or ""
        text = " ".join(str(error).split())
        if code.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
            raise StoreError(
                f"another program has held {path} for {PATIENCE_S:.0f} s; save or close it there, and run again"
            ) from error
        if code.startswith("SQLITE_NOTADB"):
            raise StoreError(f"{path} is no GeoPackage; name another file") from error
        if code.startswith(
            ("SQLITE_READONLY", "SQLITE_FULL", "SQLITE_IOERR", "SQLITE_CANTOPEN", "SQLITE_PERM")
        ):
            raise StoreError(
                f"{path} cannot be written or read: {text}; what was finished is in it"
            ) from error
        raise StoreError(
            f"{path} is damaged ({text}); put a copy in its place, or remove it and run again"
        ) from error
