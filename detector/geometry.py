"""Grids and windows: how pixels, longitude and latitude, and metres on the ground relate.

Pixel coordinates put (0, 0) at the upper left *corner* of the upper left pixel; columns grow to the right
and rows downwards. Ground metres are measured on the WGS84 ellipsoid, so that a ship has one length whatever
the CRS of the raster: a "10 m" pixel of EPSG:3857 is only 10·cos(latitude) m on the ground.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from detector.errors import GeoreferenceError

if TYPE_CHECKING:
    from affine import Affine
    from rasterio.crs import CRS

# WGS84 (NIMA TR8350.2): equatorial radius in metres and first eccentricity squared.
_WGS84_A = 6378137.0
_WGS84_E2 = 6.69437999014e-3


class Window(NamedTuple):
    """A rectangle of whole pixels; it may stick out of its raster."""

    col: int
    row: int
    width: int
    height: int


def metres_per_degree(lat: float) -> tuple[float, float]:
    """Metres on the WGS84 ellipsoid of a degree of longitude and of one of latitude, at a latitude in degrees.

    By the radii of curvature in the prime vertical and the meridian (Torge & Müller, Geodesy, 4th ed., eq. 4.14 and 4.17).
    """
    phi = math.radians(lat)
    w2 = 1.0 - _WGS84_E2 * math.sin(phi) ** 2
    east = _WGS84_A / math.sqrt(w2) * math.cos(phi)
    return math.radians(east), math.radians(_WGS84_A * (1.0 - _WGS84_E2) / w2**1.5)


@dataclass(frozen=True)
class Grid:
    """A north-up raster grid: CRS, affine transform and size in pixels.

    Raises:
        GeoreferenceError: no CRS, a rotated or sheared transform, or a pixel of no size.
    """

    crs: CRS
    transform: Affine
    width: int
    height: int

    def __post_init__(self) -> None:
        t = self.transform
        if not self.crs:
            raise GeoreferenceError(
                "the raster has no CRS; write one into the file (gdal_edit.py -a_srs EPSG:…) or, from Python, pass crs="
            )
        if not all(math.isfinite(v) for v in t[:6]) or t.a == 0 or t.e == 0:
            raise GeoreferenceError(f"the transform {tuple(t[:6])} has no pixel size; from Python, pass transform=")
        if abs(t.b) > 1e-9 * abs(t.a) or abs(t.d) > 1e-9 * abs(t.e):
            raise GeoreferenceError(
                "the grid is rotated or sheared; warp it to a north-up grid first (gdalwarp)"
            )

    @cached_property
    def _to_wgs84(self) -> Any:
        from pyproj import Transformer
        from pyproj.exceptions import ProjError

        try:
            return Transformer.from_crs(self.crs.to_wkt(), "EPSG:4326", always_xy=True)
        except ProjError as error:
            raise GeoreferenceError(f"the CRS of the raster cannot be turned into WGS84: {error}") from error

    def to_lonlat(self, cols: ArrayLike, rows: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """WGS84 longitudes and latitudes (degrees) of pixel positions."""
        cols, rows = np.asarray(cols, dtype=float), np.asarray(rows, dtype=float)
        xs = self.transform.c + cols * self.transform.a
        ys = self.transform.f + rows * self.transform.e
        lon, lat = self._to_wgs84.transform(xs, ys)
        return np.asarray(lon), np.asarray(lat)

    def from_lonlat(self, lon: ArrayLike, lat: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Pixel positions (column, row) of WGS84 positions in degrees; inf where the CRS does not reach."""
        xs, ys = self._to_wgs84.transform(np.asarray(lon, float), np.asarray(lat, float), direction="INVERSE")
        cols = (np.asarray(xs) - self.transform.c) / self.transform.a
        rows = (np.asarray(ys) - self.transform.f) / self.transform.e
        return cols, rows

    def ground_jacobian(self, col: float, row: float) -> NDArray[np.float64]:
        """2 × 2 matrix J at a pixel position: ``(east_m, north_m) = J @ (d_col, d_row)``.

        East and north are true directions; metres are on the ellipsoid.
        """
        lon, lat = self.to_lonlat([col - 0.5, col + 0.5, col, col], [row, row, row - 0.5, row + 0.5])
        middle = float(lat.mean())
        if not math.isfinite(middle):
            raise GeoreferenceError(
                f"pixel ({col:.0f}, {row:.0f}) is nowhere on Earth; check the CRS and transform of the raster"
            )
        east_m, north_m = metres_per_degree(middle)
        d_lon = np.array([lon[1] - lon[0], lon[3] - lon[2]])
        d_lon = (d_lon + 180.0) % 360.0 - 180.0  # a pixel may straddle the antimeridian
        d_lat = np.array([lat[1] - lat[0], lat[3] - lat[2]])
        return np.array([d_lon * east_m, d_lat * north_m])

    def pixel_size(self, col: float | None = None, row: float | None = None) -> tuple[float, float]:
        """Metres on the ground of one column and one row step, at a pixel (default: the centre)."""
        j = self.ground_jacobian(
            self.width / 2 if col is None else col,
            self.height / 2 if row is None else row,
        )
        return float(np.hypot(j[0, 0], j[1, 0])), float(np.hypot(j[0, 1], j[1, 1]))

    def window_grid(self, window: Window) -> Grid:
        """The grid of a window of this grid."""
        from affine import Affine

        t = self.transform * Affine.translation(window.col, window.row)
        return Grid(self.crs, t, window.width, window.height)
