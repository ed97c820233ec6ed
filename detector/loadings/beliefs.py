"""What is believed before the looks are read, as points with weights."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from detector.errors import ConfigError

Floats = NDArray[np.float64]

DEFAULT_STAY_DAYS = (1.0, 8.0)
NORMAL_95 = 1.6448536269514722
# A stated belief is taken for this much wider: it may be wrong by a third and must not be trusted to the letter.
_DOUBT = 1.25
_STUDENT_FREEDOM = 5.0
_STUDENT_95 = 2.0150483733330233
# Three-point Gauss-Hermite rule for the standard normal distribution.
_POINTS = np.array([-math.sqrt(3), 0.0, math.sqrt(3)])
_WEIGHTS = np.array([1 / 6, 2 / 3, 1 / 6])

# How much the logarithm of the arrival rate wanders in 30 days (standard deviation), and how likely that is.
VOLATILITY: Floats = np.array([0.03, 0.20, 0.55])
VOLATILITY_WEIGHTS: Floats = np.array([0.3, 0.4, 0.3])


@dataclass(frozen=True)
class SeeingBelief:
    """How well a usable look shows what is there: mean and standard deviation of both rates.

    Attributes:
        recall: probability that a ship at the zone is in the table.
        false_rate: probability that an empty berth shows a vessel (of an anchorage: false vessels a look).
    """

    recall: float = 0.85
    recall_spread: float = 0.06
    false_rate: float = 0.02
    false_spread: float = 0.02

    def __post_init__(self) -> None:
        if not 0 < self.recall < 1 or not 0 < self.false_rate < 0.5:
            raise ConfigError(
                f"recall {self.recall} and false_rate {self.false_rate}; give probabilities, above 0 and "
                "below 1 and 0.5"
            )
        if not 0 < self.recall_spread < 0.5 or not 0 < self.false_spread < 0.5:
            raise ConfigError(
                f"recall_spread {self.recall_spread} and false_spread {self.false_spread}; give standard "
                "deviations above 0 and below 0.5"
            )

    def recalls(self) -> tuple[Floats, Floats]:
        """Points and weights: normal on the logit scale."""
        return self._recall(_POINTS), _WEIGHTS

    def points(self) -> tuple[Floats, Floats]:
        """Four equally likely pairs: recalls (4,) and false rates (4,).

        A rule of degree three in two dimensions: each pair moves one of the two by the root of two of its spread.
        """
        move = np.array([[math.sqrt(2), 0], [-math.sqrt(2), 0], [0, math.sqrt(2)], [0, -math.sqrt(2)]]).T
        variance = math.log1p((self.false_spread / self.false_rate) ** 2)
        false = self.false_rate * np.exp(move[1] * math.sqrt(variance) - variance / 2)
        return self._recall(move[0]), np.minimum(false, 0.5)

    def _recall(self, move: Floats) -> Floats:
        centre = math.log(self.recall / (1 - self.recall))
        spread = min(self.recall_spread / (self.recall * (1 - self.recall)), 1.5)
        return np.asarray(1 / (1 + np.exp(-(centre + spread * move))))


@dataclass(frozen=True)
class StayBelief:
    """A 90 % belief (low, high) about the mean stay, days, and whether the site file gave it.

    Logarithms follow Student's t with five degrees of freedom: its tails let the looks overrule a belief that is wrong.
    """

    low: float
    high: float
    source: str

    @classmethod
    def of(cls, stay_days: tuple[float, float] | None) -> StayBelief:
        """The site's belief, or the default one."""
        if stay_days is None:
            return cls(*DEFAULT_STAY_DAYS, source="default")
        return cls(*stay_days, source="site")

    @property
    def median(self) -> float:
        return math.sqrt(self.low * self.high)

    @property
    def spread(self) -> float:
        """Standard deviation of the logarithm."""
        return _DOUBT * math.log(self.high / self.low) / (2 * NORMAL_95)

    def grid(self, points: int) -> Floats:
        """Means of stays, evenly spaced in their logarithm, that hold nearly all of the belief."""
        return np.asarray(self.median * np.exp(np.linspace(-3.2, 3.2, points) * self.spread))

    def log_weight(self, mean_days: Floats) -> Floats:
        """Logarithm of the density of log stay, but for a constant.

        Visits go with one over the stay, whose mean lies above one over the median. The centre is moved up by half the
        variance, so that a belief by itself gives the visits of its median and not more.
        """
        scale = _DOUBT * math.log(self.high / self.low) / (2 * _STUDENT_95)
        t = (np.log(mean_days / self.median) - self.spread**2 / 2) / scale
        return np.asarray(-(_STUDENT_FREEDOM + 1) / 2 * np.log1p(t * t / _STUDENT_FREEDOM))
