"""Small fake products with real names: GeoTIFFs, SAFE trees of every layout, and STAC items."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from affine import Affine
from numpy.typing import NDArray

CRS = "EPSG:32651"
ORIGIN = (699_960.0, 4_300_020.0)  # upper left corner of tile 51SYC, with Nampo
SIZE = 120  # 10 m pixels a side
RESOLUTION = {
    **dict.fromkeys(("B02", "B03", "B04", "B08", "TCI"), 10),
    **dict.fromkeys(("B05", "B06", "B07", "B8A", "B11", "B12", "SCL"), 20),
    **dict.fromkeys(("B01", "B09", "B10"), 60),
}
BAND_IDS = ("B01", "B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B09", "B10", "B11", "B12")


def grid_transform(resolution: float = 10.0) -> Affine:
    return Affine(resolution, 0, ORIGIN[0], 0, -resolution, ORIGIN[1])


def sea(size: int = SIZE, *, resolution: int = 10, seed: int = 0, level: float = 600.0) -> NDArray[np.uint16]:
    """Calm dark water with a bright ship of 20 x 4 pixels (of 10 m) in the middle; DN without offset."""
    rng = np.random.default_rng(seed)
    pixels = rng.normal(level, 20, (size, size))
    step = resolution / 10
    row, col = int(58 / step), int(50 / step)
    pixels[row : row + max(1, int(4 / step)), col : col + max(1, int(20 / step))] = 3000
    return np.clip(pixels, 1, 32767).astype(np.uint16)


def write_raster(
    path: Path,
    array: NDArray[Any],
    *,
    descriptions: Sequence[str | None] | None = None,
    crs: str | None = CRS,
    transform: Affine | None = None,
    tags: Mapping[str, str] | None = None,
    scales: Sequence[float] | None = None,
    offsets: Sequence[float] | None = None,
    **profile: Any,
) -> Path:
    """Write (bands, h, w) or (h, w) by suffix: ``.jp2`` lossless JPEG 2000, anything else GeoTIFF."""
    array = array[None] if array.ndim == 2 else array
    path.parent.mkdir(parents=True, exist_ok=True)
    jp2 = {"driver": "JP2OpenJPEG", "QUALITY": "100", "REVERSIBLE": "YES"} if path.suffix == ".jp2" else {}
    options = {"driver": "GTiff", **jp2, **profile}
    place = (
        {} if transform is None and crs is None else {"crs": crs, "transform": transform or grid_transform()}
    )
    with rasterio.open(
        path,
        "w",
        count=len(array),
        height=array.shape[1],
        width=array.shape[2],
        dtype=array.dtype,
        **place,
        **options,
    ) as out:
        out.write(array)
        for i, text in enumerate(descriptions or (), 1):
            out.set_band_description(i, text or "")
        if tags:
            out.update_tags(**tags)
        if scales:
            out.scales = tuple(scales)
        if offsets:
            out.offsets = tuple(offsets)
    return path


def four_bands(size: int = SIZE) -> NDArray[np.uint16]:
    """B02 B03 B04 B08 of ``sea``, each at another level."""
    return np.stack([sea(size, seed=i, level=level) for i, level in enumerate((900, 800, 600, 300))])


def product_name(level: str = "L2A", baseline: str = "05.09", sensed: str = "20200301T022109") -> str:
    return f"S2A_MSI{level}_{sensed}_N{baseline.replace('.', '')}_R003_T51SYC_{sensed[:8]}T050000"


def product_xml(
    level: str, baseline: str, *, offset: int | Mapping[str, int] | None, name: str, quantification: int
) -> str:
    """MTD_MSIL1C.xml or MTD_MSIL2A.xml, cut down to what readers look at but nested as the real one."""
    kind = level[1:]
    sensed = name.split("_")[2]
    start = f"{sensed[:4]}-{sensed[4:6]}-{sensed[6:8]}T{sensed[9:11]}:{sensed[11:13]}:{sensed[13:15]}.024Z"
    tag = "RADIO_ADD_OFFSET" if level == "L1C" else "BOA_ADD_OFFSET"
    outer = "Radiometric_Offset_List" if level == "L1C" else "BOA_ADD_OFFSET_VALUES_LIST"
    offsets = dict.fromkeys(BAND_IDS, offset) if isinstance(offset, int) else offset or {}
    lines = "".join(
        f'<{tag} band_id="{i}">{offsets[b]}</{tag}>' for i, b in enumerate(BAND_IDS) if b in offsets
    )
    listed = f"<{outer}>{lines}</{outer}>" if offsets else ""
    if level == "L1C":
        values = f'<QUANTIFICATION_VALUE unit="none">{quantification}</QUANTIFICATION_VALUE>'
    else:
        values = (
            "<QUANTIFICATION_VALUES_LIST>"
            f'<BOA_QUANTIFICATION_VALUE unit="none">{quantification}</BOA_QUANTIFICATION_VALUE>'
            '<AOT_QUANTIFICATION_VALUE unit="none">1000.0</AOT_QUANTIFICATION_VALUE>'
            "</QUANTIFICATION_VALUES_LIST>"
        )
    return f"""<?xml version="1.0" encoding="UTF-8" standalone="no"?>
