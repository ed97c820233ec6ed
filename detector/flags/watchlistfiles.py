"""Files of watch lists: CSV, OFAC's SDN list as XML, OpenSanctions as JSON or CSV."""

from __future__ import annotations

import csv
import io
import json
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from xml.parsers import expat

from detector.columns import one_line
from detector.errors import BargewatchError, TableError
from detector.flags.identity import country_code, imo_number, mmsi_number, valid_imo
from detector.flags.watchlist import Entry, Watchlist

_LARGEST = 512 << 20  # bytes of a list; OFAC's is 30 MB, all of OpenSanctions' vessels 20 MB
_SPLIT = re.compile(r"[;|]")


def read_watchlists(paths: Iterable[str | os.PathLike[str]]) -> tuple[Watchlist, dict[str, BargewatchError]]:
    """All entries of several files, and the files that cannot be used, each with its reason."""
    entries: list[Entry] = []
    failed: dict[str, BargewatchError] = {}
    for path in paths:
        try:
            entries += read_watchlist(path)
        except BargewatchError as error:
            failed[str(path)] = error
    return Watchlist(entries), failed


def read_watchlist(path: str | os.PathLike[str]) -> list[Entry]:
    """The ships of a list.

    Raises:
        TableError: the file is missing, damaged, of an unknown kind, or names no ship.
    """
    path = Path(path)
    try:
        if path.stat().st_size > _LARGEST:
            raise TableError(f"{path}: larger than any list of ships; check that it is the right file")
        data = path.read_bytes()
        written = datetime.fromtimestamp(path.stat().st_mtime, UTC).date().isoformat()
    except OSError as error:
        if isinstance(error, BargewatchError):
            raise
        raise TableError(
            f"{path}: no such list, or it cannot be read ({error.strerror}); check the path"
        ) from error
    start = data[:200].lstrip(b"\xef\xbb\xbf \t\r\n")
    if b"\0" in data[:4096]:
        raise TableError(f"{path}: not UTF-8 text; save the list as CSV in UTF-8")
    if start.startswith(b"<"):
        entries = list(_ofac(data, path))
    elif start.startswith((b"{", b"[")):
        entries = list(_opensanctions(data, path))
    else:
        entries = list(_csv(data, path, written))
    entries = [entry for entry in entries if entry.imo or entry.mmsi or entry.names]
    if not entries:
        raise TableError(
            f"{path}: the list names no ship; give CSV with imo, mmsi or name, OFAC XML or OpenSanctions"
        )
    return entries


# ---- CSV

_COLUMNS = {
    "imo": "imo imonumber imono",
    "mmsi": "mmsi",
    "name": "name caption vesselname shipname",
    "aliases": "aliases alias formernames weakaliases akas",
    "identifiers": "identifiers",
    "flag": "flag country countries",
    "programs": "programs program programme datasets dataset sanctions",
    "date": "date listdate lastchange listed",
    "list": "list listname source",
    "kind": "schema type",
}
_KNOWN = {alias: name for name, aliases in _COLUMNS.items() for alias in aliases.split()}


def _csv(data: bytes, path: Path, written: str) -> Iterator[Entry]:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = data.decode("cp1252", "replace")
    first = text.partition("\n")[0]
    delimiter = max(",;\t|", key=first.count)
    old_limit = csv.field_size_limit(1 << 20)
    try:
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
        header = [_KNOWN.get(re.sub(r"[^a-z]", "", name.lower())) for name in next(reader, [])]
        if not {"imo", "mmsi", "name"} & set(header):
            raise TableError(
                f"{path}: no column imo, mmsi or name in {one_line(first)[:150]!r}; rename the columns"
            )
        rows = [
            (number, _named(header, cells))
            for number, cells in enumerate(reader, 2)
            if any(c.strip() for c in cells)
        ]
    except csv.Error as error:
        raise TableError(f"{path}: cannot be read as CSV ({error}); repair the list") from error
    finally:
        csv.field_size_limit(old_limit)
    # In OpenSanctions `type` says which rows are ships; elsewhere it may say what kind of ship each is.
    mixed = any(row.get("kind", "").lower() == "vessel" for _, row in rows)
    for number, row in rows:
        if not mixed or row.get("kind", "").lower() == "vessel":
            yield _entry(row, path, written, number)


def _named(header: Sequence[str | None], cells: Sequence[str]) -> dict[str, str]:
    row: dict[str, str] = {}
    for name, cell in zip(header, cells, strict=False):
        if name and cell.strip():
            row.setdefault(name, one_line(cell).strip())
    return row


def _entry(row: dict[str, str], path: Path, written: str, number: int) -> Entry:
    identifiers = _SPLIT.split(row.get("identifiers", ""))
    imo = imo_number(row.get("imo", "")) or next(
        (n for i in identifiers if valid_imo(n := imo_number(i))), None
    )
    if row.get("imo") and imo is None and not re.fullmatch(r"0*|-|n/?a|unknown|none", row["imo"].lower()):
        raise TableError(
            f"{path}: row {number}: {row['imo'][:40]!r} is no IMO number; repair it or leave it empty"
        )
    numbers = [mmsi_number(part) for part in [*_SPLIT.split(row.get("mmsi", "")), *identifiers]]
    names = [row.get("name", ""), *_SPLIT.split(row.get("aliases", ""))]
    return Entry(
        list_name=row.get("list", path.stem),
        list_date=row.get("date", f"{written} (the file's)")[:40],
        names=_clean(names),
        imo=imo,
        mmsi=tuple(dict.fromkeys(n for n in numbers if n)),
        flag=country_code(_SPLIT.split(row.get("flag", ""))[0]),
        programs=row.get("programs", "").replace(";", ",")[:120] or None,
    )


