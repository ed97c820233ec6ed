"""Zones: the features of a site file, read and checked one by one."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import shapely
import shapely.geometry

from detector.errors import SiteError

KINDS = ("coal_berth", "berth", "anchorage", "stockpile", "area")

T = TypeVar("T")


@dataclass(frozen=True)
class Zone:
    """One feature of a site file.

    Attributes:
        capacity: the most vessels that fit at once.
        accuracy_m: how far the outline may be off, metres.
        stay_days: a 90 % belief (low, high) about the mean stay, or None.
        polygon: WGS84.
        note: what else a reader must know, or "".
    """

    id: str
    kind: str
    name: str
    capacity: int
    source: str
    accuracy_m: float
    stay_days: tuple[float, float] | None
    polygon: shapely.Polygon
    note: str = ""


def read_document(path: Path) -> dict[str, Any]:
    """The FeatureCollection in a site file, its features not yet looked at.

    Raises:
        SiteError: the file cannot be read, is no FeatureCollection in WGS84, or is empty.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8-sig"))
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
    return document


def read_zones(path: Path, features: list[Any]) -> tuple[list[Zone], list[SiteError]]:
    """The zones of a site file's features, and for each feature that is none an error that names it."""
    zones: list[Zone] = []
    errors: list[SiteError] = []
    for number, feature in enumerate(features, 1):
        try:
            zone = zone_of(feature)
            if zone.id in (other.id for other in zones):
                raise SiteError("this id occurs twice; give every feature its own")
        except SiteError as error:
            zone_id = _properties(feature).get("id")
            named = "" if zone_id is None else f" ({zone_id})"
            errors.append(SiteError(f"{path}: feature {number}{named}: {error}"))
        else:
            zones.append(zone)
    return zones, errors


def zone_of(feature: Any) -> Zone:
    """The zone that a GeoJSON feature describes.

    Raises:
        SiteError: everything that is wrong with the feature, in one sentence.
    """
    properties = _properties(feature)
    faults: list[str] = []

    def take(parse: Callable[..., T], *arguments: Any) -> Any:
        try:
            return parse(*arguments)
        except SiteError as error:
            faults.append(str(error))
            return None

    if isinstance(properties.get("id"), int):  # QGIS likes to number features
        properties = {**properties, "id": str(properties["id"])}
    zone = Zone(
        id=take(_text, properties, "id"),
        kind=take(_kind, properties),
        name=take(_text, properties, "name"),
        capacity=take(_capacity, properties.get("capacity")),
        source=take(_text, properties, "source"),
        accuracy_m=take(_accuracy, properties.get("accuracy_m")),
        stay_days=take(_stay, properties.get("stay_days")),
        polygon=take(_polygon, feature.get("geometry") if isinstance(feature, dict) else None),
        note=str(properties.get("note") or ""),
    )
    if faults:
        raise SiteError("; ".join(faults))
    return zone


def _properties(member: Any) -> dict[str, Any]:
    properties = member.get("properties") if isinstance(member, dict) else None
    return properties if isinstance(properties, dict) else {}


def _text(properties: dict[str, Any], name: str) -> str:
    value = properties.get(name)
    if not isinstance(value, str) or not value.strip():
        raise SiteError(f"{name} is missing" if value is None else f"{name} is {value!r}; give a text")
    return value


def _kind(properties: dict[str, Any]) -> str:
    kind = _text(properties, "kind")
    if kind not in KINDS:
        raise SiteError(f"kind is {kind!r}; use one of {', '.join(KINDS)}")
    return kind


def _capacity(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise SiteError(f"capacity is {value!r}; give the number of vessels that fit at once, 1 or more")
    return value


def _accuracy(value: Any) -> float:
    if not _is_number(value) or value <= 0:
        raise SiteError(f"accuracy_m is {value!r}; give the metres that the outline may be off")
    return float(value)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _stay(value: Any) -> tuple[float, float] | None:
    if value is None:
        return None
    if isinstance(value, str):  # QGIS has no field for a list and writes text
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            pass
    if not isinstance(value, list) or len(value) != 2 or not all(_is_number(v) for v in value):
        raise SiteError(f"stay_days is {value!r}; give [low, high] in days")
    low, high = (float(v) for v in value)
    if not 0 < low < high:
        raise SiteError(f"stay_days is {value!r}; low must be above 0 and below high")
    return low, high


def _polygon(geometry: Any) -> shapely.Polygon:
    kind = geometry.get("type") if isinstance(geometry, dict) else None
    if kind == "MultiPolygon" and len(geometry.get("coordinates") or ()) == 1:
        # Layers of several polygons, as QGIS makes them, hold single ones in this form.
        geometry, kind = {"type": "Polygon", "coordinates": geometry["coordinates"][0]}, "Polygon"
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
            f"latitude; {_misread(west, south, east, north)}"
        )
    if not polygon.is_valid or polygon.area == 0:
        raise SiteError(
            f"its Polygon is not valid ({shapely.is_valid_reason(polygon)}); draw it without crossings"
        )
    return polygon


def _misread(west: float, south: float, east: float, north: float) -> str:
    """What coordinates out of range most likely are."""
    if -90 <= west <= east <= 90 and -180 <= south <= north <= 180:
        return "they look swapped: check their order, longitude comes first"
    if max(map(abs, (west, south, east, north))) > 360:
        return "they look projected: export the layer again in EPSG:4326"
    return "check their order and the CRS"
