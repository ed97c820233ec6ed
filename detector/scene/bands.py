"""Names of Sentinel-2 bands, in the spellings that files and catalogues use."""

from __future__ import annotations

import re
from collections.abc import Sequence

from detector.errors import MissingBandError

#: What the network needs at least; near infrared (B08) is used when it is there.
TRUE_COLOUR = ("B04", "B03", "B02")

#: Band ids of the product metadata (``band_id`` of RADIO_ADD_OFFSET and BOA_ADD_OFFSET).
BAND_IDS = ("B01", "B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B09", "B10", "B11", "B12")

_COMMON = {  # STAC EO extension common names, and how people write them
    "coastal": "B01",
    "blue": "B02",
    "green": "B03",
    "red": "B04",
    "rededge071": "B05",
    "rededge075": "B06",
    "rededge078": "B07",
    "rededge1": "B05",
    "rededge2": "B06",
    "rededge3": "B07",
    "nir": "B08",
    "nir08": "B8A",
    "nir09": "B09",
    "cirrus": "B10",
    "swir1": "B11",
    "swir2": "B12",
    "swir16": "B11",
    "swir22": "B12",
    "scl": "SCL",
    "sceneclassification": "SCL",
    "tci": "TCI",
    "visual": "TCI",
    "datamask": "MASK",
    "alpha": "MASK",
}
_NUMBERED = re.compile(r"^(?:band|b)?0?(\d{1,2})(a?)$")


def band_name(text: str | None) -> str | None:
    """Canonical name (``B02`` … ``B12``, ``B8A``, ``SCL``, ``TCI``, ``MASK``) of one spelling, or None.

    >>> band_name("B2"), band_name("red"), band_name("B8A, central wavelength 865 nm"), band_name("B08_10m")
    ('B02', 'B04', 'B8A', 'B08')
    """
    if not text:
        return None
    word = re.split(r"[,;(]", text.strip().lower())[0].strip()
    word = re.sub(r"[_\s-](10|20|60)m$", "", word)
    key = re.sub(r"[\s_-]", "", word)
    if key in _COMMON:
        return _COMMON[key]
    match = _NUMBERED.match(key)
    if not match or key.isdigit():  # a bare "2" may count bands of the file, not of the instrument
        return None
    number, letter = int(match[1]), match[2].upper()
    name = f"B8{letter}" if letter and number == 8 else f"B{number:02d}{letter}"
    return name if name in BAND_IDS else None


def band_names(given: Sequence[str | None], count: int, source: str) -> tuple[str | None, ...]:
    """Canonical names of a caller's ``bands=``, one for each of the ``count`` stored bands.

    Names that are no Sentinel-2 band stand for bands to leave alone.
    """
    if isinstance(given, str):
        given = [part for part in re.split(r"[,\s]+", given) if part]
    if len(given) != count:
        raise MissingBandError(
            f"--bands (bands=) names {len(given)} bands but {source} holds {count}; name every one in order"
        )
    names = tuple(band_name(name) for name in given)
    reject_twins(names, source)
    return names


def reject_twins(names: Sequence[str | None], source: str) -> None:
    known = [name for name in names if name]
    for name in known:
        if known.count(name) > 1:
            raise MissingBandError(
                f"{source} has two bands called {name}; pass --bands (bands=) to say which is which"
            )


def require_bands(found: Sequence[str], required: Sequence[str], source: str) -> None:
    missing = [name for name in required if name not in found]
    if missing:
        have = ", ".join(found) or "no band whose name is known"
        raise MissingBandError(
            f"{source} has {have}, but not {', '.join(missing)}; pass --bands (bands=) if they have other names"
        )
