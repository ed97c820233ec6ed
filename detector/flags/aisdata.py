"""What is kept of AIS: places and times that matter, positions, ships' particulars, and what became of each file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detector.errors import BargewatchError
from detector.wording import counted


@dataclass(frozen=True)
class Near:
    """A place and time whose AIS is wanted: degrees, and seconds since 1970."""

    west: float
    south: float
    east: float
    north: float
    start: float
    end: float

    def holds(self, lon: Any, lat: Any) -> NDArray[np.bool_]:
        """Which positions lie in the box, which may cross 180°."""
        middle, half = (self.west + self.east) / 2, (self.east - self.west) / 2
        east_of = np.abs((np.asarray(lon) - middle + 180.0) % 360.0 - 180.0)
        return (east_of <= half) & (np.asarray(lat) >= self.south) & (np.asarray(lat) <= self.north)


@dataclass
class Particulars:
    """What a transponder says of its ship; None or NaN where it says nothing. a, b, c, d: metres from the antenna to
    bow, stern, port and starboard."""

    imo: int | None = None
    name: str | None = None
    type: str | None = None
    length: float = np.nan
    width: float = np.nan
    a: float = np.nan
    b: float = np.nan
    c: float = np.nan
    d: float = np.nan
    other_names: set[str] = field(default_factory=set)


@dataclass
class ReadReport:
    """What became of the rows of one file."""

    path: str
    rows: int = 0
    kept: int = 0
    not_vessels: int = 0
    bad: Counter[str] = field(default_factory=Counter)
    first_bad: str | None = None
    swapped: int = 0

    def note(self, reason: str, numbers: Sequence[int] | NDArray[np.int64]) -> None:
        """Count rows, given by line number, as bad."""
        if len(numbers):
            self.bad[reason] += len(numbers)
            self.first_bad = self.first_bad or f"line {int(np.min(numbers))}: {reason}"

    def __str__(self) -> str:
        text = f"{self.path}: {counted(self.rows, 'row')}, {self.kept} near the scenes in place and time"
        if self.not_vessels:
            text += f", {self.not_vessels} of base stations, aircraft and marks"
        if self.bad:
            reasons = ", ".join(f"{count} {reason}" for reason, count in self.bad.most_common())
            text += f", {self.bad.total()} bad and left out ({reasons}; first: {self.first_bad})"
        return text


@dataclass
class AisData:
    """Positions (columns of equal length, by MMSI and time), the particulars of each MMSI, and what was read.

    mmsi int64; time seconds since 1970; lon, lat degrees; sog knots; cog, heading degrees or NaN; moored: at anchor,
    moored or aground by its own status.
    """

    columns: dict[str, NDArray[Any]]
    particulars: dict[int, Particulars]
    reports: list[ReadReport]
    failed: dict[str, BargewatchError] = field(default_factory=dict)

    def __getitem__(self, name: str) -> NDArray[Any]:
        return self.columns[name]

    def __len__(self) -> int:
        return len(self.columns["mmsi"])
