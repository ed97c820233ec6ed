"""The layout of a port: where land and water are, quays, piers, yards, berths and anchorages.

Everything is in metres from the upper left corner of the scene (x east, y south). A harbour has its own
frame:
u along the quay line, v seaward from it. Shapes follow what is known of Nampo: a coal terminal with two
berths
and a yard behind, west of the container quay; general cargo quays and finger piers; an oil jetty off the
shore; an anchorage outside.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from shapely import LineString, Point, Polygon, box
from shapely.affinity import affine_transform


@dataclass(frozen=True)
class Structure:
    """A built thing seen from above: outline, material, how its surface is patterned and how tall it is."""

    outline: Polygon
    material: str
    pattern: str = "plain"  # plain | panels | containers | heap | rubble
    height_m: float = 0.0
    heading_deg: float = 0.0


@dataclass(frozen=True)
class Berth:
    """A place for one ship: the middle of the quay edge, its grid heading, and the side the water is on."""

    id: str
    kind: str  # coal_berth | berth
    trade: str  # coal | general | container | oil | fishing | repair
    x: float
    y: float
    heading_deg: float
    side: int  # +1: water is to starboard of the heading, -1: to port
    length_m: float
    end_on: bool = False  # the ship lies with its bow or stern to the quay, which the heading leads away from


@dataclass(frozen=True)
class Zone:
    """A named area, as in a site file."""

    id: str
    kind: str
    name: str
    outline: Polygon
    capacity: int


@dataclass(frozen=True)
class Harbour:
    """Frame of one harbour: origin on the quay edge, direction of u, and half the length of its front."""

    x: float
    y: float
    angle_deg: float  # of the u axis, from east towards south
    half_m: float
    name: str
    seed: int

    def axes(self) -> tuple[np.ndarray, np.ndarray]:
        t = np.radians(self.angle_deg)
        return np.array([np.cos(t), np.sin(t)]), np.array([-np.sin(t), np.cos(t)])

    def local(self, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(u, v) of scene positions."""
        a, n = self.axes()
        dx, dy = np.asarray(x) - self.x, np.asarray(y) - self.y
        return dx * a[0] + dy * a[1], dx * n[0] + dy * n[1]

    def at(self, u: float, v: float) -> tuple[float, float]:
        """Scene position of (u, v)."""
        a, n = self.axes()
        p = np.array([self.x, self.y]) + u * a + v * n
        return float(p[0]), float(p[1])

    def place(self, shape: Polygon) -> Polygon:
        """A shape drawn in (u, v), in the scene."""
        a, n = self.axes()
        return affine_transform(shape, [a[0], n[0], a[1], n[1], self.x, self.y])

    def heading(self, along: bool = True) -> float:
        """Grid heading (degrees clockwise from north) of the u axis, or of the v axis."""
        return (self.angle_deg + 90.0) % 360.0 if along else (self.angle_deg + 180.0) % 360.0


@dataclass
class Facilities:
    """What has been built so far in one harbour."""

    harbour: Harbour
    rng: np.random.Generator
    structures: list[Structure] = field(default_factory=list)
    berths: list[Berth] = field(default_factory=list)
    zones: list[Zone] = field(default_factory=list)

    def add(self, shape: Polygon, material: str, pattern: str = "plain", height: float = 0.0) -> None:
        """A structure drawn in (u, v)."""
        outline = self.harbour.place(shape)
        self.structures.append(Structure(outline, material, pattern, height, self.harbour.heading()))

    def berth(
        self, trade: str, u: float, v: float, length: float, along: bool = True, side: int = 1, end_on: bool = False
    ) -> None:
        """A berth whose quay edge is at (u, v); for ``along`` the water is on the +v side."""
        kind = "coal_berth" if trade == "coal" else "berth"
        number = sum(b.trade == trade for b in self.berths) + 1
        x, y = self.harbour.at(u, v)
        name = f"{self.harbour.name}-{trade}-{number}"
        self.berths.append(Berth(name, kind, trade, x, y, self.harbour.heading(along), side, length, end_on))

    def zone(self, kind: str, name: str, shape: Polygon, capacity: int) -> None:
        outline = self.harbour.place(shape)
        self.zones.append(
            Zone(f"{self.harbour.name}-{name}", kind, name.replace("-", " "), outline, capacity)
        )


def _apron(f: Facilities, u0: float, u1: float, depth: float, material: str) -> None:
    f.add(box(u0, -depth, u1, 0), material, "panels")


def _cranes(f: Facilities, u0: float, u1: float, count: int, reach: float, material: str) -> None:
    for u in np.linspace(u0, u1, count) + f.rng.uniform(-12, 12, count):
        f.add(box(u - 2.2, -28, u + 2.2, reach), material, "plain", 25.0)
        f.add(box(u - 9, -24, u + 9, -6), "asphalt", "plain", 0.0)


