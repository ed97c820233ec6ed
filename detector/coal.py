"""Spectral evidence of coal on a hull, and the class that it gives.

Coal is dark and nearly flat: it rises a little from blue to near infrared and further into short-wave infrared (Mao et al.
2014, IEEE J-STARS; Song et al. 2017). Water is as dark, but falls towards near infrared; paint, rust, sand and most ores are
brighter or coloured. Shadow, dark paint, wet hatch covers and magnetite are not told from coal with certainty: the
score is evidence, not proof. What it was fitted and tested on, and how well it does: docs/coal.md.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from detector.boxes import Floats
from detector.geometry import Window
from detector.scene import Scene
from detector.unmixing import Hull, reach, unmix

#: Sets of bands, the best first; the scene's own bands decide which model is used.
BAND_SETS: Mapping[str, tuple[str, ...]] = {
    "swir": ("B02", "B03", "B04", "B08", "B11"),
    "nir": ("B02", "B03", "B04", "B08"),
    "colour": ("B02", "B03", "B04"),
}
#: Metres. Narrower boxes get no score: their pixels are half water and the rest cannot be trusted (docs/coal.md).
LEAST_WIDTH_M = 10.0
#: Metres. Nor do shorter ones: no barge that carries coal is that small, and dark tugs and fishing boats look like it.
LEAST_LENGTH_M = 35.0
#: Reflectance. A box whose pixels differ less from what lies beside it shows no hull.
LEAST_CONTRAST = 0.008
#: Share of the light of what lies beside a hull that is taken for haze, which lies over the hull too, and the most of
#: that light (reflectance) that can be water and haze; a quay or a neighbour is brighter.
HAZE_SHARE = 0.3
MOST_WATER = 0.06
#: Metres. Longest box that is called a barge: the largest coal barges are 100 m to 130 m (330 ft and more); a laden bulk
#: carrier keeps the class `vessel` and shows its cargo in `coal_score`.
BARGE_LENGTH_M = (LEAST_LENGTH_M, 135.0)
#: Length over width of a barge's box: barges are 3.5 to 6.2 times as long as wide, boxes of narrow ones are drawn too wide;
#: stubbier ones are two hulls or a part of one.
BARGE_SLENDER = (2.4, 8.5)
_MODEL = Path(__file__).with_name("coal.json")


@dataclass(frozen=True)
class CoalModel:
    """A logistic regression: score = 1 / (1 + exp(-(intercept + Σ weight · feature))).

    Every weight is at least 0 and every feature is made so that more of it speaks for coal.
    """

    features: tuple[str, ...]
    weights: tuple[float, ...]
    intercept: float
    threshold: float


@lru_cache(maxsize=1)
def models() -> dict[str, CoalModel]:
    """The shipped model of each band set (made by ``python -m training.composites.fit``)."""
    table = json.loads(_MODEL.read_text())["models"]
    return {
        name: CoalModel(
            tuple(row["weights"]), tuple(row["weights"].values()), row["intercept"], row["threshold"]
        )
        for name, row in table.items()
    }


def band_set(bands: tuple[str, ...]) -> str | None:
    """The name of the best set whose bands are all there; None for none."""
    return next((name for name, needed in BAND_SETS.items() if set(needed) <= set(bands)), None)


def coal_score(scene: Scene, corners: Floats) -> NDArray[np.float64]:
    """How much the hull in each box (n, 4, 2 in scene pixels) looks as if it shows coal, 0–1.

    NaN where the pixels cannot tell: a box narrower than `LEAST_WIDTH_M` or shorter than `LEAST_LENGTH_M`, no data, or
    red, green or blue missing.
    A scene of true colour alone gets a score too, of less worth (docs/coal.md).
    """
    chosen = band_set(scene.bands)
    if chosen is None:
        return np.full(len(corners), np.nan)
    return score_features(features(scene, corners, chosen), chosen)


def coal_barge(
    scores: NDArray[np.float64], bands: tuple[str, ...], length_m: Floats, width_m: Floats
) -> NDArray[np.bool_]:
    """Which boxes the class `coal_barge` fits: enough spectral evidence of coal, and the size of a barge.

    A barge that is empty or carries something else is not told from other hulls at 10 m, so it stays a `vessel`;
    so does a sea-going ship with coal in its holds.
    """
    chosen = band_set(bands)
    if chosen is None:
        return np.zeros(len(scores), bool)
    with np.errstate(invalid="ignore"):
        return np.asarray(barge_sized(length_m, width_m) & (scores >= models()[chosen].threshold))


def barge_sized(length_m: Floats, width_m: Floats) -> NDArray[np.bool_]:
    """Which boxes have the size of a barge, whatever they show."""
    size = (length_m >= BARGE_LENGTH_M[0]) & (length_m <= BARGE_LENGTH_M[1])
    return np.asarray(
        size & (length_m >= BARGE_SLENDER[0] * width_m) & (length_m <= BARGE_SLENDER[1] * width_m)
    )


def features(scene: Scene, corners: Floats, chosen: str) -> dict[str, NDArray[np.float64]]:
    """Features (n,) by name, NaN where a box shows none of its hull's material."""
    bands = BAND_SETS[chosen]
    size = scene.grid.pixel_size()
    rows = [_NOTHING] * len(corners)
    # From top to bottom, so that blocks of the file that were decoded for one box serve its neighbours.
    for i in np.argsort(corners[:, :, 1].mean(axis=1)):
        sides = np.hypot(*((corners[i, 1:3] - corners[i, 0:2]) * size).T)
        if sides.min() < LEAST_WIDTH_M or sides.max() < LEAST_LENGTH_M:
            continue
        low, high = reach(corners[i], size)
        window = Window(int(low[0]), int(low[1]), int(high[0] - low[0]), int(high[1] - low[1]))
        hull = unmix(scene.reflectance(window, bands), bands, corners[i] - low, size)
        if hull is not None and np.abs(hull.contrast).max() >= LEAST_CONTRAST:
            rows[i] = hull_features(hull, bands)
    return {name: np.array([row.get(name, np.nan) for row in rows]) for name in FEATURES[chosen]}


