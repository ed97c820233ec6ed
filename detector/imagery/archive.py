"""A folder of products that are here already: SAFE folders, their zips, GeoTIFFs, STAC items."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from detector.errors import FetchError, SceneError
from detector.imagery.area import Area, lonlat_outline
from detector.imagery.granules import Granule, Overpass, named_granule
from detector.imagery.mosaic import Imagery, Mosaic, Part, covers
from detector.scene import open_scene
from detector.scene.times import time_in_name

_FILES = (".zip", ".tif", ".tiff")
_MOST_DEPTH = 6


class ArchiveSource:
    """Products below a folder, found by content and date.

    A product whose name tells a day outside the span is passed over unopened; of the others the header is read.

    Attributes:
        skipped: file -> why it could not be used, of the last search.
    """

    threads = 1

    def __init__(self, folder: str | os.PathLike[str], *, scale: Any = None) -> None:
        self.folder, self.scale = Path(folder), scale
        self.skipped: dict[str, str] = {}
        if not self.folder.is_dir():
            raise FetchError(f"{folder} is no folder; pass a folder of products, earth-search or sentinelhub")

    @property
    def name(self) -> str:
        return f"archive {self.folder}"

    def search(self, area: Area, start: datetime, end: datetime) -> list[Granule]:
        """Granules that touch the area, of the span of time; what cannot be read is noted in `skipped`."""
        self.skipped = {}
        found = []
        for path in _products(self.folder):
            named = time_in_name(path.name)
            # Names of tiles and of their recordings differ by minutes.
            if named is not None and not (start.date() <= named.date() <= end.date()):
                continue
            try:
                granule = self._granule(path, area)
            except SceneError as error:
                self.skipped[str(path)] = str(error)
                continue
            if granule is not None and start <= granule.acquired <= end:
                found.append(granule)
        return found

    def _granule(self, path: Path, area: Area) -> Granule | None:
        with open_scene(path, scale=self.scale) as scene:
            if not covers(scene.grid, area.grid):
                return None
            granule = named_granule(
                scene.id,
                acquired=scene.acquired,
                footprint=lonlat_outline(scene.grid),
                handle=path,
                **({} if scene.level is None else {"level": scene.level}),
            )
        if granule is None:
            raise SceneError(f"{path} does not say when it was taken; name it …_YYYYMMDDTHHMMSS_…")
        return granule

    def open(self, overpass: Overpass, area: Area) -> Imagery:
        return Mosaic([self._part(granule) for granule in overpass.granules], area.grid)

    def _part(self, granule: Granule) -> Part:
        return Part(granule, lambda: open_scene(granule.handle, scale=self.scale))


def _products(folder: Path) -> Iterator[Path]:
    """Candidates below a folder; what lies inside a SAFE folder belongs to it."""
    for root, folders, files in os.walk(folder):
        here = Path(root)
        if len(here.relative_to(folder).parts) >= _MOST_DEPTH:
            folders.clear()
        products = sorted(name for name in folders if name.upper().endswith(".SAFE"))
        folders[:] = sorted(
            name for name in folders if not name.startswith(".") and not name.upper().endswith(".SAFE")
        )
        yield from (here / name for name in products)
        items = {name for name in files if name.lower().endswith(_FILES) and not name.startswith(".")}
        if _is_band_folder(items):
            yield here
            continue
        yield from (here / name for name in sorted(items))


def _is_band_folder(names: set[str]) -> bool:
    """A folder of one-band rasters is one product."""
    bands = {
        match[1].upper() for name in names if (match := re.search(r"(?:^|_)(B0[248])(?:_10m)?\.tiff?$", name))
    }
    return {"B02", "B04"} <= bands