def _clean(names: Sequence[Any]) -> tuple[str, ...]:
    texts = (one_line(str(name)).replace(";", ",").strip()[:120] for name in names if name)
    return tuple(dict.fromkeys(text for text in texts if text))


# ---- OFAC's SDN list


def _ofac(data: bytes, path: Path) -> Iterator[Entry]:
    """Vessels of SDN.XML. A document type is refused: the list has none, and entities could expand without end."""
    entries: list[dict[str, Any]] = []
    state: dict[str, Any] = {"date": None, "entry": None, "text": [], "inside": []}

    def start(tag: str, _: dict[str, str]) -> None:
        state["inside"].append(tag.rsplit(":", 1)[-1])
        state["text"] = []
        if state["inside"][-1] == "sdnEntry":
            state["entry"] = {"names": [], "ids": [], "programs": [], "type": "", "flag": ""}

    def end(_: str) -> None:
        tag, text = state["inside"].pop(), "".join(state["text"]).strip()
        state["text"] = []
        entry = state["entry"]
        if tag == "Publish_Date":
            state["date"] = text
        elif entry is None:
            return
        elif tag == "lastName":
            entry["names"].append(text)
        elif tag == "sdnType":
            entry["type"] = text
        elif tag == "program":
            entry["programs"].append(text)
        elif tag == "vesselFlag":
            entry["flag"] = text
        elif tag in ("idType", "idNumber"):
            entry["ids"].append((tag, text))
        elif tag == "sdnEntry":
            if entry["type"].lower() == "vessel":
                entries.append(entry)
            state["entry"] = None

    def refuse(*_: object) -> None:
        raise TableError(f"{path}: has a document type, which OFAC's list never has; fetch it again")

    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.StartElementHandler, parser.EndElementHandler = start, end
    parser.CharacterDataHandler = lambda part: state["text"].append(part)
    parser.StartDoctypeDeclHandler = refuse
    try:
        parser.Parse(data, True)
    except expat.ExpatError as error:
        raise TableError(f"{path}: not well-formed XML ({error}); fetch the list again") from error
    date = _us_date(state["date"])
    for entry in entries:
        imo, mmsi = _ofac_numbers(entry["ids"])
        programs = ", ".join(dict.fromkeys(entry["programs"])) or None
        yield Entry(
            "OFAC SDN", date, _clean(entry["names"]), imo, mmsi, country_code(entry["flag"]), programs
        )


def _ofac_numbers(ids: Sequence[tuple[str, str]]) -> tuple[int | None, tuple[int, ...]]:
    imo, mmsi, kind = None, [], ""
    for tag, text in ids:
        if tag == "idType":
            kind = text
        elif "MMSI" in kind.upper():
            mmsi.append(mmsi_number(text))
        elif kind == "Vessel Registration Identification" or "IMO" in kind.upper():
            imo = imo or imo_number(text)
    return imo, tuple(number for number in mmsi if number)


def _us_date(text: str | None) -> str | None:
    match = re.fullmatch(r"(\d\d)/(\d\d)/(\d{4})", text or "")
    return f"{match[3]}-{match[1]}-{match[2]}" if match else text


# ---- OpenSanctions

_NAME_KEYS = ("name", "alias", "previousName")


def _opensanctions(data: bytes, path: Path) -> Iterator[Entry]:
    """Vessels of an export: entities one a line (`entities.ftm.json`, `targets.nested.json`) or in one JSON list."""
    try:
        try:
            document = json.loads(data)
            found = document if isinstance(document, list) else document.get("results", [document])
        except json.JSONDecodeError:
            found = [json.loads(line) for line in data.splitlines() if line.strip()]
        for item in found:
            if str(item.get("schema", "")).lower() != "vessel":
                continue
            values: dict[str, list[str]] = item.get("properties") or {}
            numbers = [mmsi_number(text) for text in values.get("mmsi", [])]
            yield Entry(
                list_name="OpenSanctions " + ", ".join(item.get("datasets", []))[:80],
                list_date=str(item.get("last_change") or item.get("last_seen") or "")[:10] or None,
                names=_clean([item.get("caption"), *(n for key in _NAME_KEYS for n in values.get(key, []))]),
                imo=next((n for text in values.get("imoNumber", []) if (n := imo_number(text))), None),
                mmsi=tuple(n for n in numbers if n),
                flag=next((c for text in values.get("flag", []) if (c := country_code(text))), None),
                programs=", ".join(values.get("topics", []))[:120] or None,
            )
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        raise TableError(
            f"{path}: cannot be read as OpenSanctions JSON ({error}); fetch the list again"
        ) from error
