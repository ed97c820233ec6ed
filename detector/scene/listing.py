"""A folder or a zip archive as a list of files that GDAL and XML readers can open; nothing is unpacked."""

from __future__ import annotations

import os
import zipfile
import zlib
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from detector.errors import UnreadableSceneError

#: Product metadata of a full tile is below 1 MB; more than this is no metadata, or a zip bomb.
MAX_TEXT = 32 * 2**20
_MAX_FILES = 100_000
_MAX_DEPTH = 6


@dataclass(frozen=True)
class Listing:
    """Relative names (with ``/``) of all files below ``path``, which is a folder or a zip archive."""

    path: Path
    names: tuple[str, ...]
    zipped: bool

    def gdal_path(self, name: str) -> str:
        if self.zipped:  # braces: the archive's own name may have any suffix
            return f"/vsizip/{{{self.path.as_posix()}}}/{name}"
        return str(self.path / name)

    def bytes(self, name: str) -> bytes:
        """Content of a small file.

        Raises:
            UnreadableSceneError: it cannot be read, or is far too large for what it should be.
        """
        try:
            if not self.zipped:
                with open(self.path / name, "rb") as file:
                    data = file.read(MAX_TEXT + 1)
            else:
                with zipfile.ZipFile(self.path) as archive, archive.open(name) as file:
                    data = file.read(MAX_TEXT + 1)
        except (
            OSError,
            zipfile.BadZipFile,
            zlib.error,
            RuntimeError,
            NotImplementedError,
            EOFError,
        ) as error:
            raise UnreadableSceneError(
                f"cannot read {name} of {self.path}: {error}; fetch it again"
            ) from error
        if len(data) > MAX_TEXT:
            raise UnreadableSceneError(
                f"{name} of {self.path} is larger than {MAX_TEXT >> 20} MB, so it is no metadata"
            )
        return data


def list_files(path: Path) -> Listing:
    """All files of a folder (six levels deep) or of a zip archive.

    Raises:
        UnreadableSceneError: a damaged archive, or no permission.
    """
    if path.is_dir():
        return Listing(path, tuple(_walk(path)), zipped=False)
    try:
        with zipfile.ZipFile(path) as archive:
            names = tuple(info.filename for info in archive.infolist() if not info.is_dir())
    except (OSError, zipfile.BadZipFile, ValueError, NotImplementedError) as error:
        raise UnreadableSceneError(
            f"cannot read {path}: {error}; the archive is damaged, fetch it again"
        ) from error
    if len(names) > _MAX_FILES:
        raise UnreadableSceneError(f"{path} holds {len(names)} files, which no Sentinel-2 product does")
    return Listing(path, tuple(name for name in names if ".." not in name.split("/")), zipped=True)


def _walk(root: Path) -> list[str]:
    def refuse(error: OSError) -> None:
        raise UnreadableSceneError(
            f"cannot read {error.filename}: permission denied; check its rights"
        ) from error

    found: list[str] = []
    for folder, subfolders, files in os.walk(root, onerror=refuse):
        relative = Path(folder).relative_to(root)
        if len(relative.parts) >= _MAX_DEPTH:
            subfolders.clear()
        subfolders.sort()
        found.extend((relative / name).as_posix() for name in sorted(files))
        if len(found) > _MAX_FILES:
            raise UnreadableSceneError(
                f"{root} holds more than {_MAX_FILES} files; pass the folder of one scene"
            )
    return found


def roots(names: tuple[str, ...]) -> tuple[str, ...]:
    """The ``*.SAFE`` folders among relative names, with what leads to them."""
    parts = (name.split("/")[:-1] for name in names)
    safes = chain.from_iterable(
        ("/".join(p[: i + 1]) for i, part in enumerate(p) if part.upper().endswith(".SAFE")) for p in parts
    )
    return tuple(dict.fromkeys(safes))
