"""Chips: the pixels of each zone in each scene, on one grid a zone, so that looks can be laid on each other.

A chip is a GeoTIFF of those of red, green, blue and near infrared that the scene has, as reflectance in 16 bits (tag
SCALE), and a band MASK that is 0 where cloud or the edge of the scene hides the ground. `open_scene` reads it as any
scene. Its grid follows from the zone alone: UTM, 10 m, lines on whole tens of metres, as Sentinel-2 tiles have them, so
that pixels of a tile in the same UTM zone are copied and not resampled.
"""

from __future__ import annotations

import hashlib
import math
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from detector.atomic import replacing
from detector.columns import utc_text
from detector.encoding import BANDS
from detector.errors import SiteError, TableError
from detector.geometry import Grid, Window
from detector.geotiff import stored_form
from detector.loadings.looks import clear_pixels
from detector.loadings.sites import Site, Zone

if TYPE_CHECKING:
    from detector.scene import Scene

#: Metres around a zone: water to tell a hull from, and land to align looks on.
MARGIN_M = 500.0
PIXEL_M = 10.0
#: Pixels of the longest side: 40 km. Four bands of the largest chip are 256 MB in memory.
LONGEST_SIDE = 4000
#: Reflectance = stored · gain + offset. Dark pixels may be below 0 after atmospheric correction; 0 is no data.
GAIN, OFFSET = 1e-4, -0.1


def zones_with_chips(site: Site) -> tuple[Zone, ...]:
    """The zones that get chips: all but areas, which vessels only pass through."""
    return tuple(zone for zone in site.zones if zone.kind != "area")


def chip_grid(zone: Zone) -> Grid:
    """The grid of all chips of a zone: its outline and a margin, UTM, 10 m.

    Raises:
        SiteError: the zone is wider than a chip may be.
    """
    import shapely
    from affine import Affine
    from pyproj import Transformer
    from rasterio.crs import CRS

    centre = zone.polygon.centroid
    number = min(max(math.floor((centre.x + 180) / 6) + 1, 1), 60)
    crs = CRS.from_epsg((32600 if centre.y >= 0 else 32700) + number)
    to_utm = Transformer.from_crs("EPSG:4326", crs.to_wkt(), always_xy=True).transform
    dense = shapely.segmentize(zone.polygon, 0.02)  # long edges are bent by the projection
    x, y = to_utm(*shapely.get_coordinates(dense).T)
    west, south = (math.floor((v.min() - MARGIN_M) / PIXEL_M) for v in (x, y))
    east, north = (math.ceil((v.max() + MARGIN_M) / PIXEL_M) for v in (x, y))
    if max(east - west, north - south) > LONGEST_SIDE:
        raise SiteError(
            f"zone {zone.id!r} is {max(east - west, north - south) * PIXEL_M / 1000:.0f} km wide with its margin; "
            f"chips hold {LONGEST_SIDE * PIXEL_M / 1000:.0f} km: split the zone, or make it an area"
        )
    transform = Affine(PIXEL_M, 0, west * PIXEL_M, 0, -PIXEL_M, north * PIXEL_M)
    return Grid(crs, transform, east - west, north - south)


def prepare_chips(folder: str | os.PathLike[str], site: Site) -> Path:
    """The folder for chips, made if its parent is there, after a check that all zones fit.

    Raises:
        TableError: it is a file, or cannot be made or written.
        SiteError: a zone is too wide.
    """
    for zone in zones_with_chips(site):
        chip_grid(zone)
    place = Path(folder)
    try:
        place.mkdir(exist_ok=True)
    except OSError as error:
        raise TableError(f"cannot make the folder {folder} for chips: {error.strerror or error}") from error
    if not os.access(place, os.W_OK | os.X_OK):
        raise TableError(f"no permission to write chips in {folder}; choose another folder")
    return place


def write_chips(scene: Scene, site: Site, folder: str | os.PathLike[str]) -> list[Path]:
    """Keep a chip of every zone of which the scene shows something; an older chip of the scene is replaced.

    Returns:
        The files, DIR/zone/scene.tif.

    Raises:
        TableError: a file cannot be written.
        SiteError: a zone is too wide.
    """
    bands = [band for band in BANDS if band in scene.bands]
    written = []
    for zone in zones_with_chips(site):
        grid = chip_grid(zone)
        cut = _cut(scene, grid, bands)
        if cut is None or not (cut[1] & zone_mask(zone, grid)).any():
            continue
        path = Path(folder) / file_name(zone.id) / f"{file_name(scene.id)}.tif"
        try:
            path.parent.mkdir(exist_ok=True)
        except OSError as error:
            raise TableError(f"cannot make {path.parent} for chips: {error.strerror or error}") from error
        tags = {"SCENE_ID": scene.id, "SITE": site.name, "ZONE_ID": zone.id}
        if scene.acquired is not None:
            tags["ACQUIRED"] = utc_text(scene.acquired)
        _write(path, cut[0], cut[1], grid, bands, tags)
        written.append(path)
    return written


