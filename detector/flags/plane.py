"""A flat map of one scene in metres to true east and north, for distances of up to some hundred kilometres."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

# WGS84, as in detector.geometry.
_A, _E2 = 6378137.0, 6.69437999014e-3


@dataclass(frozen=True)
class Plane:
    """Degrees of longitude and latitude times their length at the middle of a scene.

    Both what is compared are mapped alike, so the error is of scale alone: some per cent of the distance between the two
    at the far end of a 110 km tile at 60° N.
    """

    lon: float
    lat: float

    @property
    def metres_per_degree(self) -> tuple[float, float]:
        """Of longitude and of latitude."""
        phi = np.radians(self.lat)
        w2 = 1.0 - _E2 * np.sin(phi) ** 2
        east = np.radians(_A / np.sqrt(w2) * np.cos(phi))
        return float(east), float(np.radians(_A * (1.0 - _E2) / w2**1.5))

    def forward(self, lon: Any, lat: Any) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Metres east and north of the middle; longitudes may lie on either side of 180°."""
        east, north = self.metres_per_degree
        around = (np.asarray(lon, float) - self.lon + 180.0) % 360.0 - 180.0
        return around * east, (np.asarray(lat, float) - self.lat) * north

    def inverse(self, x: Any, y: Any) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Longitude and latitude of metres east and north."""
        east, north = self.metres_per_degree
        lon = (self.lon + np.asarray(x, float) / east + 180.0) % 360.0 - 180.0
        return lon, self.lat + np.asarray(y, float) / north
