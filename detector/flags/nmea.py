"""Raw AIS: NMEA 0183 sentences (`!AIVDM…`) decoded by pyais, with the time of reception from what stands beside them.

The AIS payload has no date. The time comes from a tag block (`\\c:1661337000*hh\\!AIVDM…`, NMEA 4.0; seconds or
milliseconds since 1970) or from a time before the sentence (`2022-08-25T10:36:41Z !AIVDM…`, `1661423801,!AIVDM…`); a
sentence with none is counted as a bad row.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
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
COLUMNS = ["mmsi", "time", *_POSITION_FIELDS.values(), *_STATIC_FIELDS.values()]
_POSITION_TYPES = frozenset((1, 2, 3, 9, 18, 19, 27))
_STATIC_TYPES = frozenset((5, 19, 24))


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
            f"{path} is raw NMEA, which needs pyais: pip install bargewatch[ais]"
        ) from None
    import pandas

    choose(COLUMNS)
    found: list[list[Any]] = []
    numbers: list[int] = []
    bad: list[tuple[int, str]] = []
    parts: dict[tuple[bytes, bytes], list[bytes]] = {}
    last_time: dict[tuple[bytes, bytes], float] = {}
    for number, line in enumerate(lines, 1):
        match = _SENTENCE.search(line)
        if match is None:
            if line.strip() and not line.startswith(b"#"):
                bad.append((number, "no whole AIS sentence"))
            continue
        time = _time_of(line)
        count, index, key = int(match[1]), int(match[2]), (match[3], match[4])
        if count > 1:
            parts[key] = [*(parts.get(key, []) if index > 1 else []), match[0]]
            last_time[key] = time if time is not None else last_time.get(key, np.nan)
            if index < count:
                continue
            sentences, time = parts.pop(key), last_time.pop(key)
            if len(sentences) != count:
                bad.append((number, "parts of a message missing"))
                continue
            time = None if np.isnan(time) else time
        else:
            sentences = [match[0]]
        try:
            message = decode(*sentences).asdict()
        except Exception as error:  # noqa: BLE001 - pyais raises many kinds on garbled radio messages
            bad.append((number, f"a message that does not decode ({type(error).__name__})"))
            continue
        row = _row(message, time)
        if row is None:
            continue
        if time is None:
            bad.append((number, "no time"))
            continue
        found.append(row)
        numbers.append(number)
        if len(found) >= rows:
            yield pandas.DataFrame(found, columns=COLUMNS), np.asarray(numbers), bad
            found, numbers, bad = [], [], []
    if found or bad:
        yield pandas.DataFrame(found, columns=COLUMNS), np.asarray(numbers, dtype=np.int64), bad


def _row(message: dict[str, Any], time: float | None) -> list[Any] | None:
    kind = int(message.get("msg_type", 0))
    if kind not in _POSITION_TYPES | _STATIC_TYPES or kind == 9:
        return None
    position = [message.get(key) for key in _POSITION_FIELDS] if kind in _POSITION_TYPES else [None] * 6
    static = [message.get(key) for key in _STATIC_FIELDS] if kind in _STATIC_TYPES else [None] * 8
    return [message.get("mmsi"), time, *position, *static]


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
