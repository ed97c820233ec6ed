"""A numpy array as a scene."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from detector.errors import (
    EmptySceneError,
    GeoreferenceError,
    MissingBandError,
    UnknownScaleError,
    UnreadableSceneError,
)
from detector.geometry import Grid
from detector.scene.assemble import MIN_SIDE, as_affine, check_reflectance
from detector.scene.bands import TRUE_COLOUR, band_names
from detector.scene.core import Scene
from detector.scene.layers import Memory, default_fill
from detector.scene.scale import HOW, TCI_GAIN, Gain, given_scales
from detector.scene.times import given_time


def open_array(
    array: NDArray[Any],
    *,
    bands: Any = None,
    scale: Any = None,
    acquired: Any = None,
    transform: Any = None,
    crs: Any = None,
) -> Scene:
    """A Scene over an array (bands, height, width); the pixels are not copied."""
    if array.ndim != 3:
        raise UnreadableSceneError(f"the array has shape {array.shape}; pass (bands, height, width)")
    if array.dtype.kind not in "uif":
        raise UnreadableSceneError(f"the array holds {array.dtype}; pass integers or floats")
    if bands is None:
        raise MissingBandError(
            'an array has no band names; pass bands=, e.g. bands=("B04", "B03", "B02", "B08")'
        )
    names = band_names(bands, array.shape[0], "the array")
    known = tuple(name for name in names if name)
    if min(array.shape[1:]) < MIN_SIDE:
        raise EmptySceneError(
            f"the array is {array.shape[2]} x {array.shape[1]} pixels; {MIN_SIDE} a side are needed"
        )
    grid = _grid(array, transform, crs)
    time = given_time(acquired)
    stamp = f"{time:%Y%m%dT%H%M%S}_" if time else ""
    fill = default_fill(array.dtype, None)
    return Scene(
        id=f"array_{stamp}{grid.transform.c:.10g}_{grid.transform.f:.10g}",
        acquired=time,
        grid=grid,
        bands=known,
        radiometry=_radiometry(array, names, known, scale),
        reader=Memory(array, names, fill),
        fill=fill,
        name="the array",
    )


def _grid(array: NDArray[Any], transform: Any, crs: Any) -> Grid:
    from rasterio.crs import CRS
    from rasterio.errors import CRSError

    if transform is None or crs is None:
        raise GeoreferenceError(
            "an array has no position; pass transform= (affine.Affine) and crs= ('EPSG:32631')"
        )
    try:
        crs = CRS.from_user_input(crs)
    except (CRSError, TypeError, ValueError) as error:
        raise GeoreferenceError(f"crs={crs!r} is not a CRS; pass for example 'EPSG:32631'") from error
    return Grid(crs, as_affine(transform), array.shape[2], array.shape[1])


def _radiometry(
    array: NDArray[Any], names: tuple[str | None, ...], known: tuple[str, ...], scale: Any
) -> dict[str, Gain]:
    classes = {band: (1.0, 0.0) for band in known if band == "SCL"}
    bands = [band for band in known if band != "SCL"]
    if scale is not None:
        return {**given_scales(scale, bands, "the array"), **classes}
    if array.dtype == np.uint8 and set(bands) == set(TRUE_COLOUR):
        return {**dict.fromkeys(bands, TCI_GAIN), **classes}
    if array.dtype.kind == "f":
        step = max(1, int(np.sqrt(array.shape[1] * array.shape[2] / 250_000)))
        sample = array[[names.index(band) for band in bands]][:, ::step, ::step]
        check_reflectance(np.where(sample == 0, np.nan, sample), "the array")
        return {**dict.fromkeys(bands, (1.0, 0.0)), **classes}
    raise UnknownScaleError(
        f"an array of {array.dtype} does not say how its values become reflectance; {HOW}"
    )
