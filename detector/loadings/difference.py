"""What arrived and what left between two looks at a zone, by the pixels alone.

The pixels of two looks, registered and normalised, are compared after the water around each has been taken off. A
pixel changed where the difference is improbable for water (`detector.loadings.openwater`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from detector.loadings.chips import PIXEL_M
from detector.loadings.openwater import above_water, calm_water, chances, noise
from detector.loadings.radiometry import Normalisation, normalise
from detector.loadings.registration import Shift, find_shift, shifted

Floats = NDArray[np.floating]
Reals = NDArray[np.float64]
Mask = NDArray[np.bool_]

#: Chance that a pixel of unchanged water is called changed.
FALSE_ALARM = 1e-4
#: An object's middle pixel is less likely than this in unchanged water, and stands out by so many deviations of it.
#: Chosen on one anchorage of the Houston series, where 19 of 20 labelled vessels do, and tried on another (docs/change.md).
OBJECT_CHANCE = 1e-8
OBJECT_CONTRAST = 7.0
#: Pixels of the smallest object: about 15 m by 40 m with its blur.
LEAST_PIXELS = 5
#: Metres: lengths and widths of objects that may be vessels.
LENGTHS_M, WIDTHS_M = (30.0, 440.0), (8.0, 100.0)
#: Pixels. Error of registration where it was not measured: looks taken to lie on each other.
_UNREGISTERED = 0.3
_LEAST_MISFIT = 0.1
#: An object's pixels are at least this share as conspicuous in their look as the same pixels in the other.
_SHARE = 0.4
_HALF = 0.5
#: An object with more of its pixels on the line where water meets land is that line, uncovered or covered.
_ON_SHORE = 0.6
#: Two looks show the same thing where they differ by less than this share of what it differs from water.
_SAME = 0.5


@dataclass(frozen=True)
class ChangeObject:
    """Something that is in one of two looks only.

    Attributes:
        kind: "arrived": in the later look; "left": in the earlier.
        corners: (4, 2) pixels of the chip, in order round the box.
        area_m2: of its pixels.
        chance: that a single pixel of unchanged water differs as much as the middle one of its pixels.
        contrast: distance of its pixels from the water in the look that shows it, in deviations of the water.
    """

    kind: Literal["arrived", "left"]
    corners: Reals
    area_m2: float
    chance: float
    contrast: float


@dataclass(frozen=True)
class Difference:
    """Two looks compared.

    Attributes:
        change: (bands, height, width) later minus earlier, both without their water; NaN where not seen in both.
        earlier, later: (bands, height, width) what each look shows above its water.
        changed: pixels with a significant change.
        stayed: pixels on which both looks show the same thing, and no water.
        shown: pixels within one of which both looks show something that is no water.
    """

    shift: Shift
    normalisation: Normalisation
    change: NDArray[np.float32]
    earlier: NDArray[np.float32]
    later: NDArray[np.float32]
    changed: Mask
    stayed: Mask
    shown: Mask
    objects: tuple[ChangeObject, ...]


def compare(before: Floats, after: Floats, floats: Mask, land: Mask, inside: Mask) -> Difference:
    """Register, normalise and compare two looks (bands, height, width; NaN where not seen) at one zone.

    Args:
        floats: pixels that are water when no vessel is there.
        land: pixels that never are water.
        inside: pixels in which objects are looked for.
    """
    shift = find_shift(_grey(before), _grey(after), land)
    later = shifted(after, shift)
    fit = normalise(before, later, land if int(land.sum()) >= 2000 else np.ones_like(land))
    later = fit.apply(later)
    seen = np.asarray(np.isfinite(before).all(axis=0) & np.isfinite(later).all(axis=0))
    misfit = np.hypot(_LEAST_MISFIT, shift.error) if shift.found else _UNREGISTERED
    water = floats & seen
    calm_before, calm_later = calm_water(before, water), calm_water(later, water)
    over_before, over_later = above_water(before, calm_before), above_water(later, calm_later)
    change = over_later - over_before
    test = floats & inside & seen
    middle = (np.asarray(before, np.float32) + later) / 2
    chance = chances(change, calm_before & calm_later, test, middle, float(misfit))
    alone_before = chances(over_before, calm_before, seen, None, 0.0)
    alone_later = chances(over_later, calm_later, seen, None, 0.0)
    strong_before, strong_later = _strength(over_before), _strength(over_later)
    changed = chance < FALSE_ALARM
    shown_before, shown_later = alone_before < FALSE_ALARM, alone_later < FALSE_ALARM
    left = changed & shown_before & (strong_before > _SHARE * strong_later)
    arrived = changed & shown_later & (strong_later > _SHARE * strong_before)
    shore = _shore(floats)
    objects = [
        *_objects("left", left, strong_before, chance, noise(over_before, calm_before), shore),
        *_objects("arrived", arrived, strong_later, chance, noise(over_later, calm_later), shore),
    ]
    same = _strength(change) < _SAME * np.maximum(strong_before, strong_later)
    stayed = np.asarray(seen & same & shown_before & shown_later)
    shown = np.asarray(seen & _widened(shown_before) & _widened(shown_later))
    for layers in (change, over_before, over_later):
        layers[:, ~seen] = np.nan
    return Difference(shift, fit, change, over_before, over_later, changed, stayed, shown, tuple(objects))


def _shore(floats: Mask) -> Mask:
    """Water pixels beside land: the blur of a quay is in them."""
    return floats & _widened(~floats)


def _widened(mask: Mask) -> Mask:
    from scipy import ndimage

    return np.asarray(ndimage.binary_dilation(mask, np.ones((3, 3))))


def _strength(layers: Floats) -> Reals:
    """Distance of each pixel from its water, all bands together."""
    return np.asarray(np.sqrt((np.nan_to_num(layers).astype(np.float64) ** 2).sum(axis=0)))


def _grey(layers: Floats) -> NDArray[np.float32]:
    return np.asarray(np.mean(layers, axis=0), np.float32)


def _objects(
    kind: Literal["arrived", "left"],
    where: Mask,
    strength: Reals,
    chance: Reals,
    water_noise: float,
    shore: Mask,
) -> list[ChangeObject]:
    """Connected pixels as oriented boxes, each drawn where the contrast falls to half."""
    import shapely
    from scipy import ndimage

    joined = ndimage.binary_closing(np.pad(where, 2), np.ones((3, 3)))[2:-2, 2:-2]
    labels, count = ndimage.label(joined, structure=np.ones((3, 3)))
    objects = []
    for number, place in enumerate(ndimage.find_objects(labels, count), 1):
        part = (labels[place] == number) & where[place]
        if int(part.sum()) < LEAST_PIXELS:
            continue
        level = _HALF * float(np.quantile(strength[place][part], 0.75))
        hull = (labels[place] == number) & (strength[place] > level)
        if int(hull.sum()) < LEAST_PIXELS - 1 or shore[place][hull].mean() > _ON_SHORE:
            continue
        rows, cols = np.nonzero(hull)
        squares = shapely.box(cols, rows, cols + 1.0, rows + 1.0)
        box = shapely.oriented_envelope(shapely.convex_hull(shapely.union_all(squares)))
        if box.geom_type != "Polygon":
            continue
        corners = shapely.get_coordinates(box)[:4] + [place[1].start, place[0].start]
        found = ChangeObject(
            kind=kind,
            corners=_tightened(corners),
            area_m2=float(hull.sum()) * PIXEL_M**2,
            chance=float(np.median(chance[place][part])),
            contrast=float(np.median(strength[place][part])) / water_noise,
        )
        if _may_be_a_vessel(found):
            objects.append(found)
    return objects


def _may_be_a_vessel(found: ChangeObject) -> bool:
    sides = sorted(PIXEL_M * np.hypot(*(found.corners[i + 1] - found.corners[i])) for i in (0, 1))
    return bool(
        found.chance < OBJECT_CHANCE
        and found.contrast > OBJECT_CONTRAST
        and WIDTHS_M[0] <= sides[0] <= WIDTHS_M[1]
        and LENGTHS_M[0] <= sides[1] <= LENGTHS_M[1]
    )


def _tightened(corners: Reals) -> Reals:
    """A box round whole pixels less the half pixel on each side that the squares stick out at any angle but 0."""
    along, across = corners[1] - corners[0], corners[2] - corners[1]
    sides = np.hypot(*along), np.hypot(*across)
    turn = abs(along[0] * along[1]) / max(sides[0] ** 2, 1e-9)  # 0 along the grid, 0.5 at 45 degrees
    middle = corners.mean(axis=0)
    out = corners - middle
    for vector, side in ((along, sides[0]), (across, sides[1])):
        unit = vector / max(side, 1e-9)
        by = min(2 * turn * 0.5, max(side - 1.0, 0.0) / 2)
        out = out - np.sign(out @ unit)[:, None] * unit * by
    return np.asarray(out + middle)
