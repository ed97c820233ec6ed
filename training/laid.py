"""Real ports with painted vessels laid at their quays, for training: real quays with and without a ship.

The hulls are those of `training.composites`, of its family `train`; the water, the quays and all that a network could take
for a ship are real. A laid scene keeps the name of its place, so the fold that leaves the place out leaves it out as well.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from training.composites.families import FAMILIES
from training.composites.ports import read_port
from training.composites.scene import compose
from training.composites.write import write_pixels
from training.config import LaidConfig
from training.labels import Label, LabelledScene

log = logging.getLogger(__name__)

_FIRST_SEED = 400


def laid_scenes(
    scenes: Sequence[LabelledScene], config: LaidConfig, classes: Sequence[str], folder: Path
) -> list[LabelledScene]:
    """Lay vessels on the free water of the scenes that have all bands; every copy with other vessels.

    Args:
        scenes: real labelled scenes; each copy keeps their labels beside those of the laid vessels.
        config: how many copies, of how many vessels, lying how.
        classes: names that labels may have; a coal barge is a vessel where there is no such class.
        folder: gets a GeoTIFF a copy.
    """
    out: list[LabelledScene] = []
    for scene in scenes if config.copies else ():
        port = read_port(scene)
        if port is None:
            continue
        folder.mkdir(parents=True, exist_ok=True)
        for number in range(config.copies):
            composite = compose(port, FAMILIES["train"], config.vessels, _FIRST_SEED + number, config.status)
            path = folder / f"{scene.name}_laid_{number}.tif"
            write_pixels(composite.pixels, composite.grid, path)
            laid = [Label(t.corners, t.label if t.label in classes else "vessel", id=t.vessel.id) for t in composite.truth]
            out.append(LabelledScene(path, scene.place, [*scene.labels, *laid]))
            log.info("%s: %d vessels laid", path.name, len(laid))
    return out
