"""Ships' names that are the same but for their spelling.

One edit (a letter more, less or other, or two swapped: Damerau 1964, Communications of the ACM 7(3), 171–176) in up to ten
letters and two in longer names; in up to six an edit that leaves the words' first letters, or swaps two, or doubles one;
digits must be equal. Blanks, punctuation, accents, `M/V` and case do not count (identity.split_name). Every letter more
that may differ multiplies the wrong hits: the rule is as narrow as it is because a wrong hit is an accusation.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from detector.flags.identity import initials, split_name

_LONG = 11  # letters from which two edits are allowed
_SHORT = 6  # letters and digits up to which only slips count


class NameIndex:
    """Names to look up, by their digits, with a count of each letter to pass over most of them."""

    def __init__(self, names: Sequence[tuple[str, int]]) -> None:
        """`names`: (name, number of the entry it belongs to)."""
        groups: dict[str, list[tuple[str, int, set[int]]]] = defaultdict(list)
        for name, entry in names:
            letters, digits = split_name(name)
            if letters or digits:
                groups[digits].append((letters, entry, initials(name)))
        self._groups = {
            digits: (rows, _letter_counts([r[0] for r in rows])) for digits, rows in groups.items()
        }

    def find(self, name: str) -> list[tuple[int, int]]:
        """(entry, edits) of all names that this one may be, the nearest first."""
        found: dict[int, int] = {}
        for form in dict.fromkeys((split_name(name), split_name(name, prefixes=False))):
            for entry, distance in self._find(*form):
                found[entry] = min(distance, found.get(entry, distance))
        return sorted(found.items(), key=lambda item: (item[1], item[0]))

    def _find(self, letters: str, digits: str) -> Iterator[tuple[int, int]]:
        if digits not in self._groups or not (letters or len(digits) > 1):
            return
        rows, counts = self._groups[digits]
        allowed = 2 if len(letters) >= _LONG else 1
        # An edit changes the counts of two letters at most.
        possible = np.abs(counts - _letter_counts([letters])).sum(axis=1) <= 2 * allowed
        for row in np.flatnonzero(possible):
            known, entry, begins = rows[row]
            distance = edits(letters, known, allowed)
            short = len(known) + len(digits) <= _SHORT and len(digits) < 2
            if distance <= allowed and (not distance or not short or _slip(letters, known, begins)):
                yield entry, distance


def _slip(letters: str, known: str, begins: set[int]) -> bool:
    """Whether one edit of a short name is one that hands make: first letters stay, a letter more doubles another."""
    if len(letters) == len(known):
        other = {i for i, (a, b) in enumerate(zip(letters, known, strict=True)) if a != b}
        return len(other) == 2 or not other & begins
    longer, shorter = (letters, known) if len(letters) > len(known) else (known, letters)
    places = [i for i in range(len(longer)) if longer[:i] + longer[i + 1 :] == shorter]
    if longer is letters:
        return any(longer[i] == longer[i - 1] for i in places if i)
    return any(i not in begins for i in places)


def _letter_counts(words: Sequence[str]) -> NDArray[np.int8]:
    counts = np.zeros((len(words), 26), np.int8)
    for row, word in enumerate(words):
        for letter in word[:100]:
            counts[row, ord(letter) - 65] += 1
    return counts


def edits(one: str, other: str, most: int) -> int:
    """Letters to insert, delete, replace or swap with their neighbour; `most` + 1 stands for more than `most`."""
    if abs(len(one) - len(other)) > most:
        return most + 1
    before: list[int] = []
    row = list(range(len(other) + 1))
    for i, a in enumerate(one, 1):
        older, before, row = before, row, [i]
        for j, b in enumerate(other, 1):
            cost = min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (a != b))
            if i > 1 and j > 1 and a == other[j - 2] and one[i - 2] == b:
                cost = min(cost, older[j - 2] + 1)
            row.append(cost)
        if min(row) > most:
            return most + 1
    return min(row[-1], most + 1)
