"""Links: which sighting is the next of the same ship, found for the whole series of a zone at once.

Every sighting has at most one sighting before it and one after it in its visit, so a set of visits is a path
cover of the sightings, and the most probable one is a maximum-weight bipartite matching (each sighting as a
predecessor against each as a successor). It is found exactly for the whole series; nothing is linked
greedily. A link may pass over looks in which the ship was missed. Association as one matching or network flow:
Zhang, Li and Nevatia, Global data association for multi-object tracking using network flows, CVPR 2008.

The probability of each link is its marginal over all ways to link (detector/assignment.py).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from detector.assignment import Candidates, best, marginals, propagated
from detector.loadings.beliefs import StayBelief
from detector.loadings.identity import Identity
from detector.loadings.stays import SHAPES, remaining
from detector.loadings.tables import ZoneLooks

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

#: Usable looks in which a ship that is there may be missed in a row.
MOST_MISSED = 2
_UNLIKELY = -9.0  # log odds; pairs below them, all together, would not move a probability
# Nothing is linked over a gap that fewer ships than this outlast, even if their mean stay is the longest that is believed.
_NEVER = 1e-6
# Kind of stays: the uneven ones, whose tail is the longest (coefficient of variation 0.82).
_KIND = len(SHAPES) - 1


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
    """Every pair with at most MOST_MISSED usable looks between, and not too long apart for any believable stay."""
    # Looks by number of usable looks up to them: a miss can only be counted where there was a fair look. Where no look is
    # usable, only the stay ends a visit.
    rank, longest = np.cumsum(looks.usable), _longest_gap(looks)
    bounds = np.searchsorted(looks.look, np.arange(len(looks.times) + 1))  # vessels are in order of looks
    seen = np.flatnonzero(np.diff(bounds)).tolist()
    blocks = []
    for position, i in enumerate(seen):
        for j in seen[position + 1 :]:
            between = int(rank[j - 1] - rank[i])
            if between > MOST_MISSED or looks.times[j] - looks.times[i] > longest:
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
    likely = _likely(pairs, n, stay_days, recall, _present(looks, recall))
    chosen, found = best(likely), marginals(likely)
    after, probability = np.full(n, -1, np.int64), found.row_alone.copy()
    after[likely.row[chosen]] = likely.column[chosen]
    probability[likely.row[chosen]] = found.pair[chosen]
    return Links(after, probability, found.column_alone)


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
    stayed = recall * still_there(gap[:, None], grid)
    for _ in range(20):
        likely = _likely(pairs, n, stay, recall, present)
        marginal = propagated(likely).pair  # near is enough for a sum over all links
        to_next = looks.look[likely.column] == next_look[looks.look[likely.row]]
        again = np.bincount(likely.row[to_next], marginal[to_next], n)[at_risk].clip(0, 1)[:, None]
        likelihood = (again * np.log(stayed) + (1 - again) * np.log1p(-stayed)).sum(axis=0)
        likeliest = float(grid[np.argmax(likelihood + belief.log_weight(grid))])
        if likeliest == stay:
            break
        stay = likeliest
    return stay


def still_there(gap: Floats, stay_days: Floats | float) -> Floats:
    """Chance that a ship seen now is there after a gap, days: the rest of its stay is longer (arguments broadcast).

    Of the stays of the estimate, which end much sooner than exponential ones of the same mean: the chance of a gap of ten
    mean stays is 9e-8 and not 5e-5.
    """
    there = remaining(gap, np.asarray(stay_days, float), np.asarray(_KIND)) / stay_days
    return np.maximum(there, 1e-30)  # logarithms are taken


def _longest_gap(looks: ZoneLooks) -> float:
    """Days after which no ship is thought to be still there, whatever its zone's mean stay."""
    stay_days = StayBelief.of(looks.zone.stay_days).grid(2)[-1]
    stays = np.arange(1.0, 40.0, 0.25)
    return float(stay_days * stays[np.argmax(still_there(stays, 1.0) < _NEVER)])


def _next_usable(looks: ZoneLooks) -> Ints:
    """For each look, the next usable one; -1 where there is none."""
    following = np.full(len(looks.times), -1, np.int64)
    later = -1
    for look in range(len(looks.times) - 1, -1, -1):
        following[look] = later
        if looks.usable[look]:
            later = look
    return following


def _likely(pairs: Pairs, n: int, stay_days: float, recall: float, present: float) -> Candidates:
    """Pairs that are worth a thought, earlier sightings as rows and later ones as columns, with their odds.

    The odds weigh "it stayed, was missed in the looks between and seen again" against "it was not seen again,
    and the other is one of the ships that came since": of the mean number of ships present, those that `still_there` does
    not hold are new after the gap. So a link over a gap of many stays has next to no odds, however alike the two are.
    """
    stayed = still_there(pairs.gap, stay_days)
    again = stayed * recall
    odds = np.log(again / (1 - again)) + pairs.missed * np.log(1 - recall)
    odds += pairs.log_ratio - np.log(np.maximum(present * (1 - stayed), 1e-6))
    likely = odds > _UNLIKELY
    return Candidates(pairs.one[likely], pairs.other[likely], odds[likely], (n, n))


def _present(looks: ZoneLooks, recall: float) -> float:
    """Mean number of vessels in the zone; where no look is usable, of the looks that show some."""
    counted = looks.usable if looks.usable.any() else np.isin(np.arange(len(looks.times)), looks.look)
    seen = int(counted[looks.look].sum())
    return float(np.clip((seen + 0.5) / (max(int(counted.sum()), 1) * recall), 0.05, looks.zone.capacity))
