"""Sites: the berths, anchorages and yards of a port, read from GeoJSON.

A site file says where things are as far as anyone knows: each zone carries its source and how far its
outline may be off. The site's name is the name of its file.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import shapely

from detector.errors import SiteError
from detector.loadings.places import Place, read_places
from detector.loadings.zones import KINDS, Zone, read_document, read_zones
from detector.resources import config_path

__all__ = ["KINDS", "Site", "Zone", "list_sites", "load_site", "site_path"]


@dataclass(frozen=True)
class Site:
    """A named group of zones, and places for a reader to find them by."""

    name: str
    zones: tuple[Zone, ...]
    note: str = ""
    places: tuple[Place, ...] = ()

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


def site_path(name_or_path: str | os.PathLike[str]) -> Path:
    """The file of a shipped site by name, or the path itself.

    Raises:
        SiteError: unknown name, or no such file.
    """
    path = Path(name_or_path)
    if path.name == str(name_or_path) and path.suffix.lower() not in (".geojson", ".json"):
        if str(name_or_path) not in list_sites():
            known = ", ".join(list_sites())
            raise SiteError(
                f"unknown site {str(name_or_path)!r}; use {known}, or the path of a .geojson file"
            )
        return config_path(f"sites/{name_or_path}.geojson")
    if not path.exists():
        raise SiteError(f"{path}: no such site file; use one of {', '.join(list_sites())} or check the path")
    return path


def load_site(name_or_path: str | os.PathLike[str] | Site) -> Site:
    """A site by the name of a shipped one, or from a GeoJSON file of your own.

    Raises:
        SiteError: unknown name, unreadable file, or a feature that a site file cannot have.
    """
    if isinstance(name_or_path, Site):
        return name_or_path
    if not isinstance(name_or_path, str | os.PathLike):
        raise SiteError(f"a site is a name, the path of a .geojson file or a Site, not {type(name_or_path).__name__}")
    path = site_path(name_or_path)
    document = read_document(path)
    zones, errors = read_zones(path, document["features"])
    places, misplaced = read_places(path, document)
    if errors or misplaced:
        raise (errors + misplaced)[0]
    return Site(path.stem, tuple(zones), str(document.get("note") or ""), tuple(places))
