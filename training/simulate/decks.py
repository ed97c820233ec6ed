"""What stands on a vessel's deck: hatches, cargo, houses, pipes, containers, and their colours."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import numpy as np

from training.simulate.hulls import Vessel
from training.simulate.noise import Array
from training.simulate.spectra import spectrum


@dataclass(frozen=True)
class Part:
    """A rectangle on deck in the vessel's frame; ``round`` makes it an ellipse, ``height`` casts a shadow."""

    u0: float
    u1: float
    v0: float
    v1: float
    colour: tuple[float, ...]
    height: float = 0.0
    round: bool = False

    def inside(self, u: Array, v: Array) -> np.ndarray:
        if self.round:
            a, b = (self.u0 + self.u1) / 2, (self.v0 + self.v1) / 2
            far = ((u - a) * 2 / (self.u1 - self.u0)) ** 2 + ((v - b) * 2 / (self.v1 - self.v0)) ** 2
            return np.asarray(far < 1)
        return np.asarray((u >= self.u0) & (u < self.u1) & (v >= self.v0) & (v < self.v1))


def _mix(name: str, rng: np.random.Generator, spread: float = 0.2) -> tuple[float, ...]:
    tone = float(0.88 * rng.uniform(1 - spread, 1 + spread))
    worn = float(rng.uniform(0.0, 0.35))
    return tuple(float(c) for c in (spectrum(name) * (1 - worn) + spectrum("old_concrete") * worn) * tone)


_DECKS = {
    "bulk_carrier": (
        ("red_oxide", 5),
        ("green_paint", 2),
        ("grey_paint", 2),
        ("dark_paint", 1),
        ("red_paint", 1),
    ),
    "general_cargo": (
        ("red_oxide", 3),
        ("green_paint", 3),
        ("grey_paint", 2),
        ("rust", 3),
        ("blue_paint", 1),
        ("dark_paint", 1),
    ),
    "tanker": (
        ("red_paint", 3),
        ("red_oxide", 3),
        ("green_paint", 2),
        ("orange_paint", 1),
        ("grey_paint", 1),
    ),
    "container": (("dark_paint", 2), ("grey_paint", 1), ("red_oxide", 1)),
    "tug": (("dark_paint", 2), ("rust", 2), ("orange_paint", 1), ("grey_paint", 1)),
    "fishing": (("wood", 4), ("blue_paint", 2), ("green_paint", 2), ("grey_paint", 2), ("rust", 1)),
    "patrol": (("grey_paint", 3), ("white_paint", 1)),
    "barge": (("rust", 5), ("dark_paint", 2), ("red_oxide", 2), ("grey_paint", 1)),
    "river_barge": (("rust", 3), ("red_oxide", 3), ("green_paint", 1), ("grey_paint", 2)),
}


def _house(
    v: Vessel, rng: np.random.Generator, u0: float, long: float, wide: float, high: float
) -> list[Part]:
    """Accommodation block with its funnel."""
    half = wide * v.width / 2
    white = _mix("white_paint" if rng.random() < 0.8 else "buff_paint", rng, 0.15)
    funnel = _mix(str(rng.choice(["red_paint", "dark_paint", "blue_paint", "buff_paint"])), rng)
    mid = u0 + long * 0.25
    parts = [Part(u0, u0 + long, -half, half, white, high)]
    if v.length > 45:
        parts.append(
            Part(
                mid - 0.1 * long - 1, mid + 0.1 * long + 1, -0.12 * v.width, 0.12 * v.width, funnel, high + 3
            )
        )
    return parts


def _holds(v: Vessel, rng: np.random.Generator, u0: float, u1: float, count: int, wide: float) -> list[Part]:
    """Hatches from u0 to u1: covers, or open holds with coal for the loaded share."""
    half, pitch = wide * v.width / 2, (u1 - u0) / count
    cover = _mix(
        str(rng.choice(["grey_paint", "red_oxide", "green_paint", "buff_paint", "blue_paint", "rust"])),
        rng,
        0.3,
    )
    dark, coal = (
        tuple(spectrum("hold").tolist()),
        tuple((spectrum("coal") * rng.uniform(0.85, 1.25)).tolist()),
    )
    opened = v.load > 0
    parts = []
    for k in range(count):
        a, b = u0 + (k + 0.1) * pitch, u0 + (k + 0.9) * pitch
        parts.append(Part(a, b, -half, half, cover if not opened else dark, 1.5))
        if opened and (k + 0.5) / count < v.load:
            parts.append(Part(a + 1, b - 1, -half + 1, half - 1, coal, 0.0))
    return parts


