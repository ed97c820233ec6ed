"""What a tonne of coal was worth, by period."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from detector.errors import ConfigError
from detector.resources import config_path
from detector.yamlfiles import read_yaml

_ROW = {"from", "to", "usd_per_tonne", "source"}


@dataclass(frozen=True)
class Price:
    """US$ a tonne from `start` until `end`, days since 1970-01-01 UTC."""

    start: float
    end: float
    low: float
    high: float


@dataclass(frozen=True)
class Prices:
    """Prices in order of time; none overlap."""

    rows: tuple[Price, ...]

    def over(self, start: float, end: float) -> tuple[float, float] | None:
        """Mean low and high price over the days from start to end; None where a part of them has no price."""
        low = high = covered = 0.0
        for row in self.rows:
            days = max(min(end, row.end) - max(start, row.start), 0.0)
            low, high, covered = low + days * row.low, high + days * row.high, covered + days
        return None if covered < end - start - 1e-6 else (low / covered, high / covered)


def load_prices(source: Prices | str | os.PathLike[str] | None = None) -> Prices:
    """The shipped prices (configs/prices.yaml), or a file of the same form.

    Raises:
        ConfigError: a file that is missing, no YAML or not of that form; the message names the row.
    """
    if isinstance(source, Prices):
        return source
    path = config_path("prices.yaml") if source is None else Path(source)
    entries = read_yaml(path, ("prices",), "prices.yaml")["prices"]
    if not isinstance(entries, list):
        raise ConfigError(f"{path}: prices is {entries!r:.80}, give a list; see configs/prices.yaml")
    try:
        rows = sorted((_price(n, row) for n, row in enumerate(entries, 1)), key=lambda price: price.start)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}; see configs/prices.yaml") from None
    for one, other in zip(rows[:-1], rows[1:], strict=True):
        if other.start < one.end:
            raise ConfigError(
                f"{path}: two prices hold on {_date(other.start)}; let one end where the next begins"
            )
    return Prices(tuple(rows))


def _price(number: int, row: Any) -> Price:
    if not isinstance(row, dict) or set(row) != _ROW:
        raise ConfigError(f"row {number}: give {', '.join(sorted(_ROW))}, received {row!r:.80}")
    start, end = (_days(f"row {number}: {key}", row[key]) for key in ("from", "to"))
    if end <= start:
        raise ConfigError(f"row {number}: ends {row['to']}, before it begins; `to` is the day after the last")
    if not isinstance(row["source"], str) or not row["source"].strip():
        raise ConfigError(f"row {number}: say in source where the price is from")
    price = row["usd_per_tonne"]
    good = isinstance(price, list) and len(price) == 2 and all(type(end) in (int, float) for end in price)
    if not good or not 0 < price[0] <= price[1] < 1e6:
        raise ConfigError(f"row {number}: usd_per_tonne is {price!r:.80}, use [low, high] in US$")
    return Price(start, end, float(price[0]), float(price[1]))


def _days(name: str, value: Any) -> float:
    try:
        day = value if isinstance(value, date) else date.fromisoformat(value)
    except (TypeError, ValueError):
        raise ConfigError(f"{name} is {value!r:.40}, use a date such as 2020-01-01") from None
    return datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp() / 86400


def _date(days: float) -> str:
    return f"{datetime.fromtimestamp(days * 86400, UTC):%Y-%m-%d}"
