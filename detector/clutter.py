"""Whether a small box stands out from the sea around it, or is one whitecap among many.

In rough or turbid water a network that has learnt ships of few pixels takes whitecaps for them, hundreds in a scene. A
constant false alarm rate detector compares each candidate with the clutter around it (Crisp 2004, The State-of-the-Art in
Ship Detection in Synthetic Aperture Radar Imagery, DSTO-RR-0272); here it judges the network's boxes. Contrast of
either sign counts, since a coal barge on turbid water is the darker one.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

#: Only boxes up to this length are judged: crests and plumes are no longer.
SMALL_M = 100.0
#: Deviations of the clutter at which a box is certainly part of it, and from which it certainly is not.
_PART, _APART = 6.0, 12.0
_REACH = 40  # scene pixels around the middle of a box
_SCALE = 15  # pixels over which the water's own brightness is taken
_LEAST_WATER = 200  # pixels that the clutter is measured on
_QUANTISED = 1.0  # encoded numbers: the least deviation


def plausibility(
    corners: Floats, lengths_m: Floats, pixels: NDArray[np.uint8], water: NDArray[np.bool_]
) -> Floats:
    """Factors from 0 to 1 for the confidence of boxes (n, 4, 2) in pixels of a window.

    1 for boxes longer than `SMALL_M`, for those that stand out by twelve deviations of the clutter, and where there is too
    little water around to tell; 0 for those within six.

    Args:
        corners: boxes in pixels of the window.
        lengths_m: their lengths on the ground.
        pixels: (4, height, width) encoded window; 0 is no data.
        water: (height, width) water mask of the window.
    """
    out = np.ones(len(corners))
    for i in np.flatnonzero(lengths_m <= SMALL_M):
        ratio = _to_clutter(corners[i], pixels, water)
        out[i] = np.clip((ratio - _PART) / (_APART - _PART), 0.0, 1.0)
    return out


def _to_clutter(box: Floats, pixels: NDArray[np.uint8], water: NDArray[np.bool_]) -> float:
    """The largest contrast in a box over the clutter's deviation, of the band where that is largest; inf: not known."""
    import shapely
    from scipy import ndimage

    middle = np.floor(box.mean(axis=0)).astype(int)
    low = np.clip(middle - _REACH, 0, None)
    cut = (slice(low[1], middle[1] + _REACH + 1), slice(low[0], middle[0] + _REACH + 1))
    part, sea = pixels[:, cut[0], cut[1]], water[cut]
    if not part.size:
        return float("inf")
    rows, cols = np.mgrid[: sea.shape[0], : sea.shape[1]]
    hull = shapely.Polygon(box - low)
    inside, near = (
        shapely.contains_xy(hull.buffer(margin), cols.ravel() + 0.5, rows.ravel() + 0.5).reshape(sea.shape)
        for margin in (0.7, 3.0)
    )
    around = sea & ~near & (part > 0).any(axis=0)
    if around.sum() < _LEAST_WATER or not inside.any():
        return float("inf")
    ratios = []
    for band in part:
        if not band.any():
            continue
        values = band.astype(np.float32)
        local = ndimage.gaussian_filter(values, 0.8) - ndimage.uniform_filter(values, _SCALE)
        middle_value = np.median(local[around])
        deviation = 1.4826 * np.median(np.abs(local[around] - middle_value)) + _QUANTISED
        ratios.append(np.abs(local[inside] - middle_value).max() / deviation)
    return float(max(ratios))
