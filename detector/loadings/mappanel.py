"""What a panel of a map shows: bounds in degrees, and how many kilometres they are."""

from __future__ import annotations

from typing import NamedTuple

import shapely

from detector.geometry import metres_per_degree
from detector.loadings.sites import Site

#: A second panel shows the finer zones where they fill less than this share of the site.
_DETAIL = 0.45


class Panel(NamedTuple):
    """Bounds in degrees of longitude and latitude."""

    west: float
    south: float
    east: float
    north: float

    @property
    def km_per_degree(self) -> tuple[float, float]:
        """Kilometres of a degree of longitude and of one of latitude in its middle."""
        east_m, north_m = metres_per_degree((self.south + self.north) / 2)
        return east_m / 1000, north_m / 1000

    @property
    def shape_km(self) -> tuple[float, float]:
        """Width and height."""
        per_lon, per_lat = self.km_per_degree
        return (self.east - self.west) * per_lon, (self.north - self.south) * per_lat

    def widened(self, margin: float) -> Panel:
        """With a margin, a share of the longer side; and the shorter side has at least six tenths of the longer."""
        width, height = self.shape_km
        per_lon, per_lat = self.km_per_degree
        margin *= max(width, height)
        to_east = (margin + max(0.0, 0.6 * height - width) / 2) / per_lon
        to_north = (margin + max(0.0, 0.6 * width - height) / 2) / per_lat
        return Panel(self.west - to_east, self.south - to_north, self.east + to_east, self.north + to_north)


def panels(site: Site) -> list[Panel]:
    """The whole site, and its finer zones where they are small on it."""
    fine = [zone.polygon for zone in site.zones if zone.kind != "area"]
    # An area at sea is seen with the coast around it.
    whole = Panel(*site.bounds).widened(0.07 if fine else 0.45)
    if len(fine) < 2:
        return [whole]
    detail = Panel(*map(float, shapely.total_bounds(fine))).widened(0.07)
    share = max(a / b for a, b in zip(detail.shape_km, whole.shape_km, strict=True))
    return [whole, detail] if share < _DETAIL else [whole]
