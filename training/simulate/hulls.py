"""Vessels: kinds, sizes, places and outlines.

The frame of a vessel has u forward and v to starboard, in metres, origin amidships.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from shapely import Polygon

from training.simulate.noise import Array

KNOT = 0.514444  # m/s


@dataclass(frozen=True)
class Kind:
    """Range of length (m), length over beam, and the class a detector should give."""

    length_m: tuple[float, float]
    slender: tuple[float, float]
    label: str = "vessel"


# Length and beam follow common designs: Handysize and Supramax bulk carriers, coasters, product tankers,
# feeders,
# and dumb and self-propelled barges of the Yellow Sea trade (public sources give no beam for the latter).
KINDS = {
    "bulk_carrier": Kind((120.0, 200.0), (6.0, 6.8)),
    "general_cargo": Kind((60.0, 140.0), (5.8, 6.8)),
    "tanker": Kind((70.0, 185.0), (5.8, 6.6)),
    "container": Kind((110.0, 240.0), (6.4, 7.2)),
    "tug": Kind((22.0, 36.0), (2.9, 3.5)),
    "fishing": Kind((16.0, 48.0), (4.2, 5.4)),
    "patrol": Kind((25.0, 60.0), (5.5, 7.0)),
    "barge": Kind((45.0, 95.0), (3.6, 5.0), "coal_barge"),
    "river_barge": Kind((50.0, 110.0), (4.6, 5.8), "coal_barge"),
}


@dataclass(frozen=True)
class Vessel:
    """One vessel at one time: ``x, y`` metres in the scene, ``heading`` of the bow from grid north."""

    id: str
    kind: str
    x: float
    y: float
    length: float
    width: float
    heading: float
    status: str = "anchored"  # alongside | anchored | rafted | underway | tow
    speed_kn: float = 0.0
    zone: str | None = None
    load: float = 0.0  # share of the hold or deck that shows coal
    paint: int = 0

    @property
    def label(self) -> str:
        """``vessel`` or ``coal_barge``."""
        return KINDS[self.kind].label

    @cached_property
    def outline(self) -> Polygon:
        """The hull in scene metres."""
        return Polygon(self.to_scene(hull_outline(self.kind, self.length, self.width)))

    @property
    def box(self) -> Polygon:
        """The oriented box length × width, in scene metres."""
        a, b = self.length / 2, self.width / 2
        return Polygon(self.to_scene(np.array([[a, -b], [a, b], [-a, b], [-a, -b]])))

    def to_scene(self, uv: np.ndarray) -> np.ndarray:
        """Scene positions (n, 2) of points in the vessel's frame."""
        s, c = np.sin(np.radians(self.heading)), np.cos(np.radians(self.heading))
        return np.asarray(np.c_[self.x + uv[:, 0] * s + uv[:, 1] * c, self.y - uv[:, 0] * c + uv[:, 1] * s])

    def moved(self, x: float, y: float) -> Vessel:
        return replace(self, x=x, y=y)


def _ends(kind: str) -> tuple[float, float, float, float]:
    """Bow length and stern length in beams, and the half-widths left at either end (share of the beam)."""
    if kind == "barge":
        return 0.12, 0.12, 0.80, 0.85
    if kind == "river_barge":
        return 0.70, 0.20, 0.30, 0.75
    if kind in ("tug", "fishing"):
        return 1.1, 0.35, 0.0, 0.70
    if kind in ("patrol", "container"):
        return 1.9, 0.30, 0.0, 0.80
    return 1.2, 0.35, 0.06, 0.72


def half_width(kind: str, length: float, width: float, u: np.ndarray) -> Array:
    """Half breadth of the hull at positions along it; negative beyond its ends."""
    bow, stern, bow_end, stern_end = _ends(kind)
    lb, ls = bow * width, stern * width
    to_bow = np.clip((length / 2 - u) / lb, 0.0, 1.0)
    to_stern = np.clip((u + length / 2) / ls, 0.0, 1.0)
    fore = bow_end + (1.0 - bow_end) * (1.0 - (1.0 - to_bow) ** 2.2)
    aft = stern_end + (1.0 - stern_end) * (1.0 - (1.0 - to_stern) ** 2)
    half = width / 2 * np.minimum(fore, aft)
    return np.asarray(np.where(np.abs(u) <= length / 2, half, -1.0), dtype=np.float32)


def hull_outline(kind: str, length: float, width: float) -> np.ndarray:
    """Outline (n, 2) in the vessel's frame, clockwise from the bow, of the given length and width exactly."""
    u = length / 2 * np.cos(np.linspace(0, np.pi, 33))
    v = half_width(kind, length, width, np.clip(u, -length / 2, length / 2))
    ring = np.r_[np.c_[u, v], np.c_[u, -v][::-1]]
    keep = np.r_[True, np.any(np.abs(np.diff(ring, axis=0)) > 1e-9, axis=1)]
    return np.asarray(ring[keep])
