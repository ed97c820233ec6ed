"""From a site and a span of days to counted loadings, scene by scene, over a store that loses nothing.

fetch -> predict -> (flag) -> count. Each scene is one transaction of the store, so a run that was killed goes on where
it was. Scenes are predicted one by one and not together, so that their rows do not depend on which were done before.
"""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import date
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from detector.columns import utc_text
from detector.detections import Detections
from detector.errors import ConfigError, SiteError, TableError
from detector.imagery import fetching
from detector.imagery.area import area_of
from detector.imagery.fetching import MIN_CLEAR, Plan
from detector.imagery.granules import Overpass
from detector.imagery.manifest import FETCHED, only_writer
from detector.imagery.scenefile import file_hash
from detector.imagery.sources import Source
from detector.model import Weights
from detector.prediction import SceneResult
from detector.store.settings import Settings
from detector.store.store import Acquisition
from detector.store.writing import WritableStore

if TYPE_CHECKING:
    from detector.flags import FlaggedVessels
    from detector.loadings.count import LoadingCount
    from detector.loadings.rows import Period
    from detector.loadings.sites import Site

_Paths = Sequence[str | os.PathLike[str]]


@dataclass(frozen=True)
class Watched:
    """What became of one scene: an acquisition in the store, or an error."""

    scene_id: str
    acquisition: Acquisition | None = None
    error: Exception | None = None
    seconds: float = 0.0


@dataclass(frozen=True)
class Watch:
    """One run over a site; `Watch.plan`, then `scenes` to the end, then `flag` and `count`.

    Attributes:
        plan: what there is to fetch; `plan.todo` and `plan.done` are the scenes that this run works on.
        span: first and last day, ISO 8601.
        listed: scene ids that the catalogue lists for these days.
        chips: where the pixels of the zones are kept; None where they are not.
    """

    site: Site
    store: WritableStore
    weights: Weights
    confidence: float
    settings: Settings
    plan: Plan
    span: tuple[str, str]
    listed: tuple[str, ...]
    chips: Path | None = None
    keep_scenes: bool = True
    threads: int | None = None

    @property
    def todo(self) -> int:
        """How many scenes there are to do."""
        return len(self.plan.todo) + len(self.plan.done)

    def scenes(self, progress: Callable[[int, int], None] | None = None) -> Iterator[Watched]:
        """Do the scenes, in the order of time, each into the store; one that fails is reported and the rest go on.

        Raises:
            StoreError: the store cannot be written. ConfigError: another process fetches into the folder of scenes.
        """
        name = self.site.name
        order = sorted(
            [(utc_text(o.acquired), o.scene_id(name)) for o in self.plan.todo]
            + [(str(record["acquired"]), scene_id) for scene_id, record in self.plan.done.items()]
        )
        with closing(fetching.fetch(self.plan)) as fetched:
            for _, scene_id in order:
                if progress is not None:
                    progress(0, 1)
                record = self.plan.done.get(scene_id)
                if record is None:
                    result = next(fetched)
                    scene_id, record = result.scene_id, result.record
                    if record is None:
                        assert result.error is not None
                        yield Watched(scene_id, error=result.error)
                        continue
                yield self._watched(scene_id, record, progress)
            next(
                fetched, None
            )  # with nothing to fetch, too, the folder's table of looks is brought up to date

    def _watched(
        self, scene_id: str, record: dict[str, Any], progress: Callable[[int, int], None] | None
    ) -> Watched:
        acquisition = Acquisition(
            scene_id=scene_id,
            acquired=record["acquired"],
            site=self.site.name,
            status=record["status"],
            settings=self.settings.digest,
            source=record["source"],
            level=record["level"],
            tiles=tuple(record["tiles"]),
            products=tuple(record.get("products", ())),
            zones=tuple(record["zones"]),
        )
        if record["status"] != FETCHED:
            self.store.save(acquisition, record["looks"], Detections.empty())
            return Watched(scene_id, acquisition)
        result = self._predicted(self.plan.folder / record["file"], progress)
        if result.error is not None:
            return Watched(scene_id, error=result.error)
        assert result.detections is not None
        rejected = sum(result.rejected.values())
        acquisition = replace(
            acquisition,
            image=record["file"] if self.keep_scenes else None,
            sha256=record["sha256"],
            windows=result.windows,
            skipped=result.skipped,
            vessels=len(result.detections) - rejected,
            rejected=rejected,
        )
        self.store.save(acquisition, record["looks"], result.detections)
        if not self.keep_scenes:
            (self.plan.folder / record["file"]).unlink(missing_ok=True)
        return Watched(scene_id, acquisition, seconds=result.seconds)

    def _predicted(self, image: Path, progress: Callable[[int, int], None] | None) -> SceneResult:
        from detector.prediction import run

        (result,) = run(
            [image],
            weights=_named(self.weights),
            confidence=self.confidence,
            site=self.site,
            keep_rejected=True,
            threads=self.threads,
            progress=progress,
            looks=False,  # those of the fetch know of zones that were not downloaded
            chips=self.chips,
        )
        return result

    def flag(self, *, ais: _Paths, watchlists: _Paths, **options: Any) -> FlaggedVessels | None:
        """Flag the vessels of these days that were not flagged with these files; None where there are none.

        Args:
            ais, watchlists: files. options: of `flag_vessels`.
        """
        from detector.flags import flag_vessels

        first, last = self.span
        inputs = _inputs(ais, watchlists, options)
        scenes = {
            a.scene_id
            for a in self.store.acquisitions().values()
            if not a.stale and first <= a.acquired[:10] <= last and a.flagged_by != inputs
        }
        if not scenes:
            return None
        vessels = self.store.vessels(scenes=scenes)
        flagged = flag_vessels(vessels, ais=ais, watchlists=watchlists, site=self.site, **options)
        if len(flagged.failed) < len(ais) + len(watchlists):
            self.store.save_flags(flagged, scenes, None if flagged.failed else inputs)
        return flagged

    def count(self, *, period: Period = "month", use_chips: bool = False) -> LoadingCount | None:
        """Count all that the store holds under these settings, and write visits and loadings; None without a look."""
        from detector.loadings.count import count_loadings

        looks = self.store.looks()
        count = None
        if looks:
            chips = self.store.chips if use_chips and self.store.chips.is_dir() else None
            count = count_loadings(self.store.vessels(), looks, self.site, period=period, chips=chips)
        self.store.save_count(count)
        return count


