"""The networks of several training runs, averaged fold by fold."""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from detector.errors import ConfigError
from training.checkpoints import write_mean
from training.config import settings_files

log = logging.getLogger(__name__)


def average_runs(runs: Sequence[Path], out: Path) -> list[Path]:
    """Write OUT/FOLD/weights/last.pt for every fold that all runs have, and return these files.

    The settings of the runs, and of those that one of them is itself the average of, are kept beside it as train.yaml,
    train-2.yaml and so on, and the chips of the first run are linked to, so that `bargewatch evaluate`, `quantize` and
    `card` take the folder as they take a run.

    Args:
        runs: two or more folders of training runs that started from the same checkpoints.
        out: another folder.

    Raises:
        ConfigError: fewer than two runs, no fold that all have, one without settings, or `out` holds a training run.
        WeightsError: their networks are of different makes.
    """
    if len(runs) < 2 or out.resolve() in [run.resolve() for run in runs]:
        raise ConfigError("an average needs two or more folders of runs, and --out another one")
    folds = [sorted(path.parent.parent.name for path in run.glob("*/weights/last.pt")) for run in runs]
    shared = [fold for fold in folds[0] if all(fold in others for others in folds)]
    if not shared:
        named = " and ".join(map(str, runs))
        raise ConfigError(f"{named} have no fold in common; give folders of `bargewatch train --runs`")
    for fold in shared:
        if (out / fold / "results.csv").exists():
            raise ConfigError(f"{out / fold} is a training run; name another --out, or its network would be lost")
        if bare := [run for run in runs if not (run / fold / "train.yaml").is_file()]:
            raise ConfigError(f"{bare[0] / fold} has no train.yaml; give folders of `bargewatch train --runs`")
    done = []
    for fold in shared:
        target = out / fold / "weights" / "last.pt"
        target.parent.mkdir(parents=True, exist_ok=True)
        write_mean([run / fold / "weights" / "last.pt" for run in runs], target)
        for older in settings_files(out / fold):
            older.unlink()
        for number, settings in enumerate((file for run in runs for file in settings_files(run / fold)), start=1):
            shutil.copyfile(settings, out / fold / ("train.yaml" if number == 1 else f"train-{number}.yaml"))
        _link(runs[0] / fold / "chips", out / fold / "chips")
        log.info("%s: the mean of %d networks", target, len(runs))
        done.append(target)
    return done


def _link(chips: Path, link: Path) -> None:
    if chips.is_dir() and not link.exists():
        link.unlink(missing_ok=True)
        link.symlink_to(os.path.relpath(chips.resolve(), link.parent.resolve()), target_is_directory=True)
