"""Checks of table columns: each takes the name of a column and its values and gives a clean array.

They raise TableError naming the column, the row and what was received.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from detector.errors import TableError

Check = Callable[[str, Sequence[Any]], NDArray[Any]]


def objects(values: Sequence[Any]) -> NDArray[Any]:
    """A one-dimensional object array; np.array() would make a matrix of lists of equal length."""
    column = np.empty(len(values), dtype=object)
    for row, value in enumerate(values):
        column[row] = value
    return column


def is_missing(value: Any) -> bool:
    """None, NaN or one of the pandas markers for them."""
    return value is None or (not isinstance(value, str) and str(value) in ("nan", "NaT", "<NA>"))


def text(name: str, values: Sequence[Any]) -> NDArray[Any]:
    """Text in every row."""
    return objects([_clean(name, row, value) for row, value in enumerate(values)])


def optional_text(name: str, values: Sequence[Any]) -> NDArray[Any]:
    """Text or None; empty text becomes None."""
    return objects(
        [None if v == "" or is_missing(v) else _clean(name, row, v) for row, v in enumerate(values)]
    )


def _clean(name: str, row: int, value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise TableError(f"column {name!r}, row {row}: received {value!r}, use a text")
    return one_line(value)


def one_line(text: str) -> str:
    """Text that every format can hold: control characters become spaces, what is not Unicode question marks.

    A file name that is not UTF-8 reaches Python as lone surrogates.
    """
    if text.isprintable():
        return str(text)
    return re.sub(r"[\x00-\x1f\x7f]", " ", text.encode("utf-8", "replace").decode())


def choice(*allowed: str) -> Check:
    """A check for one of some texts."""

    def check(name: str, values: Sequence[Any]) -> NDArray[Any]:
        for row, value in enumerate(values):
            if value not in allowed:
                raise TableError(
                    f"column {name!r}, row {row}: received {value!r}, use one of {', '.join(allowed)}"
                )
        return objects([str(value) for value in values])

    return check


def number(low: float, high: float, *, optional: bool = False) -> Check:
    """A check for numbers from low to high; NaN and None are allowed where optional."""

    def check(name: str, values: Sequence[Any]) -> NDArray[Any]:
        try:
            column = np.array([np.nan if v is None else v for v in values], dtype=np.float64)
        except (TypeError, ValueError) as error:
            raise TableError(f"column {name!r} holds something that is not a number: {error}") from None
        good = (column >= low) & (column <= high)
        if optional:
            good |= np.isnan(column)
        if not good.all():
            row = int(good.argmin())
            raise TableError(
                f"column {name!r}, row {row}: received {column[row]}, use a number from {low:g} to {high:g}"
            )
        return column

    return check


def boolean(name: str, values: Sequence[Any]) -> NDArray[Any]:
    """True or false in every row."""
    for row, value in enumerate(values):
        if is_missing(value) or value not in (True, False):
            raise TableError(f"column {name!r}, row {row}: received {value!r}, use true or false")
    return np.array([bool(value) for value in values], dtype=bool)


def text_list(name: str, values: Sequence[Any]) -> NDArray[Any]:
    """Lists of texts that can be joined by ';' and split again."""
    column = []
    for row, items in enumerate(values):
        if isinstance(items, str):
            raise TableError(f"column {name!r}, row {row}: received the text {items!r}, use a list of texts")
        cleaned = [_clean(name, row, item) for item in (() if items is None else items)]
        if any(not item or ";" in item for item in cleaned):
            raise TableError(
                f"column {name!r}, row {row}: an empty text or one with ';' in {cleaned}; ';' separates them"
            )
        column.append(cleaned)
    return objects(column)


def optional_time(name: str, values: Sequence[Any]) -> NDArray[Any]:
    """UTC ISO 8601 texts, or None."""
    known: dict[Any, str | None] = {}  # few scenes, many rows
    for row, value in enumerate(values):
        if value not in known:
            known[value] = (
                None if value == "" or is_missing(value) else utc_text(value, f"column {name!r}, row {row}")
            )
    return objects([known[value] for value in values])


def utc_text(value: Any, where: str = "time") -> str:
    """A time as UTC ISO 8601 text ending in Z; a time without zone is taken as UTC.

    Raises:
        TableError: it is not a time.
    """
    try:
        time = value if isinstance(value, datetime) else datetime.fromisoformat(str(value).strip())
        time = time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
    except (ValueError, OverflowError):
        raise TableError(
            f"{where}: received {value!r}, use UTC ISO 8601 such as 2020-03-01T02:21:09Z"
        ) from None
    return time.isoformat().replace("+00:00", "Z")


def polygon(name: str, values: Sequence[Any]) -> NDArray[Any]:
    """One polygon in every row, without heights."""
    column = shapely.force_2d(objects(values))
    single = (shapely.get_type_id(column) == shapely.GeometryType.MULTIPOLYGON) & (
        shapely.get_num_geometries(column) == 1
    )
    column[single] = shapely.get_geometry(column[single], 0)  # what QGIS makes of polygons
    good = (shapely.get_type_id(column) == shapely.GeometryType.POLYGON) & ~shapely.is_empty(column)
    good &= np.isfinite(shapely.bounds(column)).all(axis=1)
    if not good.all():
        row = int(good.argmin())
        raise TableError(
            f"column {name!r}, row {row}: received {str(column[row])[:60]}, use one polygon in WGS84"
        )
    return objects(column)
