"""Which way a vessel goes, by its wake, and where its hull ends and its wake begins.

A moving ship leaves a turbulent trail along its track, brighter or darker than the water beside it, and the arms of
Kelvin's pattern, which open from the bow at no more than 19.47° (Newman 1977, Marine Hydrodynamics, 6.10); finding them as
lines is the usual way (Copeland, Ravichandran & Trivedi 1995, IEEE Trans. Geosci. Remote Sens. 33(1), 35, for radar).
Lines are looked for from both ends of the box, and compared with lines in all other directions around the same hull:
swell, slicks, glint and neighbours make lines too, and they set what counts as strong.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from detector import masks
from detector.boxes import Floats
from detector.geometry import Window
from detector.scene import Scene

#: Metres behind the hull in which a wake is looked for, in steps of half a pixel or so.
REACH_M = 400.0
_STEP_M = 8.0
_GAP_M = 12.0
#: Metres off a line: what belongs to it, and what lies beside it.
_LANE_M = (-6.0, 0.0, 6.0)
_BESIDE_M = (-48.0, -40.0, -32.0, 32.0, 40.0, 48.0)
#: Degrees off the axis of trails, of Kelvin's arms, and of the lines that neither can be.
_TRAIL_DEG = np.arange(-6.0, 6.1, 2.0)
_ARM_DEG = np.arange(8.0, 21.1, 2.0)
_OTHER_DEG = np.arange(40.0, 121.0, 10.0)
#: One pixel counts for at most this many times the noise, so that a neighbour or a buoy is not a line.
_CLIP = 4.0
#: Least strength of a wake, in units of lines elsewhere, and by how much it must exceed the other end's (docs/coal.md).
STRENGTH = 4.5
RATIO = 2.5
#: Least share of water on either side of a wake's first metres, and on the wake itself, which foam may hide.
_WET_BESIDE = 0.9
_WET_WAKE = 0.85
_NO_WATER = 12.0
#: A wake begins at the hull and goes on: of its first metres, this share stands out by so much. A
#: neighbour in line does not.
_FIRST_M = 240.0
_GOES_ON = 0.55
_STANDS_OUT = 0.5
#: Metres round another hull's box that are taken for it.
_ROUND_M = 12.0
#: A wake is strongest at its hull: of the stretch behind it (m), or up to the next hull if that is at least so many steps
#: off, the first third stands out this many times as much as the others. So much (m) to the side belongs to it.
_STRETCH_M = 210.0
_LEAST_STEPS = 6
_FADES = 1.0
_ASIDE_M = 8.0
_ALIKE = 6
_ALIKE_DEG = 15.0


@dataclass(frozen=True)
class Motion:
    """What the wakes of n vessels say.

    Attributes:
        bow_deg: (n,) direction of the bow, degrees clockwise from true north, below 360; NaN where no wake tells it.
        strength: (n,) of the line at the stronger end, in units of lines elsewhere; NaN where none could be measured, 0
            where a strong line is no wake.
        hulls: (n, 4, 2) boxes without the part that is wake, in scene pixels.
    """

    bow_deg: Floats
    strength: Floats
    hulls: Floats


def motion(scene: Scene, corners: Floats) -> Motion:
    """Look for the wake of each box (n, 4, 2 in scene pixels)."""
    unknown = np.full(len(corners), np.nan)
    found = Motion(unknown, unknown.copy(), corners.copy())
    size = np.array(scene.grid.pixel_size())
    bands = [band for band in ("B02", "B03", "B04", "B08") if band in scene.bands]
    for i in np.argsort(corners[:, :, 1].mean(axis=1)):
        reach = (REACH_M + 60.0) / size
        low = np.floor(corners[i].min(axis=0) - reach).astype(int)
        high = np.ceil(corners[i].max(axis=0) + reach).astype(int)
        window = Window(int(low[0]), int(low[1]), int(high[0] - low[0]), int(high[1] - low[1]))
        pixels = scene.reflectance(window, bands)
        infrared = "B08" in bands
        wet = masks.water(pixels, bands) if infrared else np.asarray(np.isfinite(pixels).all(axis=0))
        surface = _flattened(pixels, wet)
        if surface is None:
            continue
        # The mask of true colour takes wakes for land; what is far brighter or darker is no water here.
        if not infrared:
            with np.errstate(invalid="ignore"):
                wet &= np.abs(surface) < _NO_WATER
        others = np.delete(corners, i, axis=0) - low
        ends = _strengths(surface, _without(surface, others, size), wet, corners[i] - low, size, infrared)
        if ends is None:
            continue
        found.strength[i] = max(ends)
        if max(ends) >= STRENGTH and max(ends) >= RATIO * min(ends):
            stern = int(np.argmax(ends))
            found.bow_deg[i] = _bow(corners[i], stern, scene)
            found.hulls[i] = _trimmed(surface, corners[i] - low, size, stern) + low
    return found


def underway(bow_deg: Floats) -> NDArray[np.bool_]:
    """Which vessels of a scene move, by all their bows (degrees, NaN without a wake): those whose wake is no current's.

    In a strong current water trails behind ships at anchor too. Their bows point into it, so the heading is right, but
    they do not move. Traffic goes both ways; ships at anchor all point one way: `_ALIKE` others within `_ALIKE_DEG`.
    """
    apart = np.abs((bow_deg[:, None] - bow_deg[None, :] + 180.0) % 360.0 - 180.0)
    with np.errstate(invalid="ignore"):
        in_current = (apart < _ALIKE_DEG).sum(axis=1) - 1 >= _ALIKE
    return np.asarray(np.isfinite(bow_deg) & ~in_current)


def _flattened(pixels: NDArray[np.float32], wet: NDArray[np.bool_]) -> Floats | None:
    """Bands as one layer: how far each pixel is from the water's middle, in units of its noise. None without water."""
    seen = np.isfinite(pixels).all(axis=0)
    if (seen & wet).sum() < 400:
        return None
    layers = []
    for band in pixels:
        water = band[seen & wet]
        middle = np.median(water)
        noise = 1.4826 * float(np.median(np.abs(water - middle)))
        layers.append((band - middle) / max(noise, 1e-4))
    flat = np.mean(layers, axis=0)
    return np.where(seen, flat, np.nan)


