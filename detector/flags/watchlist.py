"""Lists of ships to look out for.

An entry is found by IMO number, by MMSI, or by name; by name alone only where no number contradicts it. The IMO number
belongs to the hull and is the strongest of the three; MMSI and name change with the flag and the owner.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from detector.flags.identity import valid_imo
from detector.flags.names import NameIndex


@dataclass(frozen=True)
class Entry:
    """One ship of a list: names and former names, numbers, flag as the list gives it, and which list of what date."""

    list_name: str
    list_date: str | None
    names: tuple[str, ...]
    imo: int | None = None
    mmsi: tuple[int, ...] = ()
    flag: str | None = None
    programs: str | None = None


@dataclass(frozen=True)
class Hit:
    """An entry and how it was found: `by` is IMO, MMSI or name; `edits` counts the letters in which names differ."""

    entry: Entry
    by: str
    edits: int = 0

    def __str__(self) -> str:
        name = self.entry.names[0] if self.entry.names else f"IMO {self.entry.imo}"
        date = f"of {self.entry.list_date}" if self.entry.list_date else "of unknown date"
        how = f"by {self.by}" + (
            f", {self.edits} letters apart" if self.edits > 1 else ", one letter apart" * self.edits
        )
        programs = f" ({self.entry.programs})" if self.entry.programs else ""
        return f"{name}{programs} on list {self.entry.list_name} {date}, found {how}"


class Watchlist:
    """Entries of one or several lists, to be looked up."""

    def __init__(self, entries: Iterable[Entry]) -> None:
        self.entries = list(entries)
        self._by_imo: dict[int, list[int]] = {}
        self._by_mmsi: dict[int, list[int]] = {}
        for number, entry in enumerate(self.entries):
            if entry.imo:
                self._by_imo.setdefault(entry.imo, []).append(number)
            for mmsi in entry.mmsi:
                self._by_mmsi.setdefault(mmsi, []).append(number)
        self._names = NameIndex([(name, n) for n, entry in enumerate(self.entries) for name in entry.names])

    def __len__(self) -> int:
        return len(self.entries)

    def find(self, *, imo: int | None = None, mmsi: int | None = None, name: str | None = None) -> list[Hit]:
        """All entries that a ship with these claims may be, the surest first; an entry at most once."""
        hits: dict[int, Hit] = {}
        for number in self._by_imo.get(imo or 0, []):
            hits[number] = Hit(self.entries[number], "IMO")
        for number in self._by_mmsi.get(mmsi or 0, []):
            hits.setdefault(number, Hit(self.entries[number], "MMSI"))
        for number, distance in self._names.find(name) if name else []:
            entry = self.entries[number]
            other_hull = imo is not None and entry.imo is not None and imo != entry.imo and valid_imo(imo)
            if not other_hull:
                hits.setdefault(number, Hit(entry, "name", distance))
        return list(hits.values())
