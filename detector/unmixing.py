"""What a hull is made of, section by section, once the water that shares its pixels is taken out.

A 12 m hull is little more than a Sentinel-2 pixel wide, so no pixel shows it alone, and boxes are drawn
round the blur, wider
than hulls. The share of each pixel that a hull of some beam covers follows from the sensor's blur; what lies beside
the hull is measured on each side; the beam and place that explain the pixels best are looked for; and linear mixing
(Keshava & Mustard 2002, IEEE Signal Processing Magazine 19(1), 44) gives the rest by least squares.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from detector.boxes import Floats

Reals = NDArray[np.floating]
#: Standard deviation in metres of a band's response to a point: pixel, optics (MTF at Nyquist about 0.26; Sentinel-2
#: User Handbook, ESA 2015) and one resampling. Bands of 20 m are twice as blurred.
BLUR_M = 5.4
_BLUR_20M = 10.8
_BANDS_20M = ("B11", "B12")
#: Metres beyond a side of the box in which the hull's surroundings are measured.
_BESIDE_M = (9.0, 40.0)
#: Beams that are tried, as shares of the box's width and at least so many metres, and shifts across the box in metres.
_BEAMS = np.arange(0.40, 1.01, 0.10)
_LEAST_BEAM_M = 7.0
_SHIFTS_M = np.arange(-6.0, 6.1, 2.0)
#: What is believed of them beforehand: the beam is midway between this share of the box's width and
#: what a hull of its length
#: has, give or take a share of the width; the boxes of small craft are drawn twice as wide as their hulls.
_BEAM_SHARE = 0.8
_SLENDER = 5.2
_BEAM_SPREAD = 0.12
_SHIFT_PRIOR_M = 3.0
_PIXELS_A_FACT = 8.0
#: Length in metres of the sections that a hull is cut into.
_SECTION_M = 12.0
#: Least share of some pixel that a section must cover for its material to be worked out; below, noise and place win.
LEAST_COVER = 0.55
_LEAST_COVER_20M = 0.35


@dataclass(frozen=True)
class Hull:
    """What one box shows.

    Attributes:
        material: (bands, n) reflectance of the hull's sections, the surroundings taken out.
        weight: (n,) how well each is known.
        beam: metres, as fitted.
        contrast: (bands,) middle over the sections of how far the hull is from what lies beside it.
    """

    material: Floats
    weight: Floats
    beam: float
    contrast: Floats


def reach(corners: Floats, pixel_m: tuple[float, float]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Upper left and lower right pixel (column, row) of the window that `unmix` needs round a box (4, 2)."""
    margin = np.array([85.0 / pixel_m[0], 85.0 / pixel_m[1]])
    return np.floor(corners.min(axis=0) - margin).astype(int), np.ceil(corners.max(axis=0) + margin).astype(
        int
    )


def unmix(pixels: Reals, bands: Sequence[str], corners: Floats, pixel_m: tuple[float, float]) -> Hull | None:
    """The material of a hull.

    Args:
        pixels: (bands, height, width) reflectance round the box, NaN where there is no data.
        bands: their names.
        corners: (4, 2) box in pixels of the window, corner convention.
        pixel_m: metres on the ground of a column and of a row.

    Returns:
        None where the hull is too narrow to cover `LEAST_COVER` of any pixel, or nothing beside it can be seen.
    """
    u, v, length, width = _frame(pixels.shape[1:], corners, pixel_m)
    seen = np.asarray(np.isfinite(pixels).all(axis=0))
    sides = _sides(pixels, seen, u, v, length, width)
    near = seen & (np.abs(v) < width / 2 + 12.0) & (np.abs(u) < length / 2)
    if sides is None or near.sum() < 4:
        return None
    at_u, at_v = u[near], v[near]
    right = _normal(at_v / BLUR_M)  # of what is not hull in a pixel, the share that lies on the right
    around = sides[1][:, None] * right + sides[0][:, None] * (1.0 - right)
    excess = pixels[:, near] - around
    count = max(1, round(length / _SECTION_M))
    section = np.clip(((at_u / length + 0.5) * count).astype(int), 0, count - 1)
    fine = [k for k, band in enumerate(bands) if band not in _BANDS_20M]
    ends = _cover(at_u, length, BLUR_M)
    beam, shift = _fitted(excess[fine], at_v, ends, section, count, (length, width))
    share = ends * _cover(at_v - shift, beam, BLUR_M)
    coarse = np.maximum(
        _cover(at_u, length, _BLUR_20M) * _cover(at_v - shift, beam, _BLUR_20M), _LEAST_COVER_20M
    )
    # The middle of the beam counts most: it is the purest, and where cargo lies.
    weight = np.where(share >= LEAST_COVER, share**4, 0.0)
    known = np.bincount(section, weight, count) > 0
    if not known.any():
        return None
    beside = (sides[0] + sides[1]) / 2
    total = np.maximum(np.bincount(section, weight, count), 1e-9)
    material = np.empty((len(bands), int(known.sum())))
    for k in range(len(bands)):
        pure = around[k] + excess[k] / np.maximum(share if k in fine else coarse, 0.2)
        material[k] = (np.bincount(section, weight * pure, count) / total)[known]
    return Hull(np.maximum(material, 0.0), total[known], beam, np.median(material, axis=1) - beside)


