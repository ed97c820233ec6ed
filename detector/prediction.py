"""From scenes to vessels: search, merge, measure, filter."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import shapely

from detector import calibration, filters
from detector.boxes import Boxes, measure, merge
from detector.coal import coal_barge
from detector.detections import Detections
from detector.encoding import BANDS
from detector.errors import BargewatchError, ConfigError, SceneError
from detector.model import Weights, find_weights, prepare
from detector.scene import Scene, open_scene
from detector.sceneids import distinct_ids
from detector.search import Found, Progress, search
from detector.wakes import underway

if TYPE_CHECKING:
    from detector.loadings.sites import Site

#: Pixel sizes on the ground in which a 10 m image is distributed (3 m: EPSG:3857 at 72° N); others look different.
PIXEL_RANGE_M = (3.0, 20.0)


@dataclass
class SceneResult:
    """What came of one scene.

    Attributes:
        source: what was asked for, as text.
        scene_id: the scene's id, or None when it could not be opened.
        detections: the table, or None when the scene failed.
        looks: one row a zone of the site that the scene touches.
        chips: files in which pixels of zones were kept.
        error: why the scene failed.
        seconds: wall time.
        acquired: sensing time, UTC ISO 8601.
        rejected: number of rejected boxes by reason, whether they were kept or not.
        bands: of the four bands of the network, those that the scene has.
        windows, skipped: windows of the scene, and those without water or data that the network did not see.
    """

    source: str
    scene_id: str | None = None
    detections: Detections | None = None
    looks: list[dict[str, Any]] = field(default_factory=list)
    chips: list[Path] = field(default_factory=list)
    error: Exception | None = None
    seconds: float = 0.0
    acquired: str | None = None
    rejected: dict[str, int] = field(default_factory=dict)
    bands: tuple[str, ...] = ()
    windows: int = 0
    skipped: int = 0


def predict(
    source: Any,
    *,
    bands: Sequence[str] | None = None,
    transform: Any = None,
    crs: Any = None,
    acquired: Any = None,
    scale: Any = None,
    weights: str | os.PathLike[str] | None = None,
    confidence: float | None = None,
    site: str | os.PathLike[str] | Site | None = None,
    keep_rejected: bool = False,
    threads: int | None = None,
) -> Detections:
    """Find the vessels in one scene or several.

    Args:
        source: a SAFE folder or zip, a GeoTIFF or COG (path or URL), a folder of one-band rasters, a STAC
            item, an open `Scene`, an array (bands, height, width), or a list of any of these but arrays.
        bands: band names of an array or of a file that does not name them, e.g. ("B04", "B03", "B02", "B08").
        transform, crs: place of an array (affine.Affine and anything rasterio takes as a CRS).
        acquired: sensing time, where the source does not tell it.
        scale: gain or (gain, offset) to reflectance, where the source does not tell it.
        weights: a name from the registry or the path of an .onnx file; None for the default.
        confidence: least confidence, 0 to 1; None takes the threshold that goes with the weights.
        site: name or path of a site, to fill in `site` and `zone_id`.
        keep_rejected: also return rejected boxes, with their reason in `status`.
        threads: processor threads; None for all.

    Returns:
        The vessel table, sorted by confidence within each scene.

    Raises:
        BargewatchError: one of its children says what is wrong with a scene, the weights or the site. With a
            list, the first scene that fails ends the call; `bargewatch.predict` and `run` go on with the
            others.
    """
    from detector.loadings.sites import Site, load_site

    zones = site if site is None or isinstance(site, Site) else load_site(site)
    several = isinstance(source, list | tuple)
    opening = {"bands": bands, "transform": transform, "crs": crs, "acquired": acquired, "scale": scale}
    tables = []
    for result in run(
        list(source) if several else [source], weights=weights, confidence=confidence, site=zones,
        keep_rejected=keep_rejected, threads=threads, looks=False, **opening,
    ):  # fmt: skip
        if result.error is not None:
            raise result.error
        assert result.detections is not None
        tables.append(result.detections)
    return Detections.concat(tables)


def run(
    sources: Sequence[Any],
    *,
    weights: str | os.PathLike[str] | None = None,
    confidence: float | None = None,
    site: Site | None = None,
    keep_rejected: bool = False,
    threads: int | None = None,
    progress: Progress | None = None,
    looks: bool = True,
    chips: str | os.PathLike[str] | None = None,
    workers: int | None = None,
    scheduler: str | None = None,
    **opening: Any,
) -> Iterator[SceneResult]:
    """Go through scenes in order; a scene that fails is reported in its result and the rest go on.

    Args:
        sources: anything that `open_scene` takes.
        progress: called with (windows done, windows in all) of the scene at hand.
        looks: fill in the looks of the site's zones.
        chips: a folder to keep the pixels of the site's zones in, see `loadings.chips`.
        workers: processes that share the scenes and `threads`; None works in this one.
        scheduler: address of a Dask scheduler whose workers share the scenes, see `detector.scaleout`.
        opening: passed to `open_scene`.
        weights, confidence, site, keep_rejected, threads: as for `predict`.

    Raises:
        WeightsError, ConfigError: before the first scene.
    """
    found = find_weights(weights)
    threshold = found.confidence if confidence is None else float(confidence)
    if not 0.0 <= threshold <= 1.0:
        raise ConfigError(f"confidence must be between 0 and 1, got {confidence}")
    if confidence is not None:
        threshold = calibration.inverse(found.calibration, threshold)
    job = Job(found, max(threshold, 1e-3), site, threads, looks, chips, opening, distinct_ids(sources))
    if workers is None and scheduler is None:
        looked: Iterator[Looked] = (look_at(job, source, progress) for source in sources)
    else:
        from detector.scaleout import scattered

        looked = scattered(job, sources, workers, scheduler, progress)
    return _settled(looked, keep_rejected)


@dataclass(frozen=True)
class Job:
    """What is done with every scene of a run; it can be sent to another process."""

    weights: Weights
    confidence: float
    site: Site | None
    threads: int | None
    looks: bool
    chips: str | os.PathLike[str] | None
    opening: dict[str, Any]
    ids: dict[str, str]


#: The result of a scene, its table not yet compared with other scenes, and its exact time.
Looked = tuple[SceneResult, datetime | None]


def look_at(job: Job, source: Any, progress: Progress | None = None) -> Looked:
    """Everything that is done with one scene by itself, all boxes kept; errors are in the result."""
    begun, site, moment = time.perf_counter(), job.site, None
    result = SceneResult(name_of(source))
    prepare(job.weights, job.threads)
    try:
        with _opened(source, job.opening) as scene:
            scene.id = job.ids.get(name_of(source), scene.id)
            moment = scene.acquired
            result.scene_id, result.acquired = scene.id, _utc(moment)
            result.bands = tuple(band for band in BANDS if band in scene.bands)
            table = _detect(scene, job.weights, job.confidence, job.threads, progress, result)
            if site is not None:
                table = _assign(table, site)
                if job.looks:
                    from detector.loadings.looks import look_rows

                    result.looks = look_rows(scene, site)
                if job.chips is not None:
                    from detector.loadings.chips import write_chips

                    result.chips = write_chips(scene, site, job.chips)
            result.detections = table
    except BargewatchError as error:
        result.error = error
    except Exception as error:  # noqa: BLE001 - one bad scene must not cost the others
        result.error = error
    result.seconds = time.perf_counter() - begun
    return result, moment


def _settled(looked: Iterator[Looked], keep_rejected: bool) -> Iterator[SceneResult]:
    """Results in order, with what earlier scenes of an overpass show too marked, and rejected boxes counted."""
    overpasses = filters.Overpasses()
    for result, moment in looked:
        if result.detections is not None:
            table = _flag_doubles(result.detections, moment, overpasses)
            kept = table["status"] == "kept"
            result.rejected = dict(sorted(Counter(table["status"][~kept].tolist()).items()))
            result.detections = table if keep_rejected else table[kept]
        yield result


def _opened(source: Any, opening: dict[str, Any]) -> AbstractContextManager[Scene]:
    """The scene of a source; one that the caller opened stays open afterwards."""
    scene = open_scene(source, **opening)
    return nullcontext(scene) if scene is source else scene


def name_of(source: Any) -> str:
    """What a source is called in results and messages."""
    if isinstance(source, str):
        return source
    if isinstance(source, Scene):
        return source.name
    return os.fspath(source) if isinstance(source, os.PathLike) else f"<{type(source).__name__}>"


def _utc(moment: datetime | None) -> str | None:
    return None if moment is None else moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _detect(
    scene: Scene, weights: Weights, confidence: float, threads: int | None, progress: Progress | None,
    result: SceneResult,
) -> Detections:  # fmt: skip
    pixel = scene.grid.pixel_size()
    if not all(PIXEL_RANGE_M[0] <= size <= PIXEL_RANGE_M[1] for size in pixel):
        raise SceneError(
            f"{scene.name} has pixels of {pixel[0]:.3g} x {pixel[1]:.3g} m;"
            " bargewatch needs the 10 m bands of Sentinel-2"
        )
    found = search(scene, weights, confidence, threads, progress)
    result.windows, result.skipped = found.windows, found.skipped
    return _table(scene, found, weights)


def _table(scene: Scene, found: Found, weights: Weights) -> Detections:
    """Merge the boxes of all windows, measure them and make the vessel table, the most confident first."""
    every = found.boxes
    if not len(every):
        return Detections.empty()
    numbered = Boxes(every.corners, every.scores, np.arange(len(every)))
    chosen = merge(numbered).classes  # numbers of the boxes that remain
    boxes, reasons, coal = every[chosen], found.reasons[chosen], found.coal[chosen]
    measures = measure(boxes.corners, scene.grid)
    bow = np.round(found.bow_deg[chosen], 1) % 360.0
    reasons[(reasons == "") & filters.size_rejected(measures)] = "size"
    centre = boxes.centres
    lon, lat = scene.grid.to_lonlat(centre[:, 0], centre[:, 1])
    lon = (lon + 180.0) % 360.0 - 180.0
    ring_lon, ring_lat = scene.grid.to_lonlat(boxes.corners[:, :, 0], boxes.corners[:, :, 1])
    # A box across the antimeridian goes on beyond 180 degrees, for it must not reach round the world.
    ring_lon = lon[:, None] + (ring_lon - lon[:, None] + 180.0) % 360.0 - 180.0
    polygons = shapely.polygons(np.stack([ring_lon, ring_lat], axis=-1))
    n = len(boxes)
    barge = coal_barge(coal, scene.bands, measures.length_m, measures.width_m)
    named = [weights.classes[i] for i in boxes.classes]
    # The pixels decide where they can tell, the network elsewhere.
    named = [
        "coal_barge" if coaly else "vessel" if known else name
        for coaly, known, name in zip(barge, np.isfinite(coal), named, strict=True)
    ]
    return Detections.from_columns(
        **{
            "scene_id": [scene.id] * n,
            "acquired": [_utc(scene.acquired)] * n,
            "class": named,
            "confidence": np.round(calibration.apply(weights.calibration, boxes.scores), 4),
            "lon": lon,
            "lat": lat,
            "length_m": np.round(measures.length_m, 1),  # finer digits would claim what pixels cannot show
            "width_m": np.round(measures.width_m, 1),
            "heading_deg": np.where(np.isnan(bow), np.round(measures.heading_deg, 1) % 180.0, bow),
            "heading_ambiguous": np.isnan(bow),
            "coal_score": np.round(coal, 3),
            "status": np.where(reasons == "", "kept", reasons),
            "flags": [["underway"] if moves else [] for moves in underway(bow)],
            "geometry": polygons,
        }
    )


def _flag_doubles(table: Detections, moment: datetime | None, overpasses: filters.Overpasses) -> Detections:
    kept = np.flatnonzero(table["status"] == "kept")
    double = overpasses.duplicates(moment, table["geometry"][kept])
    if not double.any():
        return table
    status = table["status"].copy()
    status[kept[double]] = "duplicate"
    return table.with_columns(status=status)


def _assign(table: Detections, site: Site) -> Detections:
    zones = site.assign(list(table["geometry"]))
    return table.with_columns(site=[site.name] * len(table), zone_id=zones)
