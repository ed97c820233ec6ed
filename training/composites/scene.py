"""Composite scenes: a real port with vessels laid on its free water, and their truth."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from detector.geometry import Grid
from detector.scene import Scene, open_scene
from training.composites.cargo import Cargo, Fitting, draw_cargo, fit_out
from training.composites.families import Family
from training.composites.ports import Port
from training.composites.render import View, draw
from training.simulate.fleet import beside
from training.simulate.hulls import Vessel
from training.simulate.noise import Array
from training.simulate.spectra import BANDS

_OTHERS = ("tanker", "container", "fishing", "tug", "general_cargo", "bulk_carrier", "barge", "river_barge")
_CARRIERS = ("barge", "river_barge", "general_cargo", "bulk_carrier")
#: What lies in ranks, end on to a quay: metres of length by kind.
_RANKS = {"fishing": (30.0, 70.0), "tug": (30.0, 45.0), "barge": (35.0, 70.0), "general_cargo": (50.0, 90.0)}
#: Status of vessels that touch a quay; it is looked for where they fit.
_MOORED = ("alongside", "end_on")
#: How vessels lie, and how often, unless told otherwise.
STATUS = {"anchored": 0.4, "alongside": 0.27, "rafted": 0.13, "tow": 0.08, "underway": 0.12}


@dataclass(frozen=True)
class Truth:
    """One composite vessel.

    Attributes:
        vessel: kind, size, heading (grid) and status; its place is in metres from the middle of its group.
        cargo: what it carries.
        corners: (4, 2) oriented box in scene pixels, corner convention.
    """

    vessel: Vessel
    cargo: Cargo
    corners: NDArray[np.float64]

    @property
    def label(self) -> str:
        """`coal_barge` for a barge that shows coal, else `vessel`."""
        barge = self.vessel.kind in ("barge", "river_barge")
        return "coal_barge" if barge and self.cargo.coal else "vessel"


@dataclass
class Composite:
    """A composite scene: (bands, height, width) reflectance in :data:`BANDS`, and its truth."""

    port: str
    pixels: Array
    grid: Grid
    truth: list[Truth]

    def open(self, bands: tuple[str, ...] = BANDS) -> Scene:
        """The scene as inference sees it, with some of its bands."""
        chosen = self.pixels[[BANDS.index(band) for band in bands]]
        return open_scene(chosen, bands=bands, transform=self.grid.transform, crs=self.grid.crs, scale=1.0)


@dataclass(frozen=True)
class Plan:
    """A group of vessels, where it lies and how it is seen, not yet drawn.

    Attributes:
        vessels: each with its cargo, deck colour and parts; in metres from the middle of the group.
        place: (column, row) of that middle.
        view: sun, blur, haze and so on.
    """

    vessels: list[tuple[Vessel, Cargo, Fitting]]
    place: tuple[float, float]
    view: View


def compose(
    port: Port, family: Family, count: int, seed: int, status: Mapping[str, float] = STATUS
) -> Composite:
    """Lay about `count` vessels on a port's free water, half of those that can carry bulk with coal.

    The same arguments give the same pixels. Fewer are laid where the water is full. `status` says how often vessels lie how.
    """
    rng = np.random.default_rng([seed, len(port.name), sum(map(ord, port.name))])
    pixels, truth = port.pixels.copy(), list[Truth]()
    for plan in plans(port, family, count, rng, status):
        _lay(pixels, port, plan, rng)
        for vessel, cargo, _ in plan.vessels:
            box = np.asarray(vessel.box.exterior.coords)[:4]
            truth.append(Truth(vessel, cargo, box / port.pixel_m + np.array(plan.place)))
    return Composite(port.name, pixels, port.grid, truth)


def plans(
    port: Port, family: Family, count: int, rng: np.random.Generator, status: Mapping[str, float] = STATUS
) -> Iterator[Plan]:
    """Groups of vessels with their places on a port's free water; `rng` may be used between them."""
    taken: list[tuple[float, float, float]] = []
    for group in _groups(rng, family, count, status):
        place = place_group(port, [vessel for vessel, _ in group], rng, taken)
        if place is None:
            continue
        col, row, turn = place
        vessels = [turned(vessel, turn) for vessel, _ in group]
        fitted = [(v, c, fit_out(v, c, family, rng)) for v, (_, c) in zip(vessels, group, strict=True)]
        yield Plan(fitted, (col, row), _view(port, (col, row), family, rng))


