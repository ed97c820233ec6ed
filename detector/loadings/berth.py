"""One berth as a hidden Markov chain in continuous time: the forward filter and the sampling of its past.

Hidden are whether a ship is there, the phase of its stay, whether it is the ship seen last, and the level of
the arrival rate, which wanders. Looks come at any times; a cloudy period is one long step. Filter and sampler
are the textbook ones (Rabiner 1989, Proc. IEEE 77, 257; Frühwirth-Schnatter 1994, J. Time Ser. Anal. 15, 183).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from detector.loadings.posterior import pick
from detector.loadings.stays import LEVEL_STEP, LEVELS, MOST_TICKS, PHASES, TICK, StayTables

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

# States: empty; occupied by the ship seen last; occupied by another. Three phases each.
_EMPTY, _SAME, _OTHER = 0, 1, 1 + PHASES
_STATES = 1 + 2 * PHASES
UNSEEN = -1
# Share of pairs whose measurements are far worse than their stated errors (a hull cut by cloud, a rafted
# barge): one bad length must not prove that a ship left.
_OUTLIERS = 0.02
# Added to each state after a look: it changes nothing and keeps numbers out of the range where processors are slow.
_TINY = 1e-25


@dataclass(frozen=True)
class Nodes:
    """Times at which something is seen or counted, in ticks, and the steps between them.

    Attributes:
        tick: (n,) time in ticks. step: (n,) ticks since the node before (0 for the first).
        seen: (n,) 1 a ship, 0 none, -1 no look. ratio: (n,) same ship against another, as a factor.
    """

    tick: Ints
    step: Ints
    seen: Ints
    ratio: Floats

    def __len__(self) -> int:
        return len(self.tick)

    def part(self, start: int, end: int) -> Nodes:
        """The nodes from start to end; the first keeps its step from the node before."""
        cut = slice(start, end)
        return Nodes(self.tick[cut], self.step[cut], self.seen[cut], self.ratio[cut])


def make_nodes(times: Floats, seen: Ints, log_ratio: Floats, edges: Floats) -> Nodes:
    """Nodes at all looks and edges (days), and in between so that no step is longer than MOST_TICKS."""
    look_ticks, edge_ticks = np.rint(times / TICK).astype(int), np.rint(edges / TICK).astype(int)
    ticks = np.concatenate([look_ticks, np.setdiff1d(edge_ticks, look_ticks)])
    values = np.concatenate([seen, np.full(len(ticks) - len(seen), UNSEEN)])
    logs = np.concatenate([log_ratio, np.zeros(len(ticks) - len(seen))])
    order = np.argsort(ticks, kind="stable")
    fill = [
        np.rint(np.linspace(a, b, -(-(b - a) // MOST_TICKS) + 1)[1:-1]).astype(int)
        for a, b in zip(ticks[order][:-1], ticks[order][1:], strict=True)
    ]
    extra = np.concatenate([np.empty(0, dtype=int), *fill])
    ticks = np.concatenate([ticks[order], extra])
    values = np.concatenate([values[order], np.full(len(extra), UNSEEN)])
    logs = np.concatenate([logs[order], np.zeros(len(extra))])
    order = np.argsort(ticks, kind="stable")
    ticks = ticks[order].astype(np.int64)
    ratio = np.logaddexp(np.log1p(-_OUTLIERS) + logs[order], np.log(_OUTLIERS))
    return Nodes(ticks, np.diff(ticks, prepend=ticks[:1]), values[order].astype(np.int64), np.exp(ratio))


@dataclass(frozen=True)
class Cells:
    """A table of parameters: rows x columns, each column with the stay of that number.

    Attributes:
        tables: transition probabilities of the J stays.
        stay: (C,) index into the stays, for each column.
        volatility, recall, false_rate: broadcastable to (rows, C). Volatility: standard deviation of the
            logarithm of the arrival rate after 30 days.
    """

    tables: StayTables
    stay: Ints
    volatility: Floats
    recall: Floats
    false_rate: Floats

    @property
    def shape(self) -> tuple[int, int]:
        shapes = [np.shape(x) for x in (self.volatility, self.recall, self.false_rate)]
        rows, columns = np.broadcast_shapes(*shapes, (1, len(self.stay)))
        return rows, columns

    def part(self, rows: Ints, columns: Ints) -> Cells:
        """Some rows and columns."""
        some = (x[rows] if len(x) > 1 else x for x in (self.volatility, self.recall, self.false_rate))
        some = (x[:, columns] if x.shape[1] > 1 else x for x in some)
        return Cells(self.tables.part(self.stay[columns]), np.arange(len(columns)), *some)

    def tiled(self, value: Floats) -> Floats:
        """(rows, levels x columns), columns fastest, or less where numpy broadcasts; as precise as the tables."""
        wide = np.tile(value, (1, len(LEVELS))) if value.shape[1] > 1 else value
        return wide.astype(self.tables.total.dtype)

    def table_columns(self) -> Ints:
        """(levels x columns,) index into the last axis of the tables."""
        levels = np.arange(len(LEVELS))[:, None] * len(self.tables.mean_days)
        return np.asarray((levels + self.stay).reshape(-1))

    def hop(self) -> Floats:
        """Probability, for a step of one tick, to go up (or down) one level."""
        return np.asarray(self.volatility**2 * TICK / 30 / (2 * LEVEL_STEP**2))


def forward(
    nodes: Nodes, cells: Cells, *, state: Floats | None = None, keep: bool = False
) -> tuple[Floats, Floats, list[NDArray[np.float32]]]:
    """Filter the nodes.

    Args:
        state: where to go on from; None begins with the long-run state at any level.
        keep: also return the state at each node.

    Returns:
        Log evidence (rows, columns); state (7, rows, levels x columns) at the last node; states at each node.
    """
    rows, columns = cells.shape
    index = cells.table_columns()
    everything = np.array_equal(index, np.arange(cells.tables.total.shape[-1]))
    hop, recall, false = cells.tiled(cells.hop()), cells.tiled(cells.recall), cells.tiled(cells.false_rate)
    if state is None:
        state = np.zeros((_STATES, rows, len(LEVELS) * columns), dtype=cells.tables.total.dtype)
        stationary = cells.tables.stationary[:, index] / len(LEVELS)
        state[_EMPTY], state[_OTHER:] = stationary[0], stationary[1:, None]
    evidence, kept = np.zeros((rows, columns)), []
    moves: dict[int, tuple[Floats, Floats, Floats]] = {}  # gaps repeat: overpasses come by the calendar
    for step, seen, ratio in zip(nodes.step.tolist(), nodes.seen.tolist(), nodes.ratio.tolist(), strict=True):
        if step:
            if step not in moves:
                total, same = cells.tables.total[step], cells.tables.same[step]
                if not everything:
                    total, same = total.take(index, axis=-1), same.take(index, axis=-1)
                moves[step] = total, same, hop[:, -columns:] * step
            total, same, hops = moves[step]
            state = _wander(_advance(state, total, same), hops)
        if seen != UNSEEN:
            state = _observe(state, seen, ratio, recall, false)
            norm = state.sum(axis=0).reshape(rows, len(LEVELS), columns).sum(axis=1)
            evidence += np.log(norm)
            state *= np.tile(1 / norm, (1, len(LEVELS)))
            state += _TINY
        if keep:
            kept.append(state.astype(np.float32))
    return evidence, state, kept


def _advance(state: Floats, total: Floats, same: Floats) -> Floats:
    moved = np.empty_like(state)
    source = state[: 1 + PHASES].copy()
    source[1:] += state[_OTHER:]
    whole = np.einsum("iac,ijc->jac", source, total)
    moved[_EMPTY] = whole[0]
    moved[_SAME:_OTHER] = np.einsum("iac,ijc->jac", state[_SAME:_OTHER], same)
    np.subtract(whole[1:], moved[_SAME:_OTHER], out=moved[_OTHER:])
    np.maximum(moved[_OTHER:], 0.0, out=moved[_OTHER:])
    return moved


def _wander(state: Floats, hop: Floats) -> Floats:
    """One step of a random walk over the levels, reflected at both ends; the state is changed in place."""
    levels = state.reshape(len(state), state.shape[1], len(LEVELS), -1)
    flow = np.diff(levels, axis=2)
    flow *= hop[:, None]
    levels[:, :, :-1] += flow
    levels[:, :, 1:] -= flow
    return state


def _observe(state: Floats, seen: int, ratio: float, recall: Floats, false: Floats) -> Floats:
    if not seen:
        state[_EMPTY] *= 1 - false
        state[_SAME:] *= 1 - recall
        return state
    state[_EMPTY] *= false
    # From now on the ship that is there is the one seen last.
    state[_SAME:_OTHER] = (state[_SAME:_OTHER] * ratio + state[_OTHER:]) * recall
    state[_OTHER:] = 0.0
    return state


def sample_starts(
    nodes: Nodes,
    cells: Cells,
    filtered: list[NDArray[np.float32]],
    column: Ints,
    rng: np.random.Generator,
) -> tuple[Ints, Ints]:
    """Visits that began in each step, and states: draws of the past given all looks.

    Args:
        cells: of one row. filtered: what `forward` kept. column: (d,) the parameters of each draw.

    Returns:
        (d, n) int starts since the node before (0 at the first), and (d, n) whether a ship is there at each node.
    """
    levels, columns, count = len(LEVELS), len(cells.stay), len(column)
    # Arrays end with the draws. From every level there are three it may have come from.
    around: Ints = np.clip(np.arange(levels) + np.array([[-1], [0], [1]]), 0, levels - 1)
    places = around[..., None] * columns + column
    entries = around[..., None] * len(cells.tables.mean_days) + cells.stay[column]
    size, rows = cells.tables.total.shape[-1], np.arange(count)
    last = filtered[-1].reshape(_STATES, levels, columns)[:, :, column]
    state, level = np.divmod(pick(last.reshape(-1, count), rng.random(count)), levels)
    record = np.zeros((4, len(nodes), count), dtype=np.int64)
    present = np.zeros((len(nodes), count), dtype=np.int64)
    present[-1] = state > 0
    walks = _Walks(np.broadcast_to(cells.hop(), cells.shape)[0][column])
    for node in range(len(nodes) - 1, 0, -1):
        step = int(nodes.step[node])
        place, entry = places[:, level, rows], entries[:, level, rows]
        prior = filtered[node - 1].reshape(_STATES, -1).take(place, axis=1) * walks.at(step)[:, level, rows]
        target = np.where(state >= _OTHER, state - PHASES, state)
        phase = np.maximum(target - 1, 0)
        total = cells.tables.total[step].reshape(PHASES + 1, -1).take(target * size + entry, axis=1)
        same = cells.tables.same[step].reshape(PHASES, -1).take(phase * size + entry, axis=1)
        same *= target > 0
        kept_ship, any_ship = _link(state, nodes.seen[node], float(nodes.ratio[node]))
        stayed = prior[_SAME:_OTHER] * same * kept_ship
        prior *= any_ship
        weight = np.empty((_STATES, 3, count))
        np.multiply(prior[_EMPTY], total[0], out=weight[_EMPTY])
        np.multiply(prior[_OTHER:], total[1:], out=weight[_OTHER:])
        replaced = np.maximum(total[1:] - same, 0.0)
        np.add(stayed, prior[_SAME:_OTHER] * replaced, out=weight[_SAME:_OTHER])
        state, choice = np.divmod(pick(weight.reshape(-1, count), rng.random(count)), 3)
        level = around[choice, level]
        ours = (state > 0) & (state < _OTHER)
        chance = stayed[np.maximum(state - 1, 0) % PHASES, choice, rows] / weight[state, choice, rows]
        # 0: any number began. 1: none, the ship stayed. 2: at least one.
        rule = np.where(ours & (target > 0), np.where(rng.random(count) < chance, 1, 2), 0)
        record[0, node] = np.where(state >= _OTHER, state - PHASES, state)
        record[1, node], record[2, node], record[3, node] = target, entry[choice, rows], rule
        present[node - 1] = state > 0
    return _counts(nodes, cells.tables, record, rng), present.T


class _Walks:
    """Probabilities to have come from the level below, the same and the one above, by the length of the step."""

    def __init__(self, hops: Floats) -> None:
        self._hops, self._known = hops, dict[int, Floats]()

    def at(self, step: int) -> Floats:
        """(3, levels, draws); at the ends the walk is reflected."""
        if step not in self._known:
            hop = self._hops * step
            walk = np.repeat(np.stack([hop, 1 - 2 * hop, hop])[:, None], len(LEVELS), axis=1)
            walk[1, 0], walk[1, -1] = 1 - hop, 1 - hop
            walk[0, 0], walk[2, -1] = 0.0, 0.0
            self._known[step] = walk
        return self._known[step]


def _link(state: Ints, seen: int, ratio: float) -> tuple[Floats, Floats]:
    """Factors for `the ship stayed` and for everything else, by the state after the look."""
    if seen == 1:
        return np.where(state > 0, ratio, 0.0), np.ones(len(state))
    same = (state > 0) & (state < _OTHER)
    return same.astype(float), (~same).astype(float)


def _counts(nodes: Nodes, tables: StayTables, record: Ints, rng: np.random.Generator) -> Ints:
    """Number of starts in each step given the states at both ends."""
    starts = np.zeros(record.shape[1:], dtype=np.int64)
    for step in np.unique(nodes.step[1:]):
        at = np.flatnonzero(nodes.step == step)
        at = at[at > 0]
        origin, target, column, rule = (part.reshape(-1) for part in record[:, at])
        uniform, open_ = rng.random(len(rule)), np.flatnonzero(rule != 1)  # none began where the ship stayed
        # Draws share their parameters, and steps their ends.
        sizes = PHASES + 1, PHASES + 1, tables.total.shape[-1], 3
        case = np.ravel_multi_index((origin[open_], target[open_], column[open_], rule[open_]), sizes)
        cases, which = np.unique(case, return_inverse=True)
        *ends, ruled = np.unravel_index(cases, sizes)
        weight = tables.started(int(step), *ends)
        weight[ruled == 2, 0] = 0.0
        cumulated = np.cumsum(weight, axis=1)
        number = np.zeros(len(rule), dtype=np.int64)
        level = uniform[open_] * cumulated[which, -1]
        number[open_] = (cumulated[which] < level[:, None]).sum(axis=1)
        starts[at] = number.reshape(len(at), -1)
    return starts.T
