"""Finding out what a source is, and who opens it."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from detector.errors import SceneError, SceneNotFoundError, UnreadableSceneError
from detector.scene.bands import TRUE_COLOUR, require_bands
from detector.scene.core import Scene
from detector.scene.gdal import display, is_remote
from detector.scene.times import given_time


def open_scene(
    source: Any,
    *,
    bands: Sequence[str | None] | None = None,
    scale: Any = None,
    acquired: Any = None,
    transform: Any = None,
    crs: Any = None,
    require: Sequence[str] = TRUE_COLOUR,
) -> Scene:
    """Open an image as a Scene. Only headers and metadata are read.

    Args:
        source: a SAFE folder, zipped SAFE or its ``MTD_*.xml``; a GeoTIFF, COG or netCDF (also ``https://``,
            ``s3://`` or ``/vsi…``); a folder of one-band rasters; a STAC item (path, address, dict or
            ``pystac.Item``); a numpy array (bands, height, width); or a Scene, which is handed back.
        bands: name of every stored band in order, for a raster whose bands have no names, and for arrays.
        scale: how stored numbers become reflectance: a gain, (gain, offset), text such as
            ``"DN / 10000 - 0.1"``, or a mapping of band to these. It overrides what the source says.
        acquired: sensing time (ISO 8601 text or datetime, UTC), where the source does not tell it.
        transform: affine.Affine, and ``crs`` anything rasterio takes, where the source lacks them.
        require: bands that must be there.

    Raises:
        SceneError: one of its children, with one sentence that says what to do.
    """
    if isinstance(source, Scene):
        require_bands(source.bands, require, source.name)
        return source
    options = {
        "bands": bands,
        "scale": scale,
        "acquired": given_time(acquired),
        "transform": transform,
        "crs": crs,
    }
    scene = _open(source, options)
    try:
        require_bands(scene.bands, require, scene.name)
    except SceneError:
        scene.close()
        raise
    return scene


def _open(source: Any, options: dict[str, Any]) -> Scene:
    if isinstance(source, np.ndarray):
        from detector.scene.array import open_array

        return open_array(source, **options)
    if isinstance(source, Mapping) or (hasattr(source, "assets") and hasattr(source, "to_dict")):
        return _open_stac(source, options)
    if not isinstance(source, (str, os.PathLike)):
        raise SceneError(
            f"a {type(source).__name__} is not a scene; pass a path, a STAC item or a numpy array"
        )
    path = os.fspath(source)
    if path.startswith("file://"):
        from urllib.parse import unquote, urlsplit

        path = unquote(urlsplit(path).path)
    if is_remote(path):
        is_item = re.search(r"\.(geo)?json$|/items/[^/]+$", path.split("?")[0], re.IGNORECASE)
        return _open_stac(path, options) if is_item else _open_raster(path, options)
    if not os.path.exists(path):
        if re.match(r"^[A-Za-z0-9_]{2,}:", path):  # a GDAL name such as netcdf:file.nc:B04
            return _open_raster(path, options)
        raise SceneNotFoundError(f"{display(path)} does not exist; check the path")
    try:
        return _open_local(Path(os.path.abspath(path)), options)
    except PermissionError as error:
        raise UnreadableSceneError(f"cannot read {path}: permission denied; check its rights") from error


def _open_local(path: Path, options: dict[str, Any]) -> Scene:
    suffix = path.suffix.lower()
    if suffix in (".json", ".geojson"):
        return _open_stac(str(path), options)
    if path.is_dir() or suffix == ".zip" or (suffix == ".xml" and "MTD" in path.name.upper()):
        from detector.scene.products import open_product

        return open_product(path, options)
    return _open_raster(str(path), options)


def _open_raster(path: str, options: dict[str, Any]) -> Scene:
    from detector.scene.raster import open_raster

    return open_raster(path, **options)


def _open_stac(source: Any, options: dict[str, Any]) -> Scene:
    from detector.scene.stac import open_stac

    return open_stac(source, **options)
