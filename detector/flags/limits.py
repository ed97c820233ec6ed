"""Settings that are numbers: each above 0 and up to a limit."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import fields
from typing import Any

from detector.errors import ConfigError


def check_limits(settings: Any, section: str, most: float = 1e4, shares: Collection[str] = ()) -> None:
    """Check every field of a dataclass of settings; `shares` go up to 1.

    Raises:
        ConfigError: a field is no number, not above 0, or larger than `most`.
    """
    for item in fields(settings):
        value, top = getattr(settings, item.name), 1.0 if item.name in shares else most
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= top:
            raise ConfigError(f"{section}: {item.name} is {value!r}; use a number above 0 and up to {top:g}")
