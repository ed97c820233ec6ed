"""AIS files as blocks of rows: CSV in any of its shapes, Parquet and NMEA, in bounded memory.

CSV is cut into lines here before pandas parses it, because a table parser treats a line break inside an unclosed
quote as data: one stray quote in one ship's name would swallow every row up to the next. Each line stands for itself
instead, and a line that is no row is counted with its number.
"""

from __future__ import annotations

import gzip
import io
import re
import zipfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from detector.errors import MissingDependencyError, TableError

if TYPE_CHECKING:
    from pandas import DataFrame

_BLOCK = 8 << 20  # bytes of text at a time
_ROWS = 200_000  # rows of Parquet, messages of NMEA at a time
_LONGEST = 1 << 16  # bytes in a line; a row of AIS has some hundred
_NEWLINE, _QUOTE = 10, 34

# Chooses the columns to read: names in the file -> those wanted. Raises TableError where what is needed is missing.
Chooser = Callable[[list[str]], list[str]]


@dataclass
class Block:
    """Some rows as they stand in the file, the line or row number of each, and lines that are no rows."""

    frame: DataFrame
    numbers: NDArray[np.int64]
    bad: list[tuple[int, str]] = field(default_factory=list)


def blocks(path: Path, choose: Chooser) -> Iterator[Block]:
    """Rows of an AIS file, some hundred thousand at a time.

    Raises:
        TableError: the file is missing, damaged, or of another kind.
        MissingDependencyError: pyarrow is needed for Parquet, pyais for NMEA.
    """
    if not path.is_file():
        raise TableError(f"{path}: no such AIS file; check the path")
    try:
        with open(path, "rb") as file:
            head = file.read(4096)
        if head.startswith(b"PAR1"):
            yield from _parquet(path, choose)
            return
        with ExitStack() as stack:
            for name, stream in _streams(path, head, stack):
                start = stream.read(4096)
                if _is_nmea(start):
                    from detector.flags.nmea import nmea_blocks

                    yield from (
                        Block(*rows) for rows in nmea_blocks(_lines(stream, start), path, choose, _ROWS)
                    )
                else:
                    yield from _csv(name, start, stream, choose)
    except (OSError, EOFError, zipfile.BadZipFile, gzip.BadGzipFile) as error:
        if isinstance(error, TableError | MissingDependencyError):
            raise
        raise TableError(f"{path}: cannot be read ({error}); fetch the file again") from error


def _streams(path: Path, head: bytes, stack: ExitStack) -> Iterator[tuple[str, IO[bytes]]]:
    if head.startswith(b"\x1f\x8b"):
        yield str(path), cast("IO[bytes]", stack.enter_context(gzip.open(path)))
    elif head.startswith(b"PK\x03\x04"):
        archive = stack.enter_context(zipfile.ZipFile(path))
        names = [n for n in archive.namelist() if n.lower().endswith((".csv", ".txt", ".nmea", ".ais"))]
        if not names:
            raise TableError(f"{path}: no .csv in the archive; unpack it and give the AIS file itself")
        for name in names:
            yield f"{path}:{name}", stack.enter_context(archive.open(name))
    else:
        yield str(path), stack.enter_context(open(path, "rb"))


def _is_nmea(start: bytes) -> bool:
    return re.search(rb"![A-Z]{2}VD[MO],", start) is not None


# ---- CSV


