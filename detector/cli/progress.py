"""Progress on stderr: a bar on a terminal, plain lines elsewhere, nothing when quiet."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Self

import click

_WIDTH = 24


class Progress:
    """Shows how far a run over several scenes is; `step` is called often, `done` once a scene."""

    def __init__(self, scenes: int, *, quiet: bool = False) -> None:
        self._scenes = scenes
        self._finished = 0
        self._quiet = quiet
        self._bar = not quiet and sys.stderr.isatty()
        self._drawn = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._clear()

    def step(self, done: int, total: int) -> None:
        """Windows done, of how many, in the scene at hand."""
        now = time.monotonic()
        if not self._bar or (now - self._drawn < 0.1 and done < total):
            return
        self._drawn = now
        share = (self._finished + (done / total if total else 0.0)) / max(self._scenes, 1)
        filled = round(min(share, 1.0) * _WIDTH)
        scene = min(self._finished + 1, self._scenes)
        text = f"[{'#' * filled}{'.' * (_WIDTH - filled)}] {share:4.0%}  scene {scene} of {self._scenes}"
        click.echo(f"\r{text}", nl=False, err=True)

    def done(self, line: str) -> None:
        """One scene is finished; `line` says what came of it, if anything is to be said."""
        self._finished += 1
        if line:
            self.say(line)

    def say(self, line: str) -> None:
        """A line, above the bar where there is one."""
        self._clear()
        if not self._quiet:
            click.echo(line, err=True)

    def warn(self, text: str) -> None:
        """What may not be as intended; it is shown even when quiet."""
        self._clear()
        click.echo(f"bargewatch: warning: {text}", err=True)

    def error(self, text: str) -> None:
        """What failed; it is shown even when quiet."""
        self._clear()
        click.echo(f"bargewatch: error: {text}", err=True)

    def _clear(self) -> None:
        if self._bar:
            click.echo("\r\033[K", nl=False, err=True)
