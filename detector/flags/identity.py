"""What the numbers and the name that a ship claims are worth.

MMSI: nine digits, of which the first three of a ship station are the maritime identification digits of the country
that gave the number (ITU-R M.585; ITU Radio Regulations, Table of Maritime Identification Digits). IMO number: seven
digits, the last of which checks the others (IMO Resolution A.1117(30)). Both are typed in by hand on board: a claim,
not a proof.
"""

from __future__ import annotations

import csv
import re
import unicodedata
from functools import lru_cache
from typing import Any

from detector.errors import ConfigError
from detector.resources import config_path

_SHIP_MMSI = range(200_000_000, 800_000_000)
_ROMAN = {"II": "2", "III": "3", "IV": "4", "VI": "6", "VII": "7", "VIII": "8", "IX": "9"}
_PREFIXES = ("MV", "MT", "MS", "SS", "MTS", "FV", "LPG/C")
_KOREA = re.compile(r"^(DEMOCRATIC PEOPLE'?S REPUBLIC OF KOREA|DPRK|NORTH KOREA)$")


@lru_cache(maxsize=1)
def mid_table() -> dict[int, tuple[str, str]]:
    """Maritime identification digits -> (two-letter country code, country), from configs/mid.csv."""
    with open(config_path("mid.csv"), encoding="utf-8", newline="") as file:
        return {int(row["mid"]): (row["iso2"], row["country"]) for row in csv.DictReader(file)}


def mid_of(mmsi: int | None) -> int | None:
    """The three leading digits of a ship's MMSI; None where the number is not that of a ship station."""
    return mmsi // 1_000_000 if mmsi is not None and mmsi in _SHIP_MMSI else None


def flag_of(mmsi: int | None) -> str | None:
    """Two-letter code of the country that the MMSI claims, or None."""
    entry = mid_table().get(mid_of(mmsi) or 0)
    return None if entry is None else entry[0]


def country_name(code: str | None) -> str | None:
    """Name of the country of a two-letter code, without what follows in brackets."""
    for iso2, name in mid_table().values():
        if iso2 == code:
            return name.split(" (")[0]
    return None


def country_code(text: str | None) -> str | None:
    """Two-letter code of a country given as a code, as maritime identification digits or as a name; else None."""
    if not text or not (wanted := _plain(text)):
        return None
    if wanted.isdigit():
        return (mid_table().get(int(wanted)) or (None,))[0]
    if _KOREA.match(wanted):
        return "KP"
    for iso2, name in mid_table().values():
        if wanted == iso2 or wanted == _plain(name.split(" (")[0]):
            return iso2
    return {"VIET NAM": "VN", "RUSSIAN FEDERATION": "RU", "UNITED REPUBLIC OF TANZANIA": "TZ"}.get(wanted)


def asked_country(text: str) -> tuple[int | None, str]:
    """What a user means by a flag to look for: (MID or None for all of the country's, two-letter code).

    Raises:
        ConfigError: it is neither a country nor maritime identification digits.
    """
    code = country_code(text)
    if code is None:
        raise ConfigError(f"unknown flag state {text!r}; use a code such as KP, a name, or a MID such as 445")
    return (int(text) if text.strip().isdigit() else None), code


def valid_imo(imo: int | None) -> bool:
    """True for seven digits whose last one checks the first six (their sum weighted 7 to 2, modulo 10)."""
    if imo is None or not 1_000_000 <= imo <= 9_999_999:
        return False
    digits = [int(d) for d in str(imo)]
    return sum(d * w for d, w in zip(digits, range(7, 1, -1), strict=False)) % 10 == digits[6]


def imo_number(value: Any) -> int | None:
    """The number in `IMO 9123456`, `9123456.0`, 9123456 …; None for nothing, zero, and what is no number."""
    match = re.fullmatch(r"(?:IMO)?\s*:?\s*(\d{1,10})(?:\.0+)?", str(value).strip().upper())
    return int(match[1]) or None if match else None


def mmsi_number(value: Any) -> int | None:
    """The MMSI in text or a number; None unless it has nine digits."""
    match = re.fullmatch(r"(?:MMSI)?\s*:?\s*(\d{9})(?:\.0+)?", str(value).strip().upper())
    return int(match[1]) if match else None


def mmsi_problem(mmsi: int) -> str | None:
    """What is wrong with the MMSI of a ship, in words; None if nothing is."""
    mid = mid_of(mmsi)
    if mid is None:
        return f"MMSI {mmsi} is not the number of a ship station"
    if mid not in mid_table():
        return f"MMSI {mmsi} begins with {mid}, which no country has"
    return None


def split_name(name: str | None, *, prefixes: bool = True) -> tuple[str, str]:
    """A ship's name in the form in which names are compared: (letters, digits).

    Capital letters without accents, blanks, punctuation, `M/V` and the like; Roman numerals at the end become digits.
    Digits are kept apart: KUM SONG 3 and KUM SONG 5 are two ships, however alike the rest. `prefixes`: whether a leading
    MV, MT … is taken off; it may be part of a name.
    """
    joined = "".join(_words(name, prefixes))
    return re.sub(r"[^A-Z]", "", joined), re.sub(r"\D", "", joined)


def initials(name: str | None) -> set[int]:
    """Where the words of a name begin among its letters (of `split_name`)."""
    lengths = [len(re.sub(r"[^A-Z]", "", word)) for word in _words(name, True)]
    return {sum(lengths[:n]) for n, length in enumerate(lengths) if length}


def _words(name: str | None, prefixes: bool) -> list[str]:
    words = _plain(name or "").replace("/", "").split()
    while prefixes and len(words) > 1 and words[0] in _PREFIXES:
        words = words[1:]
    if len(words) > 1 and words[-1] in _ROMAN:
        words[-1] = _ROMAN[words[-1]]
    return [w for w, after in zip(words, [*words[1:], ""], strict=False) if w != "NO" or not after.isdigit()]


def _plain(text: str) -> str:
    """Capital ASCII with single blanks, apostrophes and slashes."""
    folded = unicodedata.normalize("NFKD", text.replace("’", "'")).encode("ascii", "ignore").decode().upper()
    folded = (
        folded.replace(".", " ")
        if not re.fullmatch(r"(\w\.)+\w?", folded.strip())
        else folded.replace(".", "")
    )
    return " ".join(re.sub(r"[^A-Z0-9'/]", " ", folded).split())