<n1:Level-{kind}_User_Product xmlns:n1="https://psd-14.sentinel2.eo.esa.int/PSD/Product-{kind}.xsd">
  <n1:General_Info>
    <Product_Info>
      <PRODUCT_START_TIME>{start}</PRODUCT_START_TIME>
      <PRODUCT_STOP_TIME>{start}</PRODUCT_STOP_TIME>
      <PRODUCT_URI>{name}.SAFE</PRODUCT_URI>
      <PROCESSING_LEVEL>Level-{kind}</PROCESSING_LEVEL>
      <PRODUCT_TYPE>S2MSI{kind}</PRODUCT_TYPE>
      <PROCESSING_BASELINE>{baseline}</PROCESSING_BASELINE>
      <Datatake><DATATAKE_SENSING_START>{start}</DATATAKE_SENSING_START></Datatake>
    </Product_Info>
    <Product_Image_Characteristics>
      {values}
      {listed}
    </Product_Image_Characteristics>
  </n1:General_Info>
</n1:Level-{kind}_User_Product>
"""


def write_safe(
    folder: Path,
    *,
    level: str = "L2A",
    baseline: str = "05.09",
    size: int = SIZE,
    layout: str = "new",
    offset: int | Mapping[str, int] | None = None,
    quantification: int = 10_000,
    bands: Sequence[str] = ("B02", "B03", "B04", "B08", "B11", "B12", "SCL", "TCI"),
    tile_time: str | None = None,
    metadata: bool = True,
    name: str | None = None,
) -> Path:
    """A SAFE folder; stored numbers carry +1000 from baseline 04.00. Layouts: ``new``, ``old`` (before 2018).

    The old L2A layout keeps 10 m files in IMG_DATA/R10m under ``L2A_…`` names; the old L1C layout has
    ``S2A_OPER_…`` granule and file names.
    """
    name = name or product_name(level, baseline)
    root = folder / f"{name}.SAFE"
    shift = 1000 if float(baseline) >= 4 else 0
    if offset is None and shift:
        offset = -1000
    sensed = name.split("_")[2]
    granule = root / "GRANULE" / f"{level}_T51SYC_A024500_{sensed}"
    if level == "L1C" and layout == "old":
        granule = root / "GRANULE" / "S2A_OPER_MSI_L1C_TL_SGS__20160301T050000_A003500_T51SYC_N02.01"
    for i, band in enumerate(band for band in bands if not (level == "L1C" and band == "SCL")):
        step = RESOLUTION[band]
        side = size * 10 // step
        stem = f"T51SYC_{sensed}_{band}"
        if level == "L1C":
            where = granule / "IMG_DATA"
            stem = (
                f"S2A_OPER_MSI_L1C_TL_SGS__20160301T050000_A003500_T51SYC_{band}" if layout == "old" else stem
            )
        else:
            where = granule / "IMG_DATA" / f"R{step}m"
            stem = f"{'L2A_' if layout == 'old' else ''}{stem}_{step}m"
        if band == "TCI":
            pixels: NDArray[Any] = (
                np.stack([sea(size, seed=i + k) // 14 for k in range(3)]).clip(1, 255).astype("uint8")
            )
        elif band == "SCL":
            pixels = np.full((side, side), 6, np.uint8)
            pixels[: side // 2, : side // 2] = 9
        else:
            pixels = sea(side, resolution=step, seed=i) + np.uint16(shift)
            pixels[: 60 // step, : 60 // step] = 0
        write_raster(where / f"{stem}.jp2", pixels, transform=grid_transform(step))
    if metadata:
        text = product_xml(level, baseline, offset=offset, name=name, quantification=quantification)
        (root / f"MTD_MSI{level}.xml").write_text(text)
    if tile_time:
        (granule / "MTD_TL.xml").write_text(
            '<?xml version="1.0"?><n1:Level-Tile xmlns:n1="x"><n1:General_Info>'
            f"<SENSING_TIME>{tile_time}</SENSING_TIME></n1:General_Info></n1:Level-Tile>"
        )
    return root


def zip_folder(folder: Path, *, suffix: str = ".zip") -> Path:
    """A zip beside a folder, holding it as its one top folder, as the Copernicus Data Space does."""
    path = folder.with_name(folder.name + suffix)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(folder.rglob("*")):
            if file.is_file():
                archive.write(file, file.relative_to(folder.parent).as_posix())
    return path


def write_stac(
    folder: Path,
    *,
    properties: Mapping[str, Any] | None = None,
    raster: Mapping[str, Any] | None = None,
    keys: Mapping[str, str] | None = None,
    shift: int = 1000,
    size: int = SIZE,
) -> Path:
    """An Earth Search like item with its GeoTIFFs beside it, addressed relatively."""
    keys = keys or {"blue": "B02", "green": "B03", "red": "B04", "nir": "B08", "scl": "SCL"}
    assets: dict[str, Any] = {"thumbnail": {"href": "preview.jpg", "roles": ["thumbnail"]}}
    for i, (key, band) in enumerate(keys.items()):
        step = RESOLUTION[band]
        side = size * 10 // step
        if band == "SCL":
            pixels: NDArray[Any] = np.full((side, side), 6, np.uint8)
        elif band == "TCI":
            pixels = np.stack([sea(size, seed=k) // 14 for k in range(3)]).clip(1, 255).astype("uint8")
        else:
            pixels = sea(side, resolution=step, seed=i) + np.uint16(shift)
        write_raster(folder / f"{band}.tif", pixels, transform=grid_transform(step))
        assets[key] = {
            "href": f"./{band}.tif",
            "type": "image/tiff; application=geotiff; profile=cloud-optimized",
        }
        assets[key]["roles"] = ["data", "reflectance"]
        if raster is not None and band not in ("SCL", "TCI"):
            assets[key]["raster:bands"] = [dict(raster)]
    item = {
        "type": "Feature",
        "stac_version": "1.0.0",
        "id": "S2A_51SYC_20220301_0_L2A",
        "collection": "sentinel-2-l2a",
        "geometry": {"type": "Point", "coordinates": [125.4, 38.7]},
        "bbox": [125.0, 38.0, 126.0, 39.0],
        "properties": {"datetime": "2022-03-01T02:27:13.024000Z", **(properties or {})},
        "links": [],
        "assets": assets,
    }
    path = folder / "item.json"
    path.write_text(json.dumps(item))
    return path
