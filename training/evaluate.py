"""Measure networks on whole labelled scenes, the way users run them: through `detector.predict`.

Every place is predicted by a network that has not seen it, and the confidence threshold that it is judged at is
chosen on other folds' places. Raw predictions at a low confidence are kept in a cache folder, so that scoring again,
on other labels or with other rules, takes seconds.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import detector
from detector.detections import Detections
from detector.errors import ConfigError, MissingBandError, SceneError, WeightsNotFoundError
from detector.geometry import Grid
from detector.plane import Plane
from training.config import read_config, settings_files
from training.labels import LabelledScene
from training.matching import SceneBoxes
from training.scores import Matched, match_scene, pool
from training.surroundings import Surroundings, kept_surface

log = logging.getLogger(__name__)

MODES = ("four_band", "true_colour")
LOW_CONFIDENCE = 0.02
TRUE_COLOUR = ("B04", "B03", "B02")
# Changes to any of these can change predictions, so their text is part of the cache's key.
_PREDICTING = (
    "prediction", "search", "hulls", "clutter", "wakes", "wakelines", "model", "networkfile", "boxes", "tiles", "filters",
    "masks", "encoding", "geometry", "scene/*",
)  # fmt: skip


@dataclass
class Predicted:
    """One scene's raw predictions and what is needed to score them.

    Attributes:
        scene: the scene with the labels to score against.
        detections: everything from `LOW_CONFIDENCE` on.
        labels, ignore: (n, 4, 2) longitude and latitude of the corners of vessels, and of areas that count neither way.
        grid: the scene's grid.
        surface: the file with its water and land; None: not known, so nothing is said of distances to shore.
    """

    scene: LabelledScene
    detections: Detections
    labels: NDArray[np.float64]
    ignore: NDArray[np.float64]
    grid: Grid
    surface: Path | None = None

    @property
    def found(self) -> NDArray[np.float64]:
        """(n, 4, 2) longitude and latitude of the corners of the detections."""
        polygons = self.detections["geometry"]
        return np.array([np.asarray(p.exterior.coords)[:4, :2] for p in polygons]).reshape(-1, 4, 2)

    def boxes(self) -> SceneBoxes:
        """Labels and detections in metres on one local plane."""
        found = self.found
        everything = np.concatenate([self.labels, self.ignore, found]).reshape(-1, 2)
        middle = everything.mean(axis=0) if len(everything) else np.zeros(2)
        plane = Plane(float(middle[0]), float(middle[1]))
        labels, ignore, boxes = (
            np.stack(plane.forward(x[..., 0], x[..., 1]), axis=-1) for x in (self.labels, self.ignore, found)
        )
        return SceneBoxes(
            labels, ignore, boxes,
            np.asarray(self.detections["confidence"], float), np.asarray(self.detections["length_m"], float),
            np.asarray(self.detections["heading_deg"], float),
        )  # fmt: skip

    def pixels(self, lonlat: NDArray[np.float64]) -> NDArray[np.float64]:
        """Pixel positions of longitudes and latitudes (..., 2)."""
        return np.stack(self.grid.from_lonlat(lonlat[..., 0], lonlat[..., 1]), axis=-1)

    def matched(self) -> Matched:
        """Labels and detections matched, with what is known of the water around them."""
        if self.surface is None:
            return match_scene(self.boxes())
        with np.load(self.surface) as file:
            around = Surroundings(file["surface"], self.grid, self.pixels(self.labels))
        return match_scene(
            self.boxes(), around.shore_m(self.pixels(self.found)), around.shore_m(around.hulls), around.water_km2()
        )


@dataclass
class Scored:
    """A scene's predictions and how they match its labels."""

    predicted: Predicted
    matched: Matched


def predict_scene(scene: LabelledScene, weights: Path, mode: str, cache_folder: Path) -> Predicted:
    """Predictions of a scene from the cache or the network, and its labels in longitude and latitude.

    Raises:
        MissingBandError: the file lacks red, green or blue.
    """
    from detector.prediction import predict
    from detector.scene import open_scene

    if mode not in MODES:
        raise ConfigError(f"{mode!r} is not a way to show a scene; use {' or '.join(MODES)}")
    key = f"{_digest(scene.path)}-{_digest(weights)}-{_code_digest()}"
    cached = cache_folder / f"{scene.name}-{mode}-{key}.geojson"
    with open_scene(scene.path) as opened:
        surface = cache_folder / f"{scene.name}-surface-{_digest(scene.path)}-{_surface_digest()}.npz"
        kept_surface(opened, surface)
        if cached.is_file():
            detections = Detections.read(cached)
        else:
            if mode == "true_colour":
                opened.bands = TRUE_COLOUR
            detections = predict(opened, weights=str(weights), confidence=LOW_CONFIDENCE)
            detections.write(cached)
        return _predicted(scene, detections, opened.grid, surface)


def _predicted(scene: LabelledScene, detections: Detections, grid: Grid, surface: Path | None) -> Predicted:
    corners = np.array([label.corners for label in scene.labels]).reshape(-1, 4, 2)
    lonlat = np.stack(grid.to_lonlat(corners[..., 0], corners[..., 1]), axis=-1)
    ignore = np.array([label.ignore for label in scene.labels], bool)
    return Predicted(scene, detections, lonlat[~ignore], lonlat[ignore], grid, surface)


