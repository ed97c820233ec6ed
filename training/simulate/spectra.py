"""Surface reflectance of what a port is made of, in the bands that are painted.

Rows give B02, B03, B04, B08, B11. Shapes follow the families of the ECOSTRESS spectral library (Meerdink et
al. 2019, Remote Sens. Environ. 230, 111196: construction concrete, asphalt, roofing, soils, vegetation) and,
for coal, its dark, flat spectrum that rises slightly towards the short-wave infrared. Levels were then set so
that painted ports have the reflectance percentiles of real Sentinel-2 ports (docs/simulator.md); they are
typical values, not measurements of any one object.
"""

from __future__ import annotations

from types import MappingProxyType

import numpy as np

from training.simulate.noise import Array

BANDS = ("B02", "B03", "B04", "B08", "B11")

_TABLE = {
    # cargo and ships
    "coal": (0.036, 0.039, 0.043, 0.053, 0.076),
    "red_oxide": (0.055, 0.063, 0.150, 0.170, 0.190),
    "red_paint": (0.065, 0.070, 0.240, 0.270, 0.280),
    "grey_paint": (0.140, 0.148, 0.152, 0.150, 0.150),
    "dark_paint": (0.065, 0.069, 0.072, 0.074, 0.080),
    "green_paint": (0.066, 0.110, 0.085, 0.105, 0.120),
    "blue_paint": (0.180, 0.120, 0.075, 0.090, 0.110),
    "buff_paint": (0.200, 0.240, 0.270, 0.270, 0.270),
    "white_paint": (0.560, 0.570, 0.560, 0.530, 0.440),
    "orange_paint": (0.090, 0.150, 0.350, 0.360, 0.350),
    "rust": (0.070, 0.085, 0.120, 0.145, 0.190),
    "wood": (0.110, 0.135, 0.165, 0.200, 0.250),
    "hold": (0.060, 0.063, 0.070, 0.080, 0.100),
    # built
    "concrete": (0.175, 0.200, 0.225, 0.250, 0.290),
    "old_concrete": (0.120, 0.138, 0.155, 0.175, 0.210),
    "asphalt": (0.085, 0.095, 0.105, 0.125, 0.160),
    "rubble": (0.110, 0.128, 0.145, 0.170, 0.200),
    "roof_light": (0.340, 0.360, 0.370, 0.380, 0.370),
    "roof_grey": (0.140, 0.150, 0.160, 0.180, 0.210),
    "roof_blue": (0.215, 0.180, 0.140, 0.185, 0.190),
    "roof_red": (0.095, 0.105, 0.200, 0.260, 0.310),
    "roof_green": (0.100, 0.150, 0.120, 0.190, 0.190),
    "ballast": (0.090, 0.100, 0.115, 0.140, 0.180),
    # ground
    "soil": (0.080, 0.105, 0.145, 0.210, 0.300),
    "bare": (0.115, 0.145, 0.185, 0.250, 0.330),
    "sand": (0.190, 0.235, 0.280, 0.330, 0.390),
    "mud": (0.085, 0.103, 0.118, 0.125, 0.060),
    "stubble": (0.075, 0.105, 0.140, 0.230, 0.310),
    "crop": (0.030, 0.062, 0.038, 0.380, 0.190),
    "paddy": (0.045, 0.072, 0.060, 0.170, 0.110),
    "forest": (0.020, 0.037, 0.024, 0.260, 0.125),
    "winter_forest": (0.035, 0.048, 0.056, 0.170, 0.180),
    "grass": (0.045, 0.075, 0.062, 0.290, 0.230),
    # sea and sky
    "foam": (0.420, 0.420, 0.400, 0.340, 0.120),
    "cloud": (0.780, 0.770, 0.770, 0.790, 0.520),
}
SPECTRA = MappingProxyType({name: np.array(row, dtype=np.float32) for name, row in _TABLE.items()})


def spectrum(name: str) -> Array:
    """Reflectance of a material in :data:`BANDS`."""
    return np.array(SPECTRA[name])


# Suspended matter to reflectance, rho = s / (A + s / C): the form of Nechad, Ruddick & Park 2010 (Remote
# Sens.
# Environ. 114, 854). A (g/m3) and C of 665 nm and 865 nm are close to theirs; those of the blue and green
# bands were set on real ports, where pigments and dissolved matter darken the blue.
_SPM_A = np.array([560.0, 270.0, 355.0, 2900.0, 60000.0], dtype=np.float32)
_SPM_C = np.array([0.105, 0.150, 0.170, 0.210, 0.210], dtype=np.float32)
_CLEAR = np.array([0.018, 0.013, 0.004, 0.002, 0.001], dtype=np.float32)


def water_spectrum(matter: Array) -> Array:
    """Reflectance (bands, ...) of water that holds ``matter`` g/m3 of suspended matter."""
    s = np.asarray(matter, dtype=np.float32)
    lift = (len(BANDS),) + (1,) * s.ndim
    return np.asarray(_CLEAR.reshape(lift) + s / (_SPM_A.reshape(lift) + s / _SPM_C.reshape(lift)))


__all__ = ["BANDS", "SPECTRA", "spectrum", "water_spectrum"]
