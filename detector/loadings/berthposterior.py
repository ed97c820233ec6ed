"""Parameters of one berth on a grid, and draws of the visits that began."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from detector.loadings.beliefs import VOLATILITY, VOLATILITY_WEIGHTS, SeeingBelief, StayBelief
from detector.loadings.berth import Cells, Nodes, forward, make_nodes, sample_starts
from detector.loadings.posterior import Posterior, Question, systematic
from detector.loadings.stays import SHAPES, TICK, stay_tables

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_STAYS = 7
_SENSITIVITY_DRAWS = 40
# Draws share this many sets of parameters.
_SETS = 80
_A_SET = 4
# Rows and columns less likely than the best by this (a factor of 8,000) are given up; looked at after so many nodes.
_NEGLIGIBLE, _CHUNK = 9.0, 40
_PLACING = 300


@dataclass(frozen=True)
class _Grid:
    """Parameters of every cell, flat, and the logarithm of prior x likelihood."""

    stay_days: Floats
    shape: Ints
    volatility: Floats
    recall: Floats
    false_rate: Floats
    log_weight: Floats

    @property
    def weight(self) -> Floats:
        return np.asarray(np.exp(self.log_weight - self.log_weight.max()))


def berth_posterior(asked: Question, rng: np.random.Generator) -> Posterior:
    """Draws of the visits that began in each span at a berth for one ship."""
    series, belief, seeing, spans, draws = asked.series, asked.belief, asked.seeing, asked.spans, asked.draws
    edges = np.concatenate([[series.start, series.end], spans.reshape(-1)])
    seen = np.minimum(series.count, 1)
    nodes = make_nodes(series.times, seen, series.berth_log_ratio(), edges)
    # The beginning of a long series is enough to place the grid of stays.
    long = len(nodes) > 1.5 * _PLACING
    grid = _evaluated(nodes.part(0, _PLACING) if long else nodes, belief.grid(_STAYS), belief, seeing)
    finer = _finer_stays(grid)
    if finer is not None or long:
        grid = _evaluated(nodes, belief.grid(_STAYS) if finer is None else finer, belief, seeing)
    chosen = np.sort(np.resize(systematic(grid.weight, min(draws, _SETS), rng), draws))
    ends = [_at_stay(grid, end, _SENSITIVITY_DRAWS, rng) for end in (belief.low, belief.high)]
    parameters = np.concatenate([_parameters(grid)[:, chosen], *ends], axis=1)
    unique, column = np.unique(parameters, axis=1, return_inverse=True)
    starts, present = _drawn(nodes, unique, column.reshape(-1), rng)
    ticks = np.rint(spans / TICK).astype(int)
    per_span = np.stack(
        [starts[:, (nodes.tick > a) & (nodes.tick <= b)].sum(axis=1) for a, b in ticks], axis=1
    )
    occupied = np.concatenate([np.zeros((len(starts), 1)), (present[:, 1:] + present[:, :-1]) / 2], axis=1)
    ship_days = occupied * nodes.step * TICK
    vessel_days = np.stack(
        [ship_days[:, (nodes.tick > a) & (nodes.tick <= b)].sum(axis=1) for a, b in ticks], axis=1
    )
    low, high = np.split(per_span[draws:], 2)
    return Posterior(
        starts=per_span[:draws],
        vessel_days=vessel_days[:draws],
        stay_days=parameters[0, :draws],
        recall=parameters[3, :draws],
        shape=int(np.bincount(parameters[1, :draws].astype(int)).argmax()),
        sensitivity=np.stack([low.mean(axis=0), high.mean(axis=0)]),
    )


def _evaluated(nodes: Nodes, stay_days: Floats, belief: StayBelief, seeing: SeeingBelief) -> _Grid:
    """Log prior x likelihood of volatility x recall x false rate (rows) and stay x shape (columns)."""
    rows = [
        (v, r, f, np.log(weight))
        for v, weight in zip(VOLATILITY, VOLATILITY_WEIGHTS, strict=True)
        for r, f in zip(*seeing.points(), strict=True)
    ]
    volatility, recall, false_rate, log_prior = np.array(rows).T[:, :, None]
    stay = np.tile(stay_days, len(SHAPES))
    shape = np.repeat(np.arange(len(SHAPES)), len(stay_days))
    tables = stay_tables(stay, shape, most_ticks=int(nodes.step.max()), single=True)
    cells = Cells(tables, np.arange(len(stay)), volatility, recall, false_rate)
    log_weight = _log_weight(nodes, cells, log_prior + belief.log_weight(stay))
    volatility, recall, false_rate = (
        np.broadcast_to(x, log_weight.shape).reshape(-1) for x in (volatility, recall, false_rate)
    )
    stay, shape = np.tile(stay, len(rows)), np.tile(shape, len(rows))
    return _Grid(stay, shape, volatility, recall, false_rate, log_weight.reshape(-1))


def _log_weight(nodes: Nodes, cells: Cells, log_prior: Floats) -> Floats:
    """Log prior x likelihood (rows, columns). Rows and columns that the looks have ruled out are given up early."""
    log_weight, state = log_prior.copy(), None
    rows, columns = (np.arange(size) for size in cells.shape)
    for first in range(0, len(nodes), _CHUNK):
        evidence, state, _ = forward(nodes.part(first, first + _CHUNK), cells, state=state)
        log_weight[np.ix_(rows, columns)] += evidence
        here = log_weight[np.ix_(rows, columns)]
        alive = here > here.max() - _NEGLIGIBLE
        some, others = np.flatnonzero(alive.any(axis=1)), np.flatnonzero(alive.any(axis=0))
        if len(some) < len(rows) or len(others) < len(columns):
            state = state.reshape(len(state), len(rows), -1, len(columns))[:, some][..., others]
            state = state.reshape(len(state), len(some), -1)
            rows, columns, cells = rows[some], columns[others], cells.part(some, others)
    lost = np.full(log_weight.shape, -np.inf)
    lost[np.ix_(rows, columns)] = log_weight[np.ix_(rows, columns)]
    return lost


def _finer_stays(grid: _Grid) -> Floats | None:
    """A grid of stays around the bulk of the posterior, where that is narrow against the grid's spacing."""
    logs = np.log(grid.stay_days)
    mean = np.average(logs, weights=grid.weight)
    spread = float(np.sqrt(np.average((logs - mean) ** 2, weights=grid.weight)))
    spacing = float(np.diff(np.unique(np.round(logs, 9))).max())
    if spread > 0.5 * spacing:
        return None
    half = 3.0 * max(spread, spacing / 4)
    return np.asarray(np.exp(np.linspace(mean - half, mean + half, _STAYS)))


