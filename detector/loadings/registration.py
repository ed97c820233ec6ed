"""By how much one look is shifted against another, to a fraction of a pixel.

Cross-correlation by discrete Fourier transform, refined by a matrix-multiply transform near its peak (Guizar-Sicairos,
Thurman & Fienup 2008, Optics Letters 33, 156-158), on pixels that do not move: ships and waves would be followed. Then
least squares on image gradients (Lucas & Kanade 1981, IJCAI, 674-679), where the mask leaves no bias, which also gives a
standard error.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]
Mask = NDArray[np.bool_]

#: Pixels. Dates of Sentinel-2 differ by less; a larger shift is a failure and is not applied.
MOST_SHIFT = 4.0
#: Fewer stable pixels than this (4 ha) do not fix a shift.
LEAST_PIXELS = 400
#: Standard error in pixels above which a shift is not applied.
_LEAST_SURE = 0.25
_FINE = 20
_STEPS = 8


@dataclass(frozen=True)
class Shift:
    """How far the content of an image lies from where the reference has it, in pixels.

    Attributes:
        error: standard error of each of rows and cols; NaN where no shift was found and none is applied.
    """

    rows: float = 0.0
    cols: float = 0.0
    error: float = float("nan")

    @property
    def found(self) -> bool:
        """False where the looks are taken to lie on each other because nothing fixes them."""
        return bool(np.isfinite(self.error))


def find_shift(reference: Floats, image: Floats, stable: Mask) -> Shift:
    """The shift of an image (height, width) against a reference of the same grid.

    Args:
        stable: pixels of the reference that show what does not move; NaN pixels of either are left out.

    Returns:
        A shift of 0 that is not `found` where there are too few stable pixels, they show no structure, or the two
        do not agree.
    """
    use = stable & np.isfinite(reference) & np.isfinite(image)
    if int(use.sum()) < LEAST_PIXELS:
        return Shift()
    one, other = _prepared(reference, use), _prepared(image, use)
    if not (one.any() and other.any()):
        return Shift()
    start = _correlate(one, other)
    if max(abs(start)) > MOST_SHIFT:
        return Shift()
    return _refined(reference, image, use, start)


def shifted(layers: Floats, shift: Shift) -> NDArray[np.float32]:
    """Layers (bands, height, width) moved back onto the reference by cubic splines; NaN where a neighbour is unknown."""
    from scipy import ndimage

    out = np.asarray(layers, np.float32)
    if not shift.found or max(abs(shift.rows), abs(shift.cols)) < 0.02:
        return out.copy()
    by = (-shift.rows, -shift.cols)
    gone = np.asarray(~np.isfinite(out).all(axis=0))
    # A spline rings at a hole: holes are filled with the nearest pixel and cut out again.
    filled = _filled(out, gone)
    moved = np.stack([ndimage.shift(band, by, order=3, mode="nearest") for band in filled])
    hole = ndimage.shift(gone.astype(np.float32), by, order=1, mode="constant", cval=1.0) > 0.01
    moved[:, hole] = np.nan
    return np.asarray(moved, np.float32)


def _filled(layers: Floats, gone: Mask) -> NDArray[np.float32]:
    from scipy import ndimage

    out = np.asarray(layers, np.float32)
    if not gone.any() or gone.all():
        return np.nan_to_num(out)
    nearest = ndimage.distance_transform_edt(gone, return_distances=False, return_indices=True)
    return np.asarray(out[:, nearest[0], nearest[1]])


def _prepared(image: Floats, use: Mask) -> NDArray[np.float64]:
    """The structure of an image: what differs from the surroundings, of unit spread, fading to 0 at the mask's edge."""
    from scipy import ndimage

    weight = ndimage.gaussian_filter(use.astype(float), 10)
    level = ndimage.gaussian_filter(np.where(use, image, 0.0).astype(float), 10) / np.maximum(weight, 1e-6)
    # The edge of the mask is the same in both images and would pull the shift to 0.
    fade = np.clip(ndimage.distance_transform_edt(use) / 4.0, 0, 1)
    structure = np.where(use, image - level, 0.0)
    spread = 3 * float(structure[use].std())
    return np.asarray(np.clip(structure, -spread, spread) * fade)


