"""Which vessels lie where: alongside, at anchor, rafted, in tow, under way. Never on land or overlapping."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from shapely import STRtree, box
from shapely.geometry.base import BaseGeometry

from training.simulate.hulls import KINDS, Vessel
from training.simulate.port import Berth, Facilities, Zone
from training.simulate.relief import Relief
from training.simulate.sensor import PIXEL_M

_TRADE = {
    "coal": (("bulk_carrier", 3), ("general_cargo", 5), ("river_barge", 2), ("barge", 2)),
    "general": (("general_cargo", 6), ("bulk_carrier", 2), ("river_barge", 1), ("barge", 1)),
    "container": (("container", 3), ("general_cargo", 1)),
    "oil": (("tanker", 1),),
    "fishing": (("fishing", 1),),
    "repair": (("general_cargo", 4), ("fishing", 2), ("patrol", 2), ("tanker", 2), ("river_barge", 1), ("barge", 1)),
    "anchor": (
        ("general_cargo", 6),
        ("bulk_carrier", 3),
        ("tanker", 2),
        ("river_barge", 3),
        ("barge", 2),
        ("container", 1),
    ),
    "way": (
        ("general_cargo", 4),
        ("fishing", 3),
        ("tug", 2),
        ("patrol", 2),
        ("bulk_carrier", 1),
        ("river_barge", 2),
        ("container", 1),
        ("tanker", 1),
    ),
}
_OCCUPANCY = {"coal": 0.75, "general": 0.6, "container": 0.6, "oil": 0.5, "fishing": 0.45, "repair": 0.7}


def draw_vessel(rng: np.random.Generator, trade: str, name: str, longest: float = 1e9) -> Vessel:
    """A vessel fit for a trade, at the origin, heading north, no longer than ``longest`` if it can be."""
    kinds, weights = zip(*_TRADE[trade], strict=True)
    fits = np.array(
        [w if KINDS[k].length_m[0] <= longest else 0 for k, w in zip(kinds, weights, strict=True)], float
    )
    kind = str(rng.choice(kinds, p=fits / fits.sum())) if fits.sum() else kinds[-1]
    low, high = KINDS[kind].length_m
    length = float(min(low + (high - low) * rng.beta(1.5, 2.0), longest))
    width = float(length / rng.uniform(*KINDS[kind].slender))
    load = 0.0
    if KINDS[kind].label == "coal_barge":
        load = float(rng.choice([0.0, rng.uniform(0.25, 0.75), 1.0], p=[0.25, 0.25, 0.5]))
    elif trade == "coal":
        load = float(rng.uniform(0.0, 1.0))
    return Vessel(name, kind, 0.0, 0.0, length, width, 0.0, load=load, paint=int(rng.integers(1 << 30)))


def at_berth(vessel: Vessel, berth: Berth, gap: float, along: float, turned: bool) -> Vessel:
    """The vessel moored at a berth: ``along`` metres from its middle, bow either way."""
    s, c = np.sin(np.radians(berth.heading_deg)), np.cos(np.radians(berth.heading_deg))
    off = berth.side * (vessel.width / 2 + gap)
    if berth.end_on:
        off, along = along, vessel.length / 2 + gap
    x = berth.x + along * s + off * c
    y = berth.y - along * c + off * s
    heading = (berth.heading_deg + (180.0 if turned else 0.0)) % 360.0
    return replace(vessel, x=float(x), y=float(y), heading=heading, status="alongside", zone=None)


def beside(vessel: Vessel, other: Vessel, gap: float, side: int, shift: float, turned: bool) -> Vessel:
    """``other`` rafted to ``vessel``, ``gap`` metres of water between the hulls."""
    off = side * ((vessel.width + other.width) / 2 + gap)
    x, y = vessel.to_scene(np.array([[shift, off]]))[0]
    heading = (vessel.heading + (180.0 if turned else 0.0)) % 360.0
    return replace(other, x=float(x), y=float(y), heading=heading, status="rafted", zone=vessel.zone)


@dataclass
class Waters:
    """Free water of a port: knows land, structures and the vessels that are already there."""

    relief: Relief
    structures: Sequence[BaseGeometry]
    zones: Sequence[Zone]
    margin_m: float = 80.0
    taken: list[BaseGeometry] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._tree = STRtree(list(self.structures))
        h, w = self.relief.size
        m = self.margin_m
        self._inside = box(m, m, w * PIXEL_M - m, h * PIXEL_M - m)

    def free(self, vessel: Vessel, clear: float) -> bool:
        """Is the hull afloat, inside the scene, off structures and ``clear`` metres off other vessels?"""
        hull = vessel.outline
        if not self._inside.contains(hull):
            return False
        if self._tree.query(hull, predicate="intersects").size:
            return False
        ring = np.asarray(hull.buffer(min(clear, 3.0)).segmentize(10.0).exterior.coords)
        if (self.relief.height_at(ring[:, 0], ring[:, 1]) > -7.0).any():
            return False
        wide = hull.buffer(clear) if clear > 0 else hull
        return not any(wide.intersects(other) for other in self.taken)

    def roomy(self, x: float, y: float, off_shore: float) -> bool:
        """Is there water all round within ``off_shore`` metres?"""
        t = np.linspace(0, 2 * np.pi, 12, endpoint=False)
        heights = self.relief.height_at(x + off_shore * np.cos(t), y + off_shore * np.sin(t))
        return bool((heights < -10).all())

    def take(self, vessel: Vessel) -> Vessel:
        """Remember a placed vessel and name its zone: the one with the largest overlap of its box."""
        self.taken.append(vessel.outline)
        hull = vessel.box
        shares = [
            (zone.outline.intersection(hull).area, zone.id) for zone in self.zones if zone.kind != "stockpile"
        ]
        best = max(shares, default=(0.0, ""))
        return replace(vessel, zone=best[1] if best[0] > 0 else None)


Place = Callable[[Vessel], Vessel]


def _try(
    waters: Waters, rng: np.random.Generator, tries: int, make: Callable[[], Vessel], clear: float
) -> Vessel | None:
    for _ in range(tries):
        vessel = make()
        if waters.free(vessel, clear):
            return waters.take(vessel)
    return None


class FleetBuilder:
    """Fills the waters of a port with vessels, seeded."""

    def __init__(
        self, waters: Waters, harbours: Sequence[Facilities], rng: np.random.Generator, rafting: float = 0.0
    ) -> None:
        self._waters, self._harbours, self._rng, self._rafting = waters, harbours, rng, rafting
        self._anchorages = [z for z in waters.zones if z.kind == "anchorage"]
        self._tide = float(rng.uniform(0, 360))
        self._crowding = 0.8
        self.vessels: list[Vessel] = []

    def _name(self) -> str:
        return f"V{len(self.vessels) + 1:04d}"

    def _keep(self, vessel: Vessel | None) -> bool:
        if vessel is not None:
            self.vessels.append(vessel)
        return vessel is not None

    def moor(self, berth: Berth) -> bool:
        """A vessel at a berth."""
        rng = self._rng

        def make() -> Vessel:
            vessel = draw_vessel(rng, berth.trade, self._name(), berth.length_m)
            slack = 3.0 if berth.end_on else max(berth.length_m - vessel.length, 0.0) / 2
            gap = float(rng.uniform(1.5, 4.0)) if berth.trade != "fishing" else 1.0
            return at_berth(vessel, berth, gap, float(rng.uniform(-slack, slack)), bool(rng.random() < 0.5))

        if not self._keep(_try(self._waters, rng, 4, make, 0.5)):
            return False
        if self._rafting > 0 and rng.random() < self._rafting:
            self._outside(self.vessels[-1], berth.trade)
        return True

    def _outside(self, first: Vessel, trade: str) -> bool:
        """Another vessel of a trade beside one, on whichever side there is water."""
        rng = self._rng

        def make() -> Vessel:
            other = draw_vessel(rng, trade, self._name(), first.length * 1.05)
            shift = float(rng.uniform(-0.5, 0.5)) * max(first.length - other.length, 0.0)
            side = 1 if rng.random() < 0.5 else -1
            return beside(first, other, float(rng.uniform(2.0, 4.0)), side, shift, bool(rng.random() < 0.3))

        return self._keep(_try(self._waters, rng, 8, make, 0.5))

    def _open_place(self, off_shore: float) -> tuple[float, float] | None:
        rng, (h, w) = self._rng, self._waters.relief.size
        for _ in range(60):
            if self._anchorages and off_shore < 350 and rng.random() < self._crowding:
                zone = self._anchorages[int(rng.integers(len(self._anchorages)))]
                x0, y0, x1, y1 = zone.outline.bounds
                x, y = float(rng.uniform(x0, x1)), float(rng.uniform(y0, y1))
            else:
                x, y = float(rng.uniform(0, w * PIXEL_M)), float(rng.uniform(0, h * PIXEL_M))
            if self._waters.roomy(x, y, off_shore):
                return x, y
        return None

    def anchor(self) -> bool:
        """A vessel at anchor, riding to the tide."""
        rng = self._rng

        def make() -> Vessel:
            spot = self._open_place(200.0) or (-1e6, -1e6)
            heading = (self._tide + float(rng.normal(0, 14))) % 360.0
            return replace(draw_vessel(rng, "anchor", self._name()).moved(*spot), heading=heading)

        return self._keep(_try(self._waters, rng, 6, make, 60.0))

    def raft(self) -> bool:
        """Two vessels side by side at anchor: a transfer."""
        if not self.anchor():
            return False
        first = self.vessels[-1]
        if first.length < 60:
            return False

        if not self._outside(first, "anchor"):
            return False
        index = next(i for i, v in enumerate(self.vessels) if v.id == first.id)
        self.vessels[index] = replace(first, status="rafted")
        return True

    def sail(self) -> bool:
        """A vessel under way."""
        rng = self._rng

        def make() -> Vessel:
            vessel = draw_vessel(rng, "way", self._name())
            spot = self._open_place(400.0 if vessel.length > 60 else 150.0) or (-1e6, -1e6)
            top = {"patrol": 24.0, "fishing": 11.0, "tug": 11.0, "river_barge": 8.0}.get(vessel.kind, 14.0)
            speed = float(rng.uniform(0.45, 1.0) * top)
            heading = float(rng.uniform(0, 360))
            return replace(vessel.moved(*spot), heading=heading, status="underway", speed_kn=speed)

        return self._keep(_try(self._waters, rng, 8, make, 60.0))

    def tow(self) -> bool:
        """A tug with a barge behind it on a line."""
        rng = self._rng
        for _ in range(8):
            spot = self._open_place(300.0)
            if spot is None:
                return False
            heading, speed = float(rng.uniform(0, 360)), float(rng.uniform(4.0, 7.0))
            low, high = KINDS["barge"].length_m
            length = float(rng.uniform(low, high))
            barge = Vessel(
                self._name(),
                "barge",
                *spot,
                length,
                length / float(rng.uniform(3.6, 5.0)),
                heading,
                "tow",
                speed,
                load=float(rng.choice([0.0, 0.6, 1.0])),
                paint=int(rng.integers(1 << 30)),
            )
            long = float(rng.uniform(24, 34))
            ahead = barge.length / 2 + float(rng.uniform(60, 150)) + long / 2
            x, y = barge.to_scene(np.array([[ahead, 0.0]]))[0]
            tug = Vessel(
                f"V{len(self.vessels) + 2:04d}",
                "tug",
                float(x),
                float(y),
                long,
                long / 3.2,
                heading,
                "tow",
                speed,
                paint=int(rng.integers(1 << 30)),
            )
            if self._waters.free(barge, 40.0) and self._waters.free(tug, 40.0):
                self.vessels += [self._waters.take(barge), self._waters.take(tug)]
                return True
        return False

    def fill(self, count: int) -> list[Vessel]:
        """About ``count`` vessels: berths by their occupancy, then anchorage, traffic, rafts and tows."""
        rng = self._rng
        self._crowding = min(0.8, 25.0 * len(self._anchorages) / max(count, 1))
        berths = [b for f in self._harbours for b in f.berths]
        order = rng.permutation(len(berths))
        wanted = [i for i in order if rng.random() < _OCCUPANCY[berths[i].trade]]
        small = [i for i in wanted if berths[i].trade == "fishing"]
        large = [i for i in wanted if berths[i].trade != "fishing"]
        for i in large + small[: max(0, count // 6)]:
            if len(self.vessels) >= 0.6 * count:
                break
            self.moor(berths[i])
        failures = 0
        moves = (self.anchor, self.sail, self.raft, self.tow)
        while len(self.vessels) < count and failures < 30:
            failures += not moves[int(rng.choice(4, p=[0.55, 0.25, 0.12, 0.08]))]()
        return self.vessels
