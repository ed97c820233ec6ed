"""One-to-one assignment of two sets where anything may be left alone: the best one, and probabilities over all of them.

Every pair (row, column) has a weight against leaving both alone; an assignment has the product of its pairs' weights. The
marginals, how probable each pair is among all assignments, are exact where they can be had: by dynamic programming, row
after row, over the subsets of those columns that an earlier row may have taken and a later one could take. That is cheap
for a few members, and for long chains whose members only know their neighbours. For the rest there is
belief propagation, which converges on these graphs, is exact without loops and overconfident within them: Williams and
Lau 2014, Approximate evaluation of marginal association probabilities with belief propagation, IEEE Transactions on
Aerospace and Electronic Systems 50(4), 2942–2959 (arXiv:1209.6299).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

# Pairs under this weight have, each, less than this probability whatever the others do: they bind nothing together.
_NEGLIGIBLE = 1e-6
# Widest set of columns whose subsets are all summed: 4,096 subsets; and one so narrow that no better order is looked for.
_WIDEST, _NARROW = 12, 6
# Logarithms of weights are cut here: products over all subsets stay within what a float holds.
_STRONGEST = 40.0
_ROUNDS = 1000
_TOLERANCE = 1e-7


@dataclass(frozen=True)
class Candidates:
    """Pairs that may be formed; those that are not listed cannot.

    Attributes:
        row, column: (m,) members of each pair; no pair twice.
        log_weight: (m,) logarithm of the weight; -inf where the pair cannot be.
        shape: numbers of rows and of columns.
    """

    row: Ints
    column: Ints
    log_weight: Floats
    shape: tuple[int, int]

    @classmethod
    def dense(cls, log_weight: Floats) -> Candidates:
        """All pairs of a matrix (rows, columns), row by row."""
        rows, columns = log_weight.shape
        row, column = np.divmod(np.arange(rows * columns), max(columns, 1))
        return cls(row, column, np.asarray(log_weight, np.float64).reshape(-1), (rows, columns))

    @property
    def weight(self) -> Floats:
        """(m,) weights; 0 where a pair cannot be."""
        strength = np.minimum(self.log_weight, _STRONGEST)
        return np.where(strength > -_STRONGEST, np.exp(strength), 0.0)

    def part(self, chosen: NDArray[np.int64] | NDArray[np.bool_]) -> Candidates:
        """Some of the pairs, among the same members."""
        return Candidates(self.row[chosen], self.column[chosen], self.log_weight[chosen], self.shape)


@dataclass(frozen=True)
class Marginals:
    """Probabilities over all assignments.

    Attributes:
        pair: (m,) of each pair. row_alone, column_alone: of each row and column to be left alone.
        residual: the largest change in the last round of belief propagation, 0 where it was not needed: above 1e-3 it did
            not settle.
    """

    pair: Floats
    row_alone: Floats
    column_alone: Floats
    residual: float


def best(pairs: Candidates) -> Ints:
    """The pairs (numbers) of the assignment with the largest product of weights, in order of rows."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import min_weight_full_bipartite_matching

    useful = np.flatnonzero(pairs.log_weight > 0)  # a pair against the odds never raises the product
    if not len(useful):
        return useful
    rows, row = np.unique(pairs.row[useful], return_inverse=True)
    columns, column = np.unique(pairs.column[useful], return_inverse=True)
    # Each row has a column of its own, at no gain, for being left alone. The solver takes a missing entry and a weight
    # of zero for the same, so that column weighs 1 and a pair 1 plus its gain.
    own = np.arange(len(rows))
    weights = np.concatenate([1 + pairs.log_weight[useful], np.ones(len(rows))])
    ends = np.concatenate([row, own]), np.concatenate([column, len(columns) + own])
    graph = coo_array((weights, ends), shape=(len(rows), len(columns) + len(rows))).tocsr()
    taken = min_weight_full_bipartite_matching(graph, maximize=True)[1]
    return np.asarray(useful[taken[row] == column])


def marginals(pairs: Candidates) -> Marginals:
    """Probability of every pair over all assignments: exact, but where too many members hang together."""
    near = propagated(pairs)
    pair, residual = near.pair.copy(), 0.0
    listed = np.flatnonzero(pairs.weight > _NEGLIGIBLE)
    for group in _components(pairs.part(listed)):
        some = pairs.part(listed[group])
        members = len(np.unique(some.row)) + len(np.unique(some.column))
        if len(some.row) < members:  # no loop: belief propagation is exact
            continue
        order = _order(some)
        if order is None:
            residual = near.residual
            continue
        pair[listed[group]] = _exact(some, *order)
    return _from_pairs(pairs, pair, residual)


def propagated(pairs: Candidates, rounds: int = _ROUNDS) -> Marginals:
    """The same by belief propagation alone: near, and quick for any number."""
    row, column, weight, (rows, columns) = pairs.row, pairs.column, pairs.weight, pairs.shape
    back, change = np.ones(len(weight)), 0.0
    for _ in range(rounds):
        reach = weight * back
        forth = weight / (1 + np.maximum(np.bincount(row, reach, rows)[row] - reach, 0))
        new = 1 / (1 + np.maximum(np.bincount(column, forth, columns)[column] - forth, 0))
        change = float(np.abs(new - back).max(initial=0.0))
        back = new
        if change < _TOLERANCE:
            break
    reach = weight * back
    return _from_pairs(pairs, reach / (1 + np.bincount(row, reach, rows)[row]), change)


