"""Fine-tune a YOLO oriented-box network on chips of four bands.

ultralytics does the fitting (loss, optimiser, moving average, checkpoints, resuming); the samples are ours. There is
no validation during the run and no early stop: the number of epochs is a setting, so that a held-out place has no say
in the network that is judged on it.
"""

from __future__ import annotations

import logging
import math
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import DataLoader
from ultralytics.models.yolo.obb import OBBTrainer
from ultralytics.utils import DEFAULT_CFG

from detector.encoding import BANDS
from detector.errors import ConfigError
from training import checkpoints
from training.chips import cut_chips, read_index
from training.config import TrainConfig
from training.datasets import load_scenes, split
from training.hard import read_spots
from training.laid import laid_scenes
from training.painted import painted_scenes
from training.pasted import pasted_scenes
from training.sampling import ChipSampler, collate

log = logging.getLogger(__name__)


class EpochLoader(DataLoader[dict[str, Any]]):
    """A loader whose workers start anew each epoch, so that they see the epoch's number."""

    def reset(self) -> None:
        """Asked for by ultralytics when the augmentation changes; nothing is kept between epochs here."""


class ChipTrainer(OBBTrainer):
    """An ultralytics trainer that draws its samples from a chip folder and never validates."""

    config: TrainConfig
    chip_folder: Path

    def __init__(self, config: TrainConfig, chip_folder: Path, overrides: dict[str, Any]) -> None:
        self.config, self.chip_folder = config, chip_folder
        super().__init__(DEFAULT_CFG, overrides)
        self.add_callback("on_train_epoch_start", _advance_epoch)

    def get_dataset(self) -> dict[str, Any]:
        """Names and channels; the images come from the chip folder."""
        names = dict(enumerate(self.config.classes))
        return {"names": names, "nc": len(names), "channels": len(BANDS), "train": "", "val": "", "path": ""}

    def get_dataloader(
        self, dataset_path: str, batch_size: int = 8, rank: int = 0, mode: str = "train"
    ) -> DataLoader[dict[str, Any]]:
        """Samples for training; a token loader for validation, which is not run."""
        s = self.config.sampling
        sampler = ChipSampler(
            self.chip_folder, read_index(self.chip_folder), size=s.size,
            samples=s.samples if mode == "train" else 1, seed=self.config.seed, near_vessel=s.near_vessel,
            scale=(s.scale[0], s.scale[1]), drop_near_infrared=s.drop_near_infrared, strength=s.strength,
            place_power=s.place_power, hard=s.hard,
        )  # fmt: skip
        workers = self.config.optimise.workers if mode == "train" else 0
        return EpochLoader(
            sampler, batch_size, collate_fn=collate, num_workers=workers, worker_init_fn=_one_thread, drop_last=True
        )

    def get_model(self, cfg: Any = None, weights: Any = None, verbose: bool = True) -> Any:
        """The network with the start weights; each of our classes starts from the source's `ship`."""
        model = super().get_model(cfg, weights, verbose)
        if weights is not None and set(weights.names.values()) != set(self.config.classes):
            ship = next((i for i, name in weights.names.items() if name == "ship"), None)
            # Networks that need no merging of boxes (YOLO26) have a second branch for one box a vessel.
            for branch in ("cv3", "one2one_cv3") if ship is not None else ():
                pair = (getattr(network.model[-1], branch, None) or () for network in (model, weights))
                for ours, theirs in zip(*pair, strict=True):
                    ours[-1].weight.data[:] = theirs[-1].weight.data[ship]
                    ours[-1].bias.data[:] = theirs[-1].bias.data[ship]
        return model

    def _setup_train(self) -> None:
        super()._setup_train()
        # On two cores with AVX-512 the channels-last layout trains 1.7 times as fast (7.6 against 4.5 crops a second).
        self.model = self.model.to(memory_format=torch.channels_last)
        torch.set_num_threads(self.config.optimise.threads)  # ultralytics leaves one processor idle
        # The moving average of ultralytics is made for long runs; in a run of a thousand steps it forgets within two.
        decay = self.config.optimise.average
        assert self.ema is not None
        self.ema.decay = lambda updates: decay * (1 - math.exp(-updates / 100))

    def preprocess_batch(self, batch: dict[str, Any]) -> dict[str, Any]:
        """0–255 to 0–1, in the memory layout of the network."""
        batch["img"] = batch["img"].float().div_(255).contiguous(memory_format=torch.channels_last)
        return batch

    def validate(self) -> tuple[dict[str, float], float]:
        """No validation: see the module text."""
        return {}, float(self.epoch)  # the last network is the one to keep

    def final_eval(self) -> None:
        """No validation: see the module text."""

    def plot_training_labels(self) -> None:
        """Samples are drawn anew each epoch; there is no fixed table to plot."""

    def plot_training_samples(self, batch: dict[str, Any], ni: int) -> None:
        """Four bands are not a picture that ultralytics can draw."""