def _csv(name: str, start: bytes, stream: IO[bytes], choose: Chooser) -> Iterator[Block]:
    import csv

    if not start.strip():
        raise TableError(f"{name}: the file is empty; give a table of AIS positions")
    if b"\0" in start or start[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise TableError(f"{name}: not UTF-8 text (UTF-16, or no table at all); save it as CSV in UTF-8")
    start = start.removeprefix(b"\xef\xbb\xbf")
    while b"\n" not in start and len(start) < _LONGEST and (more := stream.read(4096)):
        start += more
    first, _, rest = start.replace(b"\r\n", b"\n").partition(b"\n")
    if b"\r" in first and not rest:
        raise TableError(f"{name}: lines end in a bare carriage return; save it with usual line ends")
    delimiter = max(b",;\t|", key=lambda c: first.count(bytes([c])))
    header = next(csv.reader([first.decode("utf-8", "replace")], delimiter=chr(delimiter)))
    header = [column.strip() for column in header]
    wanted = choose(header)
    if len(set(header)) < len(header):
        header = [column if header.index(column) == i else f"{column}.{i}" for i, column in enumerate(header)]
    for text, line, too_long in _cut(stream, rest):
        yield _parse(name, text, line, too_long, header, wanted, delimiter)


def _cut(stream: IO[bytes], rest: bytes) -> Iterator[tuple[bytes, int, list[tuple[int, str]]]]:
    """Text of whole lines, the number of its first line, and lines left out because they never end."""
    line, skipping = 2, False
    while True:
        more = stream.read(_BLOCK)
        rest += more
        end = rest.rfind(b"\n") + 1 if more else len(rest)
        text, rest = rest[:end], rest[end:]
        bad = []
        if skipping and text:
            text = text[text.find(b"\n") + 1 :]
            bad, skipping = [(line, "a line longer than 64 kB")], False
            line += 1
        if len(rest) > _LONGEST and more:
            rest, skipping = b"", True
        if text or bad:
            yield text if text.endswith(b"\n") or not text else text + b"\n", line, bad
            line += text.count(b"\n")
        if not more:
            return


def _parse(
    name: str,
    text: bytes,
    line: int,
    bad: list[tuple[int, str]],
    header: list[str],
    wanted: list[str],
    delimiter: int,
) -> Block:
    import pandas

    raw = np.frombuffer(text, np.uint8)
    ends = np.flatnonzero(raw == _NEWLINE)
    starts = np.concatenate([[0], ends[:-1] + 1]) if len(ends) else np.empty(0, np.int64)
    lengths = ends - starts
    fields = 1 + _count(raw == delimiter, ends)
    quotes = _count(raw == _QUOTE, ends)
    blank = lengths == 0
    blank[lengths == 1] = raw[starts[lengths == 1]] == 13
    reasons = (
        ("a line longer than 64 kB", lengths > _LONGEST),
        ("an unclosed quote", quotes % 2 == 1),
        ("a wrong number of fields", (quotes == 0) & (fields != len(header))),
    )
    good = ~blank
    for reason, where in reasons:
        bad += [(line + int(i), reason) for i in np.flatnonzero(where & good)]
        good &= ~where
    if not good.all():
        text = raw[np.repeat(good, lengths + 1)].tobytes()
    numbers = line + np.flatnonzero(good)
    try:
        text.decode()
        encoding = "utf-8"
    except UnicodeDecodeError:
        encoding = "cp1252"  # what Windows programs write; the numbers are the same either way
    try:
        frame = pandas.read_csv(
            io.BytesIO(text),
            sep=chr(delimiter),
            header=None,
            names=header,
            usecols=wanted,
            index_col=False,
            encoding=encoding,
            encoding_errors="replace",
            skip_blank_lines=False,
            low_memory=False,
        )
    except pandas.errors.EmptyDataError:
        frame = pandas.DataFrame(columns=wanted)
    except (ValueError, pandas.errors.ParserError) as error:
        raise TableError(f"{name}: lines {line} and on cannot be read ({error}); repair the file") from error
    if len(frame) != len(numbers):
        lost = len(numbers) - len(frame)
        bad += [(line, "quotes that cannot be paired")] * max(lost, 0)
        numbers = np.full(len(frame), line)
    return Block(frame, numbers, bad)


def _count(where: NDArray[np.bool_], ends: NDArray[np.int64]) -> NDArray[np.int64]:
    """How often `where` is true in each line."""
    return np.diff(np.searchsorted(np.flatnonzero(where), ends), prepend=0)


# ---- Parquet and NMEA


def _parquet(path: Path, choose: Chooser) -> Iterator[Block]:
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        raise MissingDependencyError(
            f"{path} is Parquet, which needs pyarrow: pip install 'bargewatch[parquet]'"
        ) from None
    try:
        file = parquet.ParquetFile(path)
        wanted = choose(file.schema_arrow.names)
        row = 1
        for batch in file.iter_batches(batch_size=_ROWS, columns=wanted):
            frame = pyarrow.Table.from_batches([batch]).to_pandas()
            yield Block(frame, np.arange(row, row + len(frame)))
            row += len(frame)
    except pyarrow.ArrowException as error:
        raise TableError(f"{path}: cannot be read as Parquet ({error}); fetch the file again") from error


def _lines(stream: IO[bytes], start: bytes) -> Iterator[bytes]:
    """Lines of a stream of which `start` has been read; overlong ones are cut."""
    rest: Any = start
    while more := stream.read(1 << 16):
        *whole, rest = (rest + more).split(b"\n")
        yield from whole
        rest = rest[-_LONGEST:]
    yield from rest.split(b"\n")