def predict_all(
    scenes: Iterable[LabelledScene],
    weights: Mapping[str, Path],
    mode: str,
    cache_folder: Path,
    say: Callable[[str], None] = log.info,
) -> tuple[list[Predicted], list[dict[str, Any]]]:
    """Predict every scene with the weights of its place.

    Returns:
        predictions, and the scenes without one: their name, the `reason`, and whether something `failed`.
    """
    done: list[Predicted] = []
    skipped: list[dict[str, Any]] = []
    scenes = list(scenes)
    for number, scene in enumerate(scenes, 1):
        if scene.place not in weights:
            skipped.append({"scene": scene.name, "reason": "no weights leave this place out", "failed": False})
            continue
        try:
            done.append(predict_scene(scene, weights[scene.place], mode, cache_folder))
        except SceneError as error:
            # That a labelled scene lacks bands is known and no failure; anything else is.
            failed = not isinstance(error, MissingBandError)
            skipped.append({"scene": scene.name, "reason": str(error), "failed": failed})
            say(f"[{number}/{len(scenes)}] {scene.name}: skipped, {error}")
            continue
        one = done[-1]
        say(
            f"[{number}/{len(scenes)}] {scene.name}: {len(one.labels)} vessels, {len(one.ignore)} ignore areas, "
            f"{len(one.detections)} raw detections"
        )
    return done, skipped


def score(predicted: Sequence[Predicted], say: Callable[[str], None] = log.info) -> list[Scored]:
    """Match every scene."""
    out = []
    for number, one in enumerate(predicted, 1):
        out.append(Scored(one, one.matched()))
        if number % 10 == 0 or number == len(predicted):
            say(f"matched {number} of {len(predicted)} scenes")
    return out


def by_place(scored: Sequence[Scored]) -> dict[str, Matched]:
    """Matched scenes, pooled by place."""
    parts: dict[str, list[Matched]] = {}
    for one in scored:
        parts.setdefault(one.predicted.scene.place, []).append(one.matched)
    return {place: pool(matched) for place, matched in sorted(parts.items())}


def relabel(predicted: Sequence[Predicted], scenes: Sequence[LabelledScene]) -> list[Predicted]:
    """The same predictions with other labels of the same scenes (the source's own instead of the corrected)."""
    by_name = {scene.name: scene for scene in scenes}
    return [_predicted(by_name[one.scene.name], one.detections, one.grid, one.surface) for one in predicted]


def fold_weights(runs: Path, folds: Mapping[str, Sequence[str]]) -> dict[str, Path]:
    """The ONNX file of each fold that has been trained, exported from its last checkpoint where need be.

    Raises:
        WeightsNotFoundError: no fold has a checkpoint.
    """
    out: dict[str, Path] = {}
    for fold in folds:
        checkpoint, onnx = (runs / fold / "weights" / name for name in ("last.pt", "last.onnx"))
        if checkpoint.is_file() and (not onnx.is_file() or onnx.stat().st_mtime < checkpoint.stat().st_mtime):
            from training.export import export_onnx

            export_onnx(checkpoint, onnx)
        if onnx.is_file():
            out[fold] = onnx
    if not out:
        wanted = runs / next(iter(folds), "FOLD") / "weights" / "last.pt"
        raise WeightsNotFoundError(f"{runs} holds no trained fold (e.g. {wanted}); run bargewatch train --fold")
    return out


def out_of_fold(folds: Mapping[str, Sequence[str]], weights: Mapping[str, Path]) -> dict[str, Path]:
    """For each place the weights of the fold that leaves it out.

    Raises:
        ConfigError: two folds leave out the same place.
    """
    out: dict[str, Path] = {}
    for fold, places in folds.items():
        for place in places:
            if place in out:
                raise ConfigError(f"{place} is in two folds; each place must be in one")
            if fold in weights:
                out[place] = weights[fold]
    return out


def describe_weights(weights: Mapping[str, Path]) -> dict[str, dict[str, str]]:
    """File name and SHA-256 of each fold's weights, for the report."""
    from training.export import sha256

    return {fold: {"file": path.name, "sha256": sha256(path)} for fold, path in weights.items()}


def describe_scenes(predicted: Sequence[Predicted]) -> list[dict[str, Any]]:
    """What was scored: scene, place, vessels and ignore areas."""
    return [
        {"scene": p.scene.name, "place": p.scene.place, "vessels": len(p.labels), "ignore_areas": len(p.ignore)}
        for p in predicted
    ]


def training_settings(run: Path) -> dict[str, Any] | None:
    """The settings of a training run, with what they did not name filled in; None where it has kept none.

    Of an averaged run (`training.average`) those of the first network, and in `averaged_with` what is different in each of
    the others.

    Raises:
        ConfigError: they cannot be read.
    """
    files = settings_files(run)
    if not files:
        return None
    first, *others = [asdict(read_config(file)) for file in files]
    for settings in (first, *others):
        settings["start"] = Path(settings["start"]).name  # where the file lay on one machine is no setting
    if others:
        first["averaged_with"] = [{k: v for k, v in other.items() if v != first[k]} for other in others]
    return first


def _digest(path: Path) -> str:
    # The modification time lets the digest be kept for the many scenes that share one weights file.
    return _digest_of(path, path.stat().st_mtime_ns)


@cache
def _digest_of(path: Path, _modified: int) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:12]


@cache
def _code_digest() -> str:
    package = Path(detector.__file__).parent
    files = [file for pattern in _PREDICTING for file in sorted(package.glob(f"{pattern}.py"))]
    return _digest_files(files)


@cache
def _surface_digest() -> str:
    return _digest_files([Path(detector.__file__).parent / "masks.py", Path(__file__).with_name("surroundings.py")])


def _digest_files(files: Sequence[Path]) -> str:
    digest = hashlib.sha256(json.dumps([LOW_CONFIDENCE]).encode())
    for file in files:
        digest.update(file.read_bytes())
    return digest.hexdigest()[:8]