def zone_mask(zone: Zone, grid: Grid, around_m: float = 0.0) -> NDArray[np.bool_]:
    """Which pixels of a chip have their centre in the zone, or no further from it than so many metres."""
    import shapely

    outline = shapely.transform(
        shapely.segmentize(zone.polygon, 0.02),
        lambda xy: np.column_stack(grid.from_lonlat(xy[:, 0], xy[:, 1])),
    )
    outline = outline.buffer(around_m / PIXEL_M)
    cols, rows = np.meshgrid(np.arange(grid.width) + 0.5, np.arange(grid.height) + 0.5)
    return np.asarray(shapely.contains_xy(outline, cols, rows))


def file_name(text: str) -> str:
    """A file name for an id: itself where it can be one, else what can be kept of it and a hash that tells it apart."""
    kept = re.sub(r"[^A-Za-z0-9._-]", "_", text).lstrip(".")[:120]
    if kept == text:
        return text
    return f"{kept}-{hashlib.sha256(text.encode('utf-8', 'replace')).hexdigest()[:8]}"


def _cut(scene: Scene, grid: Grid, bands: list[str]) -> tuple[NDArray[np.float32], NDArray[np.bool_]] | None:
    """Reflectance (bands, height, width) and clear pixels of a scene on the grid of a chip; None where it has none."""
    edge = np.linspace(0, 1, 9)
    ring = np.concatenate([[(t, 0), (1, t), (t, 1), (0, t)] for t in edge]) * [grid.width, grid.height]
    cols, rows = scene.grid.from_lonlat(*grid.to_lonlat(ring[:, 0], ring[:, 1]))
    if not (np.isfinite(cols).all() and np.isfinite(rows).all()):
        return None
    left, top = math.floor(cols.min()) - 3, math.floor(rows.min()) - 3
    right, bottom = math.ceil(cols.max()) + 3, math.ceil(rows.max()) + 3
    if right <= 0 or bottom <= 0 or left >= scene.grid.width or top >= scene.grid.height:
        return None
    step = whole_steps(scene.grid, grid)
    window = (
        Window(left, top, right - left, bottom - top)
        if step is None
        else Window(*step, grid.width, grid.height)
    )
    clear = clear_pixels(scene, window)
    if not clear.any():
        return None
    layers = scene.reflectance(window, bands)
    if step is not None:
        return layers, clear
    return _warped(layers, clear, scene.grid.window_grid(window), grid)


def whole_steps(of: Grid, to: Grid) -> tuple[int, int] | None:
    """Column and row of a grid's corner in another, where their pixels coincide."""
    a, b = of.transform, to.transform
    if of.crs != to.crs or not np.allclose([a.a, a.e], [b.a, b.e], rtol=1e-9):
        return None
    col, row = (b.c - a.c) / a.a, (b.f - a.f) / a.e
    if max(abs(col - round(col)), abs(row - round(row))) > 1e-3:
        return None
    return round(col), round(row)


def _warped(
    layers: NDArray[np.float32], clear: NDArray[np.bool_], of: Grid, to: Grid
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    from rasterio.warp import Resampling, reproject

    places = {
        "src_transform": of.transform,
        "src_crs": of.crs,
        "dst_transform": to.transform,
        "dst_crs": to.crs,
    }
    out = np.full((len(layers), to.height, to.width), np.nan, np.float32)
    reproject(layers, out, resampling=Resampling.cubic, src_nodata=np.nan, dst_nodata=np.nan, **places)
    seen = np.zeros((to.height, to.width), np.uint8)
    reproject(clear.astype(np.uint8), seen, resampling=Resampling.nearest, **places)
    return out, seen.astype(bool) & np.isfinite(out).all(axis=0)


def _write(
    path: Path,
    layers: NDArray[np.float32],
    clear: NDArray[np.bool_],
    grid: Grid,
    bands: list[str],
    tags: dict[str, str],
) -> None:
    import rasterio

    stored = np.rint((np.nan_to_num(layers) - OFFSET) / GAIN).clip(1, 65535).astype(np.uint16)
    stored[np.isnan(layers)] = 0
    form = stored_form(grid, len(bands) + 1, zlevel=6)
    with replacing(path) as draft, rasterio.open(draft, "w", **form) as file:
        file.write(np.concatenate([stored, clear[None].astype(np.uint16)]))
        file.descriptions = (*bands, "MASK")
        file.update_tags(SCALE=f"{GAIN:g},{OFFSET:g}", **tags)