def _heap(v: Vessel, rng: np.random.Generator, u0: float, u1: float, wide: float) -> list[Part]:
    """Coal on a flat deck or in one long open hold, as much as is loaded, in rounded heaps."""
    half = wide * v.width / 2
    coal = tuple((spectrum("coal") * rng.uniform(0.85, 1.3)).tolist())
    if v.load <= 0.02:
        return []
    if v.load > 0.8:
        return [Part(u0, u1, -half, half, coal, 2.5)]
    start = u0 if rng.random() < 0.5 else u1 - (u1 - u0) * v.load
    end = start + (u1 - u0) * v.load
    heaps = max(1, round((end - start) / (v.width * 1.3)))
    edges = np.linspace(start, end, heaps + 1)
    return [Part(a, b, -half, half, coal, 2.0, round=True) for a, b in pairwise(edges)]


def _boxes(v: Vessel, rng: np.random.Generator, u0: float, u1: float) -> list[Part]:
    """Stacks of containers on deck."""
    names = (
        "red_oxide",
        "blue_paint",
        "grey_paint",
        "green_paint",
        "white_paint",
        "orange_paint",
        "rust",
        "dark_paint",
    )
    rows = max(2, int(v.width / 5.2))
    width = v.width * 0.94 / rows
    parts = []
    for u in np.arange(u0, u1 - 12.5, 14.0):
        for r in range(rows):
            if rng.random() < 0.88:
                v0 = -v.width * 0.47 + r * width
                parts.append(Part(u, u + 12.4, v0, v0 + width, _mix(str(rng.choice(names)), rng), 8.0))
    return parts


@lru_cache(maxsize=4096)
def fitting(v: Vessel) -> tuple[tuple[float, ...], tuple[Part, ...]]:
    """Deck colour and parts of a vessel (from its paint seed alone, so it looks the same on every date)."""
    rng = np.random.default_rng([v.paint, 5])
    names, weights = zip(*_DECKS[v.kind], strict=True)
    deck = _mix(str(rng.choice(names, p=np.array(weights) / sum(weights))), rng, 0.34)
    a, length = v.length / 2, v.length
    parts: list[Part] = []
    if v.kind == "bulk_carrier":
        parts += _holds(v, rng, -a + 0.20 * length, a - 0.09 * length, int(rng.integers(4, 8)), 0.56)
        parts += _house(v, rng, -a + 0.055 * length, 0.085 * length, 0.84, 18.0)
    elif v.kind == "general_cargo":
        parts += _holds(v, rng, -a + 0.24 * length, a - 0.12 * length, 2 if length < 100 else 4, 0.68)
        parts += _house(v, rng, -a + 0.07 * length, 0.11 * length, 0.84, 12.0)
    elif v.kind == "tanker":
        pipe = _mix("grey_paint", rng)
        parts.append(Part(-a + 0.22 * length, a - 0.12 * length, -1.6, 1.6, pipe))
        parts.append(Part(-3.0, 3.0, -0.42 * v.width, 0.42 * v.width, pipe))
        parts += _house(v, rng, -a + 0.06 * length, 0.11 * length, 0.86, 15.0)
    elif v.kind == "container":
        house = -a + (0.24 if length > 170 else 0.10) * length
        parts += _boxes(v, rng, -a + 0.03 * length, house - 2) + _boxes(v, rng, house + 13, a - 0.10 * length)
        parts += _house(v, rng, house, 12.0, 0.95, 24.0)
    elif v.kind == "tug":
        parts += _house(v, rng, -0.02 * length, 0.32 * length, 0.62, 7.0)
    elif v.kind == "fishing":
        parts += _house(v, rng, (-0.30 if rng.random() < 0.7 else 0.05) * length, 0.26 * length, 0.6, 4.0)
    elif v.kind == "patrol":
        parts += _house(v, rng, -0.18 * length, 0.34 * length, 0.55, 7.0)
    elif v.kind == "barge":
        inner = _mix("rust", rng, 0.3)
        parts.append(Part(-a + 0.05 * length, a - 0.05 * length, -0.43 * v.width, 0.43 * v.width, inner))
        parts += _heap(v, rng, -a + 0.07 * length, a - 0.07 * length, 0.82)
    else:  # river_barge: one long open hold, house aft
        hold = tuple(spectrum("hold").tolist()) if v.load > 0 or rng.random() < 0.6 else _mix("rust", rng)
        parts.append(Part(-a + 0.20 * length, a - 0.10 * length, -0.40 * v.width, 0.40 * v.width, hold))
        parts += _heap(v, rng, -a + 0.21 * length, a - 0.11 * length, 0.76)
        parts += _house(v, rng, -a + 0.05 * length, 0.10 * length, 0.75, 7.0)
    return deck, tuple(parts)