def _groups(
    rng: np.random.Generator, family: Family, count: int, shares: Mapping[str, float]
) -> Iterator[list[tuple[Vessel, Cargo]]]:
    """Groups of vessels heading up the grid, round the origin: one alone, two rafted, a rank, or a tug and its tow."""
    for number in range(count):
        status = str(rng.choice(list(shares), p=list(shares.values())))
        if status == "end_on":
            yield _rank(rng, family, f"C{number:03d}")
            continue
        banked = status == "double_banked"
        status = "alongside" if banked else status
        coal = bool(rng.random() < 0.5)
        kinds: tuple[str, ...] = _CARRIERS if coal else _OTHERS
        weights = np.array([3.0 if kind in ("barge", "river_barge") else 1.0 for kind in kinds])
        if status == "tow":
            kinds, weights = ("barge",), np.ones(1)
        kind = str(rng.choice(kinds, p=weights / weights.sum()))
        first = _vessel(rng, family, kind, f"C{number:03d}", status)
        cargo = draw_cargo(rng, family, kind, coal)
        if status == "rafted" or banked:
            other_kind = str(rng.choice(_CARRIERS))
            other = _vessel(rng, family, other_kind, f"C{number:03d}b", status)
            # The quay is to starboard, see `_along_shore`.
            side = -1 if banked else 1
            other = beside(first, other, float(rng.uniform(1.0, 4.0)), side, 0.0, bool(rng.random() < 0.5))
            yield [(first, cargo), (other, draw_cargo(rng, family, other_kind, bool(rng.random() < 0.3)))]
        elif status == "tow":
            tug = _vessel(rng, family, "tug", f"C{number:03d}t", status)
            ahead = first.length / 2 + tug.length / 2 + float(rng.uniform(40.0, 150.0))
            tug = replace(tug.moved(0.0, -ahead), speed_kn=first.speed_kn)
            yield [(first, cargo), (tug, Cargo("none", 0.0))]
        else:
            yield [(first, cargo)]


def _rank(rng: np.random.Generator, family: Family, name: str) -> list[tuple[Vessel, Cargo]]:
    """Two to six craft of one kind side by side, bows off the quay or to it; the quay is behind them."""
    kind = str(rng.choice(list(_RANKS)))
    low, high = _RANKS[kind]
    usual, gap = float(rng.uniform(low, high)), float(rng.uniform(2.0, 30.0))
    count, to_quay = int(rng.integers(2, 7)), bool(rng.random() < 0.4)
    rank: list[tuple[Vessel, Cargo]] = []
    edge = 0.0
    for number in range(count):
        drawn = _vessel(rng, family, kind, f"{name}{chr(97 + number)}", "end_on")
        length = usual * float(rng.uniform(0.85, 1.15))
        width = float(np.clip(drawn.width * length / drawn.length, 6.0, 20.0))
        left = edge + (gap * float(rng.uniform(0.7, 1.3)) if number else 0.0)
        edge = left + width
        vessel = replace(drawn, length=length, width=width, heading=180.0 if to_quay else 0.0)
        vessel = vessel.moved(left + width / 2, (usual - length) / 2)
        rank.append((vessel, draw_cargo(rng, family, kind, False)))
    return [(vessel.moved(vessel.x - edge / 2, vessel.y), cargo) for vessel, cargo in rank]


def _vessel(rng: np.random.Generator, family: Family, kind: str, name: str, status: str) -> Vessel:
    low, high = family.sizes[kind]
    length = float(low + (high - low) * rng.beta(1.4, 1.8))
    slender = {"tug": (2.9, 3.5), "fishing": (4.2, 5.4), "barge": (3.5, 5.2), "river_barge": (4.6, 6.2)}.get(
        kind, (5.8, 7.0)
    )
    width = length / float(rng.uniform(*slender))
    if kind == "barge" and rng.random() < 0.6:
        length, width = family.barges[int(rng.integers(len(family.barges)))]
    speed = {"underway": float(rng.uniform(5.0, 13.0)), "tow": float(rng.uniform(3.0, 7.0))}.get(status, 0.0)
    return Vessel(name, kind, 0.0, 0.0, length, width, 0.0, status, speed, paint=int(rng.integers(1 << 30)))


def turned(vessel: Vessel, turn: float) -> Vessel:
    """A vessel turned clockwise about the origin by so many degrees."""
    s, c = np.sin(np.radians(turn)), np.cos(np.radians(turn))
    x, y = c * vessel.x - s * vessel.y, s * vessel.x + c * vessel.y
    return replace(vessel, x=float(x), y=float(y), heading=(vessel.heading + turn) % 360.0)


