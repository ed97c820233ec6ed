"""What the network sees: reflectance as 8-bit numbers, one fixed order of bands, one ground sampling.

The stretch is the square root of reflectance: water (0.01–0.1) gets two thirds of the grey values, bright
decks are kept apart up to `REFLECTANCE_MAX`, and the noise of the sensor, which grows with the signal,
becomes nearly even. Training and inference both go through this module, so that they cannot drift apart.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

BANDS = ("B04", "B03", "B02", "B08")
"""Order of the channels: red, green, blue, near infrared. Near infrared is 0 where a scene has none."""

GROUND_SAMPLING_M = 5.0
"""Metres on the ground of one network pixel: a Sentinel-2 pixel enlarged twice."""

REFLECTANCE_MAX = 0.5
"""Reflectance that becomes 255; brighter pixels saturate."""

NO_DATA = 0
"""Encoded value of a pixel without data; valid pixels start at 1."""


def encode_reflectance(reflectance: NDArray[np.floating]) -> NDArray[np.uint8]:
    """Reflectance (any shape, NaN = no data) to the 8-bit numbers of the network."""
    with np.errstate(invalid="ignore"):
        grey = np.sqrt(np.clip(reflectance, 0.0, REFLECTANCE_MAX) / REFLECTANCE_MAX) * 255.0
        grey = np.where(np.isfinite(reflectance), np.maximum(np.rint(grey), 1.0), NO_DATA)
    return grey.astype(np.uint8)


def decode_reflectance(encoded: NDArray[np.uint8]) -> NDArray[np.float32]:
    """The reflectance that an encoded number stands for; NaN where there is no data."""
    table = (np.arange(256, dtype=np.float32) / 255.0) ** 2 * REFLECTANCE_MAX
    table[NO_DATA] = np.nan
    return table[encoded]


@lru_cache(maxsize=16)
def encoding_table(dtype: np.dtype, gain: float, offset: float, fill: float) -> NDArray[np.uint8] | None:
    """Look-up table from every stored number of an 8- or 16-bit integer type to its encoded number.

    None for other types. Indexing a table is some ten times faster than computing the square root of each
    pixel, which matters over the 480 million numbers of a full tile. Signed numbers index from the end, as
    numpy does.
    """
    if dtype.kind not in "ui" or dtype.itemsize > 2:
        return None
    stored = np.arange(2 ** (8 * dtype.itemsize)).astype(f"u{dtype.itemsize}").view(dtype)
    table = encode_reflectance(stored.astype(np.float64) * gain + offset)
    table[stored == fill] = NO_DATA
    table.setflags(write=False)  # kept for the next window
    return table


def encode(
    stored: NDArray[np.generic], radiometry: list[tuple[float, float]], fill: float
) -> NDArray[np.uint8]:
    """Stored numbers (bands, height, width) to encoded ones, band by band.

    Args:
        stored: pixels as the file holds them.
        radiometry: (gain, offset) of each band: reflectance = stored · gain + offset.
        fill: stored number that means no data (NaN for floats).
    """
    out = np.empty(stored.shape, dtype=np.uint8)
    for band, (gain, offset) in enumerate(radiometry):
        table = encoding_table(stored.dtype, gain, offset, fill)
        if table is not None:
            unsigned = stored[band].view(f"u{stored.dtype.itemsize}")
            np.take(table, unsigned, out=out[band])
            continue
        reflectance = stored[band].astype(np.float32) * gain + offset
        if np.isfinite(fill):
            reflectance[stored[band] == fill] = np.nan
        out[band] = encode_reflectance(reflectance)
    return out
