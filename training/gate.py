"""What quantisation costs in accuracy, measured out of fold; too much is refused."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from detector.errors import WeightsError
from training import evaluate
from training.labels import LabelledScene
from training.quantize import quantize
from training.scores import Matched, best_threshold, count, pool

log = logging.getLogger(__name__)

#: The most that F1 at 150 m may fall.
MOST_LOSS = 0.01


@dataclass(frozen=True)
class Loss:
    """F1 at 150 m of both forms of the networks, pooled over places, at one threshold.

    Attributes:
        threshold: the best one of the floating-point networks, used for both.
        whole, small: F1 of the floating-point and of the 8-bit networks.
        places: how many places were scored.
    """

    threshold: float
    whole: float
    small: float
    places: int

    @property
    def loss(self) -> float:
        """By how much F1 falls; negative where it rises."""
        return self.whole - self.small

    def __str__(self) -> str:
        return (
            f"F1 at 150 m over {self.places} places at {self.threshold:.2f}: {self.whole:.3f} in floating point, "
            f"{self.small:.3f} in 8 bits"
        )


def measure_loss(
    runs: Path,
    folds: Mapping[str, Sequence[str]],
    scenes: Sequence[LabelledScene],
    cache_folder: Path,
    say: Callable[[str], None] = log.info,
) -> Loss:
    """Quantise the network of every fold by the chips it was trained on, and score both forms on the places left out."""
    whole = evaluate.fold_weights(runs, folds)
    small = {}
    for fold, network in whole.items():
        small[fold] = network.with_name("last-int8.onnx")
        if not small[fold].is_file() or small[fold].stat().st_mtime < network.stat().st_mtime:
            say(f"quantising fold {fold}")
            quantize(network, runs / fold / "chips", small[fold])
    pooled: list[Matched] = []
    places, threshold = 0, 0.0
    for networks in (whole, small):
        of_place = evaluate.out_of_fold(folds, networks)
        predicted, _ = evaluate.predict_all(scenes, of_place, "four_band", cache_folder, say)
        matched = evaluate.by_place(evaluate.score(predicted, say))
        places = len(matched)
        threshold = threshold or best_threshold(list(matched.values()))
        pooled.append(pool(list(matched.values())))
    f1 = [count(matched, threshold, 150).f1 for matched in pooled]
    return Loss(threshold, f1[0], f1[1], places)


def require(loss: Loss, most: float = MOST_LOSS) -> None:
    """Let networks through whose 8-bit form is nearly as good.

    Raises:
        WeightsError: it loses more than `most`, or nothing could be scored.
    """
    if not loss.loss <= most:
        raise WeightsError(f"{loss}: that is more than {most:g} worse, so the 8-bit network is not written")
