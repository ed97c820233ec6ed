"""Where a hull ends: the ends of a box moved to the places where its pixels say that the water begins.

A network places the ends of a hull with an error of a pixel or two, and differently whenever the image is sampled
differently. A hull that stands out from open water is measured better on the pixels themselves: along its axis the
contrast to the water beside it falls to less than half of what it is amidships. Where it does not fall (a quay,
another hull), or where the hull hardly stands out, the box stays as it is.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_STEP_M = 2.0
#: How far beyond the ends of a box is looked, and the strips of water on both sides of it.
_BEYOND_M = 120.0
_STRIP_M = (12.0, 45.0)
#: Least contrast amidships, in standard deviations of the water, and the share of it at which a hull ends. Half the
#: contrast is where a blurred edge lies; a bow is narrower than the hull, so its contrast is lower than amidships.
_LEAST_CONTRAST = 6.0
_END_CONTRAST = 0.5
#: The water's deviation is no less than this, in encoded numbers: it is quantised.
_LEAST_DEVIATION = 2.0
#: Dark gaps on deck up to this length belong to the hull, and an end is moved by no more than this.
_GAP_M = 16.0
_MOST_MOVE_M = 100.0


def fit_ends(corners: Floats, pixels: NDArray[np.uint8], pixel_m: tuple[float, float]) -> Floats:
    """Boxes (n, 4, 2) with their ends where the hull ends; those of which the pixels do not tell stay as they are.

    Args:
        corners: boxes in pixels of the window, in order round the box.
        pixels: (4, height, width) encoded window; 0 is no data.
        pixel_m: metres on the ground of one column and one row.
    """
    bands = pixels[[bool(band.any()) for band in pixels]].astype(np.float32)
    scale = np.asarray(pixel_m, float)
    if not len(bands):
        return corners.copy()
    return np.array([_fit(box * scale, bands, scale) / scale for box in corners]).reshape(-1, 4, 2)


def _fit(box: Floats, bands: NDArray[np.float32], pixel_m: Floats) -> Floats:
    """One box in metres of the window's frame."""
    if np.hypot(*(box[1] - box[0])) > np.hypot(*(box[2] - box[1])):
        return np.roll(_fit(np.roll(box, -1, axis=0), bands, pixel_m), 1, axis=0)
    # Now corners 0, 1 are one end and 2, 3 the other.
    half = ((box[0] + box[1]) - (box[2] + box[3])) / 4
    half_length = float(np.hypot(*half))
    axis = half / half_length
    width = float(np.hypot(*(box[1] - box[0])))
    along = np.arange(0.0, half_length + _BEYOND_M, _STEP_M)
    along = np.concatenate([-along[:0:-1], along])
    contrast = _contrast(box.mean(axis=0), axis, along, width, bands, pixel_m)
    amidships = float(np.median(contrast[np.abs(along) <= 0.8 * half_length]))
    if not amidships >= _LEAST_CONTRAST:
        return box
    fitted = box.copy()
    for end, sign in (([0, 1], 1.0), ([2, 3], -1.0)):
        outward = contrast[along * sign >= 0]
        found = _end(outward if sign > 0 else outward[::-1], half_length, _END_CONTRAST * amidships)
        if found is not None and abs(found - half_length) <= _MOST_MOVE_M:
            fitted[end] += sign * axis * (found - half_length)
    return fitted


def _contrast(
    centre: Floats, axis: Floats, along: Floats, width: float, bands: NDArray[np.float32], pixel_m: Floats
) -> Floats:
    """Difference from the water beside the box at each place along its axis, in standard deviations over all bands."""
    from scipy import ndimage

    normal = np.array([-axis[1], axis[0]])
    reach = width / 2 + _STRIP_M[1]
    across = np.arange(-reach, reach + _STEP_M / 2, _STEP_M)
    places = centre + along[:, None, None] * axis + across[None, :, None] * normal
    cols, rows = places[..., 0] / pixel_m[0] - 0.5, places[..., 1] / pixel_m[1] - 0.5
    values = np.stack(
        [ndimage.map_coordinates(band, [rows, cols], order=1, mode="nearest") for band in bands]
    )
    beside = values[:, :, np.abs(across) >= width / 2 + _STRIP_M[0]].reshape(len(bands), -1)
    water = np.median(beside, axis=1)
    deviation = 1.4826 * np.median(np.abs(beside - water[:, None]), axis=1) + _LEAST_DEVIATION
    deck = values[:, :, np.abs(across) <= max(width / 4, _STEP_M * 2.5)].mean(axis=2)
    return np.asarray(np.sqrt((((deck - water[:, None]) / deviation[:, None]) ** 2).mean(axis=0)), float)


def _end(contrast: Floats, half_length: float, least: float) -> float | None:
    """Metres from the middle at which the contrast (one value every `_STEP_M`) falls below `least` for good.

    None where it never does, or where it is low from near the middle on.
    """
    stands_out = contrast >= least
    first = int(0.3 * half_length / _STEP_M)
    last = None
    for place in range(first, len(contrast) - 1):
        if stands_out[place]:
            last = place
        elif (place - (first if last is None else last)) * _STEP_M > _GAP_M:
            break
    else:
        return None
    if last is None:
        return None
    step = (contrast[last] - least) / (contrast[last] - contrast[last + 1])
    return (last + float(step)) * _STEP_M
