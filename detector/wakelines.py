"""Lines on the water behind an end of a hull: how much they stand out, whether they fade, whether water lies beside them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from detector.boxes import Floats

#: Metres from the end of a hull at which lines begin; they go on in steps of half a pixel or so.
GAP_M = 12.0
_STEP_M = 8.0
#: Metres off a line: what belongs to it, and what lies beside it.
_LANE_M = (-6.0, 0.0, 6.0)
_BESIDE_M = (-48.0, -40.0, -32.0, 32.0, 40.0, 48.0)
#: Degrees off the axis of a hull in which its trail may lie.
TRAIL_DEG = np.arange(-6.0, 6.1, 2.0)
#: One pixel counts for at most this many times the noise, so that a neighbour or a buoy is not a line.
_CLIP = 4.0
#: Least share of water on either side of a wake's first metres, and on the wake itself, which foam may hide.
_WET_BESIDE = 0.9
_WET_WAKE = 0.85
#: A wake begins at the hull and goes on: of its first metres, this share stands out by so much. A
#: neighbour in line does not.
_FIRST_M = 240.0
_GOES_ON = 0.55
_STANDS_OUT = 0.5
#: A wake is strongest at its hull: of the stretch behind it (m), or up to the next hull if that is at least so many steps
#: off, the first third stands out this many times as much as the others. So much (m) to the side belongs to it.
_STRETCH_M = 210.0
_LEAST_STEPS = 6
_FADES = 1.0
_ASIDE_M = 8.0


def lines(
    surface: Floats,
    origin: Floats,
    degrees: Floats,
    size: Floats,
    start: float,
    reach: float,
    *,
    wake: bool = True,
) -> Floats:
    """How much lines from a point (pixels) stand out from what lies beside them, in units of the noise of their sum.

    A line of n steps whose pixels are all one noise brighter scores about sqrt(n / 2): neighbouring steps share pixels.
    0 for a `wake` that does not go on from its beginning. NaN for a line that mostly leaves the image.
    """
    from scipy.ndimage import map_coordinates

    r = np.arange(start, start + reach, _STEP_M)
    lanes = np.array([*_LANE_M, *_BESIDE_M])
    angle = np.radians(degrees)[:, None, None]
    x = r[None, :, None] * np.cos(angle) - lanes * np.sin(angle)
    y = r[None, :, None] * np.sin(angle) + lanes * np.cos(angle)
    at = np.stack([origin[1] + y / size[1] - 0.5, origin[0] + x / size[0] - 0.5])
    values = map_coordinates(surface, at, order=1, cval=np.nan)
    line = values[..., : len(_LANE_M)].mean(axis=2)
    beside = values[..., len(_LANE_M) :]
    count = len(_BESIDE_M) // 2
    left, right = beside[..., :count].mean(axis=2), beside[..., count:].mean(axis=2)
    # Against both sides: the edge of a front or a shoal differs from one side only.
    step = line - (left + right) / 2
    nearer = np.where(np.abs(line - left) < np.abs(line - right), line - left, line - right)
    step = np.where((line - left) * (line - right) > 0, nearer, 0.0 * step)
    known = np.isfinite(step)
    total = np.where(known, np.clip(step, -_CLIP, _CLIP), 0.0).sum(axis=1)
    steps = known.sum(axis=1)
    if wake:
        head = np.where(known, step * np.sign(total)[:, None], 0.0)[:, : round(_FIRST_M / _STEP_M)]
        total = np.where((head > _STANDS_OUT).mean(axis=1) >= _GOES_ON, total, 0.0)
    return np.asarray(np.where(steps >= len(r) / 2, total / np.sqrt(2.0 * np.maximum(steps, 1)), np.nan))


def fades(whole: Floats, surface: Floats, end: Floats, outward: float, size: Floats) -> bool:
    """Whether what lies behind an end of the hull stands out most near that end, as its own wake does.

    The wake of a tug ahead, or of any ship ahead, grows stronger from this hull towards that one; and a hull that has no
    box of its own stands out more than the water before it. Behind the first hull with a box nothing is looked at.
    """
    from scipy.ndimage import map_coordinates

    r = np.arange(2.0 * GAP_M, _STRETCH_M, _STEP_M)
    lanes = np.linspace(-1.0, 1.0, 7)[:, None] * (_ASIDE_M + r * np.tan(np.radians(TRAIL_DEG[-1])))
    angle = np.radians(outward)
    x, y = r * np.cos(angle) - lanes * np.sin(angle), r * np.sin(angle) + lanes * np.cos(angle)
    at = np.stack([end[1] + y / size[1] - 0.5, end[0] + x / size[0] - 0.5])
    profile = np.abs(np.nan_to_num(map_coordinates(whole, at, order=1, cval=0.0))).max(axis=0)
    hull = np.isnan(map_coordinates(surface, at[:, 2:5], order=1, cval=0.0)).any(axis=0)
    stop = int(np.argmax(hull)) if hull.any() else len(r)
    if stop < _LEAST_STEPS:
        return False
    near, middle, far = (float(part.mean()) for part in np.array_split(profile[:stop], 3))
    return near >= _FADES * max(middle, far)


def open_water(wet: NDArray[np.bool_], end: Floats, outward: float, size: Floats, *, foam: bool) -> bool:
    """Whether water lies on both sides of the line behind an end of the hull and, unless `foam` may hide it, on it."""
    r = np.arange(40.0, _FIRST_M, _STEP_M)
    lanes = np.array([*_BESIDE_M, *_LANE_M])
    angle = np.radians(outward)
    x = r[:, None] * np.cos(angle) - lanes * np.sin(angle)
    y = r[:, None] * np.sin(angle) + lanes * np.cos(angle)
    cols, rows = np.floor(end[0] + x / size[0]).astype(int), np.floor(end[1] + y / size[1]).astype(int)
    inside = (cols >= 0) & (rows >= 0) & (cols < wet.shape[1]) & (rows < wet.shape[0])
    water = np.where(
        inside, wet[np.clip(rows, 0, wet.shape[0] - 1), np.clip(cols, 0, wet.shape[1] - 1)], False
    )
    count = len(_BESIDE_M) // 2
    sides = water[:, :count].mean(), water[:, count : 2 * count].mean()
    return bool(min(sides) >= _WET_BESIDE and (foam or water[:, 2 * count :].mean() >= _WET_WAKE))
