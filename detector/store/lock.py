"""One writer at a time: a lock that the system releases when its process ends, however it ends."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from detector.errors import StoreBusyError, StoreError


def lock_path(store: Path) -> Path:
    """The file beside a store that its writer locks; it stays there, and means nothing when nobody holds it."""
    return store.with_name(f".{store.name}.lock")


@contextmanager
def only_writer(store: Path) -> Iterator[None]:
    """Hold a store for this process.

    A file of its own is locked and not the database, so that QGIS can read while a run goes on, and so that the lock
    outlasts single transactions.

    Raises:
        StoreBusyError: another process holds it. StoreError: the folder cannot be written.
    """
    try:
        file = open(lock_path(store), "a+", encoding="utf-8")  # noqa: SIM115 - held as long as the lock
    except OSError as error:
        raise StoreError(
            f"cannot write beside {store}: {error.strerror or error}; choose a folder that can be written"
        ) from error
    with file:
        try:
            _lock(file)
        except OSError:
            raise StoreBusyError(
                f"another run{_holder(file)} is writing {store}; wait until it has ended"
            ) from None
        file.seek(0)
        file.truncate()
        file.write(str(os.getpid()))
        file.flush()
        yield


def _holder(file: IO[str]) -> str:
    file.seek(0)
    number = file.read(20).strip()
    return f" (process {number})" if number.isdigit() else ""


if sys.platform == "win32":  # pragma: no cover
    import msvcrt

    def _lock(file: IO[str]) -> None:
        file.seek(1000)  # a byte beyond the number, which stays readable
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)

else:
    import fcntl

    def _lock(file: IO[str]) -> None:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
