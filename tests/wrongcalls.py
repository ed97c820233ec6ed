"""Calls that are wrong for every command that fetches, and how a wrong call is made."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from detector.cli import run

#: What is changed in a good call, the exit code, and a part of what is said.
WRONG: list[tuple[dict[str, str], int, str]] = [
    ({"--from": "March"}, 2, "is not a date"),
    ({"--to": "2019-01-01"}, 2, "swap them"),
    ({"--site": "atlantis"}, 2, "unknown site"),
    ({"--source": "gone"}, 2, "unknown source"),
    ({"--source": "http://127.0.0.1:9"}, 1, "cannot search"),
    ({"--source": "sentinelhub"}, 2, "SH_CLIENT_ID"),
    ({"--margin": "-5"}, 2, "margin"),
    ({"--min-clear": "3"}, 2, "min_clear"),
    ({"--scale": "twelve"}, 2, "not understood"),
]


def answer(command: str, call: Mapping[str, str], folder: Path) -> tuple[int, str]:
    """Exit code and all that is said by a command in a folder, without an account at any service."""
    said: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        for key in [key for key in os.environ if key.startswith("SH_")]:
            patch.delenv(key)
        patch.setenv("XDG_CONFIG_HOME", str(folder))
        patch.chdir(folder)
        patch.setattr("detector.imagery.stac.BACKOFF_S", 0.0)
        patch.setattr("click.echo", lambda text="", **_: said.append(str(text)))
        code = run([command, *(part for pair in call.items() for part in pair)])
    return code, "\n".join(said)
