"""Ways in which the vessels of two looks can be the same ships: sums over one-to-one links, by their number.

Exact for few vessels, over subsets; for many by belief propagation (Huang and Jebara 2009, arXiv:0908.1769; Vontobel
2013, IEEE Trans. Inf. Theory 59, 1866, of the permanent, the sum over full matchings).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from detector.assignment import Candidates, link_row, propagated

Floats = NDArray[np.float64]

_EXACT = 12  # beyond, the subsets cost more than belief propagation
_ROUNDS = 100
_FUGACITY = np.linspace(-18.0, 18.0, 73)
_CAP = 50.0


def log_sums(log_ratio: Floats) -> Floats:
    """Logarithms of c[k], k = 0..min(a, b): the sum over all ways to link k pairs of the product of their ratios.

    Args:
        log_ratio: (a, b).
    """
    weights = log_ratio if log_ratio.shape[0] >= log_ratio.shape[1] else log_ratio.T
    if not weights.size:
        return np.zeros(1)
    return _exact(weights) if weights.shape[1] <= _EXACT else _bethe(weights)


def _exact(log_weights: Floats) -> Floats:
    columns = log_weights.shape[1]
    state, scale = np.zeros((2,) * columns), 0.0
    state[(0,) * columns] = 1.0
    for factors in np.exp(log_weights).tolist():
        state = link_row(state, range(columns), factors)
        peak = state.max()
        state, scale = state / peak, scale + np.log(peak)
    links = np.indices(state.shape).sum(axis=0)
    sums = np.bincount(links.reshape(-1), weights=state.reshape(-1), minlength=columns + 1)
    with np.errstate(divide="ignore"):
        return np.asarray(np.log(sums) + scale)


def _bethe(log_weights: Floats) -> Floats:
    """Partition function at many fugacities, then the saddle point for each number of links."""
    most = log_weights.shape[1]
    partition, links = _propagated(log_weights)
    links = np.maximum.accumulate(links + np.arange(len(links)) * 1e-9)
    number = np.arange(1, most)
    saddle = np.interp(number, links, _FUGACITY)
    variance = np.interp(saddle, _FUGACITY, np.maximum(np.gradient(links, _FUGACITY), 1e-3))
    middle = np.interp(saddle, _FUGACITY, partition) - number * saddle - np.log(2 * np.pi * variance) / 2
    # At the far end nearly all weight lies on the largest matchings.
    full = partition[-1] - most * _FUGACITY[-1]
    return np.concatenate([[0.0], middle, [full]])


def _propagated(log_weights: Floats) -> tuple[Floats, Floats]:
    """Bethe value of the log partition function, and the mean number of links, at each fugacity."""
    rows, columns = log_weights.shape
    raised = (log_weights + _FUGACITY[:, None, None]).clip(-_CAP, _CAP)
    # All fugacities in one graph, of as many parts that do not know each other.
    block = np.arange(len(_FUGACITY))[:, None, None]
    row, column = np.broadcast_arrays(
        block * rows + np.arange(rows)[:, None], block * columns + np.arange(columns)
    )
    shape = len(_FUGACITY) * rows, len(_FUGACITY) * columns
    found = propagated(Candidates(row.ravel(), column.ravel(), raised.ravel(), shape), rounds=_ROUNDS)
    linked = found.pair.reshape(raised.shape).clip(1e-300, 1 - 1e-12)
    value = (linked * (raised - np.log(linked)) + (1 - linked) * np.log1p(-linked)).sum(axis=(1, 2))
    for alone in (found.row_alone, found.column_alone):
        share = alone.reshape(len(_FUGACITY), -1).clip(1e-12, 1.0)
        value -= (share * np.log(share)).sum(axis=1)
    return value, linked.sum(axis=(1, 2))
