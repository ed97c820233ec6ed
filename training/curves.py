"""Precision against recall as the threshold falls."""

from __future__ import annotations

import numpy as np

from training.matching import IGNORED, Match
from training.scores import Floats

POINTS = 200
"""Most points of a curve that are kept in a report."""


def precision_recall(match: Match, confidence: Floats, labels: int) -> tuple[Floats, Floats, Floats]:
    """Recall, precision and threshold at every distinct confidence, from the highest down.

    Ignored detections are left out. Detections of one confidence come in together, as one threshold cannot part them.
    Empty without labels.
    """
    counted = match != IGNORED
    if not labels or not counted.any():
        return np.zeros(0), np.zeros(0), np.zeros(0)
    order = np.argsort(-confidence[counted], kind="stable")
    found, threshold = (match[counted] >= 0)[order], confidence[counted][order]
    last = np.append(threshold[1:] != threshold[:-1], True)
    hits = np.cumsum(found)[last]
    return hits / labels, hits / (np.flatnonzero(last) + 1), threshold[last]


def listed(match: Match, confidence: Floats, labels: int) -> list[list[float]]:
    """The curve as at most `POINTS` rows of recall, precision and threshold, evenly chosen along it."""
    table = np.column_stack(precision_recall(match, confidence, labels))
    if len(table) > POINTS:
        table = table[np.unique(np.linspace(0, len(table) - 1, POINTS).round().astype(int))]
    return [[round(float(v), 4) for v in point] for point in table]