def _ends(box: Floats, size: Floats) -> tuple[Floats, Floats, float, float]:
    """Middles of the two short sides in pixels, then length and width in metres."""
    a, b = (box[1] - box[0]) * size, (box[2] - box[1]) * size
    if np.hypot(*a) >= np.hypot(*b):
        first, second = (box[1] + box[2]) / 2, (box[3] + box[0]) / 2
    else:
        first, second = (box[0] + box[1]) / 2, (box[2] + box[3]) / 2
    sides = sorted((float(np.hypot(*a)), float(np.hypot(*b))))
    return first, second, sides[1], sides[0]


def _without(surface: Floats, boxes: Floats, size: Floats) -> Floats:
    """The surface with no data where boxes (n, 4, 2) of other hulls lie: a hull is no part of a wake."""
    out = surface.copy()
    for box in boxes:
        low = np.maximum(np.floor(box.min(axis=0) - _ROUND_M / size), 0).astype(int)
        high = np.ceil(box.max(axis=0) + _ROUND_M / size).astype(int)
        patch = out[low[1] : max(high[1], 0), low[0] : max(high[0], 0)]
        if not patch.size:
            continue
        first, second, length, width = _ends(box, size)
        along = (first - second) * size / length
        x = (np.arange(patch.shape[1]) + low[0] + 0.5 - (first[0] + second[0]) / 2) * size[0]
        y = ((np.arange(patch.shape[0]) + low[1] + 0.5 - (first[1] + second[1]) / 2) * size[1])[:, None]
        inside = np.abs(x * along[0] + y * along[1]) < length / 2 + _ROUND_M
        patch[inside & (np.abs(y * along[0] - x * along[1]) < width / 2 + _ROUND_M)] = np.nan
    return out