def score_features(values: Mapping[str, NDArray[np.float64]], chosen: str) -> NDArray[np.float64]:
    """Scores of features by the shipped model of a band set."""
    model = models()[chosen]
    total = model.intercept + sum(
        w * values[name] for name, w in zip(model.features, model.weights, strict=True)
    )
    return np.asarray(1.0 / (1.0 + np.exp(-total)))


FEATURES: Mapping[str, tuple[str, ...]] = {
    "swir": ("dark", "dark_half", "grey", "grey_half", "level", "dark_swir", "swir_rise"),
    "nir": ("dark", "dark_half", "grey", "grey_half", "level"),
    "colour": ("dark", "dark_half", "grey", "grey_half"),
}
_NOTHING: dict[str, float] = {}


def hull_features(hull: Hull, bands: tuple[str, ...]) -> dict[str, float]:
    """Features of one hull; each is larger the more it speaks for coal.

    Two spectra stand for the hull: the middle of its sections, and the mean of the darker half of them, for a barge
    may be part loaded and has a house. Haze is taken off both by dark-object subtraction (Chavez 1988, Remote Sens.
    Environ. 24, 459), in part only, for water has some light of its own. `light` is the mean of all bands but B11.

    dark, dark_half: minus the logarithm of light over 0.05.
    grey, grey_half: minus the spread of blue, green and red over their mean.
    level: minus how far the rise from blue to near infrared, over light, is from the 0.3 of coal (darker half).
    dark_swir: minus the logarithm of B11 over 0.08.  swir_rise: logarithm of B11 over light (darker half both).
    """
    tens = [k for k, band in enumerate(bands) if band != "B11"]
    beside = np.median(hull.material, axis=1) - hull.contrast
    material = hull.material - HAZE_SHARE * np.clip(beside, 0.0, MOST_WATER)[:, None]
    order = np.argsort(material[tens].mean(axis=0))
    half = material[:, order[: max(1, round(len(order) / 2))]].mean(axis=1)
    middle = np.median(material, axis=1)
    found = {}
    for ending, spectrum in (("", middle), ("_half", half)):
        colour = spectrum[[bands.index(band) for band in ("B02", "B03", "B04")]]
        found["dark" + ending] = -float(np.log(max(spectrum[tens].mean(), 0.01) / 0.05))
        found["grey" + ending] = -float(np.ptp(colour) / max(colour.mean(), 0.02))
    light = max(float(half[tens].mean()), 0.01)
    if "B08" in bands:
        rise = (half[bands.index("B08")] - half[bands.index("B02")]) / light
        found["level"] = -float(abs(rise - 0.3))
    if "B11" in bands:
        swir = max(float(half[bands.index("B11")]), 0.01)
        found["dark_swir"] = -float(np.log(swir / 0.08))
        found["swir_rise"] = float(np.log(swir / light))
    return found
