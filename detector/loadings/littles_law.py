"""Figures that need no hidden states: Little's law, and how much of a period the looks cover."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from detector.loadings.stays import survival

Floats = NDArray[np.float64]


def littles_law(
    counts: NDArray[np.int64],
    days: float,
    stay_days: float,
    *,
    recall: float,
    false_rate: float,
    capacity: int = 1,
) -> float:
    """Visits in `days`: mean number present x days / mean stay (Little 1961, Oper. Res. 9, 383).

    A snapshot of an empty berth shows a vessel with probability false_rate, an occupied one with recall; of a
    zone with more places, false_rate is the mean number of false vessels a look. NaN without looks.
    """
    if not len(counts):
        return float("nan")
    if capacity == 1:
        present = (np.minimum(counts, 1).mean() - false_rate) / (recall - false_rate)
    else:
        present = (counts.mean() - false_rate) / recall
    return float(max(present, 0.0) * days / stay_days)


def detection_probability(
    times: Floats, start: float, end: float, stay_days: float, shape: int, recall: float, points: int = 64
) -> float:
    """Share of the visits that begin evenly in [start, end) and are seen at one usable look or more."""
    begins = start + (np.arange(points) + 0.5) * (end - start) / points
    first = np.searchsorted(times, begins)
    caught, missed_so_far = np.zeros(points), np.ones(points)
    for later in range(len(times)):
        index = first + later
        inside = index < len(times)
        wait = np.where(inside, times[np.minimum(index, len(times) - 1)] - begins, np.inf)
        here = survival(np.where(inside, wait, 0.0), stay_days, shape) * inside
        caught += missed_so_far * recall * here
        missed_so_far *= 1 - recall
        if here.max(initial=0.0) < 1e-4 or missed_so_far.max() < 1e-6:
            break
    return float(caught.mean())


def unobserved_share(times: Floats, start: float, end: float, stay_days: float) -> float:
    """Share of [start, end) at which no usable look follows within one mean stay.

    An average visit that began then was over before anyone looked.
    """
    looks = np.concatenate([times, [np.inf]])
    edges = np.unique(np.clip(np.concatenate([[start, end], times, times - stay_days]), start, end))
    middle = (edges[:-1] + edges[1:]) / 2
    blind = looks[np.searchsorted(times, middle)] - middle > stay_days
    return float((np.diff(edges) * blind).sum() / (end - start))
