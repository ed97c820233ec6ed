"""Where a hull lies and ends: a box turned to the line of its pixels, and its ends moved to where the water begins.

A network places the ends of a hull with an error of a pixel or two, turns it by some degrees, and both differently whenever
the image is sampled differently. A hull that stands out from open water is measured better on the pixels themselves. Its
axis is the line through the middles of its cross-sections; along it the contrast to the water beside falls to less than
half of what it is amidships. Where it does not fall (a quay, another hull), or where the hull hardly stands out, the box
stays as it is.
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
_MOST_MOVE_M = 60.0
#: A turn by more degrees, or cross-sections whose middles lie further (m) from one line, are another thing than this hull.
_MOST_TURN_DEG = 20.0
_MOST_CROOKED_M = 5.0
#: A box that moves by more (m) slides on to the hull beside it, or between the two.
_MOST_ASIDE_M = 10.0
_TURNS = 3


def fit(corners: Floats, pixels: NDArray[np.uint8], pixel_m: tuple[float, float]) -> Floats:
    """Boxes (n, 4, 2) along the lines of their hulls and with their ends; those of which the pixels do not tell stay.

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
    drawn = box
    for _ in range(_TURNS):
        turned = _turned(box, bands, pixel_m)
        if turned is None:
            break
        box = turned
    if np.hypot(*(box.mean(axis=0) - drawn.mean(axis=0))) > _MOST_ASIDE_M:
        box = drawn
    return _with_ends(box, bands, pixel_m)


def _turned(box: Floats, bands: NDArray[np.float32], pixel_m: Floats) -> Floats | None:
    """The box along the line through the middles of its hull's cross-sections; None where they make no line."""
    axis, half_length, width = _frame(box)
    along = _both_ways(0.85 * half_length, 2 * _STEP_M)
    across = _both_ways(width / 2 + 8.0, _STEP_M)
    values = _contrasts(box.mean(axis=0), axis, along, across, width, bands, pixel_m)
    amidships = float(np.median(values[:, np.abs(across) <= _deck(width)].mean(axis=1)))
    if not amidships >= _LEAST_CONTRAST:
        return None
    weight = np.clip(values - _END_CONTRAST * amidships, 0.0, amidships)
    total = weight.sum(axis=1)
    seen = total > 0
    if seen.mean() < 0.7 or seen.sum() < 4:
        return None
    middle = (weight[seen] * across).sum(axis=1) / total[seen]
    slope, offset = np.polyfit(along[seen], middle, 1)
    crooked = float(np.sqrt(np.mean((middle - slope * along[seen] - offset) ** 2)))
    turn = np.arctan(slope)
    if abs(np.degrees(turn)) > _MOST_TURN_DEG or crooked > _MOST_CROOKED_M:
        return None
    c, s = np.cos(turn), np.sin(turn)
    centre = box.mean(axis=0)
    return np.asarray((box - centre) @ np.array([[c, s], [-s, c]]) + centre + offset * np.array([-axis[1], axis[0]]))


def _with_ends(box: Floats, bands: NDArray[np.float32], pixel_m: Floats) -> Floats:
    """The box with its ends where the hull ends."""
    axis, half_length, width = _frame(box)
    along = np.arange(0.0, half_length + _BEYOND_M, _STEP_M)
    along = np.concatenate([-along[:0:-1], along])
    across = _both_ways(_deck(width), _STEP_M)
    contrast = _contrasts(box.mean(axis=0), axis, along, across, width, bands, pixel_m, mean=True)[:, 0]
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


def _frame(box: Floats) -> tuple[Floats, float, float]:
    """Unit vector towards the end of corners 0 and 1, half the length, and the width."""
    half = ((box[0] + box[1]) - (box[2] + box[3])) / 4
    half_length = float(np.hypot(*half))
    return half / half_length, half_length, float(np.hypot(*(box[1] - box[0])))


def _both_ways(reach: float, step: float) -> Floats:
    """Even places from -reach to reach, at most a step apart."""
    return np.linspace(-reach, reach, 2 * int(np.ceil(reach / step)) + 1)


def _deck(width: float) -> float:
    """Metres to either side of the axis that are surely deck."""
    return max(width / 4, _STEP_M * 2.5)


def _contrasts(
    centre: Floats, axis: Floats, along: Floats, across: Floats, width: float, bands: NDArray[np.float32],
    pixel_m: Floats, *, mean: bool = False,
) -> Floats:  # fmt: skip
    """Difference from the water beside the box at places of its frame, in standard deviations over all bands.

    (along, across), or (along, 1) for the `mean` of each cross-section.
    """
    from scipy import ndimage

    normal = np.array([-axis[1], axis[0]])

    def sampled(strip: Floats) -> Floats:
        places = centre + along[:, None, None] * axis + strip[None, :, None] * normal
        at = [places[..., 1] / pixel_m[1] - 0.5, places[..., 0] / pixel_m[0] - 0.5]
        return np.stack([ndimage.map_coordinates(band, at, order=1, mode="nearest") for band in bands])

    near, far = width / 2 + _STRIP_M[0], width / 2 + _STRIP_M[1]
    strip = np.arange(near, far + _STEP_M / 2, _STEP_M)
    beside = sampled(np.concatenate([-strip[::-1], strip])).reshape(len(bands), -1)
    water = np.median(beside, axis=1)
    deviation = 1.4826 * np.median(np.abs(beside - water[:, None]), axis=1) + _LEAST_DEVIATION
    deck = sampled(across)
    if mean:
        deck = deck.mean(axis=2, keepdims=True)
    return np.asarray(np.sqrt((((deck - water[:, None, None]) / deviation[:, None, None]) ** 2).mean(axis=0)), float)


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
