"""The grid that the images of a site are cut to."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import numpy as np
import shapely

from detector.errors import ConfigError
from detector.geometry import Grid, Window

if TYPE_CHECKING:
    from detector.loadings.sites import Site

PIXEL_M = 10.0
#: Pixels of the coarse grid, on which clouds decide what is worth downloading.
COARSE_M = 40.0
#: Corners lie on multiples of this: Sentinel-2 tiles begin on multiples of 60 m, so that pixels of 10, 20 and
#: 60 m stay whole, and 40 m pixels fit too.
_SNAP_M = 120.0
#: Pixels. The largest side: 250 km, more than a swath is worth cutting.
_MOST_PIXELS = 25_000


@dataclass(frozen=True)
class Area:
    """A site and the 10 m grid around it, in the UTM zone of its middle."""

    site: Site
    grid: Grid
    margin_m: float

    @cached_property
    def coarse(self) -> Grid:
        """The same rectangle in pixels of 40 m."""
        return coarsened(self.grid)

    @cached_property
    def lonlat(self) -> shapely.Polygon:
        """The rectangle in WGS84, its bent edges followed."""
        return lonlat_outline(self.grid)

    @cached_property
    def fingerprint(self) -> str:
        """Changes with the rectangle and with the outline of any zone."""
        zones = [(zone.id, shapely.to_wkb(zone.polygon, hex=True)) for zone in self.site.zones]
        place = [self.grid.crs.to_string(), list(self.grid.transform)[:6], self.grid.width, self.grid.height]
        return sha256(json.dumps([place, zones, self.margin_m]).encode()).hexdigest()[:16]


def area_of(site: Site, margin_m: float = 500.0) -> Area:
    """The area of a site: all its zones and a margin, so that ships at the border are whole.

    Raises:
        ConfigError: the margin is negative, or the site is larger than 250 km.
    """
    from affine import Affine
    from pyproj import Transformer
    from rasterio.crs import CRS

    if not 0 <= margin_m <= 50_000:
        raise ConfigError(f"a margin of {margin_m:g} m is no margin; use 0 to 50000")
    west, south, east, north = site.bounds
    epsg = utm_zone((west + east) / 2, (south + north) / 2)
    place = Transformer.from_crs("EPSG:4326", f"EPSG:{epsg}", always_xy=True)
    left, bottom, right, top = place.transform_bounds(west, south, east, north, densify_pts=51)
    left, bottom = (math.floor((v - margin_m) / _SNAP_M) * _SNAP_M for v in (left, bottom))
    right, top = (math.ceil((v + margin_m) / _SNAP_M) * _SNAP_M for v in (right, top))
    width, height = round((right - left) / PIXEL_M), round((top - bottom) / PIXEL_M)
    if max(width, height) > _MOST_PIXELS:
        raise ConfigError(
            f"site {site.name!r} is {width / 100:.0f} x {height / 100:.0f} km; split it into sites below 250 km"
        )
    grid = Grid(CRS.from_epsg(epsg), Affine(PIXEL_M, 0, left, 0, -PIXEL_M, top), width, height)
    return Area(site, grid, margin_m)


def utm_zone(lon: float, lat: float) -> int:
    """EPSG code of the UTM zone of a place (WGS84)."""
    zone = min(60, max(1, math.floor((lon + 180) / 6) + 1))
    return (32600 if lat >= 0 else 32700) + zone


def coarsened(grid: Grid) -> Grid:
    """The same rectangle in pixels of 40 m; the last row and column may stick out of it."""
    from affine import Affine

    step = round(COARSE_M / PIXEL_M)
    return Grid(
        grid.crs, grid.transform * Affine.scale(step), -(-grid.width // step), -(-grid.height // step)
    )


def lonlat_outline(grid: Grid) -> shapely.Polygon:
    """The rectangle of a grid in WGS84."""
    steps = np.linspace(0, 1, 21)
    zeros, ones = np.zeros_like(steps), np.ones_like(steps)
    cols = np.concatenate([steps, ones, steps[::-1], zeros]) * grid.width
    rows = np.concatenate([zeros, steps, ones, steps[::-1]]) * grid.height
    return shapely.Polygon(np.column_stack(grid.to_lonlat(cols, rows)))


def zone_mask(polygon: shapely.Polygon, grid: Grid, buffer_m: float) -> Any:
    """Pixels of a grid that a WGS84 polygon touches, grown by `buffer_m`; bool (height, width)."""
    from rasterio.features import rasterize

    dense = shapely.segmentize(polygon, 0.02)
    moved = shapely.transform(dense, lambda xy: np.column_stack(grid.from_lonlat(xy[:, 0], xy[:, 1])))
    grown = moved.buffer(buffer_m / abs(grid.transform.a))
    mask = rasterize([(grown, 1)], out_shape=(grid.height, grid.width), all_touched=True, dtype="uint8")
    return mask.astype(bool)


def offset_of(grid: Grid, inside: Grid) -> Window | None:
    """Where `grid` lies in `inside`, when both have the same CRS and their pixels coincide; else None."""
    t, o = grid.transform, inside.transform
    if grid.crs != inside.crs or not np.allclose((t.a, t.e), (o.a, o.e), rtol=1e-9):
        return None
    col, row = (t.c - o.c) / o.a, (t.f - o.f) / o.e
    if abs(col - round(col)) > 1e-3 or abs(row - round(row)) > 1e-3:
        return None
    return Window(round(col), round(row), grid.width, grid.height)
