"""What boxes show, resampled into the frame of each hull: what the network of the coal score looks at.

A patch runs along the hull from a little behind one end to a little beyond the other, and across it to 40 m on both sides
of its axis, so that water, quay or neighbour beside it are in view: they say what the mixed pixels of a narrow hull are
mixed with, and how much haze lies over it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from detector.boxes import Floats, measure
from detector.geometry import Window
from detector.scene import Scene

#: Bands of a patch, in this order; those that a scene lacks are NaN.
BANDS = ("B02", "B03", "B04", "B08", "B11")
#: Samples along the hull, of which `_BEYOND` lie beyond each end, and across it.
ALONG, ACROSS = 28, 17
_BEYOND = 2
#: Metres from sample to sample across the hull.
_STEP_M = 5.0
#: Least share of a sample's neighbours with data.
_LEAST_SEEN = 0.6
#: Metres off the side of the box from which what lies beside a hull is looked at, nearer where the patch ends sooner; and
#: the least number of samples there.
_BESIDE_M = 9.0
_LEAST_SAMPLES = 4

_ALONG = (np.arange(ALONG) - _BEYOND + 0.5) / (ALONG - 2 * _BEYOND) - 0.5
"""Place of the samples along the hull, as a share of its length."""
_ACROSS_M = (np.arange(ACROSS) - ACROSS // 2) * _STEP_M


@dataclass
class Patches:
    """Patches of boxes.

    Attributes:
        reflectance: (n, 5, ALONG, ACROSS) in `BANDS`; NaN where there is no data or no such band.
        length_m, width_m: (n,) sides of the boxes.
    """

    reflectance: NDArray[np.float32]
    length_m: Floats
    width_m: Floats

    def __len__(self) -> int:
        return len(self.length_m)

    def where(self, mask: NDArray[np.bool_]) -> Patches:
        """Those of a mask (n,)."""
        return Patches(self.reflectance[mask], self.length_m[mask], self.width_m[mask])


def cut(scene: Scene, corners: Floats, bands: Sequence[str]) -> Patches:
    """The patches of boxes (n, 4, 2 in scene pixels), with those of the scene's bands that are named."""
    sides = measure(corners, scene.grid)
    nothing = np.full((len(corners), len(BANDS), ALONG, ACROSS), np.nan, np.float32)
    out = Patches(nothing, sides.length_m, sides.width_m)
    rows = [BANDS.index(band) for band in bands]
    # From top to bottom, so that blocks of the file that were decoded for one box serve its neighbours.
    for i in np.argsort(corners[:, :, 1].mean(axis=1)):
        if out.length_m[i] > 0:
            out.reflectance[i, rows] = _patch(scene, bands, corners[i])
    return out


def contrast(patches: Patches) -> Floats:
    """How far (reflectance, in the band where it is farthest) each hull is from what lies beside it.

    NaN where it is unknown: no data, or a box so wide (80 m) that the patch holds nothing beside it.
    """
    found = np.full(len(patches), np.nan)
    for i, pixels in enumerate(patches.reflectance):
        off = np.abs(_ACROSS_M) - patches.width_m[i] / 2
        seen = np.asarray(np.isfinite(pixels[0]))
        hull = seen & (np.abs(_ALONG) < 0.5)[:, None] & (off <= 0)
        beside = seen & (np.abs(_ALONG) < 0.55)[:, None] & (off > max(min(_BESIDE_M, off.max() - 2 * _STEP_M), 0.0))
        if min(hull.sum(), beside.sum()) >= _LEAST_SAMPLES:
            bands = np.asarray(np.isfinite(pixels[:, hull])).all(axis=1)
            present = pixels[bands].astype(np.float32)
            found[i] = np.abs(np.median(present[:, hull], axis=1) - np.median(present[:, beside], axis=1)).max()
    return found


def inputs(patches: Patches) -> NDArray[np.float32]:
    """What the network is given (n, 11, ALONG, ACROSS).

    Logarithms of reflectance (0 where there is none), whether there is data, tens of metres from the side of the box, place
    along the hull, logarithm of its length, and whether there are near and short-wave infrared. Of a hull turned end for end
    or mirrored the first six are turned or mirrored and the others the same.
    """
    n = len(patches)
    seen = np.asarray(np.isfinite(patches.reflectance))
    light = np.log((np.clip(np.nan_to_num(patches.reflectance), 0.0, 1.5) + 0.01) / 0.05) * seen
    out = np.zeros((n, 11, ALONG, ACROSS), np.float32)
    out[:, :5] = light
    out[:, 5] = seen[:, :3].all(axis=1)
    off = np.abs(_ACROSS_M) - patches.width_m[:, None] / 2
    out[:, 6] = np.clip(off / 10.0, -3.0, 4.0)[:, None, :]
    out[:, 7] = (4.0 * np.abs(_ALONG) - 1.0)[None, :, None]
    out[:, 8] = np.log(np.maximum(patches.length_m, 1.0) / 90.0)[:, None, None]
    infrared = np.asarray(seen[:, 3:].any(axis=(2, 3)))
    out[:, 9:] = infrared[:, :, None, None]
    return out


def _patch(scene: Scene, bands: Sequence[str], corners: Floats) -> Floats:
    """One patch (bands, ALONG, ACROSS): bilinear samples of the pixels that have data."""
    from scipy import ndimage

    size = np.array(scene.grid.pixel_size(*corners.mean(axis=0)))
    ring = corners * size
    a, b = ring[1] - ring[0], ring[2] - ring[1]
    along = a if np.hypot(*a) >= np.hypot(*b) else b
    axis = along / np.hypot(*along)
    side = np.array([-axis[1], axis[0]])
    spots = ring.mean(axis=0) + _ALONG[:, None, None] * along + _ACROSS_M[None, :, None] * side
    spots = spots / size - 0.5
    low = np.floor(spots.min(axis=(0, 1))).astype(int) - 1
    high = np.ceil(spots.max(axis=(0, 1))).astype(int) + 2
    window = Window(int(low[0]), int(low[1]), int(high[0] - low[0]), int(high[1] - low[1]))
    pixels = np.asarray(scene.reflectance(window, bands), float)
    there = np.isfinite(pixels).all(axis=0)
    at = (spots[..., 1] - low[1], spots[..., 0] - low[0])
    seen = ndimage.map_coordinates(there.astype(float), at, order=1)
    filled = np.where(there, pixels, 0.0)
    patch = np.array([ndimage.map_coordinates(band, at, order=1) for band in filled]) / np.maximum(seen, 1e-3)
    return np.where(seen >= _LEAST_SEEN, patch, np.nan)