def _advance_epoch(trainer: ChipTrainer) -> None:
    trainer.train_loader.dataset.epoch = trainer.epoch


def _one_thread(worker: int) -> None:
    import cv2

    cv2.setNumThreads(1)
    torch.set_num_threads(1)


def _start(name: str, data: Path) -> str | Path:
    """The weights to start from: a path, a file of ``weights/`` in the data folder, or a name for ultralytics."""
    fetched = data / "weights" / name
    if not Path(name).is_file() and fetched.is_file():
        return fetched
    return name


def train(
    config: TrainConfig, data: Path, runs: Path, *, fold: str | None = None, resume: bool = False, hard: Path | None = None
) -> Path:
    """Cut chips, fit the network, and return the path of its last checkpoint.

    Args:
        config: every setting.
        data: folder that the label sources are relative to.
        runs: the run is kept in ``runs/<fold or all>``.
        fold: leave this fold's places out.
        resume: go on from the run's last checkpoint, if there is one; a finished run is left as it is.
        hard: a file of hard negatives (`training.hard`), of which `sampling.hard` says the share.

    Raises:
        ConfigError: the folder holds a run already and `resume` is not asked for, or it has other settings, or
            there is no such fold.
        LabelError: the labels are absent or cannot be understood.
    """
    run = runs / (fold or "all")
    last = run / "weights" / "last.pt"
    resuming = last.is_file()
    if resuming and not resume:
        raise ConfigError(f"{run} holds a run already; go on with it (--resume) or name another --runs folder")
    chips = run / "chips"
    if resuming:
        if (run / "train.yaml").read_text() != config.to_yaml():
            raise ConfigError(f"{run} was started with other settings, see its train.yaml; name another --runs folder")
        done, planned = checkpoints.epochs_done(last)
        if done >= planned:
            log.info("%s has all its %d epochs; nothing to do", run, planned)
            return last
    else:
        real = split(load_scenes(config, data), config, fold)
        scenes = [
            *real, *laid_scenes(real, config.laid, config.classes, run / "laid"),
            *pasted_scenes(real, config.pasted, config.classes, run / "pasted"),
            *painted_scenes(config.painted, config.classes, run / "painted"),
        ]  # fmt: skip
        cut = cut_chips(scenes, chips, tuple(config.classes), read_spots(hard) if hard else None)
        log.info("%d chips of %d scenes, places: %s", len(cut), len(scenes), sorted({c.place for c in cut}))
        (run / "train.yaml").write_text(config.to_yaml())
    o = config.optimise
    overrides: dict[str, Any] = {
        "model": str(last if resuming else _start(config.start, data)), "data": "chips", "imgsz": config.sampling.size,
        "epochs": o.epochs, "batch": o.batch, "nbs": o.batch, "optimizer": "AdamW", "lr0": o.learning_rate,
        "lrf": o.final_learning_rate, "cos_lr": True, "weight_decay": o.weight_decay,
        "warmup_epochs": o.warmup_epochs, "warmup_bias_lr": 0.01, "freeze": o.freeze or None, "seed": config.seed,
        "deterministic": True, "device": "cpu", "amp": False, "val": False, "plots": False, "patience": 0, "close_mosaic": 0,
        "workers": o.workers, "project": str(runs.resolve()), "name": run.name, "exist_ok": True, "save": True,
    }  # fmt: skip
    if resuming:
        overrides["resume"] = str(last)
    trainer = ChipTrainer(config, chips, overrides)
    trainer.train()
    return last
