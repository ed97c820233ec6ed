"""Hard negatives: where an earlier run saw vessels that are none, on places that its network had not been trained on.

Whitecaps, quays, cranes, sheds and breakwaters fill most of an image's surface near a port, and crops drawn at random
show few of them. The false alarms of `bargewatch evaluate` say where to look (Shrivastava, Gupta & Girshick 2016,
"Training Region-based Object Detectors with Online Hard Example Mining", CVPR, for the idea).
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from detector.errors import ConfigError
from training.config import read_folds
from training.evaluate import Predicted, fold_weights, out_of_fold, predict_all
from training.labels import LabelledScene
from training.matching import FALSE_ALARM, match_by_distance

log = logging.getLogger(__name__)

#: False alarms from this confidence on, and how many of the worst of a scene are kept: two windy days have a thousand.
LEAST_CONFIDENCE = 0.10
MOST_A_SCENE = 60
_REACH_M = 150.0


def hard_spots(scenes: Sequence[LabelledScene], runs: Path, folds: str) -> dict[str, NDArray[np.float64]]:
    """Pixel positions (n, 2) of the false alarms of each scene, by the network that left its place out.

    Args:
        scenes: labelled scenes; those of places that no trained fold leaves out are passed over.
        runs: folder of an earlier run, with its folds; raw predictions are taken from, or kept in, its evaluation cache.
        folds: the table of folds.

    Raises:
        WeightsNotFoundError: the folder holds no trained fold.
    """
    table, _ = read_folds(folds)
    weights = out_of_fold(table, fold_weights(runs, table))
    cache = runs / "evaluation" / "cache"
    cache.mkdir(parents=True, exist_ok=True)
    predicted, _ = predict_all(scenes, weights, "four_band", cache)
    return {one.scene.name: _false_alarms(one) for one in predicted}


def _false_alarms(one: Predicted) -> NDArray[np.float64]:
    boxes = one.boxes()
    wrong = (match_by_distance(boxes, _REACH_M) == FALSE_ALARM) & (boxes.confidence >= LEAST_CONFIDENCE)
    worst = np.flatnonzero(wrong)[np.argsort(-boxes.confidence[wrong], kind="stable")][:MOST_A_SCENE]
    return np.asarray(one.pixels(one.found[worst]).mean(axis=1)).reshape(-1, 2)


def write_spots(spots: Mapping[str, NDArray[np.float64]], path: Path) -> None:
    """Keep the spots with a run, so that it can be repeated without the earlier one."""
    path.write_text(json.dumps({name: np.round(places, 1).tolist() for name, places in spots.items()}) + "\n")


def read_spots(path: Path) -> dict[str, NDArray[np.float64]]:
    """The reverse of `write_spots`.

    Raises:
        ConfigError: the file is absent or not such a table.
    """
    try:
        table = json.loads(path.read_text())
        return {name: np.asarray(places, float).reshape(-1, 2) for name, places in table.items()}
    except (OSError, ValueError, AttributeError) as error:
        raise ConfigError(f"{path} is not a table of hard spots; make it with bargewatch train --hard RUNS") from error
