"""Reading windows of bands: from files through GDAL, or from an array in memory."""

from __future__ import annotations

import math
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from detector.errors import SceneError
from detector.geometry import Grid, Window
from detector.processors import processors
from detector.scene.gdal import display, open_dataset, reading

Array = NDArray[Any]


class Reader(Protocol):
    """Where a scene's pixels come from. ``read`` pads with ``fill`` outside the grid."""

    def read(self, window: Window, bands: Sequence[str]) -> Array: ...

    def close(self) -> None: ...


@dataclass(frozen=True)
class Layer:
    """One band of one file.

    ``nodata`` is the stored value that means no data there; ``mask`` is the index of an alpha or data mask
    band (0 = no data), or 0 for the file's own mask band; ``warped``: stored on another grid than the
    scene's; ``classes``: holds class numbers, which must not be interpolated.
    """

    path: str
    index: int
    dtype: str
    nodata: float | None = None
    mask: int | None = None
    warped: bool = False
    classes: bool = False


def default_fill(dtype: str | np.dtype[Any], nodata: float | None) -> float:
    """The stored value that means no data: NaN for floats, the declared one or 0 for integers."""
    if np.dtype(dtype).kind == "f":
        return math.nan
    if nodata is None or not math.isfinite(nodata):
        return 0.0
    limits = np.iinfo(dtype)
    return float(nodata) if limits.min <= nodata <= limits.max else 0.0  # -9999 can be declared of uint16


def mark_missing(pixels: Array, nodata: float | None, fill: float) -> None:
    """Write ``fill`` where ``pixels`` hold ``nodata``, in place.

    A raster that names no such value means 0, as Sentinel-2 does.
    """
    nodata = 0.0 if nodata is None else nodata
    if nodata == fill or not math.isfinite(nodata):
        return
    pixels[pixels == nodata] = fill


def overlap(window: Window, width: int, height: int) -> tuple[Window, tuple[slice, slice]] | None:
    """The part of a window inside the raster, and where it lies in the window; None if they do not meet."""
    left, top = max(window.col, 0), max(window.row, 0)
    right, bottom = min(window.col + window.width, width), min(window.row + window.height, height)
    if right <= left or bottom <= top:
        return None
    rows = slice(top - window.row, bottom - window.row)
    cols = slice(left - window.col, right - window.col)
    return Window(left, top, right - left, bottom - top), (rows, cols)


