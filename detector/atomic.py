"""Files that appear whole or not at all: written beside their place, then renamed."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from detector.errors import BargewatchError, TableError

# SQLite keeps these beside a database. Left behind by an older file of the same name, they would be
# replayed into the new one and damage it.
_SQLITE_SIBLINGS = ("-wal", "-shm", "-journal")


def check_writable(path: str | os.PathLike[str]) -> Path:
    """The real path to write to, links followed.

    Raises:
        TableError: the folder does not exist or cannot be written, or the path is a folder.
    """
    target = Path(os.path.realpath(path))
    if not target.parent.is_dir():
        raise TableError(f"cannot write {path}: the folder {target.parent} does not exist; create it first")
    if target.is_dir():
        raise TableError(f"cannot write {path}: it is a folder; name a file in it")
    if not os.access(target.parent, os.W_OK | os.X_OK):
        raise TableError(
            f"cannot write {path}: no permission to write in {target.parent}; choose another folder"
        )
    return target


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """A path to write to; on success what was written there replaces `path` in one step.

    The path given lies in a hidden folder beside `path` and has the same name, so that drivers that
    choose by name or leave side files (SQLite) work as usual. After any error `path` is as it was.

    Raises:
        TableError: the folder cannot be written, or the disk is full.
    """
    target = check_writable(path)
    try:
        folder = Path(tempfile.mkdtemp(prefix=f".{target.name[:40]}.", dir=target.parent))
    except OSError as error:
        raise TableError(f"cannot write {path}: {error.strerror or error}; choose another folder") from error
    try:
        draft = folder / target.name
        yield draft
        with open(draft, "rb") as written:
            os.fsync(written.fileno())
        for sibling in _SQLITE_SIBLINGS:
            Path(f"{target}{sibling}").unlink(missing_ok=True)
        os.replace(draft, target)
    except OSError as error:
        if isinstance(error, BargewatchError):
            raise
        raise TableError(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)
