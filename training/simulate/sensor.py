"""The Sentinel-2 MultiSpectral Instrument: blur, noise, the time between bands, stored numbers.

* Blur. The quality requirement is an MTF at Nyquist of 0.15 to 0.30 for the 10 m bands (Sentinel-2 User
  Handbook, ESA 2015, table 3; the monthly Data Quality Reports S2-PDGS-MPC-DQR list in-flight values within
  it). It is the product of the pixel's own box (0.64 at Nyquist) and of a Gaussian for optics, smear and
  diffusion.
* Noise. Signal-to-noise at a reference radiance, MSI specification (same Handbook, table 1).
* Time. Bands look at one place one after the other, so a moving ship is displaced between bands: Heiselberg
  2019, Sensors 19, 2873; Binet et al. 2022, ISPRS Annals V-1-2022, 57 (lags true to 2 %). The twelve detector
  modules are mounted alternately in opposite senses, so the order is the reverse on every other one.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from scipy import ndimage

from training.simulate.noise import Array
from training.simulate.spectra import BANDS

PIXEL_M = 10.0
SUB = 5  # sub-pixels a pixel side: 2 m
STEP_M = PIXEL_M / SUB

BAND_LAG_S = MappingProxyType({"B02": 0.0, "B08": 0.264, "B03": 0.527, "B04": 1.005, "B11": 1.469})
MTF_NYQUIST = MappingProxyType({"B02": 0.28, "B03": 0.27, "B04": 0.26, "B08": 0.24, "B11": 0.24})
SNR = MappingProxyType({"B02": 154, "B03": 168, "B04": 142, "B08": 174, "B11": 100})
REFERENCE_RADIANCE = MappingProxyType({"B02": 129.0, "B03": 128.0, "B04": 108.0, "B08": 103.0, "B11": 4.0})
# Extraterrestrial irradiance, W m-2 um-1, from the metadata of Sentinel-2A products.
SOLAR_IRRADIANCE = MappingProxyType(
    {"B02": 1959.66, "B03": 1823.24, "B04": 1512.06, "B08": 1041.63, "B11": 245.59}
)
QUANTIFICATION = 10000
ADD_OFFSET = -1000  # processing baseline 04.00 and later
_BOX_NYQUIST = 2.0 / np.pi
# Resampling to the map grid smooths the noise: neighbours correlate by about 0.4 in real products over calm
# water.
_RESAMPLING = np.array([0.14, 0.72, 0.14], np.float32)


def blur_sigma(band: str) -> float:
    """Standard deviation (pixels) of the Gaussian that brings a box pixel to the band's MTF at Nyquist."""
    gauss = MTF_NYQUIST[band] / _BOX_NYQUIST
    return float(np.sqrt(-2.0 * np.log(gauss)) / np.pi)


def fine_to_pixels(fine: Array) -> Array:
    """Blur a 2 m patch (bands, h * SUB, w * SUB) by the optics and integrate it over 10 m pixels."""
    out = np.empty((fine.shape[0], fine.shape[1] // SUB, fine.shape[2] // SUB), np.float32)
    for k, band in enumerate(BANDS):
        blurred = ndimage.gaussian_filter(fine[k], blur_sigma(band) * SUB, mode="nearest", truncate=3.5)
        out[k] = blurred.reshape(out.shape[1], SUB, out.shape[2], SUB).mean(axis=(1, 3))
    return out


def _pixel_kernel(band: str) -> Array:
    """What :func:`fine_to_pixels` does to a patch that is constant within each pixel, as a 1-D kernel."""
    line = np.zeros(7 * SUB, np.float32)
    line[3 * SUB : 4 * SUB] = 1.0
    blurred = ndimage.gaussian_filter1d(line, blur_sigma(band) * SUB, truncate=3.5)
    return np.asarray(blurred.reshape(7, SUB).mean(axis=1), np.float32)


_KERNELS = tuple(_pixel_kernel(band) for band in BANDS)


def blur_pixels(coarse: Array) -> Array:
    """Blur patches whose finest detail is the 10 m pixel, exactly as :func:`fine_to_pixels` would."""
    out = np.empty_like(coarse)
    for k, kernel in enumerate(_KERNELS):
        lines = ndimage.correlate1d(coarse[k], kernel, axis=0, mode="nearest")
        ndimage.correlate1d(lines, kernel, axis=1, mode="nearest", output=out[k])
    return out


@dataclass(frozen=True)
class NoiseModel:
    """Shot and read-out noise in reflectance for a sun elevation: variance = floor + slope · reflectance."""

    floor: Array
    slope: Array

    @classmethod
    def of(cls, sun_elevation_deg: float) -> NoiseModel:
        per_radiance = np.pi / (
            np.array([SOLAR_IRRADIANCE[b] for b in BANDS]) * np.sin(np.radians(sun_elevation_deg))
        )
        reference = np.array([REFERENCE_RADIANCE[b] for b in BANDS])
        sigma = reference / np.array([SNR[b] for b in BANDS]) * per_radiance
        # Nearly all of the variance is photons: over dark water real noise is far below that at the
        # reference.
        floor, slope = 0.04 * sigma**2, 0.96 * sigma**2 / (reference * per_radiance)
        return cls(floor.astype(np.float32), slope.astype(np.float32))

    def add(self, toa: Array, rng: np.random.Generator) -> Array:
        """A reflectance stack (bands, h, w) with noise; the at-sensor level sets the photon noise."""
        white = rng.standard_normal(toa.shape, dtype=np.float32)
        for axis in (1, 2):
            white = ndimage.correlate1d(white, _RESAMPLING, axis=axis, mode="wrap")
        sigma = np.sqrt(self.floor[:, None, None] + self.slope[:, None, None] * np.maximum(toa, 0.0))
        return np.asarray(toa + sigma * white, np.float32)


def quantise(reflectance: Array) -> np.ndarray:
    """Stored numbers of baseline 04.00 (uint16): reflectance · 10000 + 1000; at least 1, 0 is no data."""
    return np.clip(np.rint(reflectance * QUANTIFICATION - ADD_OFFSET), 1, 65535).astype(np.uint16)
