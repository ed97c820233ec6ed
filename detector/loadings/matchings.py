"""Ways in which the vessels of two looks can be the same ships: sums over one-to-one links.

Exact for few vessels, by dynamic programming over subsets; for many by belief propagation (Huang and Jebara 2009,
arXiv:0908.1769; Vontobel 2013, IEEE Trans. Inf. Theory 59, 1866, of the permanent, the sum over full matchings).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_EXACT = 8
_ROUNDS = 60


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
    rows, columns = log_weights.shape
    subsets = np.arange(1 << columns)
    size = (
        np.bitwise_count(subsets)
        if hasattr(np, "bitwise_count")
        else np.array([int(s).bit_count() for s in subsets])
    )
    total, scale = np.zeros(len(subsets)), 0.0
    total[0] = 1.0
    factors = np.exp(log_weights)
    for row in range(rows):
        added = total.copy()
        for column in range(columns):
            bit = 1 << column
            free = subsets[(subsets & bit) == 0]
            added[free | bit] += factors[row, column] * total[free]
        peak = added.max()
        total, scale = added / peak, scale + np.log(peak)
    sums = np.bincount(size, weights=total, minlength=columns + 1)
    with np.errstate(divide="ignore"):
        return np.asarray(np.log(sums) + scale)


def _bethe(log_weights: Floats) -> Floats:
    """Partition function at many fugacities, then the saddle point for each number of links."""
    most = log_weights.shape[1]
    fugacity = np.linspace(-18.0, 18.0, 73)
    partition, links = np.array([_propagated(log_weights + z) for z in fugacity]).T
    links = np.maximum.accumulate(links + np.arange(len(links)) * 1e-9)
    number = np.arange(1, most)
    saddle = np.interp(number, links, fugacity)
    variance = np.interp(saddle, fugacity, np.maximum(np.gradient(links, fugacity), 1e-3))
    middle = np.interp(saddle, fugacity, partition) - number * saddle - np.log(2 * np.pi * variance) / 2
    # At the far end nearly all weight lies on the largest matchings.
    full = partition[-1] - most * fugacity[-1]
    return np.concatenate([[0.0], middle, [full]])


def _propagated(log_weights: Floats) -> tuple[float, float]:
    """Bethe value of the log partition function, and the mean number of links."""
    weights = np.exp(np.clip(log_weights, -50, 50))
    back = np.ones_like(weights)
    for _ in range(_ROUNDS):
        reach = weights * back
        forth = weights / (1 + reach.sum(axis=1, keepdims=True) - reach)
        back = 0.5 * back + 0.5 / (1 + forth.sum(axis=0) - forth)
    reach = weights * back
    linked = np.clip(reach / (1 + reach.sum(axis=1, keepdims=True)), 1e-300, 1 - 1e-12)
    alone_rows = np.clip(1 - linked.sum(axis=1), 1e-12, 1.0)
    alone_columns = np.clip(1 - linked.sum(axis=0), 1e-12, 1.0)
    energy = (linked * np.log(weights)).sum()
    entropy = (-linked * np.log(linked) + (1 - linked) * np.log1p(-linked)).sum()
    entropy -= (alone_rows * np.log(alone_rows)).sum() + (alone_columns * np.log(alone_columns)).sum()
    return float(energy + entropy), float(linked.sum())
