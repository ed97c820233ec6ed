"""Sites: the berths, anchorages and yards of a port, read from GeoJSON.

A site file says where things are as far as anyone knows: each zone carries its source and how far its
outline may be off. The site's name is the name of its file.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import shapely
import shapely.geometry

from detector.errors import SiteError
from detector.resources import config_path

KINDS = ("coal_berth", "berth", "anchorage", "stockpile", "area")


@dataclass(frozen=True)
class Zone:
    """One feature of a site file.

    Attributes:
        capacity: the most vessels that fit at once.
        accuracy_m: how far the outline may be off, metres.
        stay_days: a 90 % belief (low, high) about the mean stay, or None.
        polygon: WGS84.
    """

    id: str
    kind: str
    name: str
    capacity: int
    source: str
    accuracy_m: float
    stay_days: tuple[float, float] | None
    polygon: shapely.Polygon


@dataclass(frozen=True)
class Site:
    """A named group of zones."""

    name: str
    zones: tuple[Zone, ...]

    def zone(self, zone_id: str) -> Zone:
        """The zone of that id.

        Raises:
            SiteError: there is none.
        """
        for zone in self.zones:
            if zone.id == zone_id:
                return zone
        known = ", ".join(zone.id for zone in self.zones)
        raise SiteError(f"site {self.name!r} has no zone {zone_id!r}; it has {known}")

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """West, south, east, north of all zones, degrees."""
        west, south, east, north = shapely.total_bounds([zone.polygon for zone in self.zones])
        return float(west), float(south), float(east), float(north)

    def assign(self, polygons: Sequence[shapely.Polygon]) -> list[str | None]:
        """The zone that each hull (WGS84) overlaps most, or None where it overlaps none.

        A zone of kind `area` takes only what no finer zone overlaps, and a stockpile, being land, takes none.
        Of zones that overlap a hull equally, one inside the other, the smaller wins.
        """
        zones = [zone for zone in self.zones if zone.kind != "stockpile"]
        hulls = np.asarray(polygons, dtype=object)
        best: list[tuple[Any, str] | None] = [None] * len(hulls)
        if not zones or not len(hulls):
            return [None] * len(hulls)
        hull_ids, zone_ids = shapely.STRtree([zone.polygon for zone in zones]).query(
            hulls, predicate="intersects"
        )
        overlaps = shapely.area(
            shapely.intersection(
                hulls[hull_ids], np.array([z.polygon for z in zones], dtype=object)[zone_ids]
            )
        )
        for hull, index, overlap in zip(hull_ids, zone_ids, overlaps, strict=True):
            zone, share = zones[index], float(overlap / hulls[hull].area) if hulls[hull].area else 0.0
            if share <= 0:
                continue
            rank = (zone.kind != "area", round(share, 9), -zone.polygon.area)
            current = best[hull]
            if current is None or rank > current[0]:
                best[hull] = (rank, zone.id)
        return [None if entry is None else entry[1] for entry in best]


def list_sites() -> list[str]:
    """Names of the sites that ship with bargewatch."""
    return sorted(path.stem for path in config_path("sites").glob("*.geojson"))


def load_site(name_or_path: str | os.PathLike[str] | Site) -> Site:
    """A site by the name of a shipped one, or from a GeoJSON file of your own.

    Raises:
        SiteError: unknown name, unreadable file, or a feature that a site file cannot have.
    """
    if isinstance(name_or_path, Site):
        return name_or_path
    path = Path(name_or_path)
    if path.name == str(name_or_path) and path.suffix.lower() not in (".geojson", ".json"):
        shipped = config_path(f"sites/{name_or_path}.geojson")
        if str(name_or_path) not in list_sites():
            known = ", ".join(list_sites())
            raise SiteError(
                f"unknown site {str(name_or_path)!r}; use {known}, or the path of a .geojson file"
            )
        path = shipped
    return Site(path.stem, _zones_of(path))


def _zones_of(path: Path) -> tuple[Zone, ...]:
    try:
        document = json.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise SiteError(
            f"{path}: no such site file; use one of {', '.join(list_sites())} or check the path"
        ) from None
    except OSError as error:
        raise SiteError(f"{path}: cannot be read: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        raise SiteError(f"{path}: not JSON ({error}); a site file is a GeoJSON FeatureCollection") from None
    if not isinstance(document, dict) or not isinstance(document.get("features"), list):
        raise SiteError(f"{path}: not a GeoJSON FeatureCollection; export the zones as GeoJSON in WGS84")
    crs = str(_properties(document.get("crs")).get("name", "CRS84"))
    if not crs.endswith(("CRS84", ":4326")):
        raise SiteError(f"{path}: its coordinates are in {crs}; export it again in WGS84 (EPSG:4326)")
    if not document["features"]:
        raise SiteError(f"{path}: it has no feature; a site needs at least one zone")
    zones: list[Zone] = []
    for number, feature in enumerate(document["features"], 1):
        try:
            zone = _zone_of(feature)
            if zone.id in (other.id for other in zones):
                raise SiteError("this id occurs twice; give every feature its own")
        except SiteError as error:
            raise SiteError(f"{path}: feature {number}{_named(feature)}: {error}") from None
        zones.append(zone)
    return tuple(zones)


def _properties(member: Any) -> dict[str, Any]:
    properties = member.get("properties") if isinstance(member, dict) else None
    return properties if isinstance(properties, dict) else {}


def _named(feature: Any) -> str:
    zone_id = _properties(feature).get("id")
    return "" if zone_id is None else f" ({zone_id})"


def _zone_of(feature: Any) -> Zone:
    properties = _properties(feature)
    if isinstance(properties.get("id"), int):
        properties = {**properties, "id": str(properties["id"])}
    zone_id, kind = _text(properties, "id"), _text(properties, "kind")
    if kind not in KINDS:
        raise SiteError(f"kind is {kind!r}; use one of {', '.join(KINDS)}")
    capacity = properties.get("capacity")
    if isinstance(capacity, bool) or not isinstance(capacity, int) or capacity < 1:
        raise SiteError(f"capacity is {capacity!r}; give the number of vessels that fit at once, 1 or more")
    accuracy = properties.get("accuracy_m")
    if not isinstance(accuracy, int | float) or not _is_number(accuracy) or accuracy <= 0:
        raise SiteError(f"accuracy_m is {accuracy!r}; give the metres that the outline may be off")
    return Zone(
        id=zone_id,
        kind=kind,
        name=_text(properties, "name"),
        capacity=capacity,
        source=_text(properties, "source"),
        accuracy_m=float(accuracy),
        stay_days=_stay(properties.get("stay_days")),
        polygon=_polygon(feature.get("geometry")),
    )


def _text(properties: dict[str, Any], name: str) -> str:
    value = properties.get(name)
    if not isinstance(value, str) or not value.strip():
        raise SiteError(f"{name} is missing" if value is None else f"{name} is {value!r}; give a text")
    return value


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _stay(value: Any) -> tuple[float, float] | None:
    if value is None:
        return None
    if not isinstance(value, list) or len(value) != 2 or not all(_is_number(v) for v in value):
        raise SiteError(f"stay_days is {value!r}; give [low, high] in days")
    low, high = (float(v) for v in value)
    if not 0 < low < high:
        raise SiteError(f"stay_days is {value!r}; low must be above 0 and below high")
    return low, high


def _polygon(geometry: Any) -> shapely.Polygon:
    kind = geometry.get("type") if isinstance(geometry, dict) else None
    if kind != "Polygon":
        raise SiteError(f"its geometry is {kind or 'missing'}; draw one Polygon")
    try:
        polygon = shapely.force_2d(shapely.geometry.shape(geometry))
    except (
        ValueError,
        TypeError,
        KeyError,
        IndexError,
        AttributeError,
        shapely.errors.ShapelyError,
    ) as error:
        raise SiteError(f"its Polygon cannot be read: {error}") from None
    west, south, east, north = polygon.bounds if not polygon.is_empty else (math.nan,) * 4
    if not (-180 <= west <= east <= 180 and -90 <= south <= north <= 90):
        raise SiteError(
            f"its coordinates ({west:g}, {south:g} to {east:g}, {north:g}) are not WGS84 longitude and "
            "latitude; check their order and the CRS"
        )
    if not polygon.is_valid or polygon.area == 0:
        raise SiteError(
            f"its Polygon is not valid ({shapely.is_valid_reason(polygon)}); draw it without crossings"
        )
    return polygon
