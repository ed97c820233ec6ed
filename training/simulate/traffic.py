"""Ships that come and go at one port over time, for change detection and for counting loadings."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import numpy as np
from shapely import Point

from training.simulate.fleet import FleetBuilder, at_berth, draw_vessel
from training.simulate.hulls import Vessel
from training.simulate.scene import PaintedScene, Painter, SceneSpec, paint_with

# Mean stay and mean gap in days. Coal: two to four days alongside, berths a third to a half full (press
# reports on Nampo).
_RHYTHM = {"coal": (3.0, 3.5), "general": (2.5, 3.0), "container": (1.0, 1.6), "oil": (2.0, 5.0)}
_ANCHOR_STAY = 7.0


@dataclass(frozen=True)
class TrueVisit:
    """One stay of one vessel: [arrive, leave), and how its coal changes meanwhile."""

    id: str
    vessel: Vessel
    zone: str | None
    arrive: datetime
    leave: datetime
    load_from: float
    load_to: float

    def load_at(self, when: datetime) -> float:
        """Share of coal that shows at a time."""
        t = (when - self.arrive) / (self.leave - self.arrive)
        return float(self.load_from + (self.load_to - self.load_from) * np.clip(t * 1.15, 0.0, 1.0))


class Traffic:
    """All visits to the port of ``spec`` between two times; the same arguments give the same visits."""

    def __init__(
        self, spec: SceneSpec, start: datetime, end: datetime, anchored: int = 8, sailing: int = 3
    ) -> None:
        self.spec = replace(
            spec, port_seed=spec.seed if spec.port_seed is None else spec.port_seed, vessels=()
        )
        self._painter = Painter(self.spec)
        self._start, self._end, self._sailing = start, end, sailing
        self._rng = np.random.default_rng([spec.seed, 41])
        self.visits: list[TrueVisit] = []
        self._berths()
        self._anchored(anchored)

    def _days(self, mean: float, shape: float) -> timedelta:
        return timedelta(days=float(self._rng.gamma(shape, mean / shape)))

    def _berths(self) -> None:
        rng, number = self._rng, 0
        for berth in (b for f in self._painter.facilities for b in f.berths if b.trade in _RHYTHM):
            stay, gap = _RHYTHM[berth.trade]
            when = self._start - timedelta(days=20) + self._days(gap, 1.0)
            while when < self._end:
                leave = when + self._days(stay, 4.0)
                number += 1
                vessel = draw_vessel(rng, berth.trade, f"B{number:04d}", berth.length_m)
                slack = max(berth.length_m - vessel.length, 0.0) / 2
                turned = bool(rng.random() < 0.5)
                placed = at_berth(
                    vessel, berth, float(rng.uniform(1.5, 4)), float(rng.uniform(-slack, slack)), turned
                )
                waters = self._painter.waters()
                if leave > self._start and waters.free(placed, 0.5):
                    placed = waters.take(placed)
                    load = (0.0, 1.0) if berth.trade == "coal" else (placed.load, placed.load)
                    self.visits.append(TrueVisit(placed.id, placed, placed.zone, when, leave, *load))
                when = leave + self._days(gap, 1.0)

    def _anchored(self, count: int) -> None:
        rng = self._rng
        rate = count / _ANCHOR_STAY
        days = (self._end - self._start) / timedelta(days=1) + 20
        anchorages = [z for z in self._painter.zones if z.kind == "anchorage"]
        if not anchorages:
            return
        for k in range(int(rng.poisson(rate * days))):
            when = self._start + timedelta(days=float(rng.uniform(-20, days - 20)))
            leave = when + self._days(_ANCHOR_STAY, 2.0)
            vessel = draw_vessel(rng, "anchor", f"A{k + 1:04d}")
            for _ in range(10):
                zone = anchorages[int(rng.integers(len(anchorages)))]
                x0, y0, x1, y1 = zone.outline.bounds
                spot = Point(rng.uniform(x0, x1), rng.uniform(y0, y1))
                if leave > self._start and self._room(spot, when, leave, vessel.length):
                    anchor = replace(vessel.moved(spot.x, spot.y), zone=zone.id)
                    self.visits.append(
                        TrueVisit(vessel.id, anchor, zone.id, when, leave, vessel.load, vessel.load)
                    )
                    break

    def _room(self, spot: Point, when: datetime, leave: datetime, length: float) -> bool:
        """Can a ship swing round this anchor while the others there swing round theirs?"""
        radius = length + 70.0
        if not self._painter.waters().roomy(spot.x, spot.y, radius + 40.0):
            return False
        h, w = self.spec.size
        if not (radius < spot.x < w * 10 - radius and radius < spot.y < h * 10 - radius):
            return False
        for visit in self.visits:
            if visit.arrive < leave and when < visit.leave:
                other = visit.vessel
                reach = other.length + 70.0 if visit.id.startswith("A") else other.length / 2
                if spot.distance(Point(other.x, other.y)) < radius + reach:
                    return False
        return True

    def present(self, when: datetime) -> list[TrueVisit]:
        """Visits under way at a time."""
        return [v for v in self.visits if v.arrive <= when < v.leave]

    def vessels_at(self, when: datetime) -> list[Vessel]:
        """The vessels to paint at a time: those of the visits, and a few that pass."""
        rng = np.random.default_rng([self.spec.seed, 43, int(when.timestamp()) % (1 << 32)])
        tide = float(rng.uniform(0, 360))
        found: list[Vessel] = []
        for visit in self.present(when):
            vessel = replace(visit.vessel, load=visit.load_at(when))
            if visit.id.startswith("A"):
                heading = (tide + float(rng.normal(0, 12))) % 360
                back = vessel.length / 2 + 50.0
                s, c = np.sin(np.radians(heading)), np.cos(np.radians(heading))
                vessel = replace(vessel, x=vessel.x - back * s, y=vessel.y + back * c, heading=heading)
            found.append(vessel)
        waters = self._painter.waters()
        for vessel in found:
            waters.take(vessel)
        passing = FleetBuilder(waters, self._painter.facilities, rng)
        for _ in range(self._sailing):
            passing.sail()
        return found + [replace(v, id=f"S{when:%Y%m%d}{k + 1:02d}") for k, v in enumerate(passing.vessels)]

    def scene(self, when: datetime, **changes: object) -> PaintedScene:
        """Paint the port at a time; ``changes`` are fields of SceneSpec, such as haze or cloud_fraction."""
        seed = int(
            np.random.default_rng([self.spec.seed, 47, int(when.timestamp()) % (1 << 32)]).integers(1 << 30)
        )
        spec = replace(self.spec, seed=seed, acquired=when, vessels=tuple(self.vessels_at(when)))
        if changes:
            spec = replace(spec, **changes)  # type: ignore[arg-type]
        return paint_with(Painter(spec))


def series(
    spec: SceneSpec, dates: Sequence[datetime], *, vary_weather: bool = True
) -> Iterator[PaintedScene]:
    """The same port at many dates, lazily; truth ids name visits, so a ship seen twice has one id.

    With ``vary_weather`` haze, wind, turbidity and now and then clouds change from date to date.
    """
    traffic = Traffic(spec, min(dates), max(dates) + timedelta(days=1))
    for when in dates:
        rng = np.random.default_rng([spec.seed, 53, int(when.timestamp()) % (1 << 32)])
        changes: dict[str, object] = {}
        if vary_weather:
            changes = {
                "haze": float(rng.uniform(0, 0.5)),
                "wind": float(rng.uniform(1, 9)),
                "turbidity": float(np.clip(spec.turbidity + rng.normal(0, 0.12), 0, 1)),
                "cloud_fraction": float(rng.uniform(0.1, 0.6)) if rng.random() < 0.25 else 0.0,
            }
        yield traffic.scene(when, **changes)
