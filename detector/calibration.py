"""From what a network says to a probability: a small table that goes with its weights.

Networks are over- or underconfident on places that they have not seen. The table ``[[raw, calibrated], ...]`` was fitted
where that could be measured (`training.calibration`, `bargewatch evaluate`); between its rows it is a straight line. It
never falls, so it changes no order.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from detector.errors import ConfigError

Floats = NDArray[np.float64]
Pairs = Sequence[Sequence[float]]
Table = list[list[float]]
"""Pairs of raw and calibrated confidence from (0, ...) to (1, ...), both increasing."""


def check(table: Any) -> Table:
    """The table, if it is one.

    Raises:
        ConfigError: it is not a list of pairs from 0 to 1 with raw values that rise and calibrated ones that do not fall.
    """
    try:
        pairs = np.asarray(table, float)
        good = pairs.ndim == 2 and pairs.shape[1] == 2 and len(pairs) >= 2 and bool(((pairs >= 0) & (pairs <= 1)).all())
        good = good and bool((np.diff(pairs[:, 0]) > 0).all() and (np.diff(pairs[:, 1]) >= 0).all())
    except (TypeError, ValueError):
        good = False
    if not good:
        raise ConfigError(
            "a calibration must be pairs [raw, calibrated] from 0 to 1, both rising; fit it with bargewatch evaluate"
        )
    return [[float(a), float(b)] for a, b in pairs]


def apply(table: Pairs | None, confidence: ArrayLike) -> Floats:
    """Calibrated confidence; the raw one without a table."""
    values = np.asarray(confidence, float)
    if table is None:
        return values
    raw, calibrated = np.asarray(table, float).T
    return np.asarray(np.interp(values, raw, calibrated))


def inverse(table: Pairs | None, calibrated: float) -> float:
    """The least raw confidence that is worth a calibrated one: what a network is run at for a threshold of the user's.

    1 where no raw confidence is worth it.
    """
    if table is None:
        return calibrated
    raw, values = np.asarray(table, float).T
    if calibrated <= values[0]:
        return float(raw[0])
    if calibrated > values[-1]:
        return 1.0
    after = int(np.searchsorted(values, calibrated, side="left"))
    share = (calibrated - values[after - 1]) / (values[after] - values[after - 1])
    return float(raw[after - 1] + share * (raw[after] - raw[after - 1]))
