"""What a composite's vessel carries: deck colour and parts, from a family's materials.

The layouts (hatches, long holds, heaps, houses) are those of `training.simulate.decks`; the cargo is free, and so is how
much of it there is.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from training.composites.families import COVERS, Family
from training.simulate.decks import Part
from training.simulate.hulls import Vessel

Fitting = tuple[tuple[float, ...], tuple[Part, ...]]
_HOUSE_M = {
    "bulk_carrier": 18.0,
    "general_cargo": 12.0,
    "tanker": 15.0,
    "container": 24.0,
    "river_barge": 7.0,
    "fishing": 4.0,
}


@dataclass(frozen=True)
class Cargo:
    """What lies in the holds or on deck: a material's name, `covers` (closed hatches), `empty`, `boxes` or `none`.

    Attributes:
        name: the material or state.
        load: share of the hold or deck that shows it.
        coal: whether it is coal.
    """

    name: str
    load: float
    coal: bool = False


def draw_cargo(rng: np.random.Generator, family: Family, kind: str, coal: bool) -> Cargo:
    """A cargo for a kind of hull; with `coal` one that shows coal on at least a quarter of the deck."""
    if coal:
        load = 1.0 if rng.random() < 0.55 else float(rng.uniform(0.3, 0.85))
        return Cargo(str(rng.choice(sorted(family.coal))), load, coal=True)
    if kind in ("tanker", "container", "fishing", "tug"):
        return Cargo({"container": "boxes"}.get(kind, "none"), 0.0)
    options, weights = ["empty", "covers", *sorted(family.cargo), "boxes"], [3.0, 3.0]
    if kind in ("barge", "river_barge"):
        weights[1] = 1.0
    # Magnetite looks like coal; it is there to be counted, at about its share of ores.
    weights += [0.3 if name == "magnetite" else 1.0 for name in sorted(family.cargo)]
    weights += [1.0 if kind in ("general_cargo", "barge") else 0.0]
    name = str(rng.choice(options, p=np.array(weights) / sum(weights)))
    return Cargo(name, float(rng.uniform(0.3, 1.0)) if name in family.cargo else 0.0)


def fit_out(vessel: Vessel, cargo: Cargo, family: Family, rng: np.random.Generator) -> Fitting:
    """Deck colour and parts of a vessel with its cargo."""
    deck = _colour(
        family,
        rng,
        str(rng.choice(["red_oxide", "green_paint", "grey_paint", "rust", "dark_paint", "blue_paint"])),
    )
    a, length = vessel.length / 2, vessel.length
    parts: list[Part] = []
    if vessel.kind in ("bulk_carrier", "general_cargo"):
        parts += _hatches(vessel, cargo, family, rng)
        parts += _house(vessel, family, rng, -a + 0.055 * length, 0.09 * length)
    elif vessel.kind == "barge":
        inner = _colour(family, rng, str(rng.choice(["rust", "old_concrete", "dark_paint", "wood"])))
        parts.append(
            Part(-a + 0.04 * length, a - 0.04 * length, -0.45 * vessel.width, 0.45 * vessel.width, inner)
        )
        parts += _bulk(vessel, cargo, family, rng, -a + 0.06 * length, a - 0.06 * length, 0.84)
    elif vessel.kind == "river_barge":
        parts.append(
            Part(
                -a + 0.18 * length,
                a - 0.08 * length,
                -0.41 * vessel.width,
                0.41 * vessel.width,
                _hold(cargo, family, rng),
            )
        )
        parts += _bulk(vessel, cargo, family, rng, -a + 0.19 * length, a - 0.09 * length, 0.78)
        parts += _house(vessel, family, rng, -a + 0.04 * length, 0.10 * length)
    elif vessel.kind == "container":
        parts += _boxes(vessel, family, rng, -a + 0.18 * length, a - 0.08 * length)
        parts += _house(vessel, family, rng, -a + 0.06 * length, 12.0)
    else:
        if vessel.kind == "tanker":
            pipe = _colour(family, rng, "grey_paint")
            parts.append(Part(-a + 0.2 * length, a - 0.1 * length, -1.6, 1.6, pipe))
        parts += _house(
            vessel, family, rng, -a + 0.06 * length, 0.12 * length if length > 50 else 0.3 * length
        )
    return deck, tuple(parts)


def _colour(family: Family, rng: np.random.Generator, name: str) -> tuple[float, ...]:
    return tuple(float(value) for value in family.material(rng, name))


def _house(vessel: Vessel, family: Family, rng: np.random.Generator, u0: float, long: float) -> list[Part]:
    half = 0.42 * vessel.width
    colour = _colour(family, rng, "white_paint" if rng.random() < 0.8 else "buff_paint")
    return [Part(u0, u0 + long, -half, half, colour, _HOUSE_M.get(vessel.kind, 7.0))]


def _hold(cargo: Cargo, family: Family, rng: np.random.Generator) -> tuple[float, ...]:
    """The bottom and sides of an open hold: shadowed and rusty; hatch covers where it is closed."""
    if cargo.name == "covers":
        return _colour(family, rng, str(rng.choice(COVERS)))
    return _colour(family, rng, "hold" if rng.random() < 0.6 else "rust")


def _hatches(vessel: Vessel, cargo: Cargo, family: Family, rng: np.random.Generator) -> list[Part]:
    """Holds one behind the other: closed, empty, or filled for the share that is loaded."""
    length, width = vessel.length, vessel.width
    count = int(rng.integers(4, 8)) if vessel.kind == "bulk_carrier" else 2 if length < 100 else 4
    if cargo.name == "boxes":
        return _boxes(vessel, family, rng, -length * 0.3, length * 0.38)
    start, end = -length / 2 + 0.20 * length, length / 2 - 0.10 * length
    half, pitch = float(rng.uniform(0.28, 0.38)) * width, (end - start) / count
    base, fill = _hold(cargo, family, rng), _fill(cargo, family, rng)
    parts = []
    for k in range(count):
        u0, u1 = start + (k + 0.08) * pitch, start + (k + 0.92) * pitch
        parts.append(Part(u0, u1, -half, half, base, 1.5))
        if fill is not None and (k + 0.5) / count < cargo.load:
            parts.append(Part(u0 + 1, u1 - 1, -half + 1, half - 1, fill))
    return parts


def _bulk(
    vessel: Vessel, cargo: Cargo, family: Family, rng: np.random.Generator, u0: float, u1: float, wide: float
) -> list[Part]:
    """Cargo on a flat deck or in one long hold: level when full, else heaps from one end."""
    if cargo.name == "boxes":
        return _boxes(vessel, family, rng, u0, u1)
    fill = _fill(cargo, family, rng)
    if fill is None:
        return []
    half = wide * vessel.width / 2
    if cargo.load > 0.9:
        return [Part(u0, u1, -half, half, fill, 2.5)]
    reach = (u1 - u0) * cargo.load
    start = u0 if rng.random() < 0.5 else u1 - reach
    edges = np.linspace(start, start + reach, max(1, round(reach / (vessel.width * 1.3))) + 1)
    return [
        Part(float(a), float(b), -half, half, fill, 2.0, round=True)
        for a, b in zip(edges[:-1], edges[1:], strict=True)
    ]


def _fill(cargo: Cargo, family: Family, rng: np.random.Generator) -> tuple[float, ...] | None:
    known = cargo.name in family.coal or cargo.name in family.cargo
    return _colour(family, rng, cargo.name) if known and cargo.load > 0 else None


def _boxes(vessel: Vessel, family: Family, rng: np.random.Generator, u0: float, u1: float) -> list[Part]:
    """Stacks of containers."""
    rows = max(2, int(vessel.width / 5.2))
    wide = vessel.width * 0.9 / rows
    parts = []
    for u in np.arange(u0, max(u1 - 12.4, u0 + 1.0), 13.5):
        for row in range(rows):
            if rng.random() < 0.9:
                v0 = -vessel.width * 0.45 + row * wide
                parts.append(
                    Part(
                        float(u),
                        float(u + 12.4),
                        v0,
                        v0 + wide,
                        _colour(family, rng, str(rng.choice(COVERS))),
                        8.0,
                    )
                )
    return parts