class Files:
    """Bands in one or more rasters; every thread has its own handles."""

    def __init__(self, grid: Grid, layers: Mapping[str, Layer], fill: float) -> None:
        self.grid, self.layers, self.fill = grid, dict(layers), fill
        self._local = threading.local()
        self._lock = threading.Lock()
        self._open: list[Any] = []
        self._closed = False
        self._decoders: list[ThreadPoolExecutor] = []
        self._turns: dict[str, int] = {}

    def read(self, window: Window, bands: Sequence[str]) -> Array:
        layers = [self.layers[band] for band in bands]
        dtype = np.result_type(*(np.dtype(layer.dtype) for layer in layers))
        out = np.empty((len(layers), window.height, window.width), dtype)
        for i, layer in enumerate(layers):
            out[i] = 0 if layer.classes else self.fill
        met = overlap(window, self.grid.width, self.grid.height)
        if met is None:
            return out
        inside, (rows, cols) = met
        groups: dict[tuple[str, bool, bool], list[int]] = {}
        for i, layer in enumerate(layers):
            groups.setdefault((layer.path, layer.warped, layer.classes and layer.warped), []).append(i)
        part = out[:, rows, cols]
        tasks = [(inside, [layers[i] for i in members], part, members) for members in groups.values()]
        if len(tasks) > 1 and all(".jp2" in task[1][0].path.lower() for task in tasks):
            self._read_beside(tasks)
        else:
            for task in tasks:
                self._read_group(*task)
        return out

    def _read_beside(self, tasks: list[tuple[Window, list[Layer], Array, list[int]]]) -> None:
        """Decode files at the same time, each always in the same thread, where its decoded tiles are."""
        with self._lock:
            if not self._decoders and not self._closed:
                count = min(4, processors())
                self._decoders = [ThreadPoolExecutor(1, f"decode-{i}") for i in range(count)]
            decoders = self._decoders
            for _, layers, _, _ in tasks:
                self._turns.setdefault(layers[0].path, len(self._turns))
        if not decoders:
            raise SceneError(f"{display(tasks[0][1][0].path)} is closed; open the scene again")
        turns = (self._turns[task[1][0].path] % len(decoders) for task in tasks)
        futures = [
            decoders[turn].submit(self._read_group, *task) for turn, task in zip(turns, tasks, strict=True)
        ]
        for future in wait(futures).done:
            future.result()

    def _read_group(self, window: Window, layers: list[Layer], out: Array, places: list[int]) -> None:
        """One rasterio call for all layers of one file."""
        from rasterio.windows import Window as RasterWindow

        where = RasterWindow(window.col, window.row, window.width, window.height)
        indexes = [layer.index for layer in layers]
        mask_index = next((layer.mask for layer in layers if layer.mask), None)
        with reading(layers[0].path):
            src = self._handle(layers[0])
            pixels = src.read(indexes + ([mask_index] if mask_index else []), window=where)
            if mask_index:
                missing = pixels[-1] == 0
            elif layers[0].mask == 0:
                missing = src.read_masks(layers[0].index, window=where) == 0
            else:
                missing = None
        for place, layer, band in zip(places, layers, pixels, strict=False):
            fill = 0 if layer.classes else self.fill
            mark_missing(band, layer.nodata, fill)
            if missing is not None:
                band[missing] = fill
            out[place] = band

    def _handle(self, layer: Layer) -> Any:
        if self._closed:
            raise SceneError(f"{display(layer.path)} is closed; open the scene again")
        handles = self._local.__dict__.setdefault("handles", {})
        key = (layer.path, layer.warped, layer.classes)
        if key not in handles:
            src = handles.get((layer.path,))
            if src is None:
                src = handles[(layer.path,)] = self._keep(open_dataset(layer.path))
            handles[key] = self._keep(self._warp(src, layer)) if layer.warped else src
        return handles[key]

    def _warp(self, src: Any, layer: Layer) -> Any:
        """The file as if it were stored on the grid of the scene."""
        from rasterio.enums import Resampling
        from rasterio.vrt import WarpedVRT

        nodata = layer.nodata if layer.nodata is not None else 0
        return WarpedVRT(
            src,
            crs=self.grid.crs,
            src_crs=self.grid.crs,
            transform=self.grid.transform,
            width=self.grid.width,
            height=self.grid.height,
            src_nodata=nodata,
            nodata=nodata,
            resampling=Resampling.nearest if layer.classes else Resampling.bilinear,
        )

    def _keep(self, handle: Any) -> Any:
        with self._lock:
            self._open.append(handle)
        return handle

    def close(self) -> None:
        with self._lock:
            decoders, self._decoders, self._closed = self._decoders, [], True
        for decoder in decoders:
            decoder.shutdown(wait=True)
        with self._lock:
            handles, self._open = self._open[::-1], []
        for handle in handles:  # warped views before the files under them
            handle.close()


class Memory:
    """Bands of an array (bands, height, width); views of it, copied window by window."""

    def __init__(
        self, array: Array, bands: Sequence[str | None], fill: float, nodata: float | None = None
    ) -> None:
        self.array, self.fill, self.nodata = array, fill, nodata
        self.places = {band: i for i, band in enumerate(bands) if band}

    def read(self, window: Window, bands: Sequence[str]) -> Array:
        out = np.empty((len(bands), window.height, window.width), self.array.dtype)
        for i, band in enumerate(bands):
            out[i] = 0 if band == "SCL" else self.fill
        met = overlap(window, self.array.shape[2], self.array.shape[1])
        if met is None:
            return out
        inside, (rows, cols) = met
        source_rows = slice(inside.row, inside.row + inside.height)
        source_cols = slice(inside.col, inside.col + inside.width)
        for i, band in enumerate(bands):
            pixels = self.array[self.places[band], source_rows, source_cols].copy()
            if band != "SCL":
                mark_missing(pixels, self.nodata, self.fill)
            out[i, rows, cols] = pixels
        return out

    def close(self) -> None:
        pass
