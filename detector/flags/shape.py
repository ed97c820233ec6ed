"""How well length, width and axis of a hull fit those of an AIS ship, against any hull of the scene.

How far axes may be off depends on the imagery, the detector and the transponders, so it is asked of the scene: the axes
of the likely pairs, by length of the hull, say how sharply hull and ship agree. Where short boxes lie anyhow, their axes
then count for nothing; where they lie as AIS says, they tell boats apart that neither place nor length could.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from detector.flags.match import Hulls, Matching
    from detector.flags.tracks import Targets

_WRONG_SIZE = 0.05  # share of transponders
_WRONG_AXIS = 0.1  # share of pairs: wrong headings, ships swinging between report and image, boxes askew
_LENGTHS_M = (25.0, 50.0, 100.0)  # classes of hulls within which axes are taken to be equally sharp
_IMAGINED = 5  # pairs that the belief before looking is worth, in each class
# Concentrations (von Mises, of the doubled angle) that are tried: from no axis at all to 7°, 0.5 / sqrt(16) radians.
_SHARPNESS = np.concatenate([[0.0], np.geomspace(0.25, 16.0, 25)])


def size_ratio(
    hulls: Hulls, targets: Targets, hull: NDArray[np.int64], target: NDArray[np.int64], settings: Matching
) -> NDArray[np.float64]:
    """How much better length and width of each pair fit than those of any hull of the scene; 1 where not known."""
    ratio = np.ones(len(hull))
    for seen, said, error in (
        (hulls.length_m, targets.length_m, settings.length_error_m),
        (hulls.width_m, targets.width_m, settings.width_error_m),
    ):
        scale = np.hypot(error, 0.05 * np.nan_to_num(said))  # sizes in AIS are typed in and rounded
        fit = np.exp(-(((seen[hull] - said[target]) / scale[target]) ** 2) / 2) / scale[target]
        usual = _usual(seen, error)[hull]
        better = ((1 - _WRONG_SIZE) * fit + _WRONG_SIZE * usual) / np.maximum(usual, 1e-12)
        ratio *= np.where(np.isfinite(better), np.clip(better, 0.02, 50), 1.0)
    return ratio


def axis_ratio(turn_deg: NDArray[np.float64], sharpness: NDArray[np.float64]) -> NDArray[np.float64]:
    """The same for the axes of pairs, which lie `turn_deg` apart, by the sharpness of the hull's; 1 where not known."""
    ratio = _law(np.radians(turn_deg), sharpness)
    return np.where(np.isfinite(ratio), ratio, 1.0)


def believed_sharpness(hulls: Hulls) -> NDArray[np.float64]:
    """Concentration of each hull's axis before looking at the scene: a hull of two pixels has none."""
    return np.clip(np.nan_to_num(hulls.length_m) / 10 - 2, 0, 12)


def fitted_sharpness(
    hulls: Hulls, hull: NDArray[np.int64], turn_deg: NDArray[np.float64], probability: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Concentration of each hull's axis: the most likely one for its class of lengths, given pairs of a hull and a ship,
    how far apart their axes lie (degrees, 0 to 90) and how probable each pair is."""
    group = np.digitize(np.nan_to_num(hulls.length_m), _LENGTHS_M)
    believed = believed_sharpness(hulls)
    edges = np.linspace(0, 90, 19)
    middle = np.radians((edges[:-1] + edges[1:]) / 2)
    laws = _law(middle, _SHARPNESS[:, None])
    out = believed.copy()
    for number in np.unique(group):
        members = group == number
        pairs = members[hull] & np.isfinite(turn_deg)
        seen = np.histogram(turn_deg[pairs], edges, weights=probability[pairs])[0]
        before = _law(middle, believed[members][:, None]).mean(axis=0) / len(middle)
        out[members] = _SHARPNESS[np.argmax(np.log(laws) @ (seen + _IMAGINED * before))]
    return out


def _law(turn: NDArray[np.float64], sharpness: NDArray[np.float64]) -> NDArray[np.float64]:
    """Density of the angle (radians) between the axes of hull and ship, over that of axes that lie anyhow."""
    from scipy.special import i0e

    near = np.exp(sharpness * (np.cos(2 * turn) - 1)) / i0e(sharpness)
    return np.asarray((1 - _WRONG_AXIS) * near + _WRONG_AXIS)


def _usual(values: NDArray[np.float64], error: float) -> NDArray[np.float64]:
    """Density of each value among all values of the scene (kernel estimate, without the factor of a normal density)."""
    known = values[~np.isnan(values)]
    if not len(known):
        return np.full(len(values), np.nan)
    sample = np.sort(known)[:: max(1, len(known) // 400)]
    width = error * 1.5
    return np.asarray(np.exp(-(((values[:, None] - sample) / width) ** 2) / 2).mean(axis=1) / width)
