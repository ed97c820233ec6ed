"""Coastlines to draw below maps, from the optional package roaring-landmask (GSHHG and OpenStreetMap).

Only for looking at: which of two coastlines is right, and whether a quay was built after either, cannot be told here.
"""

from __future__ import annotations

from collections.abc import Mapping

import shapely


def has_coast() -> bool:
    """Whether roaring-landmask is installed."""
    from importlib.util import find_spec

    return find_spec("roaring_landmask") is not None


def coastlines(bounds: tuple[float, float, float, float]) -> dict[str, shapely.Geometry]:
    """Land by name of the coastline, WGS84, cut to west, south, east, north; some seconds and 600 MB.

    Raises:
        ImportError: roaring-landmask is not installed; see `has_coast`.
    """
    from roaring_landmask import LandmaskProvider, Shapes

    providers = {"GSHHG": LandmaskProvider.Gshhg, "© OpenStreetMap contributors": LandmaskProvider.Osm}
    return {name: _cut(shapely.from_wkb(Shapes.wkb(which)), bounds) for name, which in providers.items()}


def agreed(land: Mapping[str, shapely.Geometry]) -> shapely.Geometry:
    """Land by all coastlines; empty where there is none."""
    return shapely.intersection_all(list(land.values())) if land else shapely.Polygon()


def disputed(land: Mapping[str, shapely.Geometry]) -> dict[str, shapely.Geometry]:
    """Land by name of the coastline, without what all of them have."""
    common = agreed(land)
    return {name: shapely.difference(polygons, common) for name, polygons in land.items()}


def _cut(land: shapely.Geometry, bounds: tuple[float, float, float, float]) -> shapely.Geometry:
    west, south, east, north = bounds
    parts = shapely.get_parts(land)
    box = shapely.bounds(parts)
    near = (box[:, 0] < east) & (box[:, 2] > west) & (box[:, 1] < north) & (box[:, 3] > south)
    return shapely.union_all(shapely.clip_by_rect(parts[near], west, south, east, north))
