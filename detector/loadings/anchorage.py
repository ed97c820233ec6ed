"""Zones for several vessels: arrivals that do not wait for each other, thinned by the looks.

Ships arrive at a rate that wanders, stay independently and are seen with the detector's recall: an infinite-server
queue, whose numbers present, seen at both of two looks, and at one of them alone are independent Poisson variables.
Each look is taken given the one before; who is the same ship is summed over all ways to link the two.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from detector.loadings.beliefs import VOLATILITY, VOLATILITY_WEIGHTS, SeeingBelief, StayBelief
from detector.loadings.matchings import log_sums
from detector.loadings.posterior import Posterior, Question, pick, systematic
from detector.loadings.series import ZoneSeries
from detector.loadings.stays import SHAPES, remaining

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_STAYS = 9
_LEVELS = 24
_LEVEL_STEP = 0.3
_SENSITIVITY_DRAWS = 60
_OUTLIERS = 0.02


@dataclass(frozen=True)
class _Cells:
    """Parameters (c,): stay, shape, recall, logarithm of the prior; and levels (g,) of the arrival rate, a day."""

    stay_days: Floats
    shape: Ints
    recall: Floats
    log_prior: Floats
    levels: Floats
    false_rate: float

    def seen_once(self, gap: float) -> Floats:
        """(c, g) mean number of vessels seen at one of two looks and not at the other, false ones included."""
        both = remaining(gap, self.stay_days, self.shape)
        alone = self.recall * (self.stay_days - self.recall * both)
        return np.asarray(alone[:, None] * self.levels + self.false_rate)

    def seen_twice(self, gap: float) -> Floats:
        """(c, g) mean number seen at both."""
        both = self.recall**2 * remaining(gap, self.stay_days, self.shape)
        # After a very long gap nobody is left, but logarithms are taken.
        return np.maximum(both[:, None] * self.levels, 1e-100)

    def seen(self) -> Floats:
        """(c, g) mean number seen at a look."""
        return np.asarray((self.recall * self.stay_days)[:, None] * self.levels + self.false_rate)


def anchorage_posterior(asked: Question, rng: np.random.Generator) -> Posterior:
    """Draws of the visits that began in each span at a zone for several vessels."""
    series, belief, draws = asked.series, asked.belief, asked.draws
    cells = _cells(series, belief, asked.seeing)
    sums = [log_sums(_robust(ratio)) for ratio in series.same_log_ratio]
    likelihood = _likelihood(series, cells, sums)
    filtered, evidence = _filtered(np.diff(series.times), likelihood)
    log_weight = evidence + cells.log_prior + np.log(VOLATILITY_WEIGHTS)[:, None]
    chosen = [_choose(log_weight, draws, rng)]
    for end in (belief.low, belief.high):
        at_end = np.where(np.isclose(cells.stay_days, end), evidence, -np.inf)
        chosen.append(_choose(at_end, _SENSITIVITY_DRAWS, rng))
    volatility, cell = np.divmod(np.concatenate(chosen), len(cells.stay_days))
    level = _sample_levels(np.diff(series.times), filtered, volatility, cell, rng)
    starts = _sample_starts(series, cells, sums, cell, level, asked.spans, rng)
    vessel_days = _sample_vessel_days(series, cells, cell, level, asked.spans, rng)
    low, high = np.split(starts[draws:], 2)
    kept = cell[:draws]
    return Posterior(
        starts=starts[:draws],
        vessel_days=vessel_days[:draws],
        stay_days=cells.stay_days[kept],
        recall=cells.recall[kept],
        shape=int(np.bincount(cells.shape[kept]).argmax()),
        sensitivity=np.stack([low.mean(axis=0), high.mean(axis=0)]),
    )


def _choose(log_weight: Floats, count: int, rng: np.random.Generator) -> Ints:
    return systematic(np.exp(log_weight - log_weight.max()).reshape(-1), count, rng)


def _robust(log_ratio: Floats) -> Floats:
    return np.asarray(np.logaddexp(np.log1p(-_OUTLIERS) + log_ratio, np.log(_OUTLIERS)))


def _cells(series: ZoneSeries, belief: StayBelief, seeing: SeeingBelief) -> _Cells:
    recalls, recall_weights = seeing.recalls()
    # The ends of the belief are there for the sensitivity alone: they have no weight.
    stays = np.concatenate([belief.grid(_STAYS), [belief.low, belief.high]])
    log_prior = np.concatenate([belief.log_weight(stays[:-2]), [-np.inf, -np.inf]])
    stay, shape, recall = (
        x.reshape(-1) for x in np.meshgrid(stays, np.arange(len(SHAPES)), recalls, indexing="ij")
    )
    prior = log_prior[:, None, None] + np.log(recall_weights)
    middle = max(float(series.count.mean()) / (seeing.recall * belief.median), 0.02)
    levels = middle * np.exp(_LEVEL_STEP * (np.arange(_LEVELS) - _LEVELS * 0.6))
    prior = np.broadcast_to(prior, (len(stays), len(SHAPES), len(recalls))).reshape(-1)
    return _Cells(stay, shape.astype(np.int64), recall, prior, levels, seeing.false_rate)


def _likelihood(series: ZoneSeries, cells: _Cells, sums: list[Floats]) -> list[Floats]:
    """(c, g) log likelihood of the first look, and of each later one given the look before."""
    seen = cells.seen()
    out = [series.count[0] * np.log(seen) - seen]
    for (gap, ratio), sums_here in zip(series.steps(), sums, strict=True):
        before, now = ratio.shape
        once, twice = cells.seen_once(gap), cells.seen_twice(gap)
        terms = sums_here + np.arange(len(sums_here)) * (np.log(twice) - 2 * np.log(once))[..., None]
        peak = terms.max(axis=-1, keepdims=True)
        linked = np.log(np.exp(terms - peak).sum(axis=-1)) + peak[..., 0]
        out.append(before * np.log(once / seen) + now * np.log(once) - once + linked)
    return out


def _hop(gap: float, volatility: Floats) -> Floats:
    return np.asarray(np.minimum(volatility**2 * gap / 30 / (2 * _LEVEL_STEP**2), 1 / 3))


def _walk(hop: float) -> Floats:
    """(g, g) one step over the levels, reflected at both ends."""
    matrix = np.diag(np.full(_LEVELS, 1 - 2 * hop)) + hop * (np.eye(_LEVELS, k=1) + np.eye(_LEVELS, k=-1))
    matrix[0, 0] += hop
    matrix[-1, -1] += hop
    return matrix


def _filtered(gaps: Floats, likelihood: list[Floats]) -> tuple[list[Floats], Floats]:
    """Filtered levels (volatility, c, g) after each look, and log evidence (volatility, c)."""
    state = np.full((len(VOLATILITY), *likelihood[0].shape), 1 / _LEVELS)
    evidence, out = np.zeros(state.shape[:2]), []
    for look, log_likelihood in enumerate(likelihood):
        if look:
            state = state @ np.stack([_walk(float(hop)) for hop in _hop(float(gaps[look - 1]), VOLATILITY)])
        peak = log_likelihood.max(axis=-1, keepdims=True)
        state = state * np.exp(log_likelihood - peak)
        norm = state.sum(axis=-1, keepdims=True)
        evidence += (np.log(norm) + peak)[..., 0]
        state = state / norm
        out.append(state)
    return out, evidence


def _sample_levels(
    gaps: Floats, filtered: list[Floats], volatility: Ints, cell: Ints, rng: np.random.Generator
) -> Ints:
    """(looks, d) level at each look, given all looks."""
    level = np.empty((len(filtered), len(cell)), dtype=np.int64)
    level[-1] = pick(filtered[-1][volatility, cell].T, rng.random(len(cell)))
    for look in range(len(filtered) - 2, -1, -1):
        walks = np.stack([_walk(float(hop)) for hop in _hop(float(gaps[look]), VOLATILITY)])
        weight = filtered[look][volatility, cell] * walks[volatility, :, level[look + 1]]
        level[look] = pick(weight.T, rng.random(len(cell)))
    return level


def _sample_starts(
    series: ZoneSeries,
    cells: _Cells,
    sums: list[Floats],
    cell: Ints,
    level: Ints,
    spans: Floats,
    rng: np.random.Generator,
) -> Ints:
    """(d, p) visits that began in each span: seen at the next look, or not."""
    times = np.concatenate([[min(series.start, series.times[0]) - 1e-6], series.times, [np.inf]])
    stay, shape, recall = cells.stay_days[cell], cells.shape[cell], cells.recall[cell]
    starts = np.zeros((len(cell), len(spans)), dtype=np.int64)
    for look in range(len(series) + 1):
        first, last = times[look], times[look + 1]
        inside = np.flatnonzero((spans[:, 0] < last) & (spans[:, 1] > first))
        if not len(inside):
            continue
        rate = cells.levels[level[min(look, len(series) - 1)]]
        begin, end = np.maximum(spans[inside, 0], first), np.minimum(spans[inside, 1], last)
        # Days of arrivals, in each span, of which the ship is still there at the look that ends the gap.
        if np.isfinite(last):
            after = [remaining(last - edge[:, None], stay, shape) for edge in (end, begin)]
            still = after[0] - after[1]
        else:
            still = np.zeros((len(inside), len(cell)))
        unseen = rng.poisson(rate * np.maximum((end - begin)[:, None] - recall * still, 0.0))
        starts[:, inside] += unseen.T
        if look < len(series):
            new, mean = _new_vessels(series, cells, sums, cell, level, look, rng)
            share = np.minimum(rate * recall * still / mean, 1.0)
            left, room = new, np.ones(len(cell))
            for row, span in enumerate(inside):
                took = rng.binomial(left, np.clip(share[row] / np.maximum(room, 1e-12), 0.0, 1.0))
                starts[:, span] += took
                left, room = left - took, room - share[row]
    return starts


def _new_vessels(
    series: ZoneSeries,
    cells: _Cells,
    sums: list[Floats],
    cell: Ints,
    level: Ints,
    look: int,
    rng: np.random.Generator,
) -> tuple[Ints, Floats]:
    """(d,) vessels of a look that are not linked to the look before, and how many were to be expected."""
    if look == 0:
        return np.full(len(cell), series.count[0]), cells.seen()[cell, level[0]]
    gap = float(series.times[look] - series.times[look - 1])
    once, twice = cells.seen_once(gap)[cell, level[look]], cells.seen_twice(gap)[cell, level[look]]
    coefficients = sums[look - 1]
    terms = coefficients + np.arange(len(coefficients)) * np.log(twice / once**2)[:, None]
    links = pick(np.exp(terms - terms.max(axis=1, keepdims=True)).T, rng.random(len(cell)))
    return series.count[look] - links, once


def _sample_vessel_days(
    series: ZoneSeries, cells: _Cells, cell: Ints, level: Ints, spans: Floats, rng: np.random.Generator
) -> Floats:
    """(d, p) vessels present x days: seen and missed ones, between looks along straight lines."""
    recall, stay = cells.recall[cell], cells.stay_days[cell]
    missed = rng.poisson(cells.levels[level] * stay * (1 - recall))
    true = rng.binomial(series.count[:, None], 1 - cells.false_rate / cells.seen()[cell, level])
    present = (true + missed).astype(float)
    edges = np.unique(np.concatenate([spans.reshape(-1), series.times]))
    place = np.clip(np.interp(edges, series.times, np.arange(len(series))), 0, len(series) - 1)
    below = np.minimum(place.astype(int), max(len(series) - 2, 0))
    share = (place - below)[:, None]
    at_edge = present[below] * (1 - share) + present[np.minimum(below + 1, len(series) - 1)] * share
    pieces = (at_edge[1:] + at_edge[:-1]) / 2 * np.diff(edges)[:, None]
    return np.stack([pieces[(edges[:-1] >= a) & (edges[:-1] < b)].sum(axis=0) for a, b in spans], axis=1)
