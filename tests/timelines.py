"""Berths with known visits: tables as `predict` would write them, without images."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
import shapely

from detector.detections import Detections
from detector.loadings.sites import Site, Zone

START = datetime(2020, 1, 1, 2, 21, 9, tzinfo=UTC)
LON, LAT = 125.40, 38.72
# Standard deviations of x, y (m), length, width (m) and heading (degrees): what the network measures at 10 m
# pixels is about that far off.
NOISE = (15.0, 15.0, 12.0, 5.0, 8.0)
EAST, NORTH = 111_320 * np.cos(np.radians(LAT)), 111_000.0  # metres a degree, near enough here


def zone(
    zone_id="pier", kind="coal_berth", capacity=1, stay_days=(2.0, 4.0), at=(0.0, 0.0), size=(600.0, 300.0)
):
    """A rectangle of `size` metres round a point `at` metres east and north of the origin."""
    (x, y), (width, height) = at, size
    corners = [(x - width / 2, y - height / 2), (x + width / 2, y + height / 2)]
    (west, south), (east, north) = [(LON + px / EAST, LAT + py / NORTH) for px, py in corners]
    return Zone(
        zone_id, kind, zone_id, capacity, "painted", 20.0, stay_days, shapely.box(west, south, east, north)
    )


def site(*zones, name="port"):
    return Site(name, tuple(zones or (zone(),)))


def hull(x, y, length=170.0, width=28.0, heading=90.0):
    """A box in WGS84, `x` and `y` metres from the origin."""
    along = np.array([np.sin(np.radians(heading)), np.cos(np.radians(heading))])
    across = np.array([along[1], -along[0]])
    centre = np.array([x, y])
    corners = [
        centre + a * length / 2 * along + b * width / 2 * across
        for a, b in ((1, 1), (1, -1), (-1, -1), (-1, 1))
    ]
    return shapely.Polygon([(LON + px / EAST, LAT + py / NORTH) for px, py in corners])


@dataclass(frozen=True)
class Ship:
    """A stay of one ship: days after START, metres from the origin."""

    arrives: float
    leaves: float
    length: float = 170.0
    width: float = 28.0
    x: float = 0.0
    y: float = 0.0
    heading: float = 90.0
    coal: tuple[float, float] = (0.3, 0.3)


def scene_id(day):
    return f"S2_{day:07.2f}"


def when(day):
    return (START + timedelta(days=float(day))).isoformat().replace("+00:00", "Z")


def look(day, zone_id="pier", clear=1.0, site="port", scene=None):
    return {
        "scene_id": scene or scene_id(day),
        "acquired": when(day),
        "site": site,
        "zone_id": zone_id,
        "clear_fraction": clear,
    }


def vessel(day, ship, zone_id="pier", site="port", scene=None, noise=(0.0,) * 5, **changes):
    """A row of the vessel table; noise is added to x, y, length, width and heading."""
    x, y, length, width, heading = np.array([ship.x, ship.y, ship.length, ship.width, ship.heading]) + noise
    length, width = max(length, 15.0), max(width, 5.0)
    share = (day - ship.arrives) / (ship.leaves - ship.arrives)
    row = {
        "scene_id": scene or scene_id(day),
        "acquired": when(day),
        "class": "vessel",
        "confidence": 0.9,
        "lon": LON + x / EAST,
        "lat": LAT + y / NORTH,
        "length_m": length,
        "width_m": width,
        "heading_deg": heading % 180,
        "heading_ambiguous": True,
        "coal_score": ship.coal[0] + share * (ship.coal[1] - ship.coal[0]),
        "status": "kept",
        "site": site,
        "zone_id": zone_id,
        "flags": [],
        "geometry": hull(x, y, length, width, heading),
    }
    return row | changes


def tables(ships, days, *, zone_id="pier", clouds=(), recall=1.0, seed=0, noise=1.0):
    """Vessel rows and look rows of ships seen on days; nothing is seen on cloudy days.

    Measurements are off by `noise` times NOISE.
    """
    rng = np.random.default_rng(seed)
    rows, looks = [], []
    for day in days:
        cloudy = day in clouds
        looks.append(look(day, zone_id, clear=0.05 if cloudy else 1.0))
        for ship in ships:
            off = rng.normal(0, NOISE) * noise
            there = ship.arrives <= day < ship.leaves and rng.random() < recall
            if there and not cloudy:
                rows.append(vessel(day, ship, zone_id, noise=off))
    return rows, looks


def detections(rows):
    return Detections.from_rows(rows)


def calls(count, seed=0, stay=(2.0, 4.0), gap=(1.0, 6.0), **ship):
    """Ships one after the other at one place, with different lengths."""
    rng = np.random.default_rng(seed)
    ships, day = [], 1.0
    for _ in range(count):
        arrives = day + rng.uniform(*gap)
        leaves = arrives + rng.uniform(*stay)
        length = rng.uniform(90, 190)
        ships.append(Ship(arrives, leaves, length, length / 6.5, x=rng.uniform(-40, 40), **ship))
        day = leaves
    return ships
