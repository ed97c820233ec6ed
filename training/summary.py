"""All numbers of an evaluation on one set of labels, as plain JSON types."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from detector.calibration import apply
from detector.errors import ConfigError
from training import bootstrap, calibration, curves
from training.matching import average_precision
from training.scores import (
    RADII_M,
    SPREAD,
    Floats,
    Matched,
    best_threshold,
    count,
    cross_fit_thresholds,
    pool,
    row,
)
from training.slices import SLICES, definition, part

_OF_SLICE = ("f1_150", "precision_150", "recall_150", "false_per_100km2")


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
    if not places:
        raise ConfigError("no labelled scene could be predicted; check --data, --runs and the bands of the scenes")
    fitted = thresholds is None
    if thresholds is None:
        thresholds = cross_fit_thresholds(places, fold_of)
    everything = pool(list(places.values()))
    matches = {**{f"within_{r}_m": everything.near[r] for r in RADII_M}, "overlap_50": everything.overlap}
    if single is None:
        single = best_threshold(list(places.values()))
    of_place = {place: thresholds[fold_of[place]] for place in places}
    each = _each(places, of_place)
    once = dict.fromkeys(places, single)
    return {
        "thresholds": {"cross_fit": dict(thresholds), "single": single},
        "places": {p: {"threshold": of_place[p], **row(m, of_place[p])} for p, m in places.items()},
        "pooled": row(everything, each),
        "intervals": bootstrap.intervals(places, of_place),
        "pooled_at_single": row(everything, single),
        "intervals_at_single": bootstrap.intervals(places, once),
        "bootstrap": bootstrap.coverage(places),
        "slices": slices(places, of_place),
        "slices_at_single": slices(places, once),
        "slice_definition": definition(),
        "curves": {k: curves.listed(match, everything.confidence, everything.labels) for k, match in matches.items()},
        "calibration": calibration.summary(places, fold_of, of_place),
        "transfer": transfer(places, fold_of, of_place) if fitted else None,
    }


def _each(places: Mapping[str, Matched], of_place: Mapping[str, float]) -> Floats:
    """The threshold of each detection, in the order of the pooled places."""
    return np.concatenate([np.full(len(m.confidence), of_place[place]) for place, m in places.items()])


def slices(places: Mapping[str, Matched], of_place: Mapping[str, float]) -> list[dict[str, Any]]:
    """Figures of each slice over all places, with intervals; AP50 ranks the detections of all places together."""
    out = []
    for one in SLICES:
        parts = {place: part(m, one) for place, m in places.items()}
        everything, drawn = pool(list(parts.values())), bootstrap.intervals(parts, of_place, ap50=False)
        out.append(
            {"kind": one.kind, "name": one.name, "places": sum(m.labels > 0 for m in parts.values()),
             **row(everything, _each(parts, of_place)), "intervals": {key: drawn[key] for key in _OF_SLICE}}
        )  # fmt: skip
    return out


def transfer(places: Mapping[str, Matched], fold_of: Mapping[str, str], chosen: Mapping[str, float]) -> dict[str, Any]:
    """What choosing a threshold elsewhere costs: pooled F1 at 150 m with thresholds chosen in different ways.

    `other_networks`: on the places of the other folds (what is reported). `same_network`: on the other places of the same
    fold. `one`: one threshold for all, chosen on all. `best_of_network`, `best_of_place`: chosen on what they are judged on,
    so no result but the most that a better choice could gain. `ap50_calibrated`: AP50 after each place's confidence was
    calibrated by the other places of its own network, `ap50` without.
    """
    ways: dict[str, dict[str, float]] = {
        "other_networks": dict(chosen),
        "same_network": {p: _chosen_on(places, [q for q in places if q != p and fold_of[q] == fold_of[p]]) for p in places},
        "one": {p: _chosen_on(places, list(places)) for p in places},
        "best_of_network": {p: _chosen_on(places, [q for q in places if fold_of[q] == fold_of[p]], 0) for p in places},
        "best_of_place": {p: _chosen_on(places, [p], 0) for p in places},
    }
    everything = pool(list(places.values()))
    out: dict[str, Any] = {
        f"f1_150_{way}": count(everything, _each(places, of_place), RADII_M[0]).f1 for way, of_place in ways.items()
    }
    tables = calibration.cross_fit(places, lambda a, b: fold_of[a] == fold_of[b])
    calibrated = np.concatenate([apply(tables[p], m.confidence) for p, m in places.items()])
    return out | {
        "ap50": average_precision(everything.overlap, everything.confidence, everything.labels),
        "ap50_calibrated": average_precision(everything.overlap, calibrated, everything.labels),
    }


def _chosen_on(places: Mapping[str, Matched], names: Sequence[str], spread: int = SPREAD) -> float:
    return best_threshold([places[name] for name in names], spread)
