"""When a scene was taken, from whatever says it."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from typing import Any

from detector.errors import SceneError

_STAMP = re.compile(r"(?<!\d)(\d{8})T(\d{6})(?!\d)")


def parse_time(value: Any) -> datetime | None:
    """An aware UTC datetime from ISO 8601 text, a date or a datetime; None if it is none.

    What has no time zone is taken as UTC; a date alone becomes its midnight.
    """
    if isinstance(value, datetime):
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
    if isinstance(value, date):
        return datetime(value.year, value.month, value.day, tzinfo=UTC)
    if hasattr(value, "astype"):  # numpy.datetime64
        value = str(value.astype("datetime64[us]"))
    try:
        return parse_time(datetime.fromisoformat(str(value).strip()))
    except ValueError:
        return None


def given_time(value: Any) -> datetime | None:
    """The caller's ``acquired=``."""
    if value is None:
        return None
    time = parse_time(value)
    if time is None:
        raise SceneError(f"acquired={value!r} is not a time; pass ISO 8601 text such as 2020-03-01T02:21:09Z")
    return time


def time_in_name(name: str) -> datetime | None:
    """The first ``YYYYMMDDTHHMMSS`` of a name: in a product name, the start of sensing."""
    for day, clock in _STAMP.findall(name):
        try:
            return datetime.strptime(day + clock, "%Y%m%d%H%M%S").replace(tzinfo=UTC)
        except ValueError:
            continue
    return None


def level_in_name(name: str | None) -> str | None:
    match = re.search(r"(?<![A-Za-z0-9])(?:MSI|S2)?_?(L1C|L2A)(?![A-Za-z0-9])", (name or "").upper())
    return match[1] if match else None