def place_group(
    port: Port, group: Sequence[Vessel], rng: np.random.Generator, taken: list[tuple[float, float, float]]
) -> tuple[float, float, float] | None:
    """(column, row, turn in degrees) where a group lies on water and off all others, or None.

    Args:
        port: the port.
        group: vessels heading up the grid round the origin, in metres. The first says by its status how they lie:
            `alongside` has the quay to starboard, `end_on` behind, others lie in the open.
        rng: where it is tried.
        taken: (column, row, reach in metres) of the groups that lie there; the new one is added.
    """
    first = group[0]
    reach = max(float(np.hypot(v.x, v.y)) + v.length / 2 for v in group)
    moored = first.status in _MOORED
    half = first.width / 2 if first.status == "alongside" else max(v.y + v.length / 2 for v in group)
    off = half + float(rng.uniform(2.0, 9.0)) if moored else reach + 40.0
    near = np.abs(port.from_shore - off) < port.pixel_m * 0.7 if moored else port.from_shore > off
    rows, cols = np.nonzero(near)
    for _ in range(25 if len(rows) else 0):
        k = int(rng.integers(len(rows)))
        col, row = cols[k] + rng.uniform(0, 1), rows[k] + rng.uniform(0, 1)
        if any(np.hypot(col - c, row - r) * port.pixel_m < reach + other + 60.0 for c, r, other in taken):
            continue
        turn = _along_shore(port, int(col), int(row)) if moored else float(rng.uniform(0, 360))
        if turn is None:
            continue
        if first.status == "end_on":
            turn -= 90.0  # the head of the group points off the shore
        if moored and not all(_afloat(port, turned(v, turn), col, row) for v in group):
            continue
        taken.append((col, row, reach))
        return float(col), float(row), turn
    return None


def _along_shore(port: Port, col: int, row: int) -> float | None:
    """Heading (degrees from the top of the grid, clockwise) of the shore near a pixel, land to starboard, or None."""
    half = max(int(60.0 / port.pixel_m), 3)
    part = port.from_shore[max(row - half, 0) : row + half + 1, max(col - half, 0) : col + half + 1]
    if part.shape != (2 * half + 1, 2 * half + 1):
        return None
    down, right = np.asarray(np.gradient(part))
    near = part < 80.0
    away = np.array([right[near].mean(), down[near].mean()])
    # Where the shore bends or faces another one, the slopes cancel: no quay to lie along.
    if np.hypot(*away) < 0.55 * port.pixel_m:
        return None
    return float(np.degrees(np.arctan2(away[0], -away[1])) + 90.0) % 360.0


def _afloat(port: Port, vessel: Vessel, col: float, row: float) -> bool:
    """Whether a hull moored there would lie on water but for its edge."""
    u = np.linspace(-0.48, 0.48, 9) * vessel.length
    spots = (
        vessel.to_scene(np.array([[a, b * vessel.width] for a in u for b in (-0.3, 0.0, 0.3)])) / port.pixel_m
    )
    at = np.floor(spots + np.array([col, row])).astype(int)
    height, width = port.water.shape
    inside = (at >= 0).all(axis=1) & (at[:, 0] < width) & (at[:, 1] < height)
    return bool(inside.all() and port.water[at[:, 1], at[:, 0]].mean() > 0.95)


def _view(port: Port, place: tuple[float, float], family: Family, rng: np.random.Generator) -> View:
    """How the sensor sees a place of a port."""
    col, row = int(place[0]), int(place[1])
    near = port.water[max(row - 8, 0) : row + 9, max(col - 8, 0) : col + 9]
    local = port.pixels[:, max(row - 8, 0) : row + 9, max(col - 8, 0) : col + 9][:, near]
    water = np.nanmedian(local, axis=1) if local.shape[1] else np.full(len(BANDS), 0.02, np.float32)
    return View(
        sun=(float(rng.uniform(100.0, 200.0)), float(rng.uniform(*family.sun))), blur=float(rng.uniform(*family.blur)),
        path=family.haze_path(rng, water), murk=float(rng.uniform(0, 1)), wind=float(rng.uniform(2, 8)),
        parity=int(rng.choice([-1, 1])), order=int(rng.choice([0, 1])),
    )  # fmt: skip


def _lay(pixels: Array, port: Port, plan: Plan, rng: np.random.Generator) -> None:
    """Blend a group into the pixels, in place."""
    fitted = [(vessel, fitting) for vessel, _, fitting in plan.vessels]
    reach = max(float(np.hypot(v.x, v.y)) + v.length / 2 for v, _ in fitted) + 60.0
    if any(v.speed_kn > 0.5 for v, _ in fitted):
        reach += 500.0
    half = int(np.ceil(reach / port.pixel_m))
    col, row = int(plan.place[0]), int(plan.place[1])
    r0, r1 = max(row - half, 0), min(row + half + 1, pixels.shape[1])
    c0, c1 = max(col - half, 0), min(col + half + 1, pixels.shape[2])
    window = pixels[:, r0:r1, c0:c1]
    # The frame of the layers is square about the group, so that nothing is cut; what sticks out of the image is dropped.
    size = (2 * half + 1, 2 * half + 1)
    centre = (plan.place[0] - (col - half), plan.place[1] - (row - half))
    layers = draw(fitted, plan.view, centre, size, port.pixel_m, rng)
    cut = (slice(None), slice(r0 - row + half, r1 - row + half), slice(c0 - col + half, c1 - col + half))
    window *= layers.through[cut]
    window += layers.added[cut]
    np.maximum(window, 1e-4, out=window)