def _sheds(f: Facilities, u0: float, u1: float, v: float, deep: float) -> None:
    u = u0
    while u < u1 - 40:
        long = float(f.rng.uniform(45, 110))
        roof = str(f.rng.choice(["roof_light", "roof_grey", "roof_blue", "roof_red", "old_concrete"]))
        if f.rng.random() < 0.8:
            f.add(box(u, v - deep, min(u + long, u1), v), roof, "panels", 11.0)
        u += long + float(f.rng.uniform(12, 35))


def _coal(f: Facilities, u0: float, u1: float) -> None:
    """Two berths, a stained apron, rows of heaps behind, conveyor and loaders."""
    _apron(f, u0, u1, 330, "ballast")
    f.add(box(u0 + 10, -300, u1 - 10, -62), "dark_paint", "rubble")
    rows = np.linspace(-275, -100, 4)
    for v in rows:
        u = u0 + 25.0
        while u < u1 - 60:
            long, wide = float(f.rng.uniform(60, 150)), float(f.rng.uniform(24, 36))
            if f.rng.random() < 0.85:
                heap = LineString([(u + wide / 2, v), (min(u + long, u1 - 25), v)]).buffer(wide / 2)
                f.add(heap, "coal", "heap", 9.0)
            u += long + float(f.rng.uniform(14, 40))
    f.add(box(u0 + 20, -58, u1 - 20, -50), "roof_light", "plain", 6.0)
    middle, span = (u0 + u1) / 2, (u1 - u0) / 2
    for u in (u0 + span / 2, u1 - span / 2):
        f.add(box(u - 2.5, -70, u + 2.5, 14), "buff_paint", "plain", 22.0)
    length = span - 20
    for u in (middle - span / 2, middle + span / 2):
        f.berth("coal", u, 0.0, length)
    f.zone("coal_berth", "coal-berth", box(u0, -5, u1, 75), 2)
    f.zone("stockpile", "coal-yard", box(u0 + 10, -300, u1 - 10, -62), 1)


def _general(f: Facilities, u0: float, u1: float) -> None:
    _apron(f, u0, u1, 240, "old_concrete")
    _sheds(f, u0 + 10, u1 - 10, -48, 38)
    _sheds(f, u0 + 10, u1 - 10, -118, 45)
    _sheds(f, u0 + 10, u1 - 10, -190, 30)
    _cranes(f, u0 + 60, u1 - 60, max(2, int((u1 - u0) / 140)), 10.0, "buff_paint")
    slots = max(1, int((u1 - u0) / 170))
    for k in range(slots):
        f.berth("general", u0 + (k + 0.5) * (u1 - u0) / slots, 0.0, (u1 - u0) / slots - 15)
    f.zone("berth", "general-quay", box(u0, -5, u1, 75), slots)


def _fingers(f: Facilities, u0: float, u1: float) -> None:
    _apron(f, u0, u1, 160, "concrete")
    for number, u in enumerate((u0 + (u1 - u0) * 0.28, u0 + (u1 - u0) * 0.74), start=1):
        long, half = float(f.rng.uniform(230, 320)), float(f.rng.uniform(14, 20))
        f.add(box(u - half, -10, u + half, long), "concrete", "panels", 4.0)
        f.add(box(u - half + 7, 40, u + half - 7, long - 60), "roof_grey", "panels", 9.0)
        for side, edge in ((-1, u - half), (1, u + half)):
            # heading along v (seaward): starboard is -u for a frame whose v axis points to the reader
            f.berth("general", edge, long * 0.5, long - 60, along=False, side=-side)
        f.zone("berth", f"pier-{number}", box(u - half - 60, 10, u + half + 60, long + 10), 2)
    _sheds(f, u0 + 10, u1 - 10, -40, 50)


def _container(f: Facilities, u0: float, u1: float) -> None:
    _apron(f, u0, u1, 360, "old_concrete")
    u = u0 + 25.0
    while u < u1 - 90:
        for v in (-320.0, -250.0, -180.0, -110.0):
            if f.rng.random() < 0.85:
                f.add(box(u, v, u + 110, v + 46), "asphalt", "containers", 8.0)
        u += 135
    _cranes(f, u0 + 70, u1 - 70, max(2, int((u1 - u0) / 180)), 38.0, "red_paint")
    slots = max(1, int((u1 - u0) / 260))
    for k in range(slots):
        f.berth("container", u0 + (k + 0.5) * (u1 - u0) / slots, 0.0, (u1 - u0) / slots - 20)
    f.zone("berth", "container-quay", box(u0, -5, u1, 80), slots)