def plan_watch(
    site: Site,
    first: str | date,
    last: str | date,
    store: WritableStore,
    source: Source,
    *,
    weights: str | os.PathLike[str] | None = None,
    confidence: float | None = None,
    margin_m: float = 500.0,
    max_cloud: float = 100.0,
    min_clear: float = MIN_CLEAR,
    redo: bool = False,
    keep_scenes: bool = True,
    keep_chips: bool = True,
    threads: int | None = None,
) -> Watch:
    """Search for the overpasses of a site and see which are not in its store yet.

    Args:
        first, last: days, both included.
        weights, confidence: as for `predict`.
        margin_m, max_cloud, min_clear: as for `fetching.plan`.
        redo: also those whose rows come from other settings.
        keep_scenes: keep images when their scene is in the store.
        keep_chips: keep the pixels of the zones; a site with a zone that is too wide for chips gets none, with a warning.

    Raises:
        ConfigError: a setting out of range. WeightsError: no such weights. FetchError: the source does not answer.
        StoreError: the store cannot be written.
    """
    from detector.model import find_weights

    found = find_weights(weights)
    least = found.confidence if confidence is None else confidence
    if not 0 <= least <= 1:
        raise ConfigError(f"confidence must be between 0 and 1, got {confidence}")
    settings = Settings(found.name, found.sha256, least, area_of(site, margin_m).fingerprint, min_clear)
    listed: list[str] = []
    known = store.acquisitions()

    def wanted(overpass: Overpass) -> bool:
        scene_id = overpass.scene_id(site.name)
        listed.append(scene_id)
        there = known.get(scene_id)
        if there is None or not set(overpass.tiles) <= set(there.tiles):  # a neighbour was published later
            return True
        return redo and there.settings != settings.digest

    plan = fetching.plan(
        site, first, last, store.scenes, source,
        margin_m=margin_m, max_cloud=max_cloud, min_clear=min_clear, wanted=wanted,
    )  # fmt: skip
    chips = _prepared(store.chips, site) if keep_chips else None
    _tidy(store, () if keep_scenes else known.keys() - plan.done.keys())
    store.use(settings)
    return Watch(
        site, store, found, least, settings, plan, (str(first), str(last)), tuple(listed), chips, keep_scenes, threads
    )  # fmt: skip


def _prepared(folder: Path, site: Site) -> Path | None:
    """The folder for chips; counting goes without them where they cannot be."""
    from detector.loadings.chips import prepare_chips

    try:
        return prepare_chips(folder, site)
    except SiteError as error:
        warnings.warn(f"no chips are kept: {error}", stacklevel=3)
        return None


def _tidy(store: WritableStore, unwanted: Iterable[str]) -> None:
    """Remove what runs that were killed left behind, and the images of some scenes."""
    try:
        store.scenes.mkdir(exist_ok=True)
        with only_writer(store.scenes):
            store.sweep()
            for scene_id in unwanted:
                (store.scenes / f"{scene_id}.tif").unlink(missing_ok=True)
    except OSError as error:
        raise TableError(f"cannot write {store.scenes}: {error.strerror or error}") from error


def _named(weights: Weights) -> str | Path:
    """What finds these weights again."""
    from detector.model import registry

    return weights.name if weights.name in registry()["weights"] else weights.path


def _inputs(ais: _Paths, watchlists: _Paths, options: dict[str, Any]) -> str:
    """A digest of the content of files and of options."""
    files = [options.get("rules"), *ais, *watchlists]
    hashes = [
        file_hash(Path(path)) if path is not None and Path(path).is_file() else str(path) for path in files
    ]
    return sha256(json.dumps([len(ais), hashes, options], default=str).encode()).hexdigest()[:16]
