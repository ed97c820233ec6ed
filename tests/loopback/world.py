"""A small piece of sea whose pixels are a function of their place, so that every merge and cut can be checked."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from pyproj import Transformer

EPSG = 32651
#: Upper left corner of the world, on the lattice of tile 51SYC.
LEFT, TOP = 702_000.0, 4_296_000.0
BANDS = ("B02", "B03", "B04", "B08")
_LEVELS = {"B02": 900, "B03": 800, "B04": 600, "B08": 300}
Box = tuple[float, float, float, float]  # left, bottom, right, top; metres in the world's UTM zone


@dataclass(frozen=True)
class Pass:
    """One granule of one overpass.

    Attributes:
        box: where it holds data.
        cloud: boxes under cloud (SCL 9).
        dark: boxes of negative reflectance, which only a shift makes storable.
        shift: added to every stored number, as baseline 04.00 does.
    """

    acquired: datetime
    box: Box
    cloud: tuple[Box, ...] = ()
    dark: tuple[Box, ...] = ()
    shift: int = 0
    tile: str = "51SYC"
    platform: str = "S2A"
    baseline: str = "02.14"
    created: str = "20200301T051437"
    epsg: int = EPSG

    @property
    def datatake(self) -> str:
        return f"{self.acquired - timedelta(minutes=6):%Y%m%dT%H%M}09"

    def product(self, level: str = "L2A") -> str:
        number = self.baseline.replace(".", "")
        return f"{self.platform}_MSI{level}_{self.datatake}_N{number}_R003_T{self.tile}_{self.created}"

    def numbers(self, band: str, x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.uint16]:
        """Stored numbers at places; 0 = no data."""
        col, row = np.floor((x - LEFT) / 10), np.floor((TOP - y) / 10)
        # A hash of the place: it compresses as badly as a real image.
        value = _LEVELS[band] + np.mod((col + 10_000) * 7919 + (row + 10_000) * 104_729 + col * row, 101)
        value = np.where(self._in(self.cloud, x, y), 6000 + value, value)
        value = np.where(self._in(self.dark, x, y), -50, value) + self.shift
        return np.where(self._in((self.box,), x, y), value, 0).astype(np.uint16)

    def classes(self, x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.uint8]:
        value = np.where(self._in(self.cloud, x, y), 9, 6)
        return np.where(self._in((self.box,), x, y), value, 0).astype(np.uint8)

    @staticmethod
    def _in(boxes: tuple[Box, ...], x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.bool_]:
        inside = np.zeros(np.broadcast(x, y).shape, bool)
        for left, bottom, right, top in boxes:
            inside |= (x >= left) & (x < right) & (y >= bottom) & (y < top)
        return inside


def box(left: float, top: float, width: float, height: float) -> Box:
    """A box by its distance from the world's upper left corner, metres."""
    return LEFT + left, TOP - top - height, LEFT + left + width, TOP - top


def centres(transform: Affine, width: int, height: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    cols, rows = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    return transform.c + cols * transform.a, transform.f + rows * transform.e


def lonlat(corners: Box, epsg: int = EPSG) -> list[list[float]]:
    """A box as a closed ring of WGS84 corners."""
    left, bottom, right, top = corners
    move = Transformer.from_crs(f"EPSG:{epsg}", "EPSG:4326", always_xy=True)
    ring = [(left, bottom), (right, bottom), (right, top), (left, top), (left, bottom)]
    return [list(move.transform(x, y)) for x, y in ring]


def write_site(path: Path, zones: dict[str, Box], kind: str = "coal_berth") -> Path:
    """A site file of boxes."""
    features = [
        {
            "type": "Feature",
            "properties": {
                "id": name,
                "kind": kind,
                "name": name,
                "capacity": 2,
                "source": "made for a test",
                "accuracy_m": 10,
            },
            "geometry": {"type": "Polygon", "coordinates": [lonlat(corners)]},
        }
        for name, corners in zones.items()
    ]
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    return path
