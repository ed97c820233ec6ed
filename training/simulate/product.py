"""Write painted scenes: a SAFE product with the structure of a real one, or a GeoTIFF."""

from __future__ import annotations

from datetime import UTC
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from detector.geometry import Grid
from detector.geotiff import stored_form
from training.simulate import metadata
from training.simulate.scene import PaintedScene, SceneSpec, product_name, tile_name
from training.simulate.spectra import BANDS

SCALE_TAG = "reflectance = DN / 10000 - 0.1"
_TCI_TOP = 0.3558  # reflectance that the true colour image saturates at
# A table, so that no float copy of a full tile is ever made.
_EIGHT_BIT = np.clip(np.rint((np.arange(65536) - 1000) / 10000 / _TCI_TOP * 255), 1, 255).astype(np.uint8)
_EIGHT_BIT[0] = 0


def write_geotiff(painted: PaintedScene, path: Path | str, bands: tuple[str, ...] = BANDS) -> Path:
    """A tiled GeoTIFF of stored numbers with band descriptions and the tags SCALE, ACQUIRED and SCENE_ID."""
    import rasterio

    with rasterio.open(path, "w", **stored_form(painted.grid, len(bands))) as target:
        for k, band in enumerate(bands, start=1):
            target.write(painted.bands[band], k)
            target.set_band_description(k, band)
        target.update_tags(**geotiff_tags(painted.spec))
    return Path(path)


def geotiff_tags(spec: SceneSpec) -> dict[str, str]:
    """Tags that say how to read a painted GeoTIFF."""
    acquired = spec.acquired.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {"SCALE": SCALE_TAG, "ACQUIRED": acquired, "SCENE_ID": product_name(spec), "LEVEL": spec.level}


def true_colour(painted: PaintedScene) -> NDArray[np.uint8]:
    """The 8-bit true colour image (3, h, w): 1 to 255 for reflectance 0 to 0.3558, 0 for no data."""
    return np.stack([eight_bit(painted.bands[band]) for band in ("B04", "B03", "B02")])


def eight_bit(stored: NDArray[np.uint16]) -> NDArray[np.uint8]:
    """Stored numbers as the true colour image shows them."""
    return np.asarray(_EIGHT_BIT[stored])


class SafeWriter:
    """Writes one product band by band, so that a full tile never is in memory at once."""

    def __init__(self, spec: SceneSpec, grid: Grid, folder: Path | str) -> None:
        self._spec, self._grid = spec, grid
        self.path = Path(folder) / f"{product_name(spec)}.SAFE"
        sensed = spec.acquired.astimezone(UTC).strftime("%Y%m%dT%H%M%S")
        self._stem = f"{tile_name(spec)}_{sensed}"
        self.granule = f"{spec.level[:3]}_{tile_name(spec)}_A024492_{sensed}"
        self._images = self.path / "GRANULE" / self.granule / "IMG_DATA"
        self._files: list[str] = []

    def band(self, name: str, data: NDArray[np.generic], resolution: int) -> None:
        """One image: (h, w), or (3, h, w) for TCI, at its own resolution in metres."""
        import rasterio
        from affine import Affine

        folder, suffix = (
            (self._images, "")
            if self._spec.level == "L1C"
            else (self._images / f"R{resolution}m", f"_{resolution}m")
        )
        folder.mkdir(parents=True, exist_ok=True)
        stack = data[None] if data.ndim == 2 else data
        t = self._grid.transform
        profile = {
            "driver": "JP2OpenJPEG",
            "dtype": str(stack.dtype),
            "count": stack.shape[0],
            "height": stack.shape[1],
            "width": stack.shape[2],
            "crs": self._grid.crs,
            "transform": Affine(resolution, 0, t.c, 0, -resolution, t.f),
            "QUALITY": "100",
            "REVERSIBLE": "YES",
            "YCBCR420": "NO",
            "RESOLUTIONS": "6",
        }
        path = folder / f"{self._stem}_{name}{suffix}.jp2"
        with rasterio.open(path, "w", **profile) as target:
            target.write(stack)
        path.with_suffix(".jp2.aux.xml").unlink(missing_ok=True)
        self._files.append(path.relative_to(self.path).with_suffix("").as_posix())

    def finish(self, cloud_percent: float, sun: tuple[float, float]) -> Path:
        """Write the metadata; the product is complete after this."""
        spec, level = self._spec, self._spec.level
        product = metadata.product_xml(spec, self._grid, self.granule, self._files, cloud_percent)
        (self.path / f"MTD_MSI{level}.xml").write_text(product, encoding="utf-8")
        tile = metadata.tile_xml(spec, self._grid, cloud_percent, sun)
        (self.path / "GRANULE" / self.granule / "MTD_TL.xml").write_text(tile, encoding="utf-8")
        (self.path / "manifest.safe").write_text(metadata.manifest_xml(spec, self._files), encoding="utf-8")
        return self.path


def write_safe(painted: PaintedScene, folder: Path | str) -> Path:
    """Write a painted scene as ``<folder>/<product>.SAFE`` (JPEG 2000 without loss) and return its path."""
    from training.simulate.sun import sun_position

    spec, grid = painted.spec, painted.grid
    writer = SafeWriter(spec, grid, folder)
    for band in ("B02", "B03", "B04", "B08"):
        writer.band(band, painted.bands[band], 10)
    writer.band("TCI", true_colour(painted), 10)
    writer.band("B11", painted.bands["B11"][::2, ::2], 20)
    if spec.level == "L2A":
        writer.band("SCL", painted.scl[::2, ::2], 20)
    lon, lat = grid.to_lonlat([grid.width / 2], [grid.height / 2])
    cloudy = float(np.isin(painted.scl, (8, 9, 10)).mean() * 100)
    return writer.finish(cloudy, sun_position(float(lon[0]), float(lat[0]), spec.acquired))
