"""What composites are drawn from: two families of spectra, sizes, optics and haze that share no coal and no port.

Reflectance rows give B02, B03, B04, B08, B11.

* Coal. Song et al. 2017 (J. Northeastern Univ. Nat. Sci. 38(10), 92 bituminous and 58 lignite samples): lignite
  reflects more than bituminous coal and rises more steeply. Mao et al. 2014 (IEEE J-STARS, Huolinhe and Huozhou
  mines): coal is told from other ground by the rise into short-wave infrared. The levels are ours: within the 3 to 8 % in
  the visible that such spectra show, darker when wet, brighter and redder when dusty.
* Decks, paints and holds: `training.simulate.spectra`; here worn, tinted and mixed.
* Ores: haematite is dark in blue and green, steps up in red and dips near 0.9 µm (van der Werff & van der Meer 2015,
  Remote Sens. 7, 12635); magnetite is dark and flat, as coal is.
* Sizes: coal barges of 230, 270, 300 and 330 ft, the 300 ft one 91.4 m x 24.4 m (published dimensions
of the Kalimantan trade);
  hopper barges of 195 x 35 ft (United States); for the self-propelled barges of the Yellow Sea none are published.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from training.simulate.noise import Array
from training.simulate.spectra import spectrum

Range = tuple[float, float]
_WAVELENGTH_UM = np.array([0.493, 0.560, 0.665, 0.833, 1.610], np.float32)
_FOOT = 0.3048

_COAL = {
    "train": {
        "bituminous": (0.036, 0.039, 0.043, 0.053, 0.076),
        "anthracite": (0.033, 0.034, 0.036, 0.041, 0.052),
        "lignite": (0.045, 0.052, 0.062, 0.085, 0.130),
    },
    "test": {
        "wet": (0.024, 0.025, 0.027, 0.032, 0.040),
        "washed": (0.041, 0.043, 0.045, 0.049, 0.060),
        "dusty": (0.052, 0.058, 0.065, 0.079, 0.108),
    },
}
_CARGO = {
    "train": {
        "iron_ore": (0.048, 0.062, 0.135, 0.150, 0.240),
        "sand": (0.190, 0.235, 0.280, 0.330, 0.390),
        "timber": (0.110, 0.135, 0.165, 0.240, 0.280),
        "limestone": (0.270, 0.300, 0.330, 0.360, 0.380),
        "scrap": (0.085, 0.092, 0.105, 0.120, 0.150),
    },
    "test": {
        "iron_ore": (0.040, 0.058, 0.105, 0.128, 0.200),
        "sand": (0.130, 0.165, 0.200, 0.245, 0.300),
        "timber": (0.080, 0.105, 0.135, 0.210, 0.240),
        "gravel": (0.150, 0.165, 0.180, 0.200, 0.230),
        "bauxite": (0.070, 0.095, 0.180, 0.225, 0.290),
        "magnetite": (0.050, 0.051, 0.052, 0.052, 0.060),
    },
}
COVERS = (
    "grey_paint", "red_oxide", "green_paint", "buff_paint", "blue_paint", "rust", "white_paint", "red_paint", "dark_paint",
)  # fmt: skip


@dataclass(frozen=True)
class Family:
    """Ranges that composites are drawn from.

    Attributes:
        name: `train` or `test`.
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


FAMILIES: Mapping[str, Family] = MappingProxyType(
    {
        "train": Family(
            "train", _COAL["train"], _CARGO["train"],
            barges=((91.4, 24.4), (70.1, 19.5), (59.4, 10.7), (52.0, 12.0), (78.0, 16.0)),
            sizes={
                "barge": (45.0, 100.0), "river_barge": (48.0, 95.0), "general_cargo": (60.0, 130.0),
                "bulk_carrier": (120.0, 190.0),
                "tanker": (70.0, 180.0), "container": (110.0, 230.0), "fishing": (28.0, 48.0), "tug": (24.0, 34.0),
            },
            tone=0.22, tilt=0.10, wear=(0.0, 0.4), blur=(0.9, 1.15), haze=(0.0, 0.03), haze_power=(0.8, 1.6),
            sun=(30.0, 65.0), box_error=(2.0, 0.06), box_width_m=(-1.0, 7.0),
        ),
        "test": Family(
            "test", _COAL["test"], _CARGO["test"],
            barges=((82.3, 22.0), (100.6, 27.4), (54.9, 15.2), (64.0, 13.5), (110.0, 17.6)),
            sizes={
                "barge": (50.0, 115.0), "river_barge": (55.0, 120.0), "general_cargo": (55.0, 145.0),
                "bulk_carrier": (110.0, 225.0),
                "tanker": (60.0, 200.0), "container": (100.0, 260.0), "fishing": (25.0, 55.0), "tug": (22.0, 38.0),
            },
            tone=0.30, tilt=0.16, wear=(0.1, 0.6), blur=(1.15, 1.45), haze=(0.01, 0.05), haze_power=(0.3, 1.2),
            sun=(22.0, 70.0), box_error=(3.0, 0.09), box_width_m=(0.0, 10.0),
        ),
    }
)  # fmt: skip
