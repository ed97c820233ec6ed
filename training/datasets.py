"""From a training configuration to labelled scenes."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from detector.errors import ConfigError, LabelError
from detector.resources import config_path
from training.config import SourceConfig, TrainConfig, read_folds
from training.labelfiles import read_vector, read_yolo
from training.labels import LabelledScene, apply_corrections, read_coco

log = logging.getLogger(__name__)


def load_source(source: SourceConfig, data: Path, *, corrected: bool = True) -> list[LabelledScene]:
    """Read one source of labels.

    Args:
        source: what and where.
        data: folder that its paths are relative to.
        corrected: apply the source's corrections file.

    Raises:
        LabelError: the labels are absent or cannot be understood.
        ConfigError: the format is unknown.
    """
    labels, images = data / source.labels, data / source.images
    if not labels.exists():
        if source.optional:
            log.warning("there are no labels at %s; the source is left out", labels)
            return []
        raise LabelError(f"there are no labels at {labels}; fetch the data (bargewatch data) or set --data")
    common: dict[str, Any] = {"place": source.place, "drop": source.drop, "stand_ins": source.stand_ins}
    if source.format == "coco":
        scenes = read_coco(labels, images, obb=source.obb, **common)
    elif source.format == "yolo":
        scenes = read_yolo(labels, images, names=source.names, **common)
    elif source.format == "vector":
        scenes = read_vector(labels, images, **common)
    else:
        raise ConfigError(f"label format {source.format!r} is unknown; use coco, yolo or vector")
    if corrected and source.corrections:
        own = data / source.corrections
        apply_corrections(scenes, own if own.is_file() else config_path(source.corrections))
    return scenes


def load_scenes(config: TrainConfig, data: Path, *, corrected: bool = True) -> list[LabelledScene]:
    """All labelled scenes of a configuration, without the places of the test group.

    Raises:
        LabelError: labels are absent or cannot be understood, or nothing is left.
    """
    _, test = read_folds(config.folds)
    scenes = [s for source in config.data for s in load_source(source, data, corrected=corrected)]
    scenes = [scene for scene in scenes if not is_test(scene, test)]
    for scene in scenes:
        if not scene.path.exists():
            log.warning("%s is labelled but not there; it is left out", scene.path)
    scenes = [scene for scene in scenes if scene.path.exists()]
    if not scenes:
        raise LabelError(f"{data} holds no labelled scene outside the test group; fetch the data (bargewatch data)")
    return scenes


def is_test(scene: LabelledScene, test: Sequence[str]) -> bool:
    """Whether a scene is of the test group: by its place, or by its file or folder being named after such a place."""
    names = [scene.place, scene.path.stem, scene.path.parent.name]
    return any(_plain(place) == _plain(name) for place in test for name in names)


def _plain(name: str) -> str:
    return name.casefold().replace(" ", "_").replace("-", "_")


def split(scenes: list[LabelledScene], config: TrainConfig, fold: str | None) -> list[LabelledScene]:
    """The scenes that a fold trains on; those of every place for None. Whole places are left out, never parts.

    Of these, `most_places` keeps the first places of an order that the seed draws, so that fewer are always part of more.

    Raises:
        ConfigError: no such fold, or nothing is left.
    """
    left_out: list[str] = []
    if fold is not None:
        folds, _ = read_folds(config.folds)
        if fold not in folds:
            raise ConfigError(f"there is no fold {fold!r}; there are {', '.join(folds)}")
        left_out = folds[fold]
    every = sorted({scene.place for scene in scenes})
    drawn = [every[i] for i in np.random.default_rng(config.seed).permutation(len(every))]
    places = [place for place in drawn if place not in left_out][: config.most_places or None]
    kept = [scene for scene in scenes if scene.place in places]
    if not kept:
        raise ConfigError(f"fold {fold} leaves nothing to train on")
    return kept
