"""What is really in a painted scene."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from shapely import Polygon, get_coordinates, set_coordinates
from shapely.geometry import mapping
from shapely.geometry.base import BaseGeometry

from detector.geometry import Grid
from training.simulate.hulls import Vessel
from training.simulate.port import Zone
from training.simulate.sensor import PIXEL_M


@dataclass(frozen=True)
class TrueVessel:
    """One painted vessel: WGS84 position, oriented box and heading of the bow from true north (0 to 360)."""

    id: str
    kind: str
    label: str  # the class: vessel | coal_barge
    lon: float
    lat: float
    polygon: Polygon  # oriented box, lon/lat
    length_m: float
    width_m: float
    heading_deg: float
    speed_kn: float
    status: str
    zone: str | None
    load: float
    clear: bool = True  # not under cloud
    col: float = 0.0
    row: float = 0.0


def _to_lonlat(grid: Grid, geometry: BaseGeometry) -> BaseGeometry:
    xy = get_coordinates(geometry)
    lon, lat = grid.to_lonlat(xy[:, 0] / PIXEL_M, xy[:, 1] / PIXEL_M)
    return set_coordinates(geometry, np.c_[lon, lat])


def true_vessel(vessel: Vessel, grid: Grid, clear: bool = True) -> TrueVessel:
    """A vessel of the scene frame as truth: metres on the ground and true directions."""
    col, row = vessel.x / PIXEL_M, vessel.y / PIXEL_M
    jacobian = grid.ground_jacobian(col, row) / PIXEL_M
    s, c = np.sin(np.radians(vessel.heading)), np.cos(np.radians(vessel.heading))
    ahead, beam = jacobian @ np.array([s, -c]), jacobian @ np.array([c, s])
    lon, lat = grid.to_lonlat([col], [row])
    box = _to_lonlat(grid, vessel.box)
    assert isinstance(box, Polygon)
    return TrueVessel(
        vessel.id,
        vessel.kind,
        vessel.label,
        float(lon[0]),
        float(lat[0]),
        box,
        vessel.length * float(np.hypot(*ahead)),
        vessel.width * float(np.hypot(*beam)),
        float(np.degrees(np.arctan2(ahead[0], ahead[1])) % 360.0),
        vessel.speed_kn,
        vessel.status,
        vessel.zone,
        vessel.load,
        clear,
        col,
        row,
    )


def truth_geojson(truth: Sequence[TrueVessel], path: Path | None = None) -> dict[str, Any]:
    """The truth as a WGS84 FeatureCollection; written to ``path`` when given."""
    features = []
    for t in truth:
        properties = {
            "id": t.id,
            "kind": t.kind,
            "class": t.label,
            "lon": round(t.lon, 7),
            "lat": round(t.lat, 7),
            "length_m": round(t.length_m, 1),
            "width_m": round(t.width_m, 1),
            "heading_deg": round(t.heading_deg, 1),
            "speed_kn": round(t.speed_kn, 1),
            "status": t.status,
            "zone": t.zone,
            "load": round(t.load, 2),
            "clear": t.clear,
        }
        features.append(_feature(properties, t.polygon))
    return _collection(features, path)


def site_geojson(zones: Sequence[Zone], grid: Grid, path: Path | None = None) -> dict[str, Any]:
    """The zones of a painted port as a site file (kinds coal_berth, berth, anchorage, stockpile)."""
    features = []
    for zone in zones:
        properties = {
            "id": zone.id,
            "kind": zone.kind,
            "name": zone.name,
            "capacity": zone.capacity,
            "source": "painted by the simulator",
            "accuracy_m": 1.0,
        }
        features.append(_feature(properties, _to_lonlat(grid, zone.outline)))
    return _collection(features, path)


def _feature(properties: dict[str, Any], geometry: BaseGeometry) -> dict[str, Any]:
    return {"type": "Feature", "properties": properties, "geometry": mapping(geometry)}


def _collection(features: list[dict[str, Any]], path: Path | None) -> dict[str, Any]:
    collection = {"type": "FeatureCollection", "features": features}
    if path is not None:
        Path(path).write_text(json.dumps(collection, indent=1), encoding="utf-8")
    return collection
