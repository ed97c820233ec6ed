"""Paths that a command reads and writes: each scene once, and no output over another one or over a scene."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import click


def each_once(scenes: tuple[str, ...]) -> tuple[str, ...]:
    """The scenes without those that are named again: their vessels would be counted twice."""
    once: dict[str, str] = {}
    for scene in scenes:
        place = os.path.realpath(scene)
        if place in once:
            click.echo(f"bargewatch: warning: {scene} is named twice and looked at once", err=True)
        once.setdefault(place, scene)
    return tuple(once.values())


def check_apart(outputs: Mapping[str, str | None], scenes: Sequence[str]) -> None:
    """No output may replace another one, or a scene."""
    taken = {os.path.realpath(scene): f"the scene {scene}" for scene in scenes}
    for option, path in outputs.items():
        if path is None or Path(path).is_dir():
            continue
        if (other := taken.get(os.path.realpath(path))) is not None:
            raise click.UsageError(f"{option} {path} would replace {other}; name another file.")
        taken[os.path.realpath(path)] = f"what {option} writes"


def check_preview(preview: Path, scenes: int) -> None:
    """A picture for one scene, a folder for several."""
    from detector.atomic import check_writable

    if preview.suffix.lower() == ".png":
        if scenes > 1:
            raise click.UsageError(
                f"--preview {preview} is one picture for {scenes} scenes; name a folder instead."
            )
        check_writable(preview)
    elif preview.suffix and not preview.is_dir():
        raise click.UsageError(f"--preview {preview}: a preview is a .png file or a folder.")
    else:
        check_writable(preview / "x.png" if preview.is_dir() else preview)
