"""The GeoTIFF that a fetched overpass becomes: what `bargewatch predict` needs, in one file."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detector.atomic import replacing
from detector.geometry import Grid, Window
from detector.geotiff import stored_form
from detector.imagery.selection import BLOCK
from detector.scene.scale import Gain

Piece = tuple[Window, NDArray[np.uint16], "NDArray[np.uint8] | None"]


def write_scene(
    path: Path,
    grid: Grid,
    pieces: Iterable[Piece],
    *,
    bands: tuple[str, ...],
    radiometry: Mapping[str, Gain],
    classes: bool,
    tags: Mapping[str, str],
) -> int:
    """Write windows into a tiled GeoTIFF, whole or not at all; parts that no window covers stay no data (0).

    Args:
        pieces: window, pixels (bands, height, width), and classes (height, width) or None; windows on multiples
            of 512 pixels, so that each tile is compressed once.
        classes: whether the last band is the scene classification, ``SCL``.

    Returns:
        How many pixels hold data. With 0 no file is left.

    Raises:
        TableError: the folder cannot be written, or the disk is full.
    """
    import rasterio
    from rasterio.windows import Window as RasterWindow

    from detector.scene.gdal import gdal_env

    seen = 0
    profile = stored_form(
        grid,
        len(bands) + classes,
        tile=BLOCK,
        interleave="band",  # classes are read alone, too
        sparse_ok=True,
        bigtiff="if_safer",
    )
    try:
        with replacing(path) as draft:
            with gdal_env(str(draft)), rasterio.open(draft, "w", **profile) as file:
                for i, band in enumerate((*bands, *(("SCL",) if classes else ())), 1):
                    file.set_band_description(i, band)
                file.update_tags(**tags)
                _write_scale(file, bands, radiometry)
                for window, pixels, told in pieces:
                    place = RasterWindow(window.col, window.row, window.width, window.height)
                    file.write(pixels, indexes=list(range(1, len(bands) + 1)), window=place)
                    if classes and told is not None:
                        file.write(told.astype(np.uint16), indexes=len(bands) + 1, window=place)
                    seen += int(pixels.any(axis=0).sum())
            if not seen:
                raise _NothingSeenError
    except _NothingSeenError:
        return 0
    return seen


class _NothingSeenError(Exception):
    """No pixel holds data: an image is not worth a file."""


def _write_scale(file: Any, bands: tuple[str, ...], radiometry: Mapping[str, Gain]) -> None:
    texts = {band: scale_text(radiometry[band]) for band in bands}
    if len(set(texts.values())) == 1:
        file.update_tags(SCALE=texts[bands[0]])
    else:
        for i, band in enumerate(bands, 1):
            file.update_tags(i, SCALE=texts[band])


def scale_text(gain: Gain) -> str:
    """A SCALE tag as `parse_scale` reads it: ``DN / 10000 - 0.1``."""
    steps = round(1 / gain[0])
    factor = f"DN / {steps}" if abs(1 / steps - gain[0]) < 1e-12 else f"DN * {gain[0]!r}"
    if gain[1] == 0:
        return factor
    return f"{factor} {'-' if gain[1] < 0 else '+'} {abs(gain[1]):.12g}"


def file_hash(path: Path) -> str:
    """SHA-256 of a file."""
    digest = sha256()
    with open(path, "rb") as file:
        while part := file.read(2**20):
            digest.update(part)
    return digest.hexdigest()
