"""What the estimate asks of the models of berths and of anchorages, and what they hand back."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from detector.loadings.beliefs import SeeingBelief, StayBelief
from detector.loadings.series import ZoneSeries


@dataclass(frozen=True)
class Question:
    """What a model is asked: how many visits began in each span of a series, under beliefs.

    Attributes:
        spans: (p, 2) days. draws: how many are wanted.
    """

    series: ZoneSeries
    belief: StayBelief
    seeing: SeeingBelief
    spans: NDArray[np.float64]
    draws: int


@dataclass(frozen=True)
class Posterior:
    """Joint draws, and what the mean would be under other stays.

    Attributes:
        starts: (k, p) visits that began in each period.
        vessel_days: (k, p) vessels present x days.
        stay_days, recall: (k,) the parameters of each draw.
        shape: the more likely shape of stays, an index into `stays.SHAPES`.
        sensitivity: (2, p) mean starts with the mean stay at the low and at the high end of the belief.
    """

    starts: NDArray[np.int64]
    vessel_days: NDArray[np.float64]
    stay_days: NDArray[np.float64]
    recall: NDArray[np.float64]
    shape: int
    sensitivity: NDArray[np.float64]


def pick(weight: NDArray[np.floating], uniform: NDArray[np.float64]) -> NDArray[np.int64]:
    """For each of n draws one of k options, with probability in proportion to weight (k, n), by numbers from 0 to 1."""
    cumulated = np.cumsum(weight, axis=0, dtype=np.float64)
    return np.asarray((cumulated < uniform * cumulated[-1]).sum(axis=0))


def systematic(weight: NDArray[np.float64], count: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """`count` indices with frequencies as close to the weights as can be (systematic resampling)."""
    cumulated = np.cumsum(weight) / weight.sum()
    return np.asarray(
        np.searchsorted(cumulated, (np.arange(count) + rng.random()) / count).clip(max=len(weight) - 1)
    )