def _correlate(reference: NDArray[np.float64], image: NDArray[np.float64]) -> NDArray[np.float64]:
    """(rows, cols) of the peak of the cross-correlation, to 1/20 pixel."""
    product = np.conj(np.fft.fft2(reference)) * np.fft.fft2(image)
    coarse = np.fft.ifft2(product).real
    height, width = coarse.shape
    reach = int(MOST_SHIFT) + 2
    rows = np.arange(-min(reach, height // 2), min(reach, (height - 1) // 2) + 1)
    cols = np.arange(-min(reach, width // 2), min(reach, (width - 1) // 2) + 1)
    near = coarse[np.ix_(rows % height, cols % width)]
    at = np.unravel_index(int(near.argmax()), near.shape)
    fine = np.arange(-1, 1 + 1e-9, 1 / _FINE)
    row, col = rows[at[0]] + fine, cols[at[1]] + fine
    left = np.exp(2j * np.pi * np.outer(row, np.fft.fftfreq(height)))
    right = np.exp(2j * np.pi * np.outer(np.fft.fftfreq(width), col))
    peak = (left @ product @ right).real
    best = np.unravel_index(int(peak.argmax()), peak.shape)
    return np.array([row[best[0]], col[best[1]]])


def _refined(reference: Floats, image: Floats, use: Mask, start: NDArray[np.float64]) -> Shift:
    """Gauss-Newton on image(x + shift) = gain · reference(x) + offset, outliers weighed down (Tukey's biweight)."""
    from scipy import ndimage

    gone = ~np.isfinite(image)
    whole = _filled(image[None], gone)[0].astype(float)
    base = ndimage.gaussian_filter(_filled(reference[None], ~np.isfinite(reference))[0].astype(float), 0.7)
    whole = ndimage.gaussian_filter(whole, 0.7)
    inner = ndimage.binary_erosion(use, iterations=3)
    if int(inner.sum()) < LEAST_PIXELS:
        inner = use
    shift, error = start.astype(float), float("nan")
    for _ in range(_STEPS):
        moved = ndimage.shift(whole, -shift, order=3, mode="nearest")
        down, right = np.gradient(moved)
        target = base[inner]
        design = np.column_stack([down[inner], right[inner], moved[inner], np.ones(len(target))])
        # target = gain·(moved + gradient·step) + offset
        residual = target - moved[inner] * _slope(moved[inner], target)
        residual -= np.median(residual)
        scale = 1.4826 * float(np.median(np.abs(residual))) + 1e-9
        weight = np.clip(1 - (residual / (4.685 * scale)) ** 2, 0, None) ** 2
        normal = design.T @ (design * weight[:, None])
        try:
            inverse = np.linalg.inv(normal)
        except np.linalg.LinAlgError:
            return Shift()
        answer = inverse @ (design.T @ (weight * target))
        gain = answer[2]
        if not 0.2 < gain < 5:
            return Shift()
        step = answer[:2] / gain
        left_over = target - design @ answer
        variance = float((weight * left_over**2).sum() / max(weight.sum() - 4, 1))
        # Neighbouring pixels share the sensor's blur: about one in four is news.
        error = float(np.sqrt(4 * variance * max(inverse[0, 0], inverse[1, 1])) / gain)
        shift = shift + step
        if max(abs(shift)) > MOST_SHIFT:
            return Shift()
        if max(abs(step)) < 0.005:
            break
    return Shift(float(shift[0]), float(shift[1]), error) if error < _LEAST_SURE else Shift()


def _slope(x: NDArray[np.float64], y: NDArray[np.float64]) -> float:
    centred = x - np.median(x)
    return float((centred * (y - np.median(y))).sum() / max((centred**2).sum(), 1e-12))
