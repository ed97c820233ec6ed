"""Hulls side by side, or one blob too wide for its length, away from any berth: perhaps a transfer of cargo.

At 10 m two hulls with less than about 20 m of water between them merge into one wide blob, and the edges of two that do not
merge are known to about a pixel. So both kinds are given as a probability, from the errors of the boxes:

- a pair: that the true gap is under 30 m, that the axes are parallel, and that the hulls lie alongside rather than
  in line;
- a blob: that its width is that of two hulls rather than of one broad hull.

What is seen is that hulls touch or nearly so. That cargo is moved is an inference: tugs, bunkering and rafts of idle
ships look the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray

from detector.flags.limits import check_limits
from detector.flags.match import Hulls
from detector.plane import Plane


@dataclass(frozen=True)
class Transferring:
    """Settings: the gap that counts as side by side; errors of an edge, a width and an axis; the share of single hulls
    among all blobs is 1 − pair_share; the shortest hull that is looked at.
    """

    gap_m: float = 30.0
    edge_error_m: float = 12.0
    width_error_m: float = 6.0
    axis_error_deg: float = 12.0
    pair_share: float = 0.05
    shortest_m: float = 30.0

    def __post_init__(self) -> None:
        check_limits(self, "transfer")


@dataclass
class Transfers:
    """For each hull: probability, the other hull (index, -1: none) and the sentence that says what was seen."""

    probability: NDArray[np.float64]
    partner: NDArray[np.int64]
    reason: list[str]


def beam_m(length_m: NDArray[np.float64]) -> NDArray[np.float64]:
    """Usual beam of a cargo ship or tanker of some length, metres: 0.182 L^0.961.

    Fitted to the 47 cargo ships and tankers from 25 m in the AIS of two Danish scenes, which scatter by 13 % about it.
    Barges are broader; `transfers` allows for 25 %.
    """
    return np.asarray(0.182 * np.asarray(length_m, float) ** 0.961)


def transfers(
    polygons: Sequence[shapely.Polygon],
    hulls: Hulls,
    at_berth: NDArray[np.bool_],
    plane: Plane,
    settings: Transferring,
) -> Transfers:
    """How probable it is that each hull lies alongside another; 0 at a berth, where ships lie side by side anyway."""
    result = Transfers(np.zeros(len(hulls)), np.full(len(hulls), -1), [""] * len(hulls))
    candidates = np.flatnonzero(~at_berth & (np.nan_to_num(hulls.length_m) >= settings.shortest_m))
    if not len(candidates):
        return result
    flat = shapely.transform(
        np.asarray(polygons, dtype=object)[candidates],
        lambda xy: np.column_stack(plane.forward(xy[:, 0], xy[:, 1])),
    )
    _wide_blobs(result, hulls, candidates, settings)
    tree = shapely.STRtree(flat)
    one, other = tree.query(flat, predicate="dwithin", distance=settings.gap_m + 3 * settings.edge_error_m)
    for a, b in zip(one[one < other], other[one < other], strict=True):
        i, j = int(candidates[a]), int(candidates[b])
        gap = float(shapely.distance(flat[a], flat[b]))
        chance, overlap = _pair(hulls, i, j, gap, settings)
        for row, partner in ((i, j), (j, i)):
            if chance > result.probability[row]:
                result.probability[row], result.partner[row] = chance, partner
                result.reason[row] = (
                    f"a hull of {hulls.length_m[partner]:.0f} m lies {gap:.0f} m away, alongside over {overlap:.0%} of the "
                    "shorter hull"
                )
    return result


def _pair(hulls: Hulls, i: int, j: int, gap: float, settings: Transferring) -> tuple[float, float]:
    """Probability that two hulls lie side by side, and the share of the shorter one that the other covers."""
    from scipy.special import ndtr

    near = float(ndtr((settings.gap_m - gap) / settings.edge_error_m))
    axis_i, axis_j = np.radians(hulls.axis_deg[i]), np.radians(hulls.axis_deg[j])
    turn = np.degrees(abs(np.arcsin(np.sin(axis_i - axis_j)))) if np.isfinite(axis_i + axis_j) else 30.0
    parallel = float(np.exp(-((turn / (2 * settings.axis_error_deg)) ** 2) / 2))
    longer = i if hulls.length_m[i] >= hulls.length_m[j] else j
    axis = np.nan_to_num(np.radians(hulls.axis_deg[longer]))
    along = abs((hulls.x[i] - hulls.x[j]) * np.sin(axis) + (hulls.y[i] - hulls.y[j]) * np.cos(axis))
    shorter = min(hulls.length_m[i], hulls.length_m[j])
    covered = float(np.clip(((hulls.length_m[i] + hulls.length_m[j]) / 2 - along) / shorter, 0, 1))
    alongside = float(ndtr((covered - 0.3) / 0.15))
    return near * parallel * alongside, covered


def _wide_blobs(result: Transfers, hulls: Hulls, rows: NDArray[np.int64], settings: Transferring) -> None:
    length, width = hulls.length_m[rows], hulls.width_m[rows]
    beam = beam_m(length)
    single = _density(width, beam, np.hypot(0.25 * beam, settings.width_error_m))
    double = _density(width, 2.2 * beam, np.hypot(0.45 * beam, settings.width_error_m))
    # Broader than two hulls is no evidence against a pair, nor narrower than one against a single hull.
    single = np.where(width < beam, 1.0, single)
    double = np.where(width > 2.2 * beam, np.maximum(double, single), double)
    odds = settings.pair_share / (1 - settings.pair_share) * double / np.maximum(single, 1e-12)
    chance = np.where(np.isfinite(odds) & (width > 1.6 * beam), odds / (1 + odds), 0.0)
    for row, probability, w, b in zip(rows, chance, width, beam, strict=True):
        if probability > 0.01:
            result.probability[row] = probability
            result.reason[row] = f"{w:.0f} m wide, {w / b:.1f} times the usual beam of its length"


def _density(
    value: NDArray[np.float64], mean: NDArray[np.float64], spread: NDArray[np.float64]
) -> NDArray[np.float64]:
    return np.asarray(np.exp(-(((value - mean) / spread) ** 2) / 2) / spread)
