"""Numbers in sentences."""

from __future__ import annotations


def counted(number: int, noun: str) -> str:
    """How many there are of something: "1 usable look", "2 usable looks"; for nouns whose plural takes an s."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
