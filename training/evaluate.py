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
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import detector
from detector.detections import Detections
from detector.errors import ConfigError, MissingBandError, SceneError, WeightsNotFoundError
from training.labels import LabelledScene
from training.matching import LocalPlane, SceneBoxes
from training.scores import Matched, bootstrap_f1, cross_fit_thresholds, curve, match_scene, pool, row

log = logging.getLogger(__name__)

MODES = ("four_band", "true_colour")
LOW_CONFIDENCE = 0.02
TRUE_COLOUR = ("B04", "B03", "B02")
# Changes to any of these can change predictions, so their text is part of the cache's key.
_PREDICTING = ("prediction", "model", "boxes", "tiles", "filters", "masks", "encoding", "geometry", "scene/*")


@dataclass
class Predicted:
    """One scene's raw predictions and what is needed to score them."""

    scene: LabelledScene
    detections: Detections
    labels: NDArray[np.float64]
    ignore: NDArray[np.float64]

    def boxes(self) -> SceneBoxes:
        """Labels and detections in metres on one local plane."""
        polygons = self.detections["geometry"]
        found = np.array([np.asarray(p.exterior.coords)[:4, :2] for p in polygons]).reshape(-1, 4, 2)
        everything = np.concatenate([self.labels, self.ignore, found]).reshape(-1, 2)
        middle = everything.mean(axis=0) if len(everything) else np.zeros(2)
        plane = LocalPlane(float(middle[0]), float(middle[1]))
        return SceneBoxes(
            plane(self.labels), plane(self.ignore), plane(found),
            np.asarray(self.detections["confidence"], float), np.asarray(self.detections["length_m"], float),
            np.asarray(self.detections["heading_deg"], float),
        )  # fmt: skip


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
        corners = np.array([label.corners for label in scene.labels]).reshape(-1, 4, 2)
        lonlat = np.stack(opened.grid.to_lonlat(corners[..., 0], corners[..., 1]), axis=-1)
        if cached.is_file():
            detections = Detections.read(cached)
        else:
            if mode == "true_colour":
                opened.bands = TRUE_COLOUR
            detections = predict(opened, weights=str(weights), confidence=LOW_CONFIDENCE)
            cache_folder.mkdir(parents=True, exist_ok=True)
            detections.write(cached)
    ignore = np.array([label.ignore for label in scene.labels], bool)
    return Predicted(scene, detections, lonlat[~ignore], lonlat[ignore])


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
    for scene in scenes:
        if scene.place not in weights:
            skipped.append({"scene": scene.name, "reason": "no weights leave this place out", "failed": False})
            continue
        try:
            done.append(predict_scene(scene, weights[scene.place], mode, cache_folder))
        except SceneError as error:
            # That a labelled scene lacks bands is known and no failure; anything else is.
            failed = not isinstance(error, MissingBandError)
            skipped.append({"scene": scene.name, "reason": str(error), "failed": failed})
            say(f"{scene.name}: skipped, {error}")
            continue
        say(f"{scene.name}: {len(scene.labels)} labels, {len(done[-1].detections)} raw detections")
    return done, skipped


def by_place(predicted: Sequence[Predicted]) -> dict[str, Matched]:
    """Matched scenes, pooled by place."""
    parts: dict[str, list[Matched]] = {}
    for one in predicted:
        parts.setdefault(one.scene.place, []).append(match_scene(one.boxes()))
    return {place: pool(matched) for place, matched in sorted(parts.items())}


def relabel(predicted: Sequence[Predicted], scenes: Sequence[LabelledScene]) -> list[Predicted]:
    """The same predictions with other labels of the same scenes (the source's own instead of the corrected)."""
    from detector.scene import open_scene

    by_name = {scene.name: scene for scene in scenes}
    out = []
    for one in predicted:
        other = by_name[one.scene.name]
        with open_scene(other.path) as opened:
            corners = np.array([label.corners for label in other.labels]).reshape(-1, 4, 2)
            lonlat = np.stack(opened.grid.to_lonlat(corners[..., 0], corners[..., 1]), axis=-1)
        ignore = np.array([label.ignore for label in other.labels], bool)
        out.append(Predicted(other, one.detections, lonlat[~ignore], lonlat[ignore]))
    return out


def summarise(
    places: Mapping[str, Matched],
    fold_of: Mapping[str, str],
    *,
    thresholds: Mapping[str, float] | None = None,
    single: float | None = None,
) -> dict[str, Any]:
    """All numbers of one set of labels.

    Args:
        places: matched scenes by place.
        fold_of: the fold that each place is left out of.
        thresholds: threshold of each fold; by default cross-fitted on the places of the other folds.
        single: one threshold to report beside; by default chosen over all places.

    Raises:
        ConfigError: there is nothing to score.
    """
    from training.scores import best_threshold

    if not places:
        raise ConfigError("no labelled scene could be predicted; check --data, --runs and the bands of the scenes")
    if thresholds is None:
        thresholds = cross_fit_thresholds(places, fold_of)
    if single is None:
        single = best_threshold(pool(list(places.values())))
    of_place = {place: thresholds[fold_of[place]] for place in places}
    everything = pool(list(places.values()))
    each = np.concatenate([np.full(len(m.confidence), of_place[place]) for place, m in places.items()])
    low, high = bootstrap_f1(places, of_place)
    return {
        "thresholds": {"cross_fit": dict(thresholds), "single": single},
        "places": {p: {"threshold": of_place[p], **row(m, of_place[p])} for p, m in places.items()},
        "pooled": row(everything, each),
        "pooled_f1_150_interval": {"low": low, "high": high, "level": 0.95, "over": "places"},
        "pooled_at_single": row(everything, single),
        "curve": curve(everything),
    }


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


def _digest(path: Path) -> str:
    # The modification time lets the digest be kept for the many scenes that share one weights file.
    return _digest_of(path, path.stat().st_mtime_ns)


@cache
def _digest_of(path: Path, _modified: int) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:12]


@cache
def _code_digest() -> str:
    package = Path(detector.__file__).parent
    digest = hashlib.sha256(json.dumps([LOW_CONFIDENCE]).encode())
    for pattern in _PREDICTING:
        for file in sorted(package.glob(f"{pattern}.py")):
            digest.update(file.read_bytes())
    return digest.hexdigest()[:8]
