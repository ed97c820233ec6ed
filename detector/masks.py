"""Masks of what cannot or need not be searched: no data, no water, cloud, land polygons.

Figures and limits: docs/masks.md; they are measured by tests/bench/measure_masks.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from detector.encoding import decode_reflectance
from detector.errors import MissingBandError, MissingDependencyError
from detector.geometry import Grid, Window

if TYPE_CHECKING:
    from detector.scene.core import Scene

Mask = NDArray[np.bool_]

# Water by NDWI and near infrared. Turbid or hazy water keeps NDWI just above 0 at any brightness; glint and
# thin haze over dark water push it just below 0, but leave little infrared.
_NDWI = (0.0, -0.12)
_NIR = (0.22, 0.11)
_NIR_DARK = 0.055
# Water by true colour alone, pairs of (roughness below, blue to red above): the browner, the calmer.
_CALM = ((0.009, 0.90), (0.004, 0.72), (0.002, 0.50))
_EXCESS_GREEN = 0.27
_CLEAR_BLUE_TO_RED = 1.5
_BRIGHT = 0.26
#: Pieces of water of fewer pixels are shadows and roofs; a basin that floats a 30 m vessel is larger.
_SMALLEST_WATER = 20

#: SCL classes that hide what is below: cloud of medium and of high probability, thin cirrus.
CLOUD_CLASSES = (8, 9, 10)
#: m². The largest ship is 400 m x 62 m; SCL marks bright ones as cloud with a rim of 20 m: 0.045 km².
SMALLEST_CLOUD = 150_000.0
_CLOUD_MARGIN = 64
_S2CLOUDLESS_BANDS = ("B01", "B02", "B04", "B05", "B08", "B8A", "B09", "B10", "B11", "B12")


def valid(stored: NDArray[Any], fill: float) -> Mask:
    """Where any band of a stored window (bands, height, width) holds data; bool (height, width).

    Any, not every: an 8-bit picture of dark sea has channels that are 0.
    """
    present = ~np.isnan(stored) if np.isnan(fill) else stored != fill
    return np.asarray(present.any(axis=0))


def water(reflectance: NDArray[np.floating[Any]], bands: Sequence[str]) -> Mask:
    """Pixels that may be water; made to miss none rather than to have no land in it. No data is not water.

    With B03 and B08: NDWI (McFeeters 1996, Int. J. Remote Sensing 17(7)) above 0, or a little below it with
    little near infrared, or hardly any near infrared.
    With true colour alone: smooth, not bright, not green and not reddish; see docs/masks.md for what it takes
    for water.

    Args:
        reflectance: (bands, height, width), NaN where there is no data.
        bands: their names; B03 and B08, or B04, B03 and B02 at least.
    """
    layers = dict(zip(bands, reflectance, strict=True))
    if "B03" in layers and "B08" in layers:
        found = _water_by_infrared(layers["B03"], layers["B08"])
    elif {"B04", "B03", "B02"} <= set(layers):
        found = _water_by_colour(layers["B04"], layers["B03"], layers["B02"])
    else:
        raise MissingBandError(f"a water mask needs B03 and B08, or B04, B03 and B02; got {', '.join(bands)}")
    return _without_specks(found, _SMALLEST_WATER)


def water_encoded(green: NDArray[np.uint8], nir: NDArray[np.uint8]) -> Mask:
    """The same mask as `water` by B03 and B08, of encoded bands (height, width), where 0 is no data.

    Two bytes have 65,536 values, so the rule is looked up, which is several times as fast as decoding and computing.
    """
    key = (green.astype(np.uint16) << 8) | nir
    return _without_specks(_water_table().take(key), _SMALLEST_WATER)


@lru_cache(maxsize=1)
def _water_table() -> Mask:
    """The infrared rule for every encoded green (high byte) and near infrared (low byte)."""
    levels = decode_reflectance(np.arange(256, dtype=np.uint8))
    green, nir = np.meshgrid(levels, levels, indexing="ij")
    return _water_by_infrared(green, nir).ravel()


def _water_by_infrared(green: NDArray[Any], nir: NDArray[Any]) -> Mask:
    with np.errstate(invalid="ignore"):
        found = nir < _NIR_DARK
        for least, most in zip(_NDWI, _NIR, strict=True):
            found |= (green - nir > least * (green + nir)) & (nir < most)
    return np.asarray(found)


def _water_by_colour(red: NDArray[Any], green: NDArray[Any], blue: NDArray[Any]) -> Mask:
    from scipy import ndimage

    gone = np.isnan(red) | np.isnan(green) | np.isnan(blue)
    red, green, blue = (ndimage.uniform_filter(np.nan_to_num(band), 3) for band in (red, green, blue))
    light = (red + green + blue) / 3
    excess_green = (2 * green - red - blue) / np.maximum(3 * light, 1e-3)
    step = ndimage.maximum_filter(light, 3) - ndimage.minimum_filter(light, 3)
    # The calmest of the neighbourhoods a pixel belongs to: water beside a hull or a quay counts as smooth.
    calm = ndimage.minimum_filter(step, 5)
    hue = blue / np.maximum(red, 1e-3)
    found = np.zeros(light.shape, bool)
    for rough, least in _CALM:
        found |= (calm < rough) & (hue > least)
    leaves = (excess_green >= _EXCESS_GREEN) & (hue < _CLEAR_BLUE_TO_RED)
    found &= (light < _BRIGHT) & ~leaves
    return np.asarray(found & ~gone)


def _without_specks(mask: Mask, smallest: int) -> Mask:
    """Without connected pieces of fewer pixels, save those that the edge of the window cuts."""
    from scipy import ndimage

    if mask.all() or not mask.any():
        return mask
    labels, count = ndimage.label(mask, structure=np.ones((3, 3)))
    keep = np.bincount(labels.ravel(), minlength=count + 1) >= smallest
    for edge in (labels[0], labels[-1], labels[:, 0], labels[:, -1]):
        keep[edge] = True
    keep[0] = False
    return np.asarray(keep.take(labels))


def land_fraction(water_mask: Mask, polygon: NDArray[np.floating[Any]], reach: float = 6.0) -> float:
    """Share of dry pixels in a ring around a polygon: 0 at sea, 1 when nothing around it is water.

    Args:
        water_mask: bool (height, width).
        polygon: (corners, 2) pixel positions (column, row) in the frame of the mask.
        reach: width of the ring in pixels. The hull and one pixel around it, mixed with it, are left out.

    Returns:
        0 to 1; NaN when the ring lies outside the mask.
    """
    place, ring = _ring(water_mask.shape, polygon, reach)
    if not ring.any():
        return float("nan")
    return float(1.0 - water_mask[place][ring].mean())


def _ring(shape: tuple[int, ...], polygon: NDArray[Any], reach: float) -> tuple[tuple[slice, slice], Mask]:
    """Window around a polygon, and in it the pixels with centres 1.5 to ``reach`` pixels from the polygon."""
    import shapely

    corners = np.asarray(polygon, dtype=float).reshape(-1, 2)
    low = np.floor(corners.min(axis=0) - reach).astype(int)
    high = np.ceil(corners.max(axis=0) + reach).astype(int)
    cols = slice(max(low[0], 0), max(min(high[0], shape[1]), 0))
    rows = slice(max(low[1], 0), max(min(high[1], shape[0]), 0))
    x, y = np.meshgrid(np.arange(cols.start, cols.stop) + 0.5, np.arange(rows.start, rows.stop) + 0.5)
    distance = shapely.distance(shapely.Polygon(corners), shapely.points(x, y))
    return (rows, cols), np.asarray((distance > 1.5) & (distance <= reach))


def cloud(scene: Scene, window: Window) -> Mask:
    """Where cloud hides the ground; bool (height, width). No data is not cloud.

    From the scene classification when there is one, from s2cloudless for L1C with its ten bands when that is
    installed, else from brightness and whiteness. Pieces below ``SMALLEST_CLOUD`` are dropped, because bright
    ships look like cloud to all three.
    """
    pad = _CLOUD_MARGIN
    wide = Window(window.col - pad, window.row - pad, window.width + 2 * pad, window.height + 2 * pad)
    classes = scene.scl(wide)
    if classes is not None:
        found = np.isin(classes, CLOUD_CLASSES)
    elif scene.level == "L1C" and set(_S2CLOUDLESS_BANDS) <= set(scene.bands) and _has_s2cloudless():
        found = _cloud_by_s2cloudless(scene, wide)
    else:
        bands = [band for band in ("B04", "B03", "B02", "B08") if band in scene.bands]
        found = _cloud_by_whiteness(scene.reflectance(wide, bands))
    column, row = scene.grid.pixel_size()
    found = _without_specks(found, max(1, round(SMALLEST_CLOUD / (column * row))))
    return found[pad : pad + window.height, pad : pad + window.width]


def shadow(scene: Scene, window: Window) -> Mask | None:
    """Cloud shadow (SCL class 3), or None without a scene classification; dark water is often called so."""
    classes = scene.scl(window)
    return None if classes is None else classes == 3


_WHITE_LEVEL = 0.24
_WHITE_SPREAD = 0.30


def _cloud_by_whiteness(layers: NDArray[np.floating[Any]]) -> Mask:
    """Bright, white and broad: every band bright, bands alike, and wide both ways (no surf, no quay)."""
    from scipy import ndimage

    with np.errstate(invalid="ignore"):
        low, high = np.min(layers, axis=0), np.max(layers[:3], axis=0)
        spread = high - np.min(layers[:3], axis=0)
        white = (low > _WHITE_LEVEL) & (spread < _WHITE_SPREAD * high)
    # An opening by a square wider than any hull (90 m), as two passes of running minimum and maximum.
    core = ndimage.maximum_filter(ndimage.minimum_filter(white, 9, mode="constant"), 9, mode="constant")
    if not core.any():
        return np.asarray(core)
    return np.asarray(ndimage.binary_dilation(core, np.ones((3, 3)), iterations=6, mask=white) | core)


def _has_s2cloudless() -> bool:
    from importlib.util import find_spec

    return find_spec("s2cloudless") is not None


def _cloud_by_s2cloudless(scene: Scene, window: Window, block: int = 6) -> Mask:
    """s2cloudless (Zupanc 2017; Skakun et al. 2022) on 60 m blocks, as its authors use it."""
    from s2cloudless import S2PixelCloudDetector

    layers = scene.reflectance(window, _S2CLOUDLESS_BANDS)
    height, width = (-(-n // block) for n in layers.shape[1:])
    room = ((0, 0), (0, height * block - layers.shape[1]), (0, width * block - layers.shape[2]))
    blocks = np.pad(layers, room, constant_values=np.nan).reshape(len(layers), height, block, width, block)
    seen = np.isfinite(blocks).all(axis=(0, 2, 4))
    means = np.nan_to_num(blocks).mean(axis=(2, 4))
    detector = S2PixelCloudDetector(threshold=0.4, average_over=4, dilation_size=2, all_bands=False)
    found = detector.get_cloud_masks(np.moveaxis(means, 0, -1)[None])[0].astype(bool) & seen
    return np.asarray(found.repeat(block, 0).repeat(block, 1)[: layers.shape[1], : layers.shape[2]])


def land_polygons(grid: Grid, window: Window) -> Mask:
    """Land by the coastline polygons of GSHHG (package roaring-landmask, its default); bool (height, width).

    Optional (``pip install 'bargewatch[land]'``), and for looking, not for rejecting: a ship at a quay is
    within its error, see docs/masks.md. The first call takes seconds to unpack the polygons.

    Raises:
        MissingDependencyError: roaring-landmask is not installed.
    """
    try:
        from roaring_landmask import RoaringLandmask
    except ImportError as error:
        raise MissingDependencyError(
            "land polygons need roaring-landmask: pip install 'bargewatch[land]'"
        ) from error
    global _LANDMASK
    if _LANDMASK is None:
        _LANDMASK = RoaringLandmask.new()
    cols = np.arange(window.col, window.col + window.width) + 0.5
    rows = np.arange(window.row, window.row + window.height) + 0.5
    lon, lat = grid.to_lonlat(*(part.ravel() for part in np.meshgrid(cols, rows)))
    return np.asarray(_LANDMASK.contains_many(lon, lat), bool).reshape(window.height, window.width)


_LANDMASK: Any = None
