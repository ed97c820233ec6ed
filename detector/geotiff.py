"""The form of GeoTIFFs of stored numbers that bargewatch writes."""

from __future__ import annotations

from typing import Any

from detector.geometry import Grid


def stored_form(grid: Grid, bands: int, *, tile: int = 256, **more: Any) -> dict[str, Any]:
    """Options of `rasterio.open`: 16-bit numbers, 0 for no data, in square tiles, compressed without loss.

    Args:
        tile: side of a tile in pixels.
        more: further creation options of GDAL's GTiff driver.
    """
    return {
        "driver": "GTiff",
        "dtype": "uint16",
        "count": bands,
        "width": grid.width,
        "height": grid.height,
        "crs": grid.crs,
        "transform": grid.transform,
        "nodata": 0,
        "tiled": True,
        "blockxsize": tile,
        "blockysize": tile,
        "compress": "deflate",
        "predictor": 2,
        **more,
    }
