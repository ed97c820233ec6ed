"""From a training configuration to labelled scenes."""

from __future__ import annotations

from pathlib import Path

from detector.errors import ConfigError, LabelError
from detector.resources import config_path
from training.config import SourceConfig, TrainConfig, read_folds
from training.labels import LabelledScene, apply_corrections, read_coco


def load_source(source: SourceConfig, data: Path, *, corrected: bool = True) -> list[LabelledScene]:
    """Read one source of labels.

    Args:
        source: what and where.
        data: folder that its paths are relative to.
        corrected: apply the source's corrections file.

    Raises:
        LabelError: the labels are absent or cannot be understood.
    """
    labels = data / source.labels
    if not labels.is_file():
        raise LabelError(f"there are no labels at {labels}; fetch the data (make data) or set --data")
    if source.format != "coco":
        raise ConfigError(f"label format {source.format!r} is unknown; use coco")
    scenes = read_coco(
        labels, data / source.images, obb=source.obb, place=source.place, drop=source.drop,
        stand_ins=source.stand_ins,
    )  # fmt: skip
    if corrected and source.corrections:
        apply_corrections(scenes, config_path(source.corrections))
    return scenes


def load_scenes(config: TrainConfig, data: Path, *, corrected: bool = True) -> list[LabelledScene]:
    """All labelled scenes of a configuration, without the places of the test group."""
    _, test = read_folds(config.folds)
    scenes = [s for source in config.data for s in load_source(source, data, corrected=corrected)]
    return [scene for scene in scenes if scene.place not in test and scene.path.is_file()]


def split(scenes: list[LabelledScene], config: TrainConfig, fold: str | None) -> list[LabelledScene]:
    """The scenes that a fold trains on; all of them for None. Whole places are left out, never parts.

    Raises:
        ConfigError: no such fold, or nothing is left.
    """
    if fold is None:
        return scenes
    folds, _ = read_folds(config.folds)
    if fold not in folds:
        raise ConfigError(f"there is no fold {fold!r}; there are {', '.join(folds)}")
    kept = [scene for scene in scenes if scene.place not in folds[fold]]
    if not kept:
        raise ConfigError(f"fold {fold} leaves nothing to train on")
    return kept
