"""Looks at one zone, read from its chips in order of time."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from detector.columns import utc_text
from detector.encoding import BANDS
from detector.errors import TableError
from detector.filters import OVERPASS
from detector.geometry import Grid, Window
from detector.loadings.chips import file_name, whole_steps
from detector.loadings.series import to_days
from detector.loadings.sites import Zone


@dataclass(frozen=True)
class Look:
    """One overpass of a zone: the chips that the granules of it gave.

    Attributes:
        day: days since 1970-01-01 UTC.
        scene_ids, paths: one each a chip, in order of time.
    """

    day: float
    acquired: str
    scene_ids: tuple[str, ...]
    paths: tuple[Path, ...]

    def read(self, grid: Grid) -> tuple[tuple[str, ...], NDArray[np.float32]]:
        """Names of the bands and reflectance (bands, height, width), NaN where the ground was not seen.

        Raises:
            TableError: a chip is on another grid: the site file was changed since.
            SceneError: a chip cannot be read.
        """
        from detector.scene import open_scene

        bands: tuple[str, ...] = ()
        whole: NDArray[np.float32] | None = None
        for path in self.paths:
            with open_scene(str(path)) as scene:
                if whole_steps(scene.grid, grid) != (0, 0) or (scene.grid.width, scene.grid.height) != (
                    grid.width,
                    grid.height,
                ):
                    raise TableError(
                        f"{path} is not on the grid of its zone; run predict --chips again with this site file"
                    )
                mine = tuple(band for band in BANDS if band in scene.bands)
                layers = scene.reflectance(Window(0, 0, grid.width, grid.height), mine)
            if whole is None:
                bands, whole = mine, layers
                continue
            common = tuple(band for band in bands if band in mine)
            whole = whole[[bands.index(band) for band in common]]
            layers = layers[[mine.index(band) for band in common]]
            bands, whole = common, np.where(np.isnan(whole).any(axis=0), layers, whole)
        assert whole is not None
        return bands, whole


def read_chip_looks(
    folder: str | os.PathLike[str], zone: Zone, scene_ids: Iterable[str] | None = None
) -> list[Look]:
    """The looks of a zone for which there are chips, in order of time; those within half an hour are one.

    Args:
        scene_ids: leave out chips of other scenes; None takes all.

    Raises:
        TableError: there is no such folder, or a chip has no time.
    """
    place = Path(folder)
    if not place.is_dir():
        raise TableError(f"{folder}: no such folder of chips; `bargewatch predict --chips` writes one")
    from detector.scene import open_scene

    wanted = None if scene_ids is None else set(scene_ids)
    found: list[tuple[float, str, str, Path]] = []
    for path in sorted((place / file_name(zone.id)).glob("*.tif")):
        if wanted is not None and path.stem not in {file_name(scene_id) for scene_id in wanted}:
            continue
        with open_scene(str(path)) as scene:
            if scene.acquired is None:
                raise TableError(
                    f"{path} has no time, so it has no place in a series; delete it or give its scene a time"
                )
            found.append((to_days(scene.acquired), utc_text(scene.acquired), scene.id, path))
    found.sort()
    return [_look(group) for group in _overpasses(found)]


def _overpasses(found: Sequence[tuple[float, str, str, Path]]) -> list[list[tuple[float, str, str, Path]]]:
    groups: list[list[tuple[float, str, str, Path]]] = []
    for entry in found:
        if groups and entry[0] - groups[-1][0][0] <= OVERPASS.total_seconds() / 86400:
            groups[-1].append(entry)
        else:
            groups.append([entry])
    return groups


def _look(group: Sequence[tuple[float, str, str, Path]]) -> Look:
    return Look(
        day=group[0][0],
        acquired=group[0][1],
        scene_ids=tuple(entry[2] for entry in group),
        paths=tuple(entry[3] for entry in group),
    )
