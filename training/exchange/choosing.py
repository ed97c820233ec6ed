"""Which chips to label first: those that the network is least certain of and that differ most from what is labelled.

Uncertainty of a box is how near its confidence is to the threshold: the squared margin of Brust, Käding & Denzler (Active
Learning for Deep Object Detection, VISAPP 2019, doi 10.5220/0007248601810190), with the threshold in the place of one
half; that of a chip is the sum over its boxes. Difference is the distance in a space of features to the nearest chip
that is labelled or already chosen: k-centre greedy of Sener & Savarese (Active Learning for Convolutional Neural
Networks: A Core-Set Approach, ICLR 2018, arXiv:1708.00489, Algorithm 1). Multiplying the two is ours.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
BASE = 0.1
"""Weight of a chip without any uncertain box, so that water nobody has seen is offered too."""
_MOST_SPREAD = 5.0


def uncertainty(confidence: Floats, threshold: float) -> Floats:
    """Uncertainty of boxes, 0 to 1: 1 at the threshold, 0 at confidence 0 and 1.

    Args:
        confidence: (n,) from 0 to 1.
        threshold: confidence from which a box counts as a vessel, between 0 and 1.
    """
    below = confidence / threshold
    above = (1.0 - confidence) / (1.0 - threshold)
    return np.asarray(np.clip(np.minimum(below, above), 0.0, 1.0) ** 2)


def standardised(features: Floats) -> Floats:
    """Features (n, k) in robust units (median 0, normal deviation 1), columns that do not vary as 0, far ones clipped."""
    middle = np.median(features, axis=0)
    spread = 1.4826 * np.median(np.abs(features - middle), axis=0)
    spread = np.where(spread > 0, spread, features.std(axis=0))
    scaled = (features - middle) / np.where(spread > 1e-12, spread, 1.0)
    return np.asarray(np.clip(np.where(spread > 1e-12, scaled, 0.0), -_MOST_SPREAD, _MOST_SPREAD))


def k_centre(
    features: Floats, count: int, *, weight: Floats | None = None, known: Floats | None = None
) -> list[tuple[int, float]]:
    """Indices in order of choice, each with its distance to the nearest centre before it.

    Args:
        features: (n, k) of the candidates, in comparable units.
        count: how many to choose; fewer if there are fewer.
        weight: (n,) that distances are multiplied by; equal by default.
        known: (m, k) features of what is labelled: the first centres. Without any, the first choice is the candidate of
            largest weight, and of those the one nearest to the mean.
    """
    n = len(features)
    weight = np.ones(n) if weight is None else np.asarray(weight, float)
    nearest = np.full(n, np.inf)
    for centre in known if known is not None else ():
        nearest = np.minimum(nearest, np.linalg.norm(features - centre, axis=1))
    free = np.ones(n, bool)
    order: list[tuple[int, float]] = []
    while len(order) < min(count, n):
        if np.isinf(nearest).all():
            typical = np.linalg.norm(features - features.mean(axis=0), axis=1)
            candidates = np.flatnonzero(weight == weight.max())
            best = int(candidates[np.argmin(typical[candidates])])
        else:
            # Equal chips have distance 0; weight then decides, and at last the order they came in.
            keys = np.lexsort((np.arange(n), -weight, -weight * nearest, ~free))
            best = int(keys[0])
        order.append((best, float(nearest[best])))
        free[best] = False
        nearest = np.minimum(nearest, np.linalg.norm(features - features[best], axis=1))
    return order
