"""What the models of berths and of anchorages hand to the estimate."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


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


def systematic(weight: NDArray[np.float64], count: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """`count` indices with frequencies as close to the weights as can be (systematic resampling)."""
    cumulated = np.cumsum(weight) / weight.sum()
    return np.asarray(
        np.searchsorted(cumulated, (np.arange(count) + rng.random()) / count).clip(max=len(weight) - 1)
    )
