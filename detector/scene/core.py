"""What the rest of bargewatch sees of an image: bands on one grid, read window by window."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detector.errors import MissingBandError
from detector.geometry import Grid, Window
from detector.scene.layers import Reader


class Scene:
    """One acquisition on one grid; a context manager that closes its files.

    Attributes:
        id: product name or file stem.
        acquired: sensing time, aware and in UTC; None when nothing tells it.
        level: ``L1C``, ``L2A`` or None.
        grid: the grid of the finest needed band (10 m); all windows are windows of it.
        bands: names of the bands that can be read.
        radiometry: band to (gain, offset): ``reflectance = stored * gain + offset``.
        fill: stored value that means no data (NaN for float rasters).
        name: what to call the scene in messages.
    """

    def __init__(
        self,
        *,
        id: str,
        grid: Grid,
        bands: Sequence[str],
        radiometry: Mapping[str, tuple[float, float]],
        reader: Reader,
        fill: float,
        acquired: datetime | None = None,
        level: str | None = None,
        name: str | None = None,
    ) -> None:
        self.id, self.acquired, self.level, self.grid = id, acquired, level, grid
        self.bands = tuple(bands)
        self.radiometry = dict(radiometry)
        self.fill = fill
        self.name = name or id
        self._reader = reader

    def read(self, window: Window, bands: Sequence[str]) -> NDArray[Any]:
        """Stored pixels, (bands, height, width) in the stored type; ``fill`` where there are none.

        The window may stick out of the raster. Safe to call from several threads.

        Raises:
            MissingBandError: a band the scene does not have.
            UnreadableSceneError: the pixels cannot be decoded.
        """
        missing = [band for band in bands if band not in self.bands]
        if missing:
            raise MissingBandError(f"{self.name} has {', '.join(self.bands)}, but not {', '.join(missing)}")
        return self._reader.read(window, bands)

    def reflectance(self, window: Window, bands: Sequence[str]) -> NDArray[np.float32]:
        """Reflectance, float32 (bands, height, width), NaN where there is no data."""
        from detector.masks import valid

        stored = self.read(window, bands)
        out = stored.astype(np.float32)
        for i, band in enumerate(bands):
            gain, offset = self.radiometry[band]
            out[i] *= gain
            out[i] += offset
        if stored.dtype == np.uint8:  # a dark channel of an 8-bit image is 0 although the pixel is there
            out[:, ~valid(stored, self.fill)] = np.nan
        elif not np.isnan(self.fill):
            out[stored == self.fill] = np.nan
        return out

    def scl(self, window: Window) -> NDArray[np.uint8] | None:
        """Scene classification of L2A, uint8 (height, width), 0 = no data; None when the scene has none."""
        if "SCL" not in self.bands:
            return None
        return np.asarray(np.nan_to_num(self._reader.read(window, ["SCL"])[0]), dtype=np.uint8)

    def close(self) -> None:
        """Close all files of all threads; reading afterwards is an error."""
        self._reader.close()

    def __enter__(self) -> Scene:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        size = f"{self.grid.width} x {self.grid.height}"
        return f"Scene({self.id!r}, {self.acquired}, {self.level}, {size}, {', '.join(self.bands)})"