def _parameters(grid: _Grid) -> Floats:
    return np.stack([grid.stay_days, grid.shape, grid.volatility, grid.recall, grid.false_rate])


def _at_stay(grid: _Grid, stay_days: float, draws: int, rng: np.random.Generator) -> Floats:
    """Parameters drawn from the cells whose stay is nearest to the one asked for, with that stay."""
    distance = np.where(np.isfinite(grid.log_weight), np.abs(np.log(grid.stay_days / stay_days)), np.inf)
    near = np.flatnonzero(distance < distance.min() + 1e-9)
    weight = np.exp(grid.log_weight[near] - grid.log_weight[near].max())
    parameters = _parameters(grid)[:, near[systematic(weight, draws, rng)]]
    parameters[0] = stay_days
    return parameters[:, np.arange(draws) // _A_SET * _A_SET]


def _drawn(nodes: Nodes, unique: Floats, column: Ints, rng: np.random.Generator) -> tuple[Ints, Ints]:
    stays, stay = np.unique(unique[:2], axis=1, return_inverse=True)
    tables = stay_tables(stays[0], stays[1].astype(np.int64), most_ticks=int(nodes.step.max()), counted=True)
    volatility, recall, false_rate = unique[2:, None, :]
    cells = Cells(tables, stay.reshape(-1), volatility, recall, false_rate)
    _, _, filtered = forward(nodes, cells, keep=True)
    return sample_starts(nodes, cells, filtered, column, rng)
