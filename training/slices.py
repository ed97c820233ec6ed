"""Parts of the vessels that are reported apart: by length, by distance to shore.

A vessel belongs to a part by its label, a false alarm by what it claims to be and where it lies. Whatever belongs to
another part counts neither way, as COCO does with its ranges of area.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.matching import FALSE_ALARM, IGNORED, Match
from training.scores import RADII_M, Floats, Matched
from training.surroundings import SHORES

Range = tuple[float, float]
EVERYTHING: Range = (-math.inf, math.inf)


@dataclass(frozen=True)
class Slice:
    """Vessels of a range of lengths (metres) and of distances to land, from (inclusive) and to (exclusive)."""

    kind: str
    name: str
    length_m: Range = EVERYTHING
    shore_m: Range = EVERYTHING

    def holds(self, length_m: Floats, shore_m: Floats) -> NDArray[np.bool_]:
        """(n,) whether vessels of these lengths and distances to land are in it."""
        return _within(length_m, self.length_m) & _within(shore_m, self.shore_m)


def _within(values: Floats, limits: Range) -> NDArray[np.bool_]:
    if limits == EVERYTHING:  # also those that are not known
        return np.ones(len(values), bool)
    low, high = limits
    return np.asarray((values >= low) & ((values < high) | (high == math.inf)))


_LENGTHS = (
    ("under 30 m", 0.0, 30.0), ("30-60 m", 30.0, 60.0), ("60-100 m", 60.0, 100.0), ("100-200 m", 100.0, 200.0),
    ("200 m and over", 200.0, math.inf),
)  # fmt: skip
SLICES = (
    *(Slice("length", name, length_m=(low, high)) for name, low, high in _LENGTHS),
    *(Slice("shore", name, shore_m=(low, high)) for name, low, high in SHORES),
    Slice("length and shore", "100 m and over, open water", (100.0, math.inf), SHORES[-1][1:]),
    Slice("length and shore", "100 m and over, near quay", (100.0, math.inf), SHORES[0][1:]),
    Slice("length and shore", "under 60 m, near quay", (0.0, 60.0), SHORES[0][1:]),
)


def part(matched: Matched, one: Slice) -> Matched:
    """The labels of a slice and the detections, of which those that belong elsewhere are IGNORED."""
    mine = one.holds(matched.label_length_m, matched.label_shore_m)
    claimed = one.holds(matched.length_m, matched.shore_m)
    number = np.where(mine, np.cumsum(mine) - 1, IGNORED)

    def renumbered(match: Match) -> Match:
        out = np.where((match == FALSE_ALARM) & ~claimed, IGNORED, match)
        out[match >= 0] = number[match[match >= 0]]
        return out

    known = {name: (low, high) for name, low, high in SHORES}
    water = {
        name: area for name, area in matched.water_km2.items()
        if one.shore_m == EVERYTHING or known[name] == one.shore_m
    }  # fmt: skip
    return Matched(
        matched.confidence, {r: renumbered(matched.near[r]) for r in RADII_M}, renumbered(matched.overlap),
        matched.length_m, matched.heading_deg, matched.shore_m,
        matched.label_length_m[mine], matched.label_heading_deg[mine], matched.label_shore_m[mine], water,
    )  # fmt: skip


def definition() -> str:
    """What the parts are, in a sentence or two."""
    near, sheltered, _ = SHORES
    return (
        f"Near quay: the hull's box is less than {near[2]:.0f} m from land; sheltered: up to {sheltered[2]:.0f} m; open "
        "water: farther. Land is what the product's water mask does not call water, without the labelled hulls and pieces "
        "under 0.5 ha; cloud and surf are land to it. A vessel is in a part by its label, a false alarm by the length that "
        "it claims and by where it lies."
    )


def named(kinds: Iterable[str]) -> list[Slice]:
    """The slices of some kinds."""
    wanted = set(kinds)
    return [one for one in SLICES if one.kind in wanted]