def _fitted(
    excess: Floats, v: Floats, ends: Floats, section: NDArray[np.int64], count: int, size: tuple[float, float]
) -> tuple[float, float]:
    """Beam and shift across the box (m) that explain most of the pixels' excess over the surroundings."""
    length, width = size
    expected = min((_BEAM_SHARE * width + length / _SLENDER) / 2, _BEAM_SHARE * width)
    beams = np.unique(np.maximum(_BEAMS * width, min(_LEAST_BEAM_M, width)))
    shifts = _SHIFTS_M[np.abs(_SHIFTS_M) <= 0.25 * width]
    beam, shift = np.repeat(beams, len(shifts)), np.tile(shifts, len(beams))
    off = v[None, :] - shift[:, None]
    half = beam[:, None] / 2
    share = ends * (_normal((half - off) / BLUR_M) - _normal((-half - off) / BLUR_M))  # (tries, pixels)
    within = (section[:, None] == np.arange(count)).astype(float)  # (pixels, sections)
    power = np.maximum(share**2 @ within, 0.05)
    explained = sum((((share * band) @ within) ** 2 / power).sum(axis=1) for band in excess)
    left = np.maximum(float((excess**2).sum()) - explained, 1e-9)
    # Neighbouring pixels share noise, so a few of them are worth one; boxes are about as far off as the priors say.
    likely = -excess.shape[1] / _PIXELS_A_FACT * np.log(left)
    likely -= 0.5 * ((beam - expected) / (_BEAM_SPREAD * width)) ** 2 + 0.5 * (shift / _SHIFT_PRIOR_M) ** 2
    best = int(np.argmax(likely))
    return float(beam[best]), float(shift[best])


def _frame(
    shape: tuple[int, ...], corners: Floats, pixel_m: tuple[float, float]
) -> tuple[Floats, Floats, float, float]:
    """Metres along (u) and across (v) the box of every pixel's centre, and the box's length and width in metres."""
    scale = np.array(pixel_m)
    ring = corners * scale
    a, b = ring[1] - ring[0], ring[2] - ring[1]
    along, across = (a, b) if np.hypot(*a) >= np.hypot(*b) else (b, a)
    length, width = float(np.hypot(*along)), float(np.hypot(*across))
    axis = along / max(length, 1e-6)
    centre = ring.mean(axis=0)
    x = (np.arange(shape[1]) + 0.5) * scale[0] - centre[0]
    y = ((np.arange(shape[0]) + 0.5) * scale[1] - centre[1])[:, None]
    return x * axis[0] + y * axis[1], y * axis[0] - x * axis[1], length, width


def _normal(z: Floats) -> Floats:
    from scipy.special import ndtr

    return np.asarray(ndtr(z))


def _cover(at: Floats, size: float, blur: float) -> Floats:
    """Share of a blurred pixel at `at` that a strip of `size` metres about 0 fills."""
    return _normal((size / 2 - at) / blur) - _normal((-size / 2 - at) / blur)


def _sides(
    pixels: Reals, seen: NDArray[np.bool_], u: Floats, v: Floats, length: float, width: float
) -> tuple[Floats, Floats] | None:
    """Middle reflectance (bands,) of what lies to the left and to the right of the hull: water, quay or another hull."""
    off = np.abs(v) - width / 2
    beside = seen & (off > _BESIDE_M[0]) & (off < _BESIDE_M[1]) & (np.abs(u) < length / 2 + 5.0)
    found = []
    for side in (-1, 1):
        # The nearest few pixels: what mixes with the hull is what touches it.
        which = np.flatnonzero(beside & (np.sign(v) == side))
        near = which[np.argsort(off.ravel()[which])[: max(6, int(length / 10.0))]]
        found.append(np.median(pixels.reshape(len(pixels), -1)[:, near], axis=1) if len(near) >= 3 else None)
    left, right = found
    if left is None and right is None:
        return None
    left, right = (right if left is None else left), (left if right is None else right)
    assert left is not None and right is not None
    return left.astype(float), right.astype(float)
