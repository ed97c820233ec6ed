"""Whether a box stands out from the sea around it, or is made of whitecaps as they are all around.

In rough or turbid water a network takes whitecaps for boats, and pairs of them for ships, hundreds in a scene. A constant
false alarm rate detector compares each candidate with the clutter around it (Crisp 2004, The State-of-the-Art in Ship
Detection in Synthetic Aperture Radar Imagery, DSTO-RR-0272); here it judges the network's boxes. What is compared is the
mean over the box with the means over boxes of the same size and direction all around: a hull is different from end to
end, two crests only at both ends. Contrast of either sign counts, since a coal barge on turbid water is the darker one.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

#: Deviations of the clutter at which a box is certainly part of it, and from which it certainly is not.
_PART, _APART = 6.0, 12.0
_REACH = 45  # scene pixels around the middle of a box
_SCALE = 31  # pixels over which the water's own brightness is taken
_LEAST_WATER = 200  # places of boxes that the clutter is measured on
_INSIDE, _BESIDE = 0.3, 3.0  # pixels around a box that are still hull, and that are not yet clutter
_ROUNDING = 12**-0.5  # the deviation that whole numbers have at least


def plausibility(corners: Floats, pixels: NDArray[np.uint8], water: NDArray[np.bool_]) -> Floats:
    """Factors from 0 to 1 for the confidence of boxes (n, 4, 2) in pixels of a window.

    1 for boxes that stand out by twelve deviations of the clutter, and where there is too little water around to tell;
    0 for those within six.

    Args:
        corners: boxes in pixels of the window.
        pixels: (4, height, width) encoded window; 0 is no data.
        water: (height, width) water mask of the window.
    """
    ratios = np.array([_to_clutter(box, pixels, water) for box in corners])
    return np.clip((ratios - _PART) / (_APART - _PART), 0.0, 1.0)


def _to_clutter(box: Floats, pixels: NDArray[np.uint8], water: NDArray[np.bool_]) -> float:
    """Contrast of a box over the deviation of such boxes around it, of the band where it is largest; inf: not known."""
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
        for margin in (_INSIDE, _BESIDE)
    )
    around = sea & ~near & (part > 0).any(axis=0)
    if around.sum() < _LEAST_WATER or not inside.any():
        return float("inf")
    bands = part[part.any(axis=(1, 2))].astype(np.float32)
    share = ndimage.uniform_filter(around.astype(np.float32), _SCALE)
    level = ndimage.uniform_filter(bands * around, (0, _SCALE, _SCALE)) / np.maximum(share, 1e-6)
    contrast = np.where(share > 1e-6, bands - level, 0.0)
    # The means of all boxes of this shape around; only those wholly on water count.
    hit_rows, hit_cols = np.nonzero(inside)
    shape = inside[hit_rows.min() : hit_rows.max() + 1, hit_cols.min() : hit_cols.max() + 1]
    kernel = (shape / shape.sum()).astype(np.float32)
    afloat = _filtered(around.astype(np.float32), kernel) > 0.95
    if afloat.sum() < _LEAST_WATER:
        return float("inf")
    means = _filtered(contrast * around, kernel)[:, afloat]
    usual = np.median(means, axis=1)
    deviation = 1.4826 * np.median(np.abs(means - usual[:, None]), axis=1) + _ROUNDING
    return float((np.abs(contrast[:, inside].mean(axis=1) - usual) / deviation).max())


def _filtered(values: NDArray[np.float32], kernel: NDArray[np.float32]) -> NDArray[np.float64]:
    """Sums of values (…, height, width) weighted by a kernel at every place where it fits, as `scipy.signal.correlate` does.

    That module takes as long to import as a small scene takes to search.
    """
    height, width = values.shape[-2] - kernel.shape[0] + 1, values.shape[-1] - kernel.shape[1] + 1
    size = values.shape[-2:]
    product = np.fft.rfft2(values, size) * np.conj(np.fft.rfft2(kernel, size))
    return np.fft.irfft2(product, size)[..., :height, :width]
