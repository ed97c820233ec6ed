"""Where the hull in a box ends and its wake begins."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from detector.boxes import Floats

#: Metres between the places at which a hull is looked at along its length.
_STEP_M = 4.0
#: Behind the box the wake alone is seen: metres from its stern.
_TRAIL_M = (20.0, 120.0)
#: Reflectance. Least brightness of a wake that has a colour to go by, and of what it cannot explain of the hull.
_LEAST_TRAIL = 0.008
_LEAST_OWN = 0.010
#: What is cut off must not stand out more than so many times the wake just behind the box (m): a white house does.
_STEP_UP = 2.2
_BEHIND_M = (8.0, 40.0)
#: Metres. Longer hulls have houses aft, and wakes that are fainter than they.
_LONGEST_M = 130.0
#: Metres. A shorter piece is a part of a deck, a hatch cover or a house of another colour, and no hull; or it is a boat,
#: from the lesser length on, where the wash behind it is so many times as bright as the wake farther off.
_LEAST_HULL_M = 30.0
_LEAST_BOAT_M = 22.0
_WASH = 3.0


@dataclass(frozen=True)
class Lengthwise:
    """A box of a moving vessel, and the pixels that it lies in.

    Attributes:
        pixels: (bands, height, width) reflectance.
        surface: (height, width) of all bands, in units of the noise of water.
        wet: (height, width) water.
        bow, aft: middles of the ends of the box, in pixels.
        length, width: of the box, in metres.
        size: metres of a column and of a row.
        infrared: whether there is near infrared. Without it the colour of foam is that of too many decks.
    """

    pixels: NDArray[np.float32]
    surface: Floats
    wet: NDArray[np.bool_]
    bow: Floats
    aft: Floats
    length: float
    width: float
    size: Floats
    infrared: bool

    def along(self, image: NDArray[np.floating], at: Floats, half_m: float) -> Floats:
        """(n, 3) values at so many metres from the bow towards the wake, on lines `half_m` to either side and the middle."""
        from scipy.ndimage import map_coordinates

        along = (self.aft - self.bow) / self.length  # pixels for each metre
        across = np.array([-along[1] * self.size[1] / self.size[0], along[0] * self.size[0] / self.size[1]])
        spots = (
            self.bow + at[:, None, None] * along + np.array([-half_m, 0.0, half_m])[None, :, None] * across
        )
        return np.asarray(
            map_coordinates(image, [spots[..., 1] - 0.5, spots[..., 0] - 0.5], order=1, mode="nearest")
        )


def hull_length(box: Lengthwise) -> float:
    """Metres of the box, from its bow, that are hull."""
    return min(_until_faint(box), _until_wake_coloured(box))


def _until_faint(box: Lengthwise) -> float:
    """Metres from the bow to where the box stands out less than half as much as the hull does."""
    at = np.arange(0.0, box.length, _STEP_M)
    profile = np.abs(box.along(box.surface, at, box.width / 4)).mean(axis=1)
    level = float(np.median(profile[at < 0.5 * box.length]))
    weak = np.flatnonzero((profile < 0.5 * level) & (at > 0.4 * box.length))
    if len(weak) and _worth(box, at[weak[0]]) and (profile[weak[0] :] < 0.6 * level).all():
        return float(at[weak[0]])
    return box.length


def _until_wake_coloured(box: Lengthwise) -> float:
    """Metres from the bow to where the box has no colour but that of the wake behind it.

    Foam may be as bright as a deck, but a deck that is not white has a colour of its own: the part of its light that is
    no multiple of the wake's (the angle between spectra; Kruse et al. 1993, Remote Sens. Environ. 44, 145).
    """
    if not box.infrared or box.length > _LONGEST_M:
        return box.length
    water = np.nanmedian(box.pixels[:, box.wet], axis=1)

    def light(begin: float, end: float) -> tuple[Floats, Floats]:
        at = np.arange(begin, end, _STEP_M)
        rows = [box.along(band, at, 4.0).mean(axis=1) for band in box.pixels - water[:, None, None]]
        return at, np.nan_to_num(np.array(rows))

    trail = light(box.length + _TRAIL_M[0], box.length + _TRAIL_M[1])[1].mean(axis=1)
    if trail.mean() < _LEAST_TRAIL:
        return box.length
    at, hull = light(0.0, box.length)
    own = np.linalg.norm(hull - np.outer(trail, trail @ hull) / (trail @ trail), axis=0)
    peak = int(np.argmax(own))
    after = np.flatnonzero((own < 0.5 * own[peak]) & (np.arange(len(at)) > peak))
    if own[peak] < _LEAST_OWN or not len(after) or not _worth(box, at[after[0]]):
        return box.length
    cut = after[0]
    behind = light(box.length + _BEHIND_M[0], box.length + _BEHIND_M[1])[1].mean()
    if (own[cut:] >= 0.6 * own[peak]).any() or hull[:, cut:].mean(axis=0)[-5:].mean() > _STEP_UP * behind:
        return box.length
    wash = hull[:, cut:].mean() > _WASH * trail.mean()
    return float(at[cut]) if at[cut] >= (_LEAST_BOAT_M if wash else _LEAST_HULL_M) else box.length


def _worth(box: Lengthwise, length: float) -> bool:
    return box.length - length >= max(0.15 * box.length, 15.0)
