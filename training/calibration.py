"""Making a confidence of 0.8 mean that 80 % of such detections are vessels, and measuring how far it does.

A map from the network's confidence to a probability (`detector.calibration`) is fitted on detections that networks made on
places they had not seen. The map never falls, so it changes no order and no figure but the confidence itself.

The map is a beta calibration (Kull, Silva Filho & Flach, AISTATS 2017, and Electronic Journal of Statistics 11(2), 2017):
``logit(p) = a ln(s) - b ln(1 - s) + c`` with a and b not below 0. It has three parameters, holds the identity, and is
fitted to a few hundred detections without the steps of isotonic regression.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from detector.calibration import Table, apply, inverse
from training.scores import Floats, Matched, pool

BINS = 10
"""Bins of equal width from 0 to 1 of the reliability curve and of the ECE."""
_KNOTS = (0.0, 0.01, 0.02, 0.03, 0.05, 0.075, *np.round(np.arange(0.1, 0.951, 0.05), 2).tolist(), 0.975, 0.99, 1.0)
_EDGE = 1e-4
_PRIOR = 0.01
FEWEST = 20
"""Detections, hits and false alarms together, below which no map is fitted."""


def fit(confidence: ArrayLike, hit: ArrayLike) -> Table | None:
    """The table of a beta calibration.

    Args:
        confidence: (n,) of detections on places that the network has not seen.
        hit: (n,) whether each is a vessel.

    Returns:
        None for fewer than `FEWEST` detections, or all of one kind: nothing can be learnt from them.
    """
    from scipy.optimize import minimize

    s, y = np.asarray(confidence, float), np.asarray(hit, bool)
    if len(s) < FEWEST or y.all() or not y.any():
        return None
    first, second = _logs(s)
    sign = np.where(y, 1.0, -1.0)

    def loss(parameters: Floats) -> tuple[float, Floats]:
        a, b, c = parameters
        margin = sign * (a * first + b * second + c)
        slope = -sign / (1 + np.exp(np.clip(margin, -500, 500))) / len(s)
        # A pull towards the identity, worth a hundredth of the data, keeps few or separable data from running away.
        away = parameters - np.array([1.0, 1.0, 0.0])
        value = np.logaddexp(0, -margin).mean() + _PRIOR / 2 * (away**2).sum()
        return float(value), np.array([slope @ first, slope @ second, slope.sum()]) + _PRIOR * away

    bounds = [(0, None), (0, None), (None, None)]
    found = minimize(loss, np.array([1.0, 1.0, 0.0]), jac=True, method="L-BFGS-B", bounds=bounds)
    knots = np.array(_KNOTS)
    first, second = _logs(knots)
    p = 1 / (1 + np.exp(-(found.x[0] * first + found.x[1] * second + found.x[2])))
    return [[float(x), float(v)] for x, v in zip(knots, np.maximum.accumulate(p.round(4)), strict=True)]


def _logs(s: Floats) -> tuple[Floats, Floats]:
    inside = np.clip(s, _EDGE, 1 - _EDGE)
    return np.log(inside), -np.log1p(-inside)


def reliability(confidence: Floats, hit: NDArray[np.bool_], *, bins: int = BINS) -> dict[str, Any]:
    """Reliability curve and expected calibration error (Guo et al., ICML 2017) over bins of equal width.

    Few detections give an ECE above 0 even where every confidence is right; `floor` is the mean ECE that as many hits drawn
    with exactly these confidences would show.
    """
    index = np.minimum((confidence * bins).astype(int), bins - 1)
    n = np.bincount(index, minlength=bins)

    def means(values: Floats) -> Floats:
        return np.bincount(index, weights=values, minlength=bins) / np.maximum(n, 1)

    claimed, true = means(confidence), means(hit.astype(float))
    total = max(len(confidence), 1)
    rng = np.random.default_rng(0)
    drawn = [means((rng.random(len(confidence)) < confidence).astype(float)) for _ in range(200)]
    floor = float(np.mean([(n * np.abs(d - claimed)).sum() / total for d in drawn]))
    rows = [
        {"low": i / bins, "high": (i + 1) / bins, "n": int(n[i]), "confidence": round(float(claimed[i]), 4),
         "vessels": round(float(true[i]), 4)}
        for i in range(bins) if n[i]
    ]  # fmt: skip
    ece = float((n * np.abs(true - claimed)).sum() / total)
    return {"n": len(confidence), "ece": ece if len(confidence) else None, "floor": floor, "bins": rows}


def fit_on(places: Sequence[Matched]) -> Table | None:
    """A table fitted on all counted detections of some places."""
    everything = pool(places)
    counted = everything.counted
    return fit(everything.confidence[counted], everything.hit[counted])


def cross_fit(places: Mapping[str, Matched], teaches: Callable[[str, str], bool]) -> dict[str, Table | None]:
    """For each place a table fitted on the other places that may teach it: ``teaches(other, place)``."""
    return {
        place: fit_on([m for other, m in places.items() if other != place and teaches(other, place)])
        for place in places
    }


def summary(places: Mapping[str, Matched], fold_of: Mapping[str, str], thresholds: Mapping[str, float]) -> dict[str, Any]:
    """How far confidence can be trusted: as the networks give it, and calibrated without the place that is judged.

    Args:
        places: matched scenes by place.
        fold_of: the fold, that is the network, that each place is left out of.
        thresholds: of each place, of the raw confidence; `shown` are the detections at or above it.

    Returns:
        `raw`; `cross_fold` (map from the places of other networks; the state of a network whose own map cannot be known);
        `cross_place` (map from other places of the same network); each with `all` and `shown`, or None where a place has no
        other to learn from. `networks`: the map of each network. `table`: the map from everything, to ship.
    """
    several = len({fold_of[place] for place in places}) > 1
    maps: dict[str, dict[str, Table | None] | None] = {
        "raw": None,
        "cross_fold": cross_fit(places, lambda a, b: fold_of[a] != fold_of[b]) if several else None,
        "cross_place": cross_fit(places, lambda a, b: fold_of[a] == fold_of[b]),
    }
    out: dict[str, Any] = {"bins": BINS}
    for name, tables in maps.items():
        usable = name == "raw" or (tables is not None and all(t is not None for t in tables.values()))
        out[name] = _reliabilities(places, tables or {}, thresholds) if usable else None
    out["networks"] = {fold: _network(places, fold_of, fold) for fold in sorted({fold_of[p] for p in places})}
    out["table"] = fit_on(list(places.values()))
    return out


def _reliabilities(
    places: Mapping[str, Matched], tables: Mapping[str, Table | None], thresholds: Mapping[str, float]
) -> dict[str, Any]:
    raw, calibrated, hit, shown = [], [], [], []
    for place, m in places.items():
        counted = m.counted
        raw.append(m.confidence[counted])
        calibrated.append(apply(tables.get(place), raw[-1]))
        hit.append(m.hit[counted])
        shown.append(raw[-1] >= thresholds[place])
    confidence, true, above = np.concatenate(calibrated), np.concatenate(hit), np.concatenate(shown)
    return {"all": reliability(confidence, true), "shown": reliability(confidence[above], true[above])}


def _network(places: Mapping[str, Matched], fold_of: Mapping[str, str], fold: str) -> dict[str, Any]:
    mine = [m for place, m in places.items() if fold_of[place] == fold]
    table, everything = fit_on(mine), pool(mine)
    counted = everything.counted
    return {
        "places": len(mine), "detections": int(counted.sum()), "vessels": int(everything.hit[counted].sum()),
        "table": table, "half": None if table is None else round(inverse(table, 0.5), 3),
    }  # fmt: skip
