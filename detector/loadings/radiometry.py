"""One look brought to the radiometry of another: haze, sun and season changed the whole of it, ships only parts.

Iteratively re-weighted multivariate alteration detection (IR-MAD: Nielsen 2007, IEEE Transactions on Image Processing
16(2), 463-478) finds the pixels that did not change, whatever gain and offset each band has; orthogonal regression on them
gives gain and offset (Canty & Nielsen 2008, Remote Sensing of Environment 112, 1025-1036).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]
Reals = NDArray[np.float64]
Mask = NDArray[np.bool_]

#: Chance of no change from which a pixel takes part in the regression. Canty & Nielsen (2008) take 0.95 in whole scenes;
#: re-weighting leaves a quarter of the variance, so in a chip that would be a few dozen pixels.
INVARIANT = 0.5
#: Fewer invariant pixels than this give no gain.
LEAST_PIXELS = 100
#: Least correlation of every band on the invariant pixels, and gains that haze and sun can explain.
_LEAST_CORRELATION = 0.8
_GAINS = (0.5, 2.0)
_MOST_PIXELS = 50_000
_STEPS = 40


@dataclass(frozen=True)
class Normalisation:
    """image · gain + offset is the image as the reference saw it.

    Attributes:
        gain, offset, residual: (bands,); residual is the robust deviation left on the invariant pixels, in reflectance.
        pixels: invariant pixels that it rests on.
        method: "irmad", or "offset" (medians alone, where the pixels fix no gain), or "none" (no common pixel).
    """

    gain: Reals
    offset: Reals
    residual: Reals
    pixels: int
    method: Literal["irmad", "offset", "none"]

    def apply(self, layers: Floats) -> NDArray[np.float32]:
        """Layers (bands, height, width) in the radiometry of the reference."""
        shape = (-1, *[1] * (layers.ndim - 1))
        return np.asarray(layers * self.gain.reshape(shape) + self.offset.reshape(shape), np.float32)


def normalise(reference: Floats, image: Floats, where: Mask) -> Normalisation:
    """Gain and offset of each band that bring an image to a reference.

    Args:
        reference, image: (bands, height, width), registered; NaN where not seen.
        where: pixels to look at; best without water, whose waves and silt change on their own.
    """
    use = where & np.isfinite(reference).all(axis=0) & np.isfinite(image).all(axis=0)
    one, other = reference[:, use].astype(np.float64), image[:, use].astype(np.float64)
    if one.shape[1] > _MOST_PIXELS:
        step = -(-one.shape[1] // _MOST_PIXELS)
        one, other = one[:, ::step], other[:, ::step]
    bands, pixels = one.shape
    if not pixels:
        return Normalisation(np.ones(bands), np.zeros(bands), np.full(bands, np.nan), 0, "none")
    if pixels >= LEAST_PIXELS:
        same = no_change(one, other) > INVARIANT
        if int(same.sum()) >= LEAST_PIXELS:
            fit = _orthogonal(other[:, same], one[:, same])
            if fit is not None:
                gain, offset = fit
                residual = _spread(one[:, same] - gain[:, None] * other[:, same] - offset[:, None])
                return Normalisation(gain, offset, residual, int(same.sum()), "irmad")
    difference = one - other
    offset = np.median(difference, axis=1)
    return Normalisation(np.ones(bands), offset, _spread(difference - offset[:, None]), pixels, "offset")


def no_change(one: Reals, other: Reals) -> Reals:
    """The chance of no change of each pixel by IR-MAD.

    Args:
        one, other: (bands, pixels).

    Returns:
        (pixels,) chance that a chi-square of as many degrees of freedom as bands exceeds the sum of the squared,
        standardised MAD variates. It ranks pixels; the variance being that of the least changed ones, it is too low
        for most.
    """
    from scipy import stats

    bands, pixels = one.shape
    weight = np.ones(pixels)
    before = np.full(bands, -1.0)
    for _ in range(_STEPS):
        total = weight.sum()
        mean_one, mean_other = one @ weight / total, other @ weight / total
        x, y = one - mean_one[:, None], other - mean_other[:, None]
        # A little of the spread on the diagonal keeps bands apart that saturate together.
        sxx = (x * weight) @ x.T / total + 1e-10 * np.eye(bands)
        syy = (y * weight) @ y.T / total + 1e-10 * np.eye(bands)
        sxy = (x * weight) @ y.T / total
        a, b, correlation = _canonical(sxx, syy, sxy)
        mad = a.T @ x - b.T @ y
        variance = np.maximum(2 * (1 - correlation), 1e-6)
        weight = stats.chi2.sf((mad**2 / variance[:, None]).sum(axis=0), bands)
        if np.abs(correlation - before).max() < 1e-3 or weight.sum() < bands + 1:
            break
        before = correlation
    return np.asarray(weight)


def _canonical(sxx: Reals, syy: Reals, sxy: Reals) -> tuple[Reals, Reals, Reals]:
    """Canonical vectors as columns, each variate of unit variance, and their correlations."""
    root_x, root_y = (np.linalg.inv(np.linalg.cholesky(s)) for s in (sxx, syy))
    left, correlation, right = np.linalg.svd(root_x @ sxy @ root_y.T)
    return root_x.T @ left, root_y.T @ right.T, np.clip(correlation, 0, 1)


def _orthogonal(x: Reals, y: Reals) -> tuple[Reals, Reals] | None:
    """Gain and offset of y = gain · x + offset by orthogonal regression, band by band; None where it cannot be trusted."""
    gain, offset = np.ones(len(x)), np.zeros(len(x))
    for band, (u, v) in enumerate(zip(x, y, strict=True)):
        (suu, suv), (_, svv) = np.cov(u, v)
        if suu <= 0 or svv <= 0 or suv / np.sqrt(suu * svv) < _LEAST_CORRELATION:
            return None
        gain[band] = (svv - suu + np.sqrt((svv - suu) ** 2 + 4 * suv**2)) / (2 * suv)
        offset[band] = v.mean() - gain[band] * u.mean()
        if not _GAINS[0] < gain[band] < _GAINS[1]:
            return None
    return gain, offset


def _spread(residual: Reals) -> Reals:
    """Robust standard deviation of each band."""
    return np.asarray(1.4826 * np.median(np.abs(residual - np.median(residual, axis=1)[:, None]), axis=1))
