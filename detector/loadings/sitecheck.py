"""Check a site file: what is wrong with it, and what looks like a mistake."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import shapely

from detector.errors import SiteError
from detector.loadings.places import read_places
from detector.loadings.sites import site_path
from detector.loadings.zones import Zone, read_document, read_zones
from detector.plane import Plane

#: Metres. Of the ships that were reported at coal berths the shortest has this length (docs/sites.md).
SHIP_M = 80.0
#: Metres. A zone this far from every other one has most likely a wrong coordinate.
FAR_M = 150_000.0
#: Overlaps below this share of the smaller zone come from drawing, not from meaning.
_SLIVER, _INSIDE = 0.01, 0.99
#: Kinds whose zones vessels are counted in.
COUNTED = ("coal_berth", "berth", "anchorage")
_NO_SOURCE = ("?", "-", "none", "unknown", "todo", "tbd", "n/a", "na", "no source", "source")


@dataclass(frozen=True)
class SiteReport:
    """What a check found.

    Attributes:
        path: of the file.
        zones: those that can be used.
        faults: a sentence for each feature that cannot; with any of them the file is refused.
        warnings: a sentence for each thing that can be used and is probably not meant.
    """

    path: str
    zones: tuple[Zone, ...]
    faults: tuple[str, ...]
    warnings: tuple[str, ...]


def check_site(name_or_path: str | os.PathLike[str]) -> SiteReport:
    """Read a site file and say everything that is wrong with it; it raises nothing."""
    try:
        path = site_path(name_or_path)
        document = read_document(path)
    except SiteError as error:
        return SiteReport(str(name_or_path), (), (str(error),), ())
    zones, errors = read_zones(path, document["features"])
    errors += read_places(path, document)[1]
    return SiteReport(str(path), tuple(zones), tuple(map(str, errors)), tuple(warnings_of(zones)))


def warnings_of(zones: Sequence[Zone]) -> list[str]:
    """What looks like a mistake in zones that can be used: one sentence each, the zone's id first."""
    found = [f"{zone.id}: {text}" for zone in zones for text in _of_one(zone)]
    found += _overlaps(zones)
    return found + _far(zones)


def _of_one(zone: Zone) -> list[str]:
    found = []
    long, short = sides_m(zone.polygon)
    if zone.kind in COUNTED and long < SHIP_M:
        found.append(f"{long:.0f} x {short:.0f} m is smaller than the ships; draw it over the whole berth")
    if zone.kind != "area" and zone.accuracy_m > short:
        found.append(
            f"its outline may be off by {zone.accuracy_m:g} m and it is only {short:.0f} m wide, so it may miss"
            " what it stands for; draw it wider or find a better source"
        )
    if zone.source.strip().strip(".").lower() in _NO_SOURCE:
        found.append(f"its source is {zone.source!r}; say what the outline rests on")
    if zone.stay_days is not None and zone.kind not in COUNTED:
        found.append(f"stay_days is not used for a zone of kind {zone.kind}; leave it out")
    return found


def _overlaps(zones: Sequence[Zone]) -> list[str]:
    """Zones that overlap in part: a vessel there falls to the larger overlap, which an outline decides by chance."""
    found = []
    counted = [zone for zone in zones if zone.kind in COUNTED]
    for one, other in combinations(counted, 2):
        shared = one.polygon.intersection(other.polygon).area
        share = shared / min(one.polygon.area, other.polygon.area)
        if _SLIVER < share < _INSIDE:
            found.append(f"{one.id} and {other.id}: they share {share:.0%} of the smaller one; part them")
        elif share >= _INSIDE and _alike(one.polygon, other.polygon):
            found.append(f"{one.id} and {other.id}: they are the same place; keep one")
    return found


def _alike(one: shapely.Polygon, other: shapely.Polygon) -> bool:
    smaller, larger = sorted((one.area, other.area))
    return bool(smaller > _INSIDE * larger)


def _far(zones: Sequence[Zone]) -> list[str]:
    if len(zones) < 2:
        return []
    found = []
    for zone in zones:
        others = shapely.union_all([other.polygon for other in zones if other is not zone])
        line = in_metres(shapely.shortest_line(zone.polygon, others), zone.polygon)
        if line.length > FAR_M:
            found.append(
                f"{zone.id}: it lies {line.length / 1000:.0f} km from the other zones; check its coordinates"
            )
    return found


def sides_m(polygon: shapely.Polygon) -> tuple[float, float]:
    """The longer and the shorter side of the smallest rectangle around a polygon (WGS84), metres on the ground."""
    corners = shapely.get_coordinates(shapely.minimum_rotated_rectangle(in_metres(polygon)))
    if len(corners) < 4:  # so thin that its rectangle is a line
        return float(in_metres(polygon).length / 2), 0.0
    one, other = (float(shapely.Point(corners[i]).distance(shapely.Point(corners[i + 1]))) for i in (0, 1))
    return max(one, other), min(one, other)


def area_m2(polygon: shapely.Polygon) -> float:
    """Area on the ground of a polygon (WGS84)."""
    return float(in_metres(polygon).area)


def in_metres(geometry: shapely.Geometry, around: shapely.Geometry | None = None) -> shapely.Geometry:
    """A geometry (WGS84) in metres east and north of the middle of another, or of its own."""
    middle = (geometry if around is None else around).centroid
    return shapely.transform(geometry, Plane(middle.x, middle.y).forward, interleaved=False)
