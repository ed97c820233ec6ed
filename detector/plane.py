"""A flat map around one place, in metres, for distances, sizes and directions on the ground."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

if TYPE_CHECKING:
    from pyproj import Transformer


@dataclass(frozen=True)
class Plane:
    """Metres east and north of a place: an azimuthal equidistant map, true to 1 part in 10 000 within 150 km.

    Attributes:
        lon, lat: the place, degrees WGS84.
    """

    lon: float
    lat: float

    @cached_property
    def _transformer(self) -> Transformer:
        from pyproj import Transformer

        local = f"+proj=aeqd +lat_0={self.lat:.9f} +lon_0={self.lon:.9f} +datum=WGS84 +units=m"
        return Transformer.from_crs("EPSG:4326", local, always_xy=True)

    def forward(self, lon: ArrayLike, lat: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Metres east and north of the place, of longitudes and latitudes; they may lie on either side of 180°."""
        x, y = self._transformer.transform(np.asarray(lon, float), np.asarray(lat, float))
        return np.asarray(x, float), np.asarray(y, float)

    def inverse(self, x: ArrayLike, y: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Longitudes and latitudes of metres east and north."""
        lon, lat = self._transformer.transform(
            np.asarray(x, float), np.asarray(y, float), direction="INVERSE"
        )
        return np.asarray(lon, float), np.asarray(lat, float)
