"""What all usable looks saw of one zone: the input of the estimate of loadings."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

from detector.errors import TableError

_SECONDS_A_DAY = 86400.0


def to_days(when: datetime) -> float:
    """Days since 1970-01-01 UTC. A time without zone counts as UTC."""
    aware = when if when.tzinfo is not None else when.replace(tzinfo=UTC)
    return aware.timestamp() / _SECONDS_A_DAY


@dataclass(frozen=True)
class ZoneSeries:
    """Counts of vessels at the usable looks of a zone, and how likely those of two looks are the same.

    Looks that clouds or the edge of the swath made useless are left out: they only lengthen the gaps.

    Attributes:
        kind, capacity, stay_days: as in the site file.
        times: (n,) days since 1970-01-01 UTC of the usable looks, increasing.
        count: (n,) vessels seen at each look. With capacity 1 more than one counts as one.
        same_log_ratio: n-1 arrays of shape (count[i], count[i+1]): for each vessel of look i and each of look
            i+1, log p(both measurements | one ship that stayed) - log p(both | two different ships).
            How long the gap was is not in it: the model of stays adds that.
        start, end: the span that is counted, days since 1970-01-01 UTC.
        last_log_ratio: (n,) capacity 1 only, optional: for each look with a vessel, the ratio of that vessel and
            the one of the latest earlier look that had any, however many empty looks lie between; 0 where there
            is none. It tells a ship that was missed from one that left.

    Raises:
        TableError: lengths or shapes that do not fit, times that do not increase, an empty span.
    """

    zone_id: str
    kind: str
    capacity: int
    stay_days: tuple[float, float] | None
    times: NDArray[np.float64]
    count: NDArray[np.int64]
    same_log_ratio: Sequence[NDArray[np.float64]]
    start: float
    end: float
    last_log_ratio: NDArray[np.float64] | None = None

    def __post_init__(self) -> None:
        times = np.asarray(self.times, dtype=np.float64).reshape(-1)
        count = np.asarray(self.count).reshape(-1).astype(np.int64)
        ratios = tuple(np.asarray(ratio, dtype=np.float64) for ratio in self.same_log_ratio)
        for name, value in (("times", times), ("count", count), ("same_log_ratio", ratios)):
            object.__setattr__(self, name, value)
        if self.last_log_ratio is not None:
            object.__setattr__(self, "last_log_ratio", np.asarray(self.last_log_ratio, dtype=np.float64))
        problem = self._problem()
        if problem:
            raise TableError(f"zone {self.zone_id!r}: {problem}")

    def _problem(self) -> str | None:
        times, count = self.times, self.count
        if not (np.isfinite([self.start, self.end]).all() and self.start < self.end):
            return f"the span {self.start} to {self.end} is empty; give a start before the end"
        if self.capacity < 1:
            return f"its capacity is {self.capacity}; it must be 1 or more"
        if not np.isfinite(times).all() or (np.diff(times) <= 0).any():
            return "the times of its looks do not increase; sort them and merge looks of one overpass"
        if len(count) != len(times) or (count < 0).any():
            return f"it has {len(count)} counts for {len(times)} looks; give one, 0 or more, for each look"
        shapes = [(int(a), int(b)) for a, b in zip(count[:-1], count[1:], strict=True)]
        if [ratio.shape for ratio in self.same_log_ratio] != shapes:
            return "same_log_ratio does not have one array (vessels, vessels) for each pair of looks"
        last = self.last_log_ratio
        if last is not None and last.shape != times.shape:
            return f"last_log_ratio has shape {last.shape}; give one number for each of {len(times)} looks"
        if any(
            not np.isfinite(ratio).all()
            for ratio in (*self.same_log_ratio, *([] if last is None else [last]))
        ):
            return "a log ratio is not finite; cap them, at ±30 say"
        return None

    def __len__(self) -> int:
        return len(self.times)

    def steps(self) -> Iterator[tuple[float, NDArray[np.float64]]]:
        """Gap in days and the matrix of ratios, for each pair of consecutive looks."""
        yield from zip((float(gap) for gap in np.diff(self.times)), self.same_log_ratio, strict=True)

    def berth_log_ratio(self) -> NDArray[np.float64]:
        """(n,) for capacity 1: ratio of each look's ship and the ship last seen before; 0 where unknown.

        Without last_log_ratio only ships of consecutive looks are compared.
        """
        if self.last_log_ratio is not None:
            return np.where(self.count > 0, self.last_log_ratio, 0.0)
        return np.array(
            [0.0] * bool(len(self)) + [float(r.max()) if r.size else 0.0 for r in self.same_log_ratio]
        )
