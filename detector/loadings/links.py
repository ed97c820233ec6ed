"""Links: which sighting is the next of the same ship, found for the whole series of a zone at once.

Every sighting has at most one sighting before it and one after it in its visit, so a set of visits is a path
cover of the sightings, and the most probable one is a maximum-weight bipartite matching (each sighting as a
predecessor against each as a successor). It is found exactly for the whole series; nothing is linked
greedily. A link may pass over looks in which the ship was missed. Association as one matching or network flow:
Zhang, Li and Nevatia, Global data association for multi-object tracking using network flows, CVPR 2008.

The probability of each link is its marginal over all ways to link, by belief propagation on the same graph,
which always converges: the single-scan case reviewed in Williams and Lau, Multiple scan data association by
convex variational inference, arXiv:1607.07942.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from detector.loadings.beliefs import StayBelief
from detector.loadings.identity import Identity
from detector.loadings.tables import ZoneLooks

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

#: Usable looks in which a ship that is there may be missed in a row.
MOST_MISSED = 2
_UNLIKELY = -9.0  # log odds; pairs below them, all together, would not move a probability


@dataclass(frozen=True)
class Links:
    """Which sighting follows which.

    Attributes:
        after: (n,) the next sighting of the same visit, -1 where it is the last.
        probability: (n,) of that link; of there being no next one where it is the last.
        began: (n,) probability that a sighting is the first of its ship.
    """

    after: Ints
    probability: Floats
    began: Floats

    def chains(self) -> list[list[int]]:
        """Sightings of each visit, in order; visits in order of their first."""
        first = np.ones(len(self.after), bool)
        first[self.after[self.after >= 0]] = False
        chains = []
        for start in np.flatnonzero(first).tolist():
            chain = [start]
            while (following := int(self.after[chain[-1]])) >= 0:
                chain.append(following)
            chains.append(chain)
        return chains


@dataclass(frozen=True)
class Pairs:
    """Sightings that could be neighbours in a visit.

    Attributes:
        one, other: (m,) indices of the earlier and the later sighting.
        gap: (m,) days between them.
        missed: (m,) usable looks between them.
        log_ratio: (m,) of one ship against two (`Identity.log_ratio`).
    """

    one: Ints
    other: Ints
    gap: Floats
    missed: Ints
    log_ratio: Floats


def pairs_of(looks: ZoneLooks, identity: Identity) -> Pairs:
    """Every pair with at most MOST_MISSED usable looks between."""
    # Looks by number of usable looks up to them: a miss can only be counted where there was a fair look.
    rank = np.cumsum(looks.usable)
    bounds = np.searchsorted(looks.look, np.arange(len(looks.times) + 1))  # vessels are in order of looks
    seen = np.flatnonzero(np.diff(bounds)).tolist()
    blocks = []
    for position, i in enumerate(seen):
        for j in seen[position + 1 :]:
            between = int(rank[j - 1] - rank[i])
            if between > MOST_MISSED:
                break
            here, there = np.meshgrid(
                np.arange(bounds[i], bounds[i + 1]), np.arange(bounds[j], bounds[j + 1]), indexing="ij"
            )
            blocks.append(np.stack([here.ravel(), there.ravel(), np.full(here.size, between)]))
    one, other, missed = np.concatenate(blocks, axis=1) if blocks else np.zeros((3, 0), np.int64)
    gap = looks.times[looks.look[other]] - looks.times[looks.look[one]]
    return Pairs(one, other, gap, missed, identity.log_ratio(one, other))


def link(looks: ZoneLooks, pairs: Pairs, stay_days: float, recall: float) -> Links:
    """The most probable visits.

    Args:
        stay_days: mean stay.
        recall: chance that a vessel that is there is seen in a usable look.
    """
    n = len(looks.look)
    one, other, log_odds = _likely(pairs, stay_days, recall, _present(looks, recall))
    after = _matching(n, one, other, log_odds)
    marginal, probability, began = _marginals(n, one, other, np.exp(np.clip(log_odds, -40, 40)))
    chosen = after[one] == other
    probability[one[chosen]] = marginal[chosen]
    return Links(after, probability, began)


def fit_stay(looks: ZoneLooks, pairs: Pairs, recall: float) -> float:
    """Mean stay in days that agrees with the links, under the belief of the site file or the default one.

    Expectation-maximisation: the expected number of ships that were still there at the next usable look, from
    the marginals, then the most probable stay given those numbers, until it moves no more. Visits do not take
    the stay of the estimate, so that they are there, and the same, where it is refused or its periods change.
    """
    belief = StayBelief.of(looks.zone.stay_days)
    grid = belief.grid(41)
    stay = belief.median
    n, present = len(looks.look), _present(looks, recall)
    next_look = _next_usable(looks)
    at_risk = looks.usable[looks.look] & (next_look[looks.look] >= 0)
    gap = looks.times[next_look[looks.look[at_risk]]] - looks.times[looks.look[at_risk]]
    stayed = recall * np.exp(-gap[:, None] / grid)
    for _ in range(20):
        one, other, log_odds = _likely(pairs, stay, recall, present)
        marginal, _, _ = _marginals(n, one, other, np.exp(np.clip(log_odds, -40, 40)))
        to_next = looks.look[other] == next_look[looks.look[one]]
        again = np.bincount(one[to_next], marginal[to_next], n)[at_risk].clip(0, 1)[:, None]
        likelihood = (again * np.log(stayed) + (1 - again) * np.log1p(-stayed)).sum(axis=0)
        best = float(grid[np.argmax(likelihood + belief.log_weight(grid))])
        if best == stay:
            break
        stay = best
    return stay


def _next_usable(looks: ZoneLooks) -> Ints:
    """For each look, the next usable one; -1 where there is none."""
    following = np.full(len(looks.times), -1, np.int64)
    later = -1
    for look in range(len(looks.times) - 1, -1, -1):
        following[look] = later
        if looks.usable[look]:
            later = look
    return following


def _likely(pairs: Pairs, stay_days: float, recall: float, present: float) -> tuple[Ints, Ints, Floats]:
    """Pairs that are worth a thought, and the log odds of each.

    The odds weigh "it stayed, was missed in the looks between and seen again" against "it was not seen again,
    and the other is one of the ships that came since": of the mean number of ships present, the share
    1 - exp(-gap/stay) is new after the gap. Stays are taken as exponential here; the estimate has a better model
    of them, but a link is decided by much more than the form of that tail.
    """
    stayed = np.exp(-pairs.gap / stay_days)
    again = np.maximum(stayed * recall, 1e-30)
    odds = np.log(again / (1 - again)) + pairs.missed * np.log(1 - recall)
    odds += pairs.log_ratio - np.log(np.maximum(present * (1 - stayed), 1e-6))
    likely = odds > _UNLIKELY
    return pairs.one[likely], pairs.other[likely], odds[likely]


def _present(looks: ZoneLooks, recall: float) -> float:
    """Mean number of vessels in the zone."""
    usable = max(int(looks.usable.sum()), 1)
    seen = int(looks.usable[looks.look].sum())
    return float(np.clip((seen + 0.5) / (usable * recall), 0.05, looks.zone.capacity))


def _matching(n: int, one: Ints, other: Ints, log_odds: Floats) -> Ints:
    """The successor of each sighting, -1 for none, with the largest sum of log odds."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import min_weight_full_bipartite_matching

    after = np.full(n, -1, np.int64)
    good = log_odds > 0  # a link against the odds never raises the sum
    if not good.any():
        return after
    starts, row = np.unique(one[good], return_inverse=True)
    ends, column = np.unique(other[good], return_inverse=True)
    # Each start has a column of its own, at no gain, for "no successor". The solver takes a missing entry and a
    # weight of zero for the same, so that column weighs 1 and a link 1 plus its gain.
    own = np.arange(len(starts))
    weights = np.concatenate([1 + log_odds[good], np.ones(len(starts))])
    graph = coo_matrix(
        (weights, (np.concatenate([row, own]), np.concatenate([column, len(ends) + own]))),
        shape=(len(starts), len(ends) + len(starts)),
    ).tocsr()
    rows, columns = min_weight_full_bipartite_matching(graph, maximize=True)
    linked = columns < len(ends)
    after[starts[rows[linked]]] = ends[columns[linked]]
    return after


def _marginals(n: int, one: Ints, other: Ints, odds: Floats) -> tuple[Floats, Floats, Floats]:
    """Marginal probability of each link, of no successor and of no predecessor, by belief propagation."""
    down = np.ones(len(odds))
    for _ in range(200):
        offered = odds * down
        up = odds / (1 + np.bincount(one, offered, n)[one] - offered)
        new = 1 / (1 + np.bincount(other, up, n)[other] - up)
        change = np.abs(new - down).max(initial=0.0)
        down = new
        if change < 1e-6:
            break
    offered = odds * down
    ended = 1 / (1 + np.bincount(one, offered, n))
    marginal = offered * ended[one]
    up = odds / (1 + np.bincount(one, offered, n)[one] - offered)
    began = 1 / (1 + np.bincount(other, up, n))
    return marginal, ended, began