def _from_pairs(pairs: Candidates, pair: Floats, residual: float) -> Marginals:
    row_alone = 1 - np.bincount(pairs.row, pair, pairs.shape[0])
    column_alone = 1 - np.bincount(pairs.column, pair, pairs.shape[1])
    return Marginals(pair, row_alone.clip(0, 1), column_alone.clip(0, 1), residual)


def link_row(state: Floats, axes: Iterable[int], weight: Iterable[float]) -> Floats:
    """One row more in a sum over assignments.

    Args:
        state: shape (2, 2, …), an axis a column: total weight of the assignments of the rows so far, by the columns that
            they take (1) and leave (0).
        axes, weight: columns that the row may take, and the weights of these pairs; it may also be left alone.
    """
    out = state.copy()
    for axis, factor in zip(axes, weight, strict=True):
        out[_at(axis, 1)] += factor * state[_at(axis, 0)]
    return out


def _at(axis: int, index: int) -> tuple[slice | int, ...]:
    return (slice(None),) * axis + (index,)


def _components(pairs: Candidates) -> Iterator[Ints]:
    """Numbers of the pairs of each connected part."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    if not len(pairs.row):
        return
    size = sum(pairs.shape)
    ends = pairs.row, pairs.column + pairs.shape[0]
    graph = coo_array((np.ones(len(pairs.row)), ends), shape=(size, size))
    label = connected_components(graph, directed=False)[1][pairs.row]
    order = np.argsort(label, kind="stable")
    yield from np.split(order, np.flatnonzero(np.diff(label[order])) + 1)


def _order(pairs: Candidates) -> tuple[Ints, Ints] | None:
    """For one connected part: in which place each pair's line is summed, and the pair's member on the other side.

    Lines are rows or columns, in their own order or in one that puts neighbours together, whichever keeps the fewest members
    of the other side open at once; None where these are too many.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import reverse_cuthill_mckee

    row, column = (np.unique(side, return_inverse=True)[1] for side in (pairs.row, pairs.column))
    first = min((row, column), (column, row), key=lambda ends: _width(*ends))
    if _width(*first) <= _NARROW:
        return first
    rows, size = int(row.max()) + 1, int(row.max()) + int(column.max()) + 2
    ends = np.concatenate([row, column + rows]), np.concatenate([column + rows, row])
    graph = coo_array((np.ones(len(ends[0])), ends), shape=(size, size)).tocsr()
    place = np.argsort(reverse_cuthill_mckee(graph, symmetric_mode=True))
    along, across = (np.unique(place[side], return_inverse=True)[1] for side in (row, rows + column))
    found = min(first, (along, column), (across, row), key=lambda ends: _width(*ends))
    return found if _width(*found) <= _WIDEST else None


def _width(order: Ints, other: Ints) -> int:
    """The largest number of members of the other side that are open at once."""
    lines, others = int(order.max()) + 1, int(other.max()) + 1
    first, last = np.full(others, lines), np.full(others, -1)
    np.minimum.at(first, other, order)
    np.maximum.at(last, other, order)
    opened = np.bincount(first, minlength=lines + 1) - np.bincount(last + 1, minlength=lines + 1)
    return int(np.cumsum(opened).max())


def _exact(pairs: Candidates, order: Ints, other: Ints) -> Floats:
    """Marginals of one connected part: sums over all assignments of the lines before and of those after each line."""
    weight, by_line = pairs.weight, np.argsort(order, kind="stable")
    last = np.full(int(other.max()) + 1, -1)
    np.maximum.at(last, other, order)
    state, opened, tape = np.ones(()), list[int](), []
    for line, group in enumerate(np.split(by_line, np.flatnonzero(np.diff(order[by_line])) + 1)):
        before = len(opened)
        for member in other[group].tolist():
            if member not in opened:
                opened.append(member)
                state = np.stack([state, np.zeros_like(state)], axis=-1)
        axes, factors = [opened.index(m) for m in other[group].tolist()], weight[group].tolist()
        closing = tuple(axis for axis, member in enumerate(opened) if last[member] == line)
        tape.append((group, state, axes, factors, closing, before))
        state = link_row(state, axes, factors).sum(axis=closing)
        state = state / state.max()
        opened = [member for member in opened if last[member] != line]
    pair = np.empty(len(weight))
    after = np.ones(())
    for group, state, axes, factors, closing, before in reversed(tape):
        after = np.broadcast_to(np.expand_dims(after, closing), state.shape)
        total = after.copy()
        for axis, factor in zip(axes, factors, strict=True):
            total[_at(axis, 0)] += factor * after[_at(axis, 1)]
        whole = (state * total).sum()
        for number, axis, factor in zip(group.tolist(), axes, factors, strict=True):
            pair[number] = factor * (state[_at(axis, 0)] * after[_at(axis, 1)]).sum() / whole
        after = total[(...,) + (0,) * (total.ndim - before)]
        after = after / after.max()
    return pair
