"""The water that vessels are seen against: its level, its noise, and how improbable a pixel is for it.

Pixels are held against the local mean and covariance of the water (the detector of Reed & Yu 1990, IEEE Transactions on
Acoustics, Speech and Signal Processing 38(10), 1760-1770), widened by what an error of registration does where brightness
is steep. Water with waves and whitecaps has heavier tails than a normal distribution: squared distances are held against
an F distribution whose tail is fitted to the look, so that the rate of false alarms stays near what it is said to be.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]
Reals = NDArray[np.float64]
Mask = NDArray[np.bool_]

#: Side in pixels of the square in which water is described, about the 41 pixels of the Houston labels' background.
_AROUND = 41
_LEAST_WATER = 60
#: Reflectance. Noise below this is not believed: 8-bit pictures have steps of 0.0014.
_LEAST_NOISE = 0.0012


def above_water(layers: Floats, calm: Mask) -> NDArray[np.float32]:
    """Layers less the mean of the calm water around each pixel."""
    return np.asarray(np.nan_to_num(layers) - _around(layers, calm), np.float32)


def calm_water(layers: Floats, water: Mask) -> Mask:
    """Water without what stands out from it."""
    if not water.any():
        return water
    calm = water & (_distance(layers, *_whole(layers, water)) < 4.0)
    for _ in range(2):
        flat = np.nan_to_num(layers) - _around(layers, calm)
        loud = water & (_distance(flat, *_whole(flat, calm)) > 3.5)
        calm = water & ~_grown(loud)  # what surrounds a hull is mixed with it
        if not calm.any():
            return water
    return calm


def _grown(mask: Mask) -> Mask:
    from scipy import ndimage

    solid = ndimage.uniform_filter(mask.astype(np.float32), 3) > 0.4
    return np.asarray(ndimage.binary_dilation(solid & mask, np.ones((3, 3))) | mask)


def _whole(layers: Floats, where: Mask) -> tuple[Reals, Reals]:
    """Median and robust deviation of each band over pixels of a mask."""
    values = layers[:, where].astype(np.float64)
    middle = np.median(values, axis=1)
    return middle, np.maximum(1.4826 * np.median(np.abs(values - middle[:, None]), axis=1), _LEAST_NOISE)


def noise(layers: Floats, water: Mask) -> float:
    """Deviation of the water of all bands together."""
    return float(np.sqrt((_whole(layers, water)[1] ** 2).sum())) if water.any() else _LEAST_NOISE


def _distance(layers: Floats, middle: Reals, spread: Reals) -> Reals:
    """The largest of the bands' distances from a middle, in deviations."""
    return np.asarray(
        (np.abs(np.nan_to_num(layers) - middle[:, None, None]) / spread[:, None, None]).max(axis=0)
    )


def _around(layers: Floats, where: Mask) -> Reals:
    """(bands, height, width) mean of the pixels of a mask in a square around each pixel; of all where there are few."""
    from scipy import ndimage

    if not where.any():
        return np.zeros(layers.shape)
    whole = layers[:, where].mean(axis=1, dtype=np.float64)
    count = ndimage.uniform_filter(where.astype(np.float64), _AROUND, mode="constant")
    sums = [
        ndimage.uniform_filter(np.where(where, np.nan_to_num(band) - level, 0.0), _AROUND, mode="constant")
        for band, level in zip(layers, whole, strict=True)
    ]
    # Pixels far from water take part of the mean of all.
    prior = _LEAST_WATER / _AROUND**2
    return np.asarray([s / (count + 0.1 * prior) + level for s, level in zip(sums, whole, strict=True)])


# ---- significance


def chances(layers: Floats, calm: Mask, test: Mask, scene: Floats | None, misfit: float) -> Reals:
    """The chance of each tested pixel if it were unchanged water, 1 elsewhere.

    Args:
        calm: water without what stands out from it, by which water is described.
        scene: brightness, in which an error of registration of `misfit` pixels makes differences; None for none.
    """
    out = np.ones(test.shape)
    if not test.any() or int(calm.sum()) < _LEAST_WATER:
        return out
    at = np.flatnonzero(test | calm)
    squared = _squared_distance(layers, calm, at, scene, misfit)
    values = np.zeros(test.shape)
    values.flat[at] = squared
    out[test] = tail(values[test], values[calm], len(layers))
    return out


def _squared_distance(
    layers: Floats, calm: Mask, at: NDArray[np.intp], scene: Floats | None, misfit: float
) -> Reals:
    """Squared Mahalanobis distance of some pixels (flat numbers) from the calm water around them."""
    from scipy import ndimage

    bands = len(layers)
    flat = np.nan_to_num(layers).astype(np.float64)
    whole = np.cov(flat[:, calm]).reshape(bands, bands)
    count = ndimage.uniform_filter(calm.astype(np.float64), _AROUND, mode="constant").ravel()[at]
    prior = _LEAST_WATER / _AROUND**2
    covariance = np.empty((len(at), bands, bands))
    for i in range(bands):
        for j in range(i, bands):
            product = np.where(calm, flat[i] * flat[j], 0.0)
            mean = ndimage.uniform_filter(product, _AROUND, mode="constant").ravel()[at]
            covariance[:, i, j] = covariance[:, j, i] = (mean + prior * whole[i, j]) / (count + prior)
    covariance += _LEAST_NOISE**2 * np.eye(bands)
    if scene is not None:
        for axis in (1, 2):
            slope = (
                np.gradient(np.nan_to_num(scene), axis=axis).reshape(bands, -1)[:, at].T.astype(np.float64)
            )
            covariance += misfit**2 * slope[:, :, None] * slope[:, None, :]
    pixels = flat.reshape(bands, -1)[:, at].T
    return np.asarray((pixels * np.linalg.solve(covariance, pixels[:, :, None])[:, :, 0]).sum(axis=1))


def tail(squared: Reals, calm: Reals, bands: int) -> Reals:
    """Chance that unchanged water has a squared distance as large, by the F distribution that calm water follows.

    Normal water gives a chi-square (F with very many second degrees of freedom); waves give fewer. The second degrees
    of freedom follow from how far the 99th percentile of the calm pixels lies from their median. Chances above 0.01
    are given as 1.
    """
    from scipy import stats

    middle, high = np.quantile(calm, [0.5, 0.99])
    freedom = np.array([4, 5, 6, 8, 10, 13, 18, 25, 40, 80, 200, 1000], float)
    ratio = stats.f.ppf(0.99, bands, freedom) / stats.f.ppf(0.5, bands, freedom)
    best = freedom[int(np.abs(np.log(ratio) - np.log(max(high, 1e-12) / max(middle, 1e-12))).argmin())]
    unit = max(float(middle) / float(stats.f.ppf(0.5, bands, best)), 1e-12)
    out = np.ones(len(squared))
    rare = squared > unit * stats.f.isf(0.01, bands, best)  # the others are not worth the time
    out[rare] = stats.f.sf(squared[rare] / unit, bands, best)
    return out
