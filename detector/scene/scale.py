"""How stored numbers become reflectance: ``reflectance = stored * gain + offset``."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

from detector.errors import UnknownScaleError

Gain = tuple[float, float]

#: ESA true colour image: 8 bit, saturates at DN 3558 of 10000, that is at reflectance 0.3558 (S2 PSD, TCI).
TCI_GAIN: Gain = (0.3558 / 255, 0.0)

HOW = (
    'pass --scale (scale=), e.g. "DN / 10000 - 0.1" (baseline 04.00 or later), "DN / 10000" (before), or (gain, offset)'
)

_NUMBER = r"[+-]*\d*\.?\d+(?:e[+-]?\d+)?"
_FORMS = (
    ("dn", re.compile(rf"^dn(?:([*/])({_NUMBER}))?((?:[+-]{_NUMBER})?)$")),
    ("gain first", re.compile(rf"^({_NUMBER})\*dn((?:[+-]{_NUMBER})?)$")),
    ("bracket", re.compile(rf"^\(dn([+-]{_NUMBER})\)([*/])({_NUMBER})$")),
    ("pair", re.compile(rf"^[(\[]?({_NUMBER})(?:,({_NUMBER}))?[)\]]?$")),
)


def parse_scale(value: Any, source: str) -> Gain:
    """(gain, offset) from a number, a pair, or a sentence like ``reflectance = DN / 10000 - 0.1``.

    Raises:
        UnknownScaleError: it cannot be understood, or is no plausible scale of reflectance.
    """
    if isinstance(value, str):
        gain, offset = _parse_text(value, source)
    else:
        try:
            numbers = [float(v) for v in value] if isinstance(value, Sequence) else [float(value)]
            gain, offset = (numbers + [0.0])[:2] if len(numbers) <= 2 else _fail(value, source)
        except (TypeError, ValueError):
            _fail(value, source)
    if not (math.isfinite(gain) and math.isfinite(offset) and 0 < gain <= 1 and abs(offset) <= 1):
        raise UnknownScaleError(
            f"the scale of {source}, gain {gain:g} and offset {offset:g}, cannot give reflectance; {HOW}"
        )
    return gain, offset


def _parse_text(text: str, source: str) -> Gain:
    compact = re.sub(r"\s+", "", text).lower()
    compact = re.sub(r"^(reflectance|rho|r|refl)=", "", compact)
    for form, pattern in _FORMS:
        match = pattern.match(compact)
        if not match:
            continue
        if form == "dn":
            return _factor(match[1] or "*", match[2] or "1", source), _signed(match[3] or "0")
        if form == "gain first":
            return _signed(match[1]), _signed(match[2] or "0")
        if form == "bracket":
            gain = _factor(match[2], match[3], source)
            return gain, _signed(match[1]) * gain
        return _signed(match[1]), _signed(match[2] or "0")
    _fail(text, source)


def _signed(text: str) -> float:
    """A number that may carry several signs, as in ``DN * 0.0001 + -0.1``."""
    digits = text.lstrip("+-")
    return float(digits) * (-1.0) ** text[: len(text) - len(digits)].count("-")


def _factor(operator: str, number: str, source: str) -> float:
    value = _signed(number)
    if value == 0:
        _fail(f"DN {operator} 0", source)
    return value if operator == "*" else 1.0 / value


def _fail(value: Any, source: str) -> NoReturn:
    raise UnknownScaleError(f"the scale {value!r} of {source} is not understood; {HOW}")


def given_scales(scale: Any, bands: Sequence[str], source: str) -> dict[str, Gain]:
    """Radiometry of every band from a caller's ``scale=``: one for all, or a mapping by band."""
    if not isinstance(scale, Mapping):
        gain = parse_scale(scale, source)
        return dict.fromkeys(bands, gain)
    from detector.scene.bands import band_name

    by_band = {band_name(str(key)): value for key, value in scale.items()}
    missing = [band for band in bands if band not in by_band]
    if missing:
        raise UnknownScaleError(f"scale= says nothing about {', '.join(missing)} of {source}; add them")
    return {band: parse_scale(by_band[band], f"{source} {band}") for band in bands}
