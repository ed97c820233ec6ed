"""What composites are drawn from: families of spectra, sizes, optics and haze.

`train` (laid on ports for the detector) and `wide` (for the coal score) have other coal, other cargo and other usual sizes
of dumb barges than `test`, and are laid on other ports. Decks, paints, holds and layouts are the same in all.

The figures are in `families.yaml`; its rows of reflectance give B02, B03, B04, B08, B11.

* Coal. Song et al. 2017 (J. Northeastern Univ. Nat. Sci. 38(10), 92 bituminous and 58 lignite samples): lignite
  reflects more than bituminous coal and rises more steeply. Mao et al. 2014 (IEEE J-STARS, Huolinhe and Huozhou
  mines): coal is told from other ground by the rise into short-wave infrared. The levels are ours: within the 3 to 8 % in
  the visible that such spectra show, darker when wet, brighter and redder when dusty.
* Decks, paints and holds: `training.simulate.spectra`; here worn, tinted and mixed.
* Ores: haematite is dark in blue and green, steps up in red and dips near 0.9 µm (van der Werff & van der Meer 2015,
  Remote Sens. 7, 12635); magnetite is dark and flat, as coal is.
* Sizes: coal barges of 230, 270, 300 and 330 ft, the 300 ft one 91.4 m x 24.4 m (published dimensions of the
  Kalimantan trade); hopper barges of 195 x 35 ft (United States); for the self-propelled barges of the Yellow Sea none
  are published.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import yaml

from training.simulate.noise import Array
from training.simulate.spectra import spectrum

Range = tuple[float, float]
_WAVELENGTH_UM = np.array([0.493, 0.560, 0.665, 0.833, 1.610], np.float32)
COVERS = (
    "grey_paint", "red_oxide", "green_paint", "buff_paint", "blue_paint", "rust", "white_paint", "red_paint", "dark_paint",
)  # fmt: skip


@dataclass(frozen=True)
class Family:
    """Ranges that composites are drawn from.

    Attributes:
        name: `train`, `wide` or `test`.
        coal, cargo: reflectance of the materials.
        barges: length and beam in metres of dumb barges.
        sizes: range of lengths by kind of hull.
        tone, tilt, wear: spread of brightness (of its logarithm), of spectral slope (exponent of wavelength), and the
            share of rust and dirt.
        blur: factor on the width of the sensor's Gaussian.
        haze, haze_power: path reflectance at 0.49 µm, and its fall with wavelength.
        sun: range of sun elevation in degrees.
        box_error: standard deviation of the place, and of the logarithm of the sides, of the boxes that are scored; the
            former in metres. Boxes of a network are not the hull's.
        box_width_m: range of metres by which boxes are wider than hulls.
    """

    name: str
    coal: Mapping[str, tuple[float, ...]]
    cargo: Mapping[str, tuple[float, ...]]
    barges: tuple[tuple[float, float], ...]
    sizes: Mapping[str, Range]
    tone: float
    tilt: float
    wear: Range
    blur: Range
    haze: Range
    haze_power: Range
    sun: Range
    box_error: tuple[float, float]
    box_width_m: Range

    def material(self, rng: np.random.Generator, name: str) -> Array:
        """A material's reflectance as one vessel shows it: its own brightness, tint and wear."""
        coal = name in self.coal
        base = self.coal.get(name) or self.cargo.get(name)
        colour = spectrum(name) if base is None else np.array(base, np.float32)
        spread = 0.6 if coal else 1.0
        tint = (_WAVELENGTH_UM / _WAVELENGTH_UM[1]) ** float(rng.normal(0.0, self.tilt * spread))
        colour = colour * np.exp(rng.normal(0.0, self.tone * spread)) * tint
        if base is None:
            worn = float(rng.uniform(*self.wear))
            colour = colour * (1 - worn) + worn * spectrum(
                str(rng.choice(["rust", "old_concrete", "dark_paint"]))
            )
        return np.asarray(np.clip(colour, 0.005, 0.9), np.float32)

    def haze_path(self, rng: np.random.Generator, water: Array) -> Array:
        """Path reflectance over the hull, never more than the water beside it, which holds it too."""
        fall = (_WAVELENGTH_UM / _WAVELENGTH_UM[0]) ** -float(rng.uniform(*self.haze_power))
        path = float(rng.uniform(*self.haze)) * fall
        room = float(np.min(np.maximum(water, 0.0) / path)) if path.min() > 0 else 1.0
        return np.asarray(path * min(1.0, 0.8 * room), np.float32)


def _family(name: str, table: Mapping[str, Any]) -> Family:
    """A family of `families.yaml`."""

    def tuples(value: Any) -> Any:
        if isinstance(value, list):
            return tuple(tuples(one) for one in value)
        return {key: tuples(one) for key, one in value.items()} if isinstance(value, dict) else value

    return Family(name, **tuples(dict(table)))


def _read() -> dict[str, Family]:
    tables = yaml.safe_load(Path(__file__).with_suffix(".yaml").read_text(encoding="utf-8"))
    return {name: _family(name, table) for name, table in tables.items()}


FAMILIES: Mapping[str, Family] = MappingProxyType(_read())
