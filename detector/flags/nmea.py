"""Raw AIS: NMEA 0183 sentences (`!AIVDM…`) decoded by pyais, with the time of reception from what stands beside them.

The AIS payload has no date. The time comes from a tag block (`\\c:1661337000*hh\\!AIVDM…`, NMEA 4.0; seconds or
milliseconds since 1970) or from a time before the sentence (`2022-08-25T10:36:41Z !AIVDM…`, `1661423801,!AIVDM…`); a
sentence with none is counted as a bad row.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from detector.errors import MissingDependencyError

if TYPE_CHECKING:
    from pandas import DataFrame

_SENTENCE = re.compile(rb"![A-Z]{2}VD[MO],(\d),(\d),(\d?),([AB12]?),[^,]*,\d\*[0-9A-Fa-f]{2}")
_TAG_TIME = re.compile(rb"[\\,]c:(\d{9,13})[,*]")
_EPOCH = re.compile(rb"^\s*(\d{10}|\d{13})(?:\.\d+)?[\s,;]")
_ISO = re.compile(rb"^\s*(\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:?\d\d)?)")

_POSITION_FIELDS = {
    "lat": "lat",
    "lon": "lon",
    "speed": "sog",
    "course": "cog",
    "heading": "heading",
    "status": "status",
}
_STATIC_FIELDS = {
    "imo": "imo", "shipname": "name", "callsign": "callsign", "ship_type": "type",
    "to_bow": "a", "to_stern": "b", "to_port": "c", "to_starboard": "d",
}  # fmt: skip
# nmea_static: the row has name and size alone, and its lack of a position is no fault.
COLUMNS = ["mmsi", "time", *_POSITION_FIELDS.values(), *_STATIC_FIELDS.values(), "nmea_static"]
_POSITION_TYPES = frozenset((1, 2, 3, 18, 19, 27))
_STATIC_TYPES = frozenset((5, 19, 24))
_MISSING = "parts of a message missing"


@dataclass
class _Parts:
    """The sentences of a message so far, the time beside any of them, and the line of the first."""

    sentences: list[bytes]
    time: float | None
    line: int

    def with_next(self, other: _Parts) -> _Parts:
        time = self.time if other.time is None else other.time
        return _Parts(self.sentences + other.sentences, time, self.line)


def nmea_blocks(
    lines: Iterator[bytes], path: Path, choose: Callable[[list[str]], list[str]], rows: int
) -> Iterator[tuple[DataFrame, NDArray[np.int64], list[tuple[int, str]]]]:
    """Decoded messages as frames with the columns of the generic form, the line of each row, and bad lines.

    A static message (name, size) becomes a row without position. Base stations and aids to navigation are left out.

    Raises:
        MissingDependencyError: pyais is not installed.
    """
    try:
        from pyais import decode
    except ImportError:
        raise MissingDependencyError(
            f"{path} is raw NMEA, which needs pyais: pip install 'bargewatch[ais]'"
        ) from None
    import pandas

    choose(COLUMNS)
    found: list[list[Any]] = []
    numbers: list[int] = []
    bad: list[tuple[int, str]] = []
    unfinished: dict[tuple[bytes, bytes], _Parts] = {}
    for number, line in enumerate(lines, 1):
        match = _SENTENCE.search(line)
        if match is None:
            if line.strip() and not line.startswith(b"#"):
                bad.append((number, "no whole AIS sentence"))
            continue
        parts = _Parts([match[0]], _time_of(line), number)
        count, index, key = int(match[1]), int(match[2]), (match[3], match[4])
        if count > 1:
            before = unfinished.pop(key, None)
            if before is not None and len(before.sentences) == index - 1:
                parts = before.with_next(parts)
            elif before is not None:
                bad.append((before.line, _MISSING))
            if index < count:
                unfinished[key] = parts
                continue
            if len(parts.sentences) != count:
                bad.append((number, _MISSING))
                continue
        try:
            message = decode(*parts.sentences, error_if_checksum_invalid=True).asdict()
        except Exception as error:  # noqa: BLE001 - pyais raises many kinds on garbled radio messages
            bad.append((number, f"a message that does not decode ({type(error).__name__})"))
            continue
        row = _row(message, parts.time)
        if row is None:
            continue
        if parts.time is None:
            bad.append((number, "no time"))
            continue
        found.append(row)
        numbers.append(number)
        if len(found) >= rows:
            yield pandas.DataFrame(found, columns=COLUMNS), np.asarray(numbers), bad
            found, numbers, bad = [], [], []
    bad += [(parts.line, _MISSING) for parts in unfinished.values()]
    if found or bad:
        yield pandas.DataFrame(found, columns=COLUMNS), np.asarray(numbers, dtype=np.int64), bad


def _row(message: dict[str, Any], time: float | None) -> list[Any] | None:
    kind = int(message.get("msg_type", 0))
    if kind not in _POSITION_TYPES | _STATIC_TYPES:
        return None
    position = (
        [_value(message.get(key)) for key in _POSITION_FIELDS] if kind in _POSITION_TYPES else [None] * 6
    )
    static = [_value(message.get(key)) for key in _STATIC_FIELDS] if kind in _STATIC_TYPES else [None] * 8
    return [message.get("mmsi"), time, *position, *static, kind not in _POSITION_TYPES]


def _value(field: Any) -> Any:
    """Plain numbers for pyais's enumerations, nothing for empty text."""
    if isinstance(field, Enum):
        return int(field.value)
    return None if field == "" else field


def _time_of(line: bytes) -> float | None:
    """Seconds since 1970 from a tag block or from a time before the sentence."""
    from detector.scene.times import parse_time

    head = line[: line.find(b"!")]
    match = _TAG_TIME.search(head) or _EPOCH.match(head)
    if match:
        seconds = float(match[1])
        return seconds / 1000 if seconds > 1e11 else seconds
    match = _ISO.match(head)
    time = parse_time(match[1].decode()) if match else None
    return None if time is None else time.timestamp()
