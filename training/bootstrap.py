"""How much a result depends on which ports were looked at."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.matching import IGNORED
from training.scores import AXIS_DEG, LONG_M, RADII_M, Matched, count, errors, pool

LEVEL = 0.95
RESAMPLES = 1000


def intervals(
    places: Mapping[str, Matched],
    thresholds: Mapping[str, float],
    *,
    ap50: bool = True,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> dict[str, list[float] | None]:
    """95 % intervals of the pooled figures, whole places drawn anew with replacement (percentile bootstrap).

    Vessels of one port share haze, quays and labeller, so ports are what is drawn (the cluster bootstrap: Davison & Hinkley,
    Bootstrap Methods and their Application, 1997, section 3.8). Thresholds are kept. Below some ten places such intervals
    are too narrow.

    Args:
        places: matched scenes by place.
        thresholds: of each place.
        ap50: also of AP50, which takes most of the time.
        resamples, seed: of the drawing.

    Returns:
        by figure, with the names of `scores.row`: [low, high], or None where it is undefined.
    """
    names = list(places)
    if not names:
        return {}
    weights = np.random.default_rng(seed).multinomial(len(names), np.full(len(names), 1 / len(names)), size=resamples)
    out: dict[str, NDArray[np.float64]] = {}

    def total(values: list[float]) -> NDArray[np.float64]:
        return np.asarray(weights @ np.asarray(values, float))

    with np.errstate(invalid="ignore", divide="ignore"):
        for radius in RADII_M:
            counts = [count(places[p], thresholds[p], radius) for p in names]
            tp, fp, fn = (total([getattr(c, kind) for c in counts]) for kind in ("tp", "fp", "fn"))
            out |= {f"precision_{radius}": tp / (tp + fp), f"recall_{radius}": tp / (tp + fn)}
            out[f"f1_{radius}"] = 2 * tp / (2 * tp + fp + fn)
            if radius == RADII_M[0]:
                area = total([places[p].area_km2 for p in names])
                out["false_per_100km2"] = np.where(area > 0, 100 * fp / area, np.nan)
        for suffix, least in (("", 0.0), ("_60", LONG_M)):
            found = [errors(places[p], thresholds[p], least) for p in names]
            n = total([len(length) for length, _ in found])
            out[f"length_bias{suffix}_m"] = total([length.sum() for length, _ in found]) / n
            out[f"length_mae{suffix}_m"] = total([np.abs(length).sum() for length, _ in found]) / n
            out[f"axis_within_10{suffix}"] = total([(axis <= AXIS_DEG).sum() for _, axis in found]) / n
    if ap50:
        out["ap50"] = _average_precision(places, weights)
    return {name: _interval(values) for name, values in out.items()}


def _average_precision(places: Mapping[str, Matched], weights: NDArray[np.int64]) -> NDArray[np.float64]:
    """AP50 of every resample: each place counts as often as it was drawn."""
    everything = pool(list(places.values()))
    owner = np.repeat(np.arange(len(places)), [len(m.confidence) for m in places.values()])
    kept = np.flatnonzero(everything.overlap != IGNORED)
    kept = kept[np.argsort(-everything.confidence[kept], kind="stable")]
    hit, owner = everything.overlap[kept] >= 0, owner[kept]
    labels = weights @ np.array([m.labels for m in places.values()])
    out = np.full(len(weights), np.nan)
    for number, drawn in enumerate(weights):
        times = drawn[owner]
        hits = np.cumsum(times * hit)
        if labels[number]:
            precision = hits / np.maximum(np.cumsum(times), 1)
            envelope = np.maximum.accumulate(precision[::-1])[::-1]
            out[number] = np.sum(np.diff(hits, prepend=0) * envelope) / labels[number]
    return out


def _interval(values: NDArray[np.float64]) -> list[float] | None:
    values = values[np.isfinite(values)]
    if not len(values):
        return None
    low, high = np.percentile(values, [50 * (1 - LEVEL), 50 * (1 + LEVEL)])
    return [float(low), float(high)]


def coverage(places: Mapping[str, Matched]) -> dict[str, Any]:
    """What the intervals are drawn over, for the report."""
    return {"level": LEVEL, "over": "places", "places": len(places), "resamples": RESAMPLES}