def _strengths(
    whole: Floats, surface: Floats, wet: NDArray[np.bool_], box: Floats, size: Floats, infrared: bool
) -> tuple[float, float] | None:
    """Strength of the wake behind either end, in units of lines elsewhere; None where little is known.

    0 behind an end that has no open water, where every quay and mole is a line, and where the line does not fade, as that
    to a tug or to another ship ahead. `whole` is the surface with all hulls, `surface` that without the others'.
    """
    first, second, length, _ = _ends(box, size)
    axis = (first - second) * size / length
    heading = float(np.degrees(np.arctan2(axis[1], axis[0])))
    others = []
    for end, outward in ((first, heading), (second, heading + 180.0)):
        turns = np.r_[_OTHER_DEG, -_OTHER_DEG] + outward
        others.append(_lines(surface, end, turns, size, _GAP_M, REACH_M, wake=False))
    elsewhere = np.concatenate(others)
    elsewhere = np.abs(elsewhere[np.isfinite(elsewhere)])
    if len(elsewhere) < 12:
        return None
    # Their spread: the middle of the absolute values of a normal deviate is 0.67 of it. Never below the pixel noise.
    unit = max(float(np.median(elsewhere)) / 0.6745, 1.0)
    directions = ((first, second, heading), (second, first, heading + 180.0))
    strengths = []
    for end, bow, outward in directions:
        trail = _lines(surface, end, _TRAIL_DEG + outward, size, _GAP_M, REACH_M)
        start = length + _GAP_M
        left = _lines(surface, bow, outward - _ARM_DEG, size, start, REACH_M)
        right = _lines(surface, bow, outward + _ARM_DEG, size, start, REACH_M)
        arms = np.sqrt(2.0) * np.minimum(left, right)
        strengths.append(max(_most(np.abs(trail)), _most(arms)) / unit)
    if max(strengths) >= STRENGTH:  # few hulls have anything worth a closer look
        for k, (end, _, outward) in enumerate(directions):
            if not _open_water(wet, end, outward, size, foam=not infrared) or not _fades(
                whole, surface, end, outward, size
            ):
                strengths[k] = 0.0
    return strengths[0], strengths[1]


def _fades(whole: Floats, surface: Floats, end: Floats, outward: float, size: Floats) -> bool:
    """Whether what lies behind an end of the hull stands out most near that end, as its own wake does.

    The wake of a tug ahead, or of any ship ahead, grows stronger from this hull towards that one; and a hull that has no
    box of its own stands out more than the water before it. Behind the first hull with a box nothing is looked at.
    """
    from scipy.ndimage import map_coordinates

    r = np.arange(2.0 * _GAP_M, _STRETCH_M, _STEP_M)
    lanes = np.linspace(-1.0, 1.0, 7)[:, None] * (_ASIDE_M + r * np.tan(np.radians(_TRAIL_DEG[-1])))
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


def _open_water(wet: NDArray[np.bool_], end: Floats, outward: float, size: Floats, *, foam: bool) -> bool:
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


def _most(values: Floats) -> float:
    return float(np.nanmax(values)) if np.isfinite(values).any() else 0.0


def _lines(
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


def _bow(box: Floats, stern: int, scene: Scene) -> float:
    """Direction of the bow in degrees from true north, for a box in scene pixels and the number of its stern end."""
    first, second, _, _ = _ends(box, np.array(scene.grid.pixel_size()))
    forward = (second - first) if stern == 0 else (first - second)
    east, north = scene.grid.ground_jacobian(*box.mean(axis=0)) @ forward
    return float(np.degrees(np.arctan2(east, north)) % 360.0 % 360.0)


def _trimmed(surface: Floats, box: Floats, size: Floats, stern: int) -> Floats:
    """The box without the part at its stern that stands out less than half as much as the hull does."""
    from scipy.ndimage import map_coordinates

    first, second, length, width = _ends(box, size)
    aft, bow = (first, second) if stern == 0 else (second, first)
    along = (aft - bow) / length  # pixels for each metre towards the stern
    across = np.array([-along[1] * size[1] / size[0], along[0] * size[0] / size[1]])
    at = np.arange(0.0, length, 4.0)
    lanes = np.linspace(-0.25, 0.25, 3) * width
    spots = bow + at[:, None, None] * along + lanes[None, :, None] * across
    values = np.abs(
        map_coordinates(surface, [spots[..., 1] - 0.5, spots[..., 0] - 0.5], order=1, mode="nearest")
    )
    profile = values.mean(axis=1)
    level = float(np.median(profile[at < 0.5 * length]))
    weak = np.flatnonzero((profile < 0.5 * level) & (at > 0.4 * length))
    if (
        not len(weak)
        or length - at[weak[0]] < max(0.15 * length, 15.0)
        or not (profile[weak[0] :] < 0.6 * level).all()
    ):
        return box
    shift = (length - float(at[weak[0]])) * along
    out = box.copy()
    nearest = np.argsort(np.hypot(*((box - aft) * size).T))[:2]
    out[nearest] -= shift
    return out