def _oil(f: Facilities, u0: float, u1: float) -> None:
    """A T-shaped jetty 150 m to 200 m off the shore, and its tanks."""
    middle, out = (u0 + u1) / 2, float(f.rng.uniform(160, 210))
    f.add(box(middle - 4, -40, middle + 4, out), "old_concrete", "plain", 4.0)
    f.add(box(middle - 75, out - 2, middle + 75, out + 14), "concrete", "plain", 4.0)
    for u in (-120.0, -98.0, 98.0, 120.0):
        f.add(box(middle + u - 5, out, middle + u + 5, out + 10), "concrete", "plain", 4.0)
    _apron(f, u0, u1, 300, "bare")
    for u in np.arange(u0 + 50, u1 - 40, 72):
        for v in (-90.0, -165.0, -240.0):
            if f.rng.random() < 0.75:
                radius = float(f.rng.uniform(14, 28))
                f.add(
                    Point(u, v).buffer(radius),
                    "white_paint" if f.rng.random() < 0.7 else "roof_grey",
                    "plain",
                    14.0,
                )
    f.berth("oil", middle, out + 14, 240)
    f.zone("berth", "oil-jetty", box(middle - 160, out + 5, middle + 160, out + 85), 1)


def _fishing(f: Facilities, u0: float, u1: float) -> None:
    """A basin behind two moles, full of small craft."""
    _apron(f, u0, u1, 120, "old_concrete")
    _sheds(f, u0 + 5, u1 - 5, -30, 30)
    deep = 230.0
    for line in (
        [(u0 + 8, -10), (u0 + 8, deep), (u0 + (u1 - u0) * 0.42, deep)],
        [(u1 - 8, -10), (u1 - 8, deep), (u0 + (u1 - u0) * 0.70, deep)],
    ):
        f.add(LineString(line).buffer(7, cap_style="flat", join_style="mitre"), "rubble", "rubble", 4.0)
    for u in np.arange(u0 + 60, u1 - 50, 55):
        f.add(box(u - 2, -5, u + 2, 95), "old_concrete", "plain", 2.0)
        for side in (-1, 1):
            for v in (30.0, 68.0):
                f.berth("fishing", u + 2 * side, v, 34, along=False, side=-side)


def _repair(f: Facilities, u0: float, u1: float) -> None:
    """A repair quay: ships and craft of all kinds in a rank, bow or stern to the quay, before sheds and yards."""
    _apron(f, u0, u1, 260, str(f.rng.choice(["old_concrete", "concrete", "ballast"])))
    for v in (-30.0, -95.0, -170.0):
        _sheds(f, u0 + 5, u1 - 5, v, float(f.rng.uniform(25, 50)))
    u = u0 + 15.0
    while u < u1 - 15:
        f.berth("repair", u, 0.0, float(f.rng.uniform(45, 110)), along=False, end_on=True)
        u += float(f.rng.uniform(16, 45))
    f.zone("berth", "repair-quay", box(u0, -5, u1, 120), max(1, int((u1 - u0) / 30)))


def _breakwater(f: Facilities, u: float) -> None:
    out = float(f.rng.uniform(420, 560))
    line = [(u, -20), (u + 60, out * 0.5), (u + 10, out), (u - 260, out + 190)]
    f.add(LineString(line).buffer(9, cap_style="round", join_style="round"), "rubble", "rubble", 6.0)


_PLAN = (
    ("coal", 480.0, _coal),
    ("general", 560.0, _general),
    ("fingers", 440.0, _fingers),
    ("oil", 420.0, _oil),
    ("container", 620.0, _container),
    ("fishing", 380.0, _fishing),
)


_TERMINALS = {trade: (wanted, builder) for trade, wanted, builder in (*_PLAN, ("repair", 480.0, _repair))}
#: What a port has unless told otherwise, and all that it can have.
TRADES = tuple(trade for trade, _, _ in _PLAN)
ALL_TRADES = tuple(_TERMINALS)


def build(harbour: Harbour, trades: Sequence[str] = TRADES) -> Facilities:
    """Fill the front of a harbour with the terminals of these trades, in this order, as many as fit."""
    f = Facilities(harbour, np.random.default_rng([harbour.seed, 23]))
    u, end = -harbour.half_m, harbour.half_m
    for wanted, builder in (_TERMINALS[trade] for trade in trades):
        width = wanted * float(f.rng.uniform(0.92, 1.08))
        if u + width > end:
            break
        builder(f, u, u + width)
        u += width + float(f.rng.uniform(0, 30))
    if end - u > 40:
        _apron(f, u, end, 90, "bare")
    if harbour.half_m > 900:
        _breakwater(f, end + 25)
    return f


def anchorages(harbour: Harbour, size: tuple[int, int]) -> list[Zone]:
    """Two anchorages outside a harbour, scaled to the room that the scene has."""
    room = min(2600.0, 0.45 * size[0] * 10.0)
    half = harbour.half_m
    zones = []
    for k, (u0, u1) in enumerate(((-1.3 * half, -0.15 * half), (0.15 * half, 1.3 * half)), start=1):
        outline = harbour.place(box(u0, 0.35 * room, u1, room))
        zones.append(Zone(f"{harbour.name}-anchorage-{k}", "anchorage", f"anchorage {k}", outline, 40))
    return zones
