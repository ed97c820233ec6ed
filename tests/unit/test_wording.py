"""What is said of one thing is not what is said of several, and each failed input is named once."""

from __future__ import annotations

import os
from types import SimpleNamespace
from typing import Any

import pytest

from detector.cli import fetch, reason, watch
from detector.errors import TableError
from detector.wording import counted


@pytest.mark.parametrize(("number", "text"), [(0, "0 looks"), (1, "1 look"), (2, "2 looks"), (21, "21 looks")])
def test_counted(number: int, text: str) -> None:
    assert counted(number, "look") == text


@pytest.mark.parametrize(("number", "text"), [(1, "S: 1 vessel in 2.0 s"), (3, "S: 3 vessels in 2.0 s")])
def test_the_line_of_a_watched_scene(number: int, text: str) -> None:
    scene: Any = SimpleNamespace(
        scene_id="S", seconds=2.0, acquisition=SimpleNamespace(status="fetched", vessels=number)
    )
    assert watch._line(scene) == text


@pytest.mark.parametrize(
    ("status", "text"),
    [
        ("fetched", "S: 2.0 MB, 1 zone"),
        ("clouded", "S: under cloud, kept as a look"),
        ("empty", "S: shows nothing of the site"),
    ],
)
def test_the_line_of_a_fetched_scene(status: str, text: str) -> None:
    record = {"status": status, "bytes": 2_000_000, "zones": ["pier"]}
    scene: Any = SimpleNamespace(scene_id="S", record=record)
    assert fetch._line(scene) == text


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (TableError("a.csv: no such\n table"), "a.csv: no such table"),
        (TableError("there is no a.csv"), "a.csv: there is no a.csv"),
        (TableError(f"{os.path.abspath('a.csv')} has no CRS"), "a.csv has no CRS"),
        (TableError(f"the 4 bands of {os.path.abspath('a.csv')}"), "the 4 bands of a.csv"),
        ("not a product", "a.csv: not a product"),
        (KeyError("x"), "a.csv: unexpected KeyError: 'x' (add --debug for the traceback, and report it)"),
    ],
)
def test_the_reason_of_a_failure_says_its_name_once(error: Exception | str, text: str) -> None:
    assert reason("a.csv", error) == text
