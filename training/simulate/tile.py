"""Paint and write a full tile block by block, in bounded memory: for benchmarks."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import rasterio

from training.simulate.product import SafeWriter, eight_bit, geotiff_tags
from training.simulate.scene import Painter, SceneSpec, blocks, product_name
from training.simulate.spectra import BANDS
from training.simulate.truth import TrueVessel

_COLOUR = ("B04", "B03", "B02")
_CACHE_MB = 96  # GDAL would take 5 % of the machine for each of its block caches

TILE_SIDE = 10980
TILE_ORIGIN = (699960.0, 4300020.0)  # upper left corner of 51SYC, EPSG:32651

Progress = Callable[[int, int], None]


def tile_spec(seed: int, size: int = TILE_SIDE, vessels: int = 300, **changes: object) -> SceneSpec:
    """A tile of about half land and half water with three harbours."""
    base = SceneSpec(
        seed=seed, size=(size, size), origin=TILE_ORIGIN, harbours=3, estuary=False, vessel_count=vessels
    )
    return replace(base, **changes) if changes else base  # type: ignore[arg-type]


def paint_tile(
    spec: SceneSpec, folder: Path | str, *, form: str = "safe", progress: Progress | None = None
) -> tuple[Path, list[TrueVessel]]:
    """Paint ``spec`` into ``folder`` and return (path, truth).

    ``form`` is "safe" (a product, JPEG 2000 without loss) or "tif" (a tiled GeoTIFF). Never holds more than
    one band of the scene (and the 8-bit true colour) in memory.
    """
    if form not in ("safe", "tif"):
        raise ValueError(f"form {form!r} must be 'safe' or 'tif'")
    painter = Painter(spec)
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    with rasterio.Env(GDAL_CACHEMAX=_CACHE_MB):
        if form == "tif":
            path = folder / f"{product_name(spec)}.tif"
            _paint_into(painter, path, None, progress)
        else:
            path = _paint_safe(painter, folder, progress)
    return path, painter.truth()


def _paint_safe(painter: Painter, folder: Path, progress: Progress | None) -> Path:
    """Paint into a scratch file, then encode band by band: JPEG 2000 cannot be written block by block."""
    spec = painter.spec
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        flat, scl = Path(scratch) / "bands.tif", Path(scratch) / "scl.tif"
        cloudy = _paint_into(painter, flat, scl, progress)
        writer = SafeWriter(spec, painter.grid, folder)
        with rasterio.open(flat) as source:
            colour = np.empty((3, *spec.size), np.uint8)
            for k, band in enumerate(BANDS[:4], start=1):
                stored = source.read(k)
                if band in _COLOUR:
                    colour[_COLOUR.index(band)] = eight_bit(stored)
                writer.band(band, stored, 10)
            del stored
            writer.band("TCI", colour, 10)
            del colour
            writer.band("B11", source.read(5)[::2, ::2], 20)
        if spec.level == "L2A":
            with rasterio.open(scl) as source:
                writer.band("SCL", source.read(1)[::2, ::2], 20)
        return writer.finish(cloudy, painter.sun)


def _paint_into(painter: Painter, path: Path, scl_path: Path | None, progress: Progress | None) -> float:
    """Paint every block into tiled GeoTIFFs; returns the percentage under cloud."""
    spec, grid = painter.spec, painter.grid
    profile = {
        "driver": "GTiff",
        "width": grid.width,
        "height": grid.height,
        "crs": grid.crs,
        "transform": grid.transform,
        "tiled": True,
        "blockxsize": 512,
        "blockysize": 512,
        "interleave": "band",
        "BIGTIFF": "IF_SAFER",
    }
    windows = list(blocks(spec.size))
    cloudy = 0
    if scl_path is None:
        profile.update(compress="deflate", predictor=2, zlevel=1)
    masks = rasterio.open(scl_path, "w", **profile, dtype="uint8", count=1) if scl_path else None
    try:
        with rasterio.open(path, "w", **profile, dtype="uint16", count=len(BANDS), nodata=0) as target:
            for done, window in enumerate(windows, start=1):
                stored, scl = painter.block(window)
                place = rasterio.windows.Window(*window)
                target.write(stored, window=place)
                if masks is not None:
                    masks.write(scl, 1, window=place)
                cloudy += int(np.isin(scl, (8, 9, 10)).sum())
                if progress:
                    progress(done, len(windows))
            for k, band in enumerate(BANDS, start=1):
                target.set_band_description(k, band)
            target.update_tags(**geotiff_tags(spec))
    finally:
        if masks is not None:
            masks.close()
    return 100.0 * cloudy / (spec.size[0] * spec.size[1])
