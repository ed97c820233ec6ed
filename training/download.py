"""Fetch files over HTTP so that an interruption costs little and a wrong file is never taken for a right one."""

from __future__ import annotations

import hashlib
import http.client
import os
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

from detector.errors import BargewatchError

TIMEOUT_S = 60.0
BLOCK = 1 << 18
_PASSING = {408, 425, 429, 500, 502, 503, 504}


class DownloadError(BargewatchError, OSError):
    """A file could not be fetched, or is not the file it should be."""


def git_blob_sha1(path: Path) -> str:
    """The name that git gives to a file's content: SHA-1 of ``blob <size>``, a zero byte and the content."""
    digest = hashlib.sha1(b"blob %d\0" % path.stat().st_size, usedforsecurity=False)
    _feed(digest, path)
    return digest.hexdigest()


def sha256(path: Path) -> str:
    """SHA-256 of a file in hexadecimal."""
    digest = hashlib.sha256()
    _feed(digest, path)
    return digest.hexdigest()


def _feed(digest: hashlib._Hash, path: Path) -> None:
    with path.open("rb") as file:
        for block in iter(lambda: file.read(1 << 20), b""):
            digest.update(block)


def download(
    url: str,
    target: Path,
    right: Callable[[Path], bool],
    *,
    attempts: int = 4,
    pause_s: float = 2.0,
    opener: Callable[..., http.client.HTTPResponse] = urllib.request.urlopen,
) -> bool:
    """Fetch a file unless it is there and right; returns whether it was fetched.

    What has arrived is kept beside in ``<name>.part`` and gone on with by an HTTP range request, also by a later call.
    The file appears under its own name only when `right` says that it is the one; a wrong one is thrown away.

    Raises:
        DownloadError: the server refuses, cannot be reached `attempts` times in a row, or sends another file.
    """
    if target.is_file() and right(target):
        return False
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(target.name + ".part")
    wrong = 0
    failed = 0
    while True:
        try:
            _fetch(url, part, opener)
        except urllib.error.HTTPError as error:
            if error.code == 416:  # the part is longer than the file: it belongs to something else
                part.unlink(missing_ok=True)
            elif error.code not in _PASSING:
                raise DownloadError(f"{url} answers {error.code} {error.reason}; check that it still exists") from error
            failed, reason = failed + 1, f"{error.code} {error.reason}"
        except (OSError, http.client.HTTPException) as error:
            failed, reason = failed + 1, str(error)
        else:
            if right(part):
                os.replace(part, target)
                return True
            part.unlink()
            wrong += 1
            if wrong == 2:  # once may be a part of an older file; twice is another file
                raise DownloadError(f"{url} is not the file it was (its hash differs); nothing was kept")
            continue
        if failed == attempts:
            raise DownloadError(f"{url} could not be fetched in {attempts} attempts ({reason}); run the command again")
        time.sleep(pause_s * 2 ** (failed - 1))


def _fetch(url: str, part: Path, opener: Callable[..., http.client.HTTPResponse]) -> None:
    """Append what is missing of a file to its part.

    Raises:
        OSError, http.client.HTTPException: the connection broke; what arrived is kept.
    """
    have = part.stat().st_size if part.is_file() else 0
    headers = {"User-Agent": "bargewatch"} | ({"Range": f"bytes={have}-"} if have else {})
    with opener(urllib.request.Request(url, headers=headers), timeout=TIMEOUT_S) as answer:
        resumed = answer.status == 206
        length = answer.headers.get("Content-Length")
        arrived = 0
        with part.open("ab" if resumed else "wb") as file:
            while block := answer.read(BLOCK):
                file.write(block)
                arrived += len(block)
    if length is not None and arrived < int(length):
        raise http.client.IncompleteRead(b"", int(length) - arrived)
