"""From matched scenes to numbers: precision, recall, F1, lengths, axes, thresholds and their uncertainty."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.matching import (
    IGNORED,
    Match,
    SceneBoxes,
    average_precision,
    axis_error,
    long_side,
    match_by_distance,
    match_by_overlap,
)

RADII_M = (150, 50)
AXIS_DEG = 10.0
DEFAULT_THRESHOLD = 0.25
"""Where there are no labels to choose one on."""
GRID = np.round(np.arange(0.02, 0.96, 0.01), 2)
"""Thresholds that are tried."""


@dataclass
class Matched:
    """What one scene, or several pooled, say at every threshold; all arrays are (detections,).

    Attributes:
        labels: how many vessels there were to find.
        confidence: of the detections.
        near: for each radius of `RADII_M`, the label of each detection.
        overlap: the label by overlap of 0.5.
        length_error: claimed minus labelled length in metres, NaN where there is no label within 150 m.
        axis: angle between claimed and labelled axis in degrees, likewise.
    """

    labels: int
    confidence: NDArray[np.float64]
    near: dict[int, Match]
    overlap: Match
    length_error: NDArray[np.float64]
    axis: NDArray[np.float64]


def match_scene(boxes: SceneBoxes) -> Matched:
    """Match a scene in every way that is reported."""
    near = {radius: match_by_distance(boxes, radius) for radius in RADII_M}
    length, heading = long_side(boxes.labels)
    length_error, axis = np.full((2, len(boxes.boxes)), np.nan)
    hit = near[RADII_M[0]] >= 0
    label = near[RADII_M[0]][hit]
    length_error[hit] = boxes.length_m[hit] - length[label]
    axis[hit] = axis_error(boxes.heading_deg[hit], heading[label])
    return Matched(len(boxes.labels), boxes.confidence, near, match_by_overlap(boxes), length_error, axis)


def pool(parts: Sequence[Matched]) -> Matched:
    """Several scenes as one; label numbers are no longer unique, only whether there is a label matters."""
    empty = Matched(0, np.zeros(0), dict.fromkeys(RADII_M, np.zeros(0, int)), np.zeros(0, int), *np.zeros((2, 0)))
    parts = [empty, *parts]
    return Matched(
        sum(part.labels for part in parts),
        np.concatenate([part.confidence for part in parts]),
        {radius: np.concatenate([part.near[radius] for part in parts]) for radius in RADII_M},
        np.concatenate([part.overlap for part in parts]),
        np.concatenate([part.length_error for part in parts]),
        np.concatenate([part.axis for part in parts]),
    )


@dataclass(frozen=True)
class Counts:
    """Hits, false alarms and misses."""

    tp: int
    fp: int
    fn: int

    @property
    def precision(self) -> float:
        """Share of the counted detections that are vessels; NaN without any."""
        return self.tp / (self.tp + self.fp) if self.tp + self.fp else float("nan")

    @property
    def recall(self) -> float:
        """Share of the vessels that were found; NaN without any."""
        return self.tp / (self.tp + self.fn) if self.tp + self.fn else float("nan")

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall; NaN where nothing was there and nothing found."""
        total = 2 * self.tp + self.fp + self.fn
        return 2 * self.tp / total if total else float("nan")


def count(matched: Matched, threshold: float | NDArray[np.float64], radius: int) -> Counts:
    """Hits and misses of the detections at or above a threshold (one number, or one a detection)."""
    shown = matched.near[radius][matched.confidence >= threshold]
    tp = int((shown >= 0).sum())
    return Counts(tp, int(((shown < 0) & (shown != IGNORED)).sum()), matched.labels - tp)


def best_threshold(matched: Matched) -> float:
    """The threshold of largest F1 at 150 m; the middle one where several are equally good."""
    f1 = np.array([count(matched, t, RADII_M[0]).f1 for t in GRID])
    if not matched.labels or not np.nanmax(f1) > 0:
        return DEFAULT_THRESHOLD
    best = np.flatnonzero(f1 >= np.nanmax(f1) - 1e-12)
    return float(GRID[best[len(best) // 2]])


def cross_fit_thresholds(places: Mapping[str, Matched], fold_of: Mapping[str, str]) -> dict[str, float]:
    """For each fold the threshold chosen on the places of all other folds, so that no place judges itself."""
    folds = sorted({fold_of[place] for place in places})
    return {
        fold: best_threshold(pool([m for place, m in places.items() if fold_of[place] != fold])) for fold in folds
    }


def row(matched: Matched, threshold: float | NDArray[np.float64]) -> dict[str, Any]:
    """Everything reported of a place at a threshold, as plain JSON types; None where it is undefined."""
    out: dict[str, Any] = {"labels": matched.labels}
    for radius in RADII_M:
        c = count(matched, threshold, radius)
        if radius == RADII_M[0]:
            out |= {"tp": c.tp, "fp": c.fp, "fn": c.fn}
        out |= {f"precision_{radius}": c.precision, f"recall_{radius}": c.recall, f"f1_{radius}": c.f1}
    shown = (matched.confidence >= threshold) & (matched.near[RADII_M[0]] >= 0)
    error, axis = matched.length_error[shown], matched.axis[shown]
    out |= {
        "ap50": average_precision(matched.overlap, matched.confidence, matched.labels),
        "length_bias_m": float(error.mean()) if len(error) else None,
        "length_mae_m": float(np.abs(error).mean()) if len(error) else None,
        "axis_within_10": float((axis <= AXIS_DEG).mean()) if len(axis) else None,
    }
    return {k: None if isinstance(v, float) and not np.isfinite(v) else v for k, v in out.items()}


def bootstrap_f1(
    places: Mapping[str, Matched], thresholds: Mapping[str, float], *, resamples: int = 2000, seed: int = 0
) -> tuple[float, float]:
    """95 % interval of the pooled F1 at 150 m, places drawn anew with replacement (percentile bootstrap).

    It says how much the result depends on which ports were looked at; thresholds are kept.
    """
    counts = [count(m, thresholds[place], RADII_M[0]) for place, m in places.items()]
    table = np.array([[c.tp, c.fp, c.fn] for c in counts]).reshape(-1, 3)
    if not len(table):
        return float("nan"), float("nan")
    drawn = np.random.default_rng(seed).integers(len(table), size=(resamples, len(table)))
    tp, fp, fn = table[drawn].sum(axis=1).T
    f1 = 2 * tp / np.maximum(2 * tp + fp + fn, 1)
    low, high = np.percentile(f1, [2.5, 97.5])
    return float(low), float(high)


def curve(matched: Matched) -> list[dict[str, float | None]]:
    """Precision, recall and F1 at 150 m over the thresholds, every 0.05."""
    out: list[dict[str, float | None]] = []
    for t in GRID[np.isclose((GRID * 20) % 1, 0) | np.isclose((GRID * 20) % 1, 1)]:
        c = count(matched, float(t), RADII_M[0])
        values = {"threshold": float(t), "precision": c.precision, "recall": c.recall, "f1": c.f1}
        out.append({k: v if np.isfinite(v) else None for k, v in values.items()})
    return out
