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
from detector.sterns import Lengthwise, hull_length
from detector.wakelines import GAP_M, TRAIL_DEG, fades, lines, open_water

#: Metres behind the hull in which a wake is looked for.
REACH_M = 400.0
#: Degrees off the axis of Kelvin's arms, and of the lines that neither they nor trails can be.
_ARM_DEG = np.arange(8.0, 21.1, 2.0)
_OTHER_DEG = np.arange(40.0, 121.0, 10.0)
#: Least strength of a wake, in units of lines elsewhere, and by how much it must exceed the other end's (docs/coal.md).
STRENGTH = 4.5
RATIO = 2.5
#: Times the noise beyond which true colour shows no water.
_NO_WATER = 12.0
#: Metres round another hull's box that are taken for it.
_ROUND_M = 12.0
#: So many others within so many degrees lie in a current.
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
            first, second, length, width = _ends(corners[i] - low, size)
            aft, bow = (first, second) if stern == 0 else (second, first)
            view = Lengthwise(pixels, surface, wet, bow, aft, length, width, size, infrared)
            found.hulls[i] = _shortened(corners[i], aft + low, size, bow - aft, hull_length(view) / length)
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
        others.append(lines(surface, end, turns, size, GAP_M, REACH_M, wake=False))
    elsewhere = np.concatenate(others)
    elsewhere = np.abs(elsewhere[np.isfinite(elsewhere)])
    if len(elsewhere) < 12:
        return None
    # Their spread: the middle of the absolute values of a normal deviate is 0.67 of it. Never below the pixel noise.
    unit = max(float(np.median(elsewhere)) / 0.6745, 1.0)
    directions = ((first, second, heading), (second, first, heading + 180.0))
    strengths = []
    for end, bow, outward in directions:
        trail = lines(surface, end, TRAIL_DEG + outward, size, GAP_M, REACH_M)
        start = length + GAP_M
        left = lines(surface, bow, outward - _ARM_DEG, size, start, REACH_M)
        right = lines(surface, bow, outward + _ARM_DEG, size, start, REACH_M)
        arms = np.sqrt(2.0) * np.minimum(left, right)
        strengths.append(max(_most(np.abs(trail)), _most(arms)) / unit)
    if max(strengths) >= STRENGTH:  # few hulls have anything worth a closer look
        for k, (end, _, outward) in enumerate(directions):
            if not open_water(wet, end, outward, size, foam=not infrared) or not fades(
                whole, surface, end, outward, size
            ):
                strengths[k] = 0.0
    return strengths[0], strengths[1]


def _most(values: Floats) -> float:
    return float(np.nanmax(values)) if np.isfinite(values).any() else 0.0


def _bow(box: Floats, stern: int, scene: Scene) -> float:
    """Direction of the bow in degrees from true north, for a box in scene pixels and the number of its stern end."""
    first, second, _, _ = _ends(box, np.array(scene.grid.pixel_size()))
    forward = (second - first) if stern == 0 else (first - second)
    east, north = scene.grid.ground_jacobian(*box.mean(axis=0)) @ forward
    return float(np.degrees(np.arctan2(east, north)) % 360.0 % 360.0)


def _shortened(box: Floats, aft: Floats, size: Floats, forward: Floats, share: float) -> Floats:
    """The box (4, 2) with a share of its length, its stern end (`aft`) moved along `forward`, the whole length."""
    out = box.copy()
    nearest = np.argsort(np.hypot(*((box - aft) * size).T))[:2]
    out[nearest] += (1.0 - share) * forward
    return out
