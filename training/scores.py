"""From matched scenes to numbers: precision, recall, F1, lengths, axes, thresholds and their uncertainty."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter1d

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
LONG_M = 60.0
"""Length and axis are also reported of vessels from this length on: shorter ones are a few pixels."""
DEFAULT_THRESHOLD = 0.25
"""Where there are no labels to choose one on."""
GRID = np.round(np.arange(0.02, 0.96, 0.01), 2)
"""Thresholds that are tried."""
SPREAD = 5
"""Thresholds to either side that F1 is averaged with before the best is taken."""

Floats = NDArray[np.float64]
Threshold = float | Floats


@dataclass
class Matched:
    """What one scene, or several pooled, say at every threshold.

    Attributes:
        confidence, length_m, heading_deg, shore_m: (detections,) what is claimed, and the distance to land (inf: far off;
            NaN: not known).
        near: for each radius of `RADII_M`, (detections,) the label of each detection.
        overlap: (detections,) the label by overlap of 0.5.
        label_length_m, label_heading_deg, label_shore_m: (labels,) the same of the labels.
        water_km2: area of water by shore class; empty where it is not known.
    """

    confidence: Floats
    near: dict[int, Match]
    overlap: Match
    length_m: Floats
    heading_deg: Floats
    shore_m: Floats
    label_length_m: Floats
    label_heading_deg: Floats
    label_shore_m: Floats
    water_km2: dict[str, float] = field(default_factory=dict)

    @property
    def labels(self) -> int:
        """How many vessels there were to find."""
        return len(self.label_length_m)

    @property
    def area_km2(self) -> float:
        """Water in all; NaN where it is not known."""
        return sum(self.water_km2.values()) if self.water_km2 else float("nan")

    @property
    def counted(self) -> NDArray[np.bool_]:
        """(detections,) hits and false alarms, that is without those on ignore areas."""
        return np.asarray(self.near[RADII_M[0]] != IGNORED)

    @property
    def hit(self) -> NDArray[np.bool_]:
        """(detections,) whether each is a labelled vessel, within 150 m."""
        return np.asarray(self.near[RADII_M[0]] >= 0)


def match_scene(
    boxes: SceneBoxes,
    shore_m: Floats | None = None,
    label_shore_m: Floats | None = None,
    water_km2: Mapping[str, float] | None = None,
) -> Matched:
    """Match a scene in every way that is reported; distances to land and areas are as in `Matched`."""
    length, heading = long_side(boxes.labels)
    unknown = np.full(len(boxes.boxes), np.nan)
    return Matched(
        boxes.confidence, {radius: match_by_distance(boxes, radius) for radius in RADII_M}, match_by_overlap(boxes),
        boxes.length_m, boxes.heading_deg, unknown if shore_m is None else shore_m,
        length, heading, np.full(len(length), np.nan) if label_shore_m is None else label_shore_m, dict(water_km2 or {}),
    )  # fmt: skip


def pool(parts: Sequence[Matched]) -> Matched:
    """Several scenes as one; labels are numbered on."""
    none = np.zeros(0)
    unmatched = none.astype(int)
    nothing = Matched(none, dict.fromkeys(RADII_M, unmatched), unmatched, none, none, none, none, none, none)
    parts = [nothing, *parts]
    first = np.cumsum([0] + [part.labels for part in parts])

    def joined(name: str) -> Floats:
        return np.concatenate([getattr(part, name) for part in parts])

    def numbered(matches: Sequence[Match]) -> Match:
        return np.concatenate([np.where(m >= 0, m + start, m) for m, start in zip(matches, first, strict=False)])

    water: dict[str, float] = {}
    for part in parts[1:]:
        for name, area in part.water_km2.items():
            water[name] = water.get(name, 0.0) + area
    return Matched(
        joined("confidence"), {r: numbered([part.near[r] for part in parts]) for r in RADII_M},
        numbered([part.overlap for part in parts]), joined("length_m"), joined("heading_deg"), joined("shore_m"),
        joined("label_length_m"), joined("label_heading_deg"), joined("label_shore_m"), water,
    )  # fmt: skip


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


def count(matched: Matched, threshold: Threshold, radius: int) -> Counts:
    """Hits and misses of the detections at or above a threshold (one number, or one a detection)."""
    shown = matched.near[radius][matched.confidence >= threshold]
    tp = int((shown >= 0).sum())
    return Counts(tp, int(((shown < 0) & (shown != IGNORED)).sum()), matched.labels - tp)


def best_threshold(places: Sequence[Matched], spread: int = SPREAD) -> float:
    """The threshold of largest mean over places of F1 at 150 m; the middle one where several are equally good.

    The mean, not the pool: one place with many vessels, or with many false alarms, must not choose for all. F1 over a few
    places is a staircase whose highest step is chance, so it is averaged over neighbours first.

    Args:
        places: matched scenes by place.
        spread: of how many thresholds to either side; 0 gives the largest F1 itself.
    """
    labelled = [place for place in places if place.labels]
    if not labelled:
        return DEFAULT_THRESHOLD
    f1 = np.array([[count(place, t, RADII_M[0]).f1 for t in GRID] for place in labelled]).mean(axis=0)
    if not f1.max() > 0:
        return DEFAULT_THRESHOLD
    smooth = uniform_filter1d(f1, 2 * spread + 1, mode="nearest")
    best = np.flatnonzero(smooth >= smooth.max() - 1e-12)
    return float(GRID[best[len(best) // 2]])


def cross_fit_thresholds(places: Mapping[str, Matched], fold_of: Mapping[str, str]) -> dict[str, float]:
    """For each fold the threshold chosen on the places of all other folds, so that no place judges itself."""
    folds = sorted({fold_of[place] for place in places})
    return {
        fold: best_threshold([m for place, m in places.items() if fold_of[place] != fold]) for fold in folds
    }


def errors(matched: Matched, threshold: Threshold, least_m: float = 0.0) -> tuple[Floats, Floats]:
    """Claimed minus labelled length in metres, and angle between the axes in degrees, of the vessels found.

    Args:
        matched: one scene or several.
        threshold: of the confidence.
        least_m: only vessels labelled at least this long.
    """
    shown = (matched.confidence >= threshold) & matched.hit
    label = matched.near[RADII_M[0]][shown]
    long = matched.label_length_m[label] >= least_m
    length = matched.length_m[shown] - matched.label_length_m[label]
    return length[long], axis_error(matched.heading_deg[shown], matched.label_heading_deg[label])[long]


def row(matched: Matched, threshold: Threshold) -> dict[str, Any]:
    """Everything reported of a place at a threshold, as plain JSON types; None where it is undefined."""
    out: dict[str, Any] = {"labels": matched.labels}
    for radius in RADII_M:
        c = count(matched, threshold, radius)
        if radius == RADII_M[0]:
            area = matched.area_km2
            out |= {"tp": c.tp, "fp": c.fp, "fn": c.fn, "water_km2": area}
            out["false_per_100km2"] = 100 * c.fp / area if area > 0 else None
        out |= {f"precision_{radius}": c.precision, f"recall_{radius}": c.recall, f"f1_{radius}": c.f1}
    out["ap50"] = average_precision(matched.overlap, matched.confidence, matched.labels)
    for suffix, least in (("", 0.0), ("_60", LONG_M)):
        error, axis = errors(matched, threshold, least)
        some = len(error) > 0
        out |= {
            f"length_bias{suffix}_m": float(error.mean()) if some else None,
            f"length_mae{suffix}_m": float(np.abs(error).mean()) if some else None,
            f"axis_within_10{suffix}": float((axis <= AXIS_DEG).mean()) if some else None,
        }
    return {k: None if isinstance(v, float) and not np.isfinite(v) else v for k, v in out.items()}
