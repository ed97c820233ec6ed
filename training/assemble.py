"""Turn the files of the public sources into scenes and labels as training reads them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detector.atomic import replacing
from detector.errors import LabelError, UnreadableSceneError


def stack_port(bands: Mapping[str, Path], out: Path, date: str) -> None:
    """One GeoTIFF from the one-band files of a sen2ships port; pixels and grid stay as they are.

    Args:
        bands: file of each band name; all on one grid.
        out: the file to write.
        date: the day of acquisition, ISO 8601.

    Raises:
        UnreadableSceneError: a file is no 16-bit raster of one band, or lies on another grid.
    """
    import rasterio

    pixels: list[NDArray[np.uint16]] = []
    grid: tuple[Any, ...] | None = None
    for band, path in bands.items():
        try:
            with rasterio.open(path) as dataset:
                here = (dataset.crs, dataset.transform, dataset.width, dataset.height)
                if dataset.count != 1 or dataset.dtypes[0] != "uint16" or here[0] is None:
                    form = f"{dataset.count} bands of {dataset.dtypes[0]}"
                    raise UnreadableSceneError(f"{path} holds {form}; one georeferenced band of uint16 is expected")
                pixels.append(dataset.read(1))
        except rasterio.errors.RasterioIOError as error:
            raise UnreadableSceneError(f"{path} cannot be read ({error}); remove it and fetch it again") from error
        if grid is not None and here != grid:
            raise UnreadableSceneError(f"{path} ({band}) lies on another grid than the first band of its port")
        grid = here
    assert grid is not None
    tags = {"ACQUIRED": date, "LEVEL": "L2A", "PLATFORM": "Sentinel-2", "SCALE": "reflectance = DN / 65535"}
    _write(out, np.stack(pixels), grid[0], grid[1], tags, list(bands), None)


def mosaic(tiles: Sequence[Path], out: Path, *, origin: tuple[float, float], size: tuple[int, int], date: str) -> None:
    """One true-colour mosaic from the tiles of a date.

    Args:
        tiles: 8-bit tiles, red, green, blue and perhaps alpha, on one 10 m grid.
        out: the file to write.
        origin: x and y of the upper left corner, in the CRS of the tiles.
        size: columns and rows.
        date: time of acquisition, ISO 8601.

    Raises:
        UnreadableSceneError: a tile is not on the grid, or not such an image.
    """
    import rasterio
    from affine import Affine

    transform = Affine(10.0, 0.0, origin[0], 0.0, -10.0, origin[1])
    pixels = np.zeros((3, size[1], size[0]), np.uint8)
    crs = None
    for path in tiles:
        try:
            with rasterio.open(path) as dataset:
                if dataset.count not in (3, 4) or dataset.dtypes[0] != "uint8":
                    raise UnreadableSceneError(f"{path} is no 8-bit true-colour tile; it has {dataset.count} bands")
                col, row = ~transform @ (dataset.transform.c, dataset.transform.f)
                tile, crs = dataset.read(), dataset.crs
        except rasterio.errors.RasterioIOError as error:
            raise UnreadableSceneError(f"{path} cannot be read ({error}); remove it and fetch it again") from error
        if abs(col - round(col)) > 1e-3 or abs(row - round(row)) > 1e-3:
            raise UnreadableSceneError(f"{path} is not on the 10 m grid of the mosaic")
        valid = tile[3] > 0 if len(tile) == 4 else tile.any(axis=0)
        # 0 means "outside" in the mosaic, so a black pixel inside becomes 1.
        _paste(pixels, np.maximum(tile[:3], 1), valid, round(col), round(row))
    _write(out, pixels, crs, transform, {"ACQUIRED": date}, None, 0)


def _paste(
    canvas: NDArray[np.uint8], tile: NDArray[np.uint8], valid: NDArray[np.bool_], col: int, row: int
) -> None:
    top, left = max(row, 0), max(col, 0)
    bottom, right = min(row + tile.shape[1], canvas.shape[1]), min(col + tile.shape[2], canvas.shape[2])
    if top >= bottom or left >= right:
        return
    part = (slice(top - row, bottom - row), slice(left - col, right - col))
    view = canvas[:, top:bottom, left:right]
    np.copyto(view, tile[:, *part], where=valid[part])


def _write(
    out: Path,
    pixels: NDArray[Any],
    crs: Any,
    transform: Any,
    tags: dict[str, str],
    names: list[str] | None,
    nodata: int | None,
) -> None:
    import rasterio

    out.parent.mkdir(parents=True, exist_ok=True)
    profile = {
        "driver": "GTiff", "count": len(pixels), "dtype": pixels.dtype.name, "height": pixels.shape[1],
        "width": pixels.shape[2], "crs": crs, "transform": transform, "nodata": nodata, "tiled": True,
        "blockxsize": 256, "blockysize": 256, "compress": "deflate", "predictor": 2,
    }  # fmt: skip
    with replacing(out) as draft, rasterio.open(draft, "w", **profile) as dataset:
        dataset.write(pixels)
        dataset.update_tags(**tags)
        if names:
            dataset.descriptions = names


def pixel_digests(path: Path) -> dict[str, str]:
    """SHA-256 of the pixels of each band (name or number) and of the grid; compression makes no difference."""
    import rasterio

    with rasterio.open(path) as dataset:
        names = [name or str(i + 1) for i, name in enumerate(dataset.descriptions)]
        grid = f"{dataset.width} {dataset.height} {[round(v, 6) for v in dataset.transform[:6]]}"
        out = {"grid": hashlib.sha256(grid.encode()).hexdigest()[:16]}
        for i, name in enumerate(names):
            out[name] = hashlib.sha256(np.ascontiguousarray(dataset.read(i + 1)).tobytes()).hexdigest()[:16]
    return out


def convert_labels(source: Path, out: Path, ports: Sequence[str]) -> None:
    """The source's run-length masks as polygons and oriented boxes, one COCO file for the ports asked for.

    Images and annotations are numbered anew in the order of `ports`, annotations in the source's order within a port.

    Raises:
        LabelError: the source is not the COCO file of sen2ships, or lacks a port.
    """
    try:
        coco = json.loads(source.read_text())
        by_name = {image["file_name"].removesuffix(".tiff").removesuffix("_rgb"): image for image in coco["images"]}
        images: list[dict[str, Any]] = []
        annotations: list[dict[str, Any]] = []
        for number, port in enumerate(ports, 1):
            if port not in by_name:
                raise LabelError(f"{source} has no image of {port}; it has {', '.join(sorted(by_name))}")
            image = by_name[port]
            images.append(
                {"id": number, "file_name": f"{port}.tif", "width": image["width"], "height": image["height"]}
            )
            for annotation in coco["annotations"]:
                if annotation["image_id"] == image["id"]:
                    annotations.append(
                        {"id": len(annotations) + 1, "image_id": number, "category_id": 1, **mask_to_box(annotation)}
                    )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        if isinstance(error, LabelError):
            raise
        raise LabelError(f"{source} is not the COCO file of sen2ships: {type(error).__name__} {error}") from error
    table = {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "vessel"}]}
    out.parent.mkdir(parents=True, exist_ok=True)
    with replacing(out) as draft:
        draft.write_text(json.dumps(table))


def mask_to_box(annotation: Mapping[str, Any]) -> dict[str, Any]:
    """COCO fields of one uncompressed run-length mask: outline, bounding box, and the smallest rectangle.

    Runs go down the columns and begin with background (COCO API, `maskApi.h`). The outline goes through pixel
    centres; the rectangle is grown by half a pixel on every side, so that it holds the pixels whole.
    """
    import cv2

    height, width = annotation["segmentation"]["size"]
    counts = annotation["segmentation"]["counts"]
    values = np.arange(len(counts)) % 2
    mask = np.repeat(values, counts).astype(np.uint8).reshape(width, height).T
    outlines, _ = cv2.findContours(np.ascontiguousarray(mask), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    if not outlines:
        raise LabelError(f"annotation {annotation.get('id')} has an empty mask")
    points = np.concatenate(outlines).reshape(-1, 2) + 0.5
    (x, y), (w, h), angle = cv2.minAreaRect(points.astype(np.float32))
    corners = cv2.boxPoints(((x, y), (w + 1.0, h + 1.0), angle))
    low, high = points.min(axis=0) - 0.5, points.max(axis=0) + 0.5
    return {
        "bbox": [*low.tolist(), *(high - low).tolist()], "area": float(np.prod(high - low)), "iscrowd": 0,
        "segmentation": [(outline.reshape(-1) + 0.5).tolist() for outline in outlines],
        "obb": np.round(corners.reshape(-1).astype(float), 2).tolist(),
    }  # fmt: skip


def label_digest(path: Path) -> str:
    """SHA-256 over id, image name and bounding box of every annotation: what the corrections depend on."""
    coco = json.loads(path.read_text())
    names = {image["id"]: image["file_name"] for image in coco["images"]}
    rows = [[a["id"], names[a["image_id"]], [float(v) for v in a["bbox"]]] for a in coco["annotations"]]
    return hashlib.sha256(json.dumps(sorted(rows)).encode()).hexdigest()
