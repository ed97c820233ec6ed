"""Search, choose, cut out, keep: the images of a site, one GeoTIFF an overpass."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

from detector.columns import utc_text
from detector.errors import AccountError, ConfigError, FetchError, QuotaError
from detector.geometry import Window
from detector.imagery.area import Area, area_of
from detector.imagery.granules import Overpass, day_span, overpasses
from detector.imagery.manifest import CLOUDED, EMPTY, FETCHED, Manifest, only_writer
from detector.imagery.mosaic import Imagery, need_colours
from detector.imagery.scenefile import Piece, file_hash, write_scene
from detector.imagery.selection import (
    class_looks,
    clear_zones,
    coarse_scene,
    megabytes,
    read_windows,
    wanted_blocks,
)
from detector.imagery.sources import Source

if TYPE_CHECKING:
    from detector.loadings.sites import Site

#: A zone that is seen less than this is not downloaded: `bargewatch count` uses looks of 0.7 and more.
MIN_CLEAR = 0.1


@dataclass(frozen=True)
class Plan:
    """What there is to fetch.

    Attributes:
        todo: overpasses that are not there yet, oldest first.
        done: scene id -> record of the manifest, of those that are.
        most_mb: upper bound of the download: everything clear, nothing compressed.
    """

    area: Area
    source: Source
    folder: Path
    todo: tuple[Overpass, ...]
    done: dict[str, dict[str, Any]] = field(repr=False)
    min_clear: float = MIN_CLEAR

    @property
    def most_mb(self) -> float:
        grid = self.area.grid
        zones = {zone.id for zone in self.area.site.zones}
        return megabytes(list(read_windows(wanted_blocks(self.area, zones, None), grid))) * len(self.todo)


@dataclass(frozen=True)
class Fetched:
    """What became of one overpass: a record of the manifest, or an error."""

    scene_id: str
    overpass: Overpass
    record: dict[str, Any] | None = None
    error: Exception | None = None


def plan(
    site: Site,
    first: str | date,
    last: str | date,
    folder: str | os.PathLike[str],
    source: Source,
    *,
    margin_m: float = 500.0,
    max_cloud: float = 100.0,
    min_clear: float = MIN_CLEAR,
    refetch: bool = False,
    wanted: Callable[[Overpass], bool] | None = None,
) -> Plan:
    """Search for the overpasses of a site between two days (both included), and see which are there already.

    Args:
        max_cloud: per cent; granules with more cloud over the whole tile are left out, and are no looks.
        min_clear: zones that are seen less than this share are not downloaded.
        refetch: take none as being there already.
        wanted: leave out overpasses for which this is false, unlooked at.

    Raises:
        ConfigError: a setting out of range. FetchError: the source does not answer.
    """
    if not 0 <= min_clear <= 1 or not 0 <= max_cloud <= 100:
        raise ConfigError(
            f"min_clear is {min_clear:g} and max_cloud {max_cloud:g}; use 0 to 1, and 0 to 100 per cent"
        )
    area = area_of(site, margin_m)
    granules = [
        g for g in source.search(area, *day_span(first, last)) if g.cloud is None or g.cloud <= max_cloud
    ]
    manifest = Manifest(Path(folder))
    todo, done = [], {}
    for overpass in overpasses(granules):
        if wanted is not None and not wanted(overpass):
            continue
        scene_id = overpass.scene_id(site.name)
        record = manifest.done(scene_id, _fingerprint(area, min_clear), overpass.tiles)
        if record is None or refetch:
            todo.append(overpass)
        else:
            done[scene_id] = record
    return Plan(area, source, Path(folder), tuple(todo), done, min_clear)


def fetch(plan: Plan, progress: Callable[[str], None] | None = None) -> Generator[Fetched, None, None]:
    """Fetch what a plan lists, in the order of its dates; the looks table of the folder is kept up to date.

    A scene that fails does not stop the others, except where the account is at fault: then all others would fail
    as well, and are given with the same error. Killed at any instant, a folder holds whole scenes only, and the
    next run goes on where this one was.

    Args:
        progress: called with the scene's id when its work begins.

    Raises:
        ConfigError: another process writes into the folder. TableError: it cannot be written.
    """
    plan.folder.mkdir(parents=True, exist_ok=True)
    with only_writer(plan.folder), ThreadPoolExecutor(plan.source.threads, "fetch") as workers:
        run = _Run(plan, Manifest(plan.folder), progress)
        futures = [workers.submit(run.fetch_one, overpass) for overpass in plan.todo]
        try:
            for overpass, future in zip(plan.todo, futures, strict=True):
                yield _settled(plan, overpass, future)
        finally:
            run.stop = run.stop or FetchError("interrupted; start again to go on")
            for future in futures:
                future.cancel()
            run.manifest.write_looks()


def _settled(plan: Plan, overpass: Overpass, future: Future[dict[str, Any]]) -> Fetched:
    scene_id = overpass.scene_id(plan.area.site.name)
    try:
        return Fetched(scene_id, overpass, future.result())
    except Exception as error:  # noqa: BLE001 - one bad scene must not cost the others; it is named with its reason
        return Fetched(scene_id, overpass, error=error)


class _Run:
    """One run of several threads over a plan; `stop` ends them at the next window."""

    def __init__(self, plan: Plan, manifest: Manifest, progress: Callable[[str], None] | None) -> None:
        self.plan, self.manifest, self.progress = plan, manifest, progress
        self.stop: Exception | None = None
        self._lock = Lock()

    def fetch_one(self, overpass: Overpass) -> dict[str, Any]:
        self._go_on()
        if self.progress is not None:
            self.progress(overpass.scene_id(self.plan.area.site.name))
        try:
            imagery = self.plan.source.open(overpass, self.plan.area)
            try:
                record = self._cut(overpass, imagery)
            finally:
                imagery.close()
        except (AccountError, QuotaError) as error:
            self.stop = error
            raise
        with self._lock:
            self.manifest.add(record)
        return record

    def _go_on(self) -> None:
        if self.stop is not None:
            raise self.stop

    def _cut(self, overpass: Overpass, imagery: Imagery) -> dict[str, Any]:
        """Look at the classes in coarse pixels, then read what is worth it, and write it."""
        area, scene_id = self.plan.area, overpass.scene_id(self.plan.area.site.name)
        classes = imagery.classes(area.coarse)
        looks: list[dict[str, Any]] = []
        coarse = None
        zones = {zone.id for zone in area.site.zones}
        if classes is not None:
            coarse = coarse_scene(classes, area.coarse, scene_id, overpass.acquired)
            looks = class_looks(coarse, area)
            zones = clear_zones(looks, self.plan.min_clear)
        record = _record(self.plan, overpass) | {"looks": looks, "zones": sorted(zones)}
        if not zones:
            return record | {"status": CLOUDED if classes is not None and classes.any() else EMPTY}
        need_colours(imagery.bands, scene_id)
        path = self.plan.folder / f"{scene_id}.tif"
        windows = list(read_windows(wanted_blocks(area, zones, coarse), area.grid))
        seen = write_scene(
            path,
            area.grid,
            self._pieces(imagery, windows),
            bands=imagery.bands,
            radiometry=imagery.radiometry,
            classes=classes is not None,
            tags=_tags(self.plan, overpass),
        )
        if not seen:
            return record | {"status": EMPTY}
        return record | {
            "status": FETCHED,
            "looks": looks or _looks_of_file(path, area),
            "products": imagery.products(),
            "file": path.name,
            "bytes": path.stat().st_size,
            "sha256": file_hash(path),
            "megapixels": round(sum(w.width * w.height for w in windows) / 1e6, 3),
        }

    def _pieces(self, imagery: Imagery, windows: list[Window]) -> Iterator[Piece]:
        for window in windows:
            self._go_on()
            yield window, *imagery.read(self.plan.area.grid.window_grid(window))


def _looks_of_file(path: Path, area: Area) -> list[dict[str, Any]]:
    """Looks where no classification came with the source: cloud by the pixels."""
    from detector.loadings.looks import look_rows
    from detector.scene import open_scene

    with open_scene(path) as scene:
        return look_rows(scene, area.site)


def _tags(plan: Plan, overpass: Overpass) -> dict[str, str]:
    return {
        "SCENE_ID": overpass.scene_id(plan.area.site.name),
        "ACQUIRED": utc_text(overpass.acquired),
        "LEVEL": overpass.level or "",
        "PRODUCTS": " ".join(granule.id for granule in overpass.granules),
        "SOURCE": plan.source.name,
        "SITE": plan.area.site.name,
        "COPYRIGHT": f"Contains modified Copernicus Sentinel data {overpass.acquired:%Y}",
    }


def _record(plan: Plan, overpass: Overpass) -> dict[str, Any]:
    return {
        "scene_id": overpass.scene_id(plan.area.site.name),
        "acquired": utc_text(overpass.acquired),
        "site": plan.area.site.name,
        "source": plan.source.name,
        "level": overpass.level,
        "tiles": list(overpass.tiles),
        "granules": [
            {"id": granule.id, "acquired": utc_text(granule.acquired), "cloud": granule.cloud}
            for granule in overpass.granules
        ],
        "fingerprint": _fingerprint(plan.area, plan.min_clear),
        "fetched": utc_text(datetime.now(UTC)),
    }


def _fingerprint(area: Area, min_clear: float) -> str:
    return f"{area.fingerprint}-{min_clear:g}"
