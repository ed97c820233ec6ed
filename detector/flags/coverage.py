"""Was AIS received here, at this time? Only then does its absence mean anything.

A hull without AIS is "dark" only where a receiver is shown to have heard other ships around it at the time of the image.
What shows it: distinct ships that reported within some minutes of the image and lie within some kilometres of the hull,
on more than one side of it (all on one side is also what the edge of a receiver's reach looks like) or very near; and,
where other hulls lie around it, two thirds of the nearest ones explained by AIS. Otherwise the answer is "unknown":
many silent hulls together are a silent fleet or a hole in the reception, and the data cannot tell which. A receiver
that hears others may still miss one ship, class B above all: shown coverage makes "dark" an inference worth a look, and
no more.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from detector.flags.limits import check_limits
from detector.flags.match import Hulls
from detector.flags.tracks import Targets


@dataclass(frozen=True)
class Covering:
    """Settings: at least `ships` within `radius_km`, the widest gap between their directions at most `widest_gap_deg`;
    or as many within `near_km`. A ship counts if it reported within `minutes` of the image. Of the nearest `hulls` hulls
    within the radius, if there are three or more, the share `explained` must have AIS.
    """

    ships: int = 3
    radius_km: float = 20.0
    near_km: float = 1.0
    widest_gap_deg: float = 180.0
    minutes: float = 20.0
    hulls: int = 8
    explained: float = 0.65

    def __post_init__(self) -> None:
        check_limits(self, "coverage")


@dataclass
class Coverage:
    """For each hull: shown (bool), ships heard within the radius, distance of the nearest (km, NaN: none), the widest
    gap between their directions (degrees), and the sentence that says it."""

    shown: NDArray[np.bool_]
    ships: NDArray[np.int64]
    nearest_km: NDArray[np.float64]
    reason: list[str]


def coverage(hulls: Hulls, targets: Targets, unmatched: NDArray[np.float64], settings: Covering) -> Coverage:
    """Whether AIS is shown to have been received around each hull at the time of the image.

    Args:
        unmatched: for each hull, the probability that no AIS ship explains it.
    """
    from scipy.spatial import cKDTree

    heard = targets.gap_s <= settings.minutes * 60
    points = np.column_stack([targets.x, targets.y])[heard]
    names = targets.mmsi[heard]
    shown = np.zeros(len(hulls), bool)
    ships = np.zeros(len(hulls), np.int64)
    nearest = np.full(len(hulls), np.nan)
    reasons = []
    tree = cKDTree(points) if len(points) else None
    explained, others = _explained(hulls, unmatched, settings)
    for row, (x, y) in enumerate(zip(hulls.x, hulls.y, strict=True)):
        around = np.asarray(
            tree.query_ball_point((x, y), settings.radius_km * 1000) if tree else [], np.int64
        )
        distance = np.hypot(*(points[around] - (x, y)).T) / 1000
        ships[row] = len(np.unique(names[around]))
        gap = _widest_gap(points[around] - (x, y))
        close = len(np.unique(names[around[distance <= settings.near_km]]))
        if len(around):
            nearest[row] = distance.min()
        doubt = ""
        if ships[row] < settings.ships:
            doubt = "too few to show that AIS was received here"
        elif gap > settings.widest_gap_deg and close < settings.ships:
            doubt = f"but none within {gap:.0f}° of the compass, as at the edge of a receiver's reach"
        elif others[row] >= 3 and explained[row] < settings.explained * others[row]:
            doubt = (
                f"but it explains only {explained[row]:.0f} of the {others[row]} nearest hulls: they are silent "
                "together, or AIS was not received here"
            )
        shown[row] = ships[row] > 0 and not doubt
        reasons.append(_say(settings, int(ships[row]), nearest[row], doubt))
    return Coverage(shown, ships, nearest, reasons)


def _widest_gap(offsets: NDArray[np.float64]) -> float:
    """The widest angle, degrees, in which no ship lies."""
    if len(offsets) < 2:
        return 360.0
    bearing = np.sort(np.degrees(np.arctan2(offsets[:, 0], offsets[:, 1])))
    return float(np.max(np.append(np.diff(bearing), bearing[0] + 360 - bearing[-1])))


def _explained(
    hulls: Hulls, unmatched: NDArray[np.float64], settings: Covering
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Of the nearest other hulls within the radius of each hull: how many AIS explains, and how many there are."""
    from scipy.spatial import cKDTree

    points = np.column_stack([hulls.x, hulls.y])
    k = min(settings.hulls + 1, len(points))
    distance, row = cKDTree(points).query(points, k=k)
    distance, row = distance.reshape(len(points), -1), row.reshape(len(points), -1)
    counted = (distance <= settings.radius_km * 1000) & (row != np.arange(len(points))[:, None])
    return ((1 - unmatched)[row] * counted).sum(axis=1), counted.sum(axis=1)


def _say(settings: Covering, ships: int, nearest: float, doubt: str) -> str:
    if not ships:
        return f"no AIS was received within {settings.radius_km:g} km and {settings.minutes:g} min"
    heard = (
        f"AIS of {ships} other {'ship' if ships == 1 else 'ships'} was received within {settings.radius_km:g} km and "
        f"{settings.minutes:g} min, the nearest {nearest:.1f} km away"
    )
    return f"{heard}, {doubt}" if doubt else heard
