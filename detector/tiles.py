"""Fixed-shape overlapping windows over a scene, and which window answers for which pixel.

A hull that touches the border of a window is seen cut there, but the overlap shows it whole to a neighbour.
Each window therefore owns the part of itself that lies at least half an overlap inside, and a box counts only
for the window that owns its centre. So a hull comes out once and whole as long as it is no longer than the
overlap.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from detector.errors import ConfigError
from detector.geometry import Window


@dataclass(frozen=True)
class Tiling:
    """Windows of one shape that cover a raster; those at the far edges stick out of a small raster only.

    Attributes:
        width, height: of the raster, in pixels.
        window: (columns, rows) of each window.
        overlap: (columns, rows) that neighbours share at least.
    """

    width: int
    height: int
    window: tuple[int, int]
    overlap: tuple[int, int]

    def __post_init__(self) -> None:
        for size, shared in zip(self.window, self.overlap, strict=True):
            if not 0 <= shared < size:
                raise ConfigError(
                    f"the overlap must be smaller than the window, got {shared} of {size} pixels"
                )
        if self.width < 1 or self.height < 1:
            raise ConfigError(f"a raster of {self.width} x {self.height} pixels cannot be tiled")

    @property
    def columns(self) -> list[int]:
        """First column of each window, from left to right."""
        return _origins(self.width, self.window[0], self.overlap[0])

    @property
    def rows(self) -> list[int]:
        """First row of each window, from top to bottom."""
        return _origins(self.height, self.window[1], self.overlap[1])

    def __len__(self) -> int:
        return len(self.columns) * len(self.rows)

    def strips(self) -> Iterator[list[Window]]:
        """Windows row by row: a strip is read in one go, which suits every file layout."""
        for row in self.rows:
            yield [Window(col, row, *self.window) for col in self.columns]

    def owns(
        self, window: Window, x: NDArray[np.floating], y: NDArray[np.floating], slack: float
    ) -> NDArray[np.bool_]:
        """Which pixel positions of the raster a window answers for.

        Args:
            window: one of this tiling.
            x, y: positions in raster pixels.
            slack: pixels by which neighbours' parts overlap, so that a box whose centre two windows
                place on either side of the border is not lost between them; merging removes the double.
        """
        inside = np.ones(np.shape(x), bool)
        for position, origin, origins, size in (
            (x, window.col, self.columns, self.window[0]),
            (y, window.row, self.rows, self.window[1]),
        ):
            low, high = _own_range(origin, origins, size)
            inside &= (position >= low - slack) & (position < high + slack)
        return inside


def _origins(length: int, size: int, overlap: int) -> list[int]:
    """Evenly spread origins, so that the overlap that is left over is shared by all neighbours."""
    if length <= size:
        return [0]
    count = math.ceil((length - overlap) / (size - overlap))
    return [round(i * (length - size) / (count - 1)) for i in range(count)]


def _own_range(origin: int, origins: list[int], size: int) -> tuple[float, float]:
    """Where a window's own part begins and ends: halfway through each overlap, unbounded at the edges."""
    i = origins.index(origin)
    low = -math.inf if i == 0 else (origin + origins[i - 1] + size) / 2
    high = math.inf if i == len(origins) - 1 else (origins[i + 1] + origin + size) / 2
    return low, high
