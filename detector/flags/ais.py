"""AIS positions near scenes in place and time, from the tables that authorities and vendors publish.

Known without being told: MarineCadastre (US; both its old and its new column names), the Danish Maritime Authority
(`# Timestamp`, day first), and the generic form: any table with the columns `mmsi, time, lat, lon`, and `sog, cog, heading,
imo, name, type, status, length, width` where there are any; `time` is UTC in ISO 8601 or seconds since 1970. Speeds
are knots, angles degrees clockwise from true north, lengths metres.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from detector.columns import one_line
from detector.errors import BargewatchError, TableError
from detector.flags.aisdata import AisData, Near, Particulars, ReadReport
from detector.flags.aisfiles import Block, blocks
from detector.flags.identity import imo_number
from detector.scene.times import parse_time
from detector.wording import counted

if TYPE_CHECKING:
    from pandas import DataFrame, Series

_ALIASES = {
    "mmsi": "mmsi userid mmsinumber",
    "time": "time basedatetime timestamp datetime datetimeutc dateandtimeutc timestamputc receivedat",
    "lat": "lat latitude",
    "lon": "lon longitude long lng",
    "sog": "sog speed speedoverground",
    "cog": "cog course courseoverground",
    "heading": "heading trueheading hdg",
    "imo": "imo imonumber",
    "name": "name vesselname shipname",
    "type": "type vesseltype shiptype",
    "status": "status navstatus navigationalstatus",
    "length": "length",
    "width": "width beam",
    "mobile": "typeofmobile",
    "a": "a sizea tobow dimensiontobow",
    "b": "b sizeb tostern dimensiontostern",
    "c": "c sizec toport dimensiontoport",
    "d": "d sized tostarboard dimensiontostarboard",
    "static": "nmeastatic",
}
_NAMES = {alias: name for name, aliases in _ALIASES.items() for alias in aliases.split()}
_STATIC = ("imo", "name", "type", "length", "width", "a", "b", "c", "d")
_PRODUCT_TIME = re.compile(r"S2[A-D]_MSIL(?:1C|2A)_(\d{8}T\d{6})_")


T = TypeVar("T")

_FIX = ("mmsi", "time", "lon", "lat", "sog", "cog", "heading", "moored")


def read_ais(
    paths: Iterable[str | os.PathLike[str]], near: Sequence[Near], *, time: datetime | str | None = None
) -> AisData:
    """AIS positions in any of the boxes of `near`; files are streamed, so memory grows with what is kept.

    Args:
        time: of the rows of a file without a time column. A file named after a Sentinel-2 product has its time.

    A file that cannot be used is left out and named in `failed` with its reason; bad rows are counted in `reports`.

    Raises:
        TableError: `time` is no time.
    """
    data = AisData({}, {}, [])
    found = reduce_ais(paths, near, data, lambda part: part, time=time)
    for name in _FIX:
        dtype = np.int64 if name == "mmsi" else bool if name == "moored" else np.float64
        data.columns[name] = np.concatenate([np.empty(0, dtype), *(part[name] for part in found)])
    order = np.lexsort((data["time"], data["mmsi"]))
    same = [np.diff(data[name][order], prepend=np.nan) == 0 for name in ("mmsi", "time", "lon", "lat")]
    order = order[~np.logical_and.reduce(same)]  # two receivers hear one message; files overlap
    data.columns = {name: column[order] for name, column in data.columns.items()}
    return data


def reduce_ais(
    paths: Iterable[str | os.PathLike[str]],
    near: Sequence[Near],
    data: AisData,
    reduce: Callable[[dict[str, NDArray[Any]]], T],
    *,
    time: datetime | str | None = None,
) -> list[T]:
    """What `reduce` makes of each block of positions (the columns of AisData), for those who need less than all of them.

    Reports, failures and particulars go to `data`. A file that cannot be used gives nothing.

    Raises:
        TableError: `time` is no time.
    """
    seconds = None if time is None else _seconds(time)
    found: list[T] = []
    for path in map(Path, paths):
        report = ReadReport(str(path))
        mine: list[T] = []
        try:
            layout = _Layout(path, seconds)
            for block in blocks(path, layout.choose):
                mine.append(reduce(_take(block, layout, near, report, data.particulars)))
            _check(report)
        except BargewatchError as error:
            data.failed[str(path)] = error
        else:
            found += mine
        data.reports.append(report)
    return found


class _Layout:
    """Which column of a file is which."""

    def __init__(self, path: Path, time: float | None) -> None:
        self.path, self.columns, self.day_first = path, dict[str, str](), False
        stamp = _PRODUCT_TIME.search(path.name)
        named = (
            datetime.strptime(stamp[1], "%Y%m%dT%H%M%S").replace(tzinfo=UTC).timestamp() if stamp else None
        )
        self.time = time if time is not None else named

    def choose(self, names: list[str]) -> list[str]:
        self.columns = {}
        for name in names:
            known = _NAMES.get(re.sub(r"[^a-z]", "", name.lower()))
            if known and known not in self.columns.values():
                self.columns[name] = known
        self.day_first = any(name.strip() == "# Timestamp" for name in names)
        needed = ("mmsi", "lat", "lon") if self.time is not None else ("mmsi", "lat", "lon", "time")
        if missing := [name for name in needed if name not in self.columns.values()]:
            hint = " (or give --ais-time, if all rows are of one time)" if missing == ["time"] else ""
            raise TableError(
                f"{self.path}: no column {missing[0]!r} among {one_line(', '.join(names))[:200]}; "
                f"AIS needs mmsi, time, lat, lon{hint}"
            )
        return list(self.columns)


def _seconds(time: datetime | str) -> float:
    parsed = parse_time(time)
    if parsed is None:
        raise TableError(f"AIS time {time!r} is not a time; use UTC ISO 8601 such as 2020-03-01T02:21:09Z")
    return parsed.timestamp()


def _take(
    block: Block,
    layout: _Layout,
    near: Sequence[Near],
    report: ReadReport,
    particulars: dict[int, Particulars],
) -> dict[str, NDArray[Any]]:
    """The rows of a block that are wanted; counts the others in `report` and adds to `particulars`."""
    frame = block.frame.rename(columns=layout.columns)
    report.rows += len(frame) + len(block.bad)
    for number, reason in block.bad:
        report.note(reason, [number])
    mmsi, lat, lon = (_numbers(frame, name) for name in ("mmsi", "lat", "lon"))
    times = _times(frame["time"], layout.day_first) if "time" in frame else np.full(len(frame), layout.time)
    # NMEA sends size and name on their own.
    static = frame["static"].to_numpy(bool) if "static" in frame else np.zeros(len(frame), bool)
    good = ~static
    for reason, wrong in (
        ("without a whole MMSI", ~((mmsi >= 1) & (mmsi <= 999_999_999) & (mmsi % 1 == 0))),
        ("without position", np.isnan(lat) | np.isnan(lon) | (lat == 91) | (lon == 181)),
        ("with a latitude beyond 90", np.abs(lat) > 90),
        ("with a longitude beyond 180", np.abs(lon) > 180),
        ("without a time", np.isnan(times)),
    ):
        report.note(reason, block.numbers[good & wrong])
        good &= ~wrong
    vessel = _is_vessel(mmsi, frame)
    report.not_vessels += int((good & ~vessel).sum())
    good &= vessel
    inside = np.zeros(len(frame), bool)
    for box in near:
        in_time = good & (times >= box.start) & (times <= box.end)
        inside |= in_time & box.holds(lon, lat)
        report.swapped += int((in_time & box.holds(lat, lon) & (np.abs(lon) <= 90)).sum())
    rows = np.flatnonzero(inside)
    report.kept += len(rows)
    _add_particulars(frame.iloc[np.flatnonzero(inside | (static & (mmsi > 0)))], particulars)
    part = frame.iloc[rows]
    sog, cog, heading = (_numbers(part, name) for name in ("sog", "cog", "heading"))
    return {
        "mmsi": mmsi[rows].astype(np.int64), "time": times[rows], "lon": lon[rows], "lat": lat[rows],
        "sog": np.where((sog >= 0) & (sog < 102.2), sog, np.nan),  # 102.3: not available (ITU-R M.1371)
        "cog": np.where((cog >= 0) & (cog < 360), cog, np.nan),
        "heading": np.where((heading >= 0) & (heading < 360), heading, np.nan),  # 511: not available
        "moored": _moored(part),
    }  # fmt: skip


def _check(report: ReadReport) -> None:
    """Refuse a file of which nothing can be used for a reason that the user can mend."""
    if report.rows and report.bad.total() == report.rows:
        raise TableError(
            f"{report.path}: nothing can be used of its {counted(report.rows, 'row')} ({report.first_bad}); check that its "
            "columns are what their names say"
        )
    if not report.kept and report.swapped:
        raise TableError(
            f"{report.path}: latitude and longitude look swapped ({counted(report.swapped, 'row')} would lie at the scenes "
            "the other way round); rename the columns"
        )


def _numbers(frame: DataFrame, name: str) -> NDArray[np.float64]:
    import pandas

    if name not in frame:
        return np.full(len(frame), np.nan)
    column = frame[name]
    if column.dtype == bool:
        return np.full(len(frame), np.nan)
    values = pandas.to_numeric(column, errors="coerce").to_numpy(np.float64, na_value=np.nan)
    return np.where(np.isfinite(values), values, np.nan)


def _times(column: Series[Any], day_first: bool) -> NDArray[np.float64]:
    """Seconds since 1970, NaN where there is no time."""
    import pandas

    if column.dtype.kind in "iuf":
        seconds = column.to_numpy(np.float64, na_value=np.nan)
        seconds = np.where(seconds > 1e11, seconds / 1000, seconds)
        return np.where((seconds > 0) & (seconds < 4e9), seconds, np.nan)
    how = "%d/%m/%Y %H:%M:%S" if day_first else "ISO8601"
    times = pandas.to_datetime(column, format=how, errors="coerce", utc=True)
    seconds = (times - pandas.Timestamp(0, tz="UTC")).dt.total_seconds().to_numpy(np.float64)
    return np.asarray(seconds, np.float64)


def _is_vessel(mmsi: NDArray[np.float64], frame: DataFrame) -> NDArray[np.bool_]:
    """False for coast stations, aircraft, marks and beacons, by MMSI (ITU-R M.585) or by what the file says."""
    first = mmsi // 1e6
    vessel = (mmsi >= 1e8) & (first != 111) & (first < 990) & ~np.isin(first, (970, 972, 974))
    if "mobile" in frame:
        kind = frame["mobile"].fillna("Class").astype(str)
        vessel &= kind.str.match(r"(?i)class|[ab]$|unknown").to_numpy(bool)
    return np.asarray(vessel)


def _moored(frame: DataFrame) -> NDArray[np.bool_]:
    """At anchor (1), moored (5) or aground (6), by number or in words."""
    if "status" not in frame:
        return np.zeros(len(frame), bool)
    text = frame["status"].astype(str)
    return np.asarray(text.str.match(r"(?i)(?:1|5|6)(?:\.0)?$|at anchor|moored|aground").to_numpy(bool))


def _add_particulars(frame: DataFrame, particulars: dict[int, Particulars]) -> None:
    columns = [name for name in _STATIC if name in frame]
    for row in frame[["mmsi", *columns]].drop_duplicates().itertuples(index=False):
        ship = particulars.setdefault(int(float(row.mmsi)), Particulars())
        for name in columns:
            value = getattr(row, name)
            if value is None or value != value:
                continue
            if name == "imo":
                ship.imo = imo_number(value) or ship.imo
            elif name in ("name", "type"):
                _set_text(ship, name, value)
            elif (size := _size(value)) is not None:
                setattr(ship, name, size)


def _set_text(ship: Particulars, name: str, value: Any) -> None:
    if isinstance(value, float) and value.is_integer():
        value = int(value)  # a column of numbers with gaps is read as floats: 70.0
    text = one_line(str(value)).replace("@", " ").replace(";", ",").strip()[:80]
    if not text or text.lower() in ("unknown", "nan"):
        return
    if name == "name" and ship.name and ship.name != text and len(ship.other_names) < 8:
        ship.other_names.add(ship.name)
    setattr(ship, name, text)


def _size(value: Any) -> float | None:
    try:
        size = float(value)
    except ValueError:
        return None
    return size if 0 <= size < 600 else None
