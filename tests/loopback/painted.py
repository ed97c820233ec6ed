"""Painted scenes as granules of a catalogue: a port with known ships, served as cloud-optimised GeoTIFFs."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from shapely import Point, box
from shapely.ops import unary_union

from tests.loopback.catalogue import Catalogue
from tests.loopback.world import Pass
from training.simulate import PaintedScene, SceneSpec, TrueVisit, paint, site_geojson
from training.simulate.fleet import draw_vessel
from training.simulate.port import Zone
from training.simulate.scene import Painter

#: 2.56 km a side.
SIZE = (256, 256)


@dataclass(frozen=True)
class PaintedPass(Pass):
    """A granule whose pixels were painted; `key` tells it from others."""

    key: str = ""
    painted: PaintedScene = field(compare=False, repr=False, kw_only=True)

    def numbers(self, band: str, x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.uint16]:
        return self._at(self.painted.bands[band], x, y)

    def classes(self, x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.uint8]:
        return self._at(self.painted.scl, x, y)

    def _at(self, pixels: NDArray[Any], x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[Any]:
        t = self.painted.grid.transform
        return pixels[np.floor((t.f - y) / 10).astype(int), np.floor((x - t.c) / 10).astype(int)]


def granule(painted: PaintedScene) -> PaintedPass:
    """A painted scene as the granule of one overpass; its numbers are 1000 higher, and the catalogue says so."""
    t, grid, when = painted.grid.transform, painted.grid, painted.spec.acquired
    return PaintedPass(
        when,
        (t.c, t.f - 10 * grid.height, t.c + 10 * grid.width, t.f),
        shift=1000,
        baseline="05.00",
        created=f"{when + timedelta(days=1):%Y%m%dT%H%M%S}",
        key=f"{when:%Y%m%dT%H%M%S}",
        painted=painted,
    )


def overpasses(start: datetime, end: datetime, every_days: float) -> list[datetime]:
    """Times of looks: whole days by the calendar, at one local time, as Sentinel-2 comes."""
    days = np.unique(np.floor(np.arange(0, (end - start) / timedelta(days=1), every_days))).tolist()
    return [start + timedelta(days=day, hours=2, minutes=27, seconds=int(day) % 40) for day in days]


class PaintedPort:
    """Coal berths off a shore over time, one ship each at most, with the visits known.

    The berths are moorings in open water: how well ships are found at a quay is no question of a test of the chain.

    Attributes:
        visits: all that touch the span of the dates; `TrueVisit.zone` names the berth.
        dates: the overpasses.
    """

    def __init__(
        self, seed: int, dates: list[datetime], *, berths: int = 2, size: tuple[int, int] = SIZE
    ) -> None:
        self.spec = SceneSpec(seed=seed, port_seed=seed, size=size, vessels=())
        self.dates = dates
        self.painter = Painter(self.spec)
        spots = _spots(self.painter, berths)
        self.zones = [
            Zone(
                f"coal-berth-{number}",
                "coal_berth",
                f"coal berth {number}",
                box(x - 190, y - 90, x + 190, y + 90),
                1,
            )
            for number, (x, y) in enumerate(spots, 1)
        ]
        rng = np.random.default_rng([seed, 61])
        begin = datetime(dates[0].year, dates[0].month, dates[0].day, tzinfo=UTC)
        self.visits = [
            visit
            for zone in self.zones
            for visit in _visits(zone, begin - timedelta(days=20), dates[-1] + timedelta(days=1), rng)
            if visit.leave > begin
        ]

    def write_site(self, path: Path, stay_days: tuple[float, float] | None = (2.0, 4.0)) -> Path:
        """The berths as a site file."""
        document = site_geojson(self.zones, self.painter.grid)
        for feature in document["features"] if stay_days else ():
            feature["properties"]["stay_days"] = list(stay_days or ())
        path.write_text(json.dumps(document))
        return path

    def serve(self, catalogue: Catalogue, *, clouded: float = 0.0) -> None:
        """Paint every overpass, and list it; a share of them under cloud."""
        for when in self.dates:
            rng = np.random.default_rng([self.spec.seed, 59, int(when.timestamp())])
            spec = replace(
                self.spec,
                seed=int(rng.integers(1 << 30)),
                acquired=when,
                haze=float(rng.uniform(0, 0.3)),
                wind=float(rng.uniform(1, 6)),
                cloud_fraction=float(rng.uniform(0.4, 1.0)) if rng.random() < clouded else 0.0,
                vessels=tuple(replace(v.vessel, load=v.load_at(when)) for v in self.present(when)),
            )
            catalogue.add(granule(paint(spec)))

    def present(self, when: datetime) -> list[TrueVisit]:
        """Visits under way at a time."""
        return [visit for visit in self.visits if visit.arrive <= when < visit.leave]

    def begun(self, start: datetime, end: datetime) -> list[TrueVisit]:
        """Visits that began in a span."""
        return [visit for visit in self.visits if start <= visit.arrive < end]


def _spots(painter: Painter, number: int) -> list[tuple[float, float]]:
    """Places in open water, the furthest from land and whatever is built first, 450 m from each other."""
    (height, width), waters = painter.spec.size, painter.waters()
    built = unary_union([s.outline for facilities in painter.facilities for s in facilities.structures])
    places = []
    for y in np.arange(260.0, height * 10 - 250, 40):
        for x in np.arange(260.0, width * 10 - 250, 40):
            reach = built.distance(Point(x, y))
            clear = [room for room in (400.0, 320.0, 240.0) if room < reach and waters.roomy(x, y, room)]
            places.append((max(clear, default=0.0), float(x), float(y)))
    found: list[tuple[float, float]] = []
    for room, x, y in sorted(places, reverse=True):
        if room and len(found) < number and all(np.hypot(x - a, y - b) > 450 for a, b in found):
            found.append((x, y))
    assert len(found) == number, "too little water"
    return found


def _visits(zone: Zone, start: datetime, end: datetime, rng: np.random.Generator) -> list[TrueVisit]:
    """Ships one after the other: stays of three days and gaps of three and a half in the mean, as at Nampo."""
    visits: list[TrueVisit] = []
    arrive = start
    while True:
        arrive += timedelta(days=0.15 + float(rng.gamma(1.5, 3.35 / 1.5)))
        if arrive >= end:
            return visits
        leave = arrive + timedelta(days=float(rng.gamma(4.0, 3.0 / 4.0)))
        name = f"{zone.id}-{len(visits) + 1}"
        vessel = draw_vessel(rng, "coal", name, 190.0)
        spot = zone.outline.centroid
        vessel = replace(
            vessel.moved(spot.x + float(rng.normal(0, 10)), spot.y + float(rng.normal(0, 10))),
            heading=float(rng.choice([90.0, 270.0]) + rng.normal(0, 3)),
            zone=zone.id,
        )
        visits.append(TrueVisit(name, vessel, zone.id, arrive, leave, 0.0, 1.0))
        arrive = leave
