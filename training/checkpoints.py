"""Checkpoints of training (.pt): opening them without running code, and making lean ones to keep."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn
from ultralytics.nn import tasks

from detector.atomic import replacing
from detector.errors import WeightsError, WeightsNotFoundError

# A .pt file is a pickle, and a pickle can run any code. With this switch ultralytics opens all of them, also those that
# it starts from or resumes, by torch.load(weights_only=True) and a list of its own classes.
setattr(tasks, "SAFE_LOAD", True)  # noqa: B010 - not exported, so mypy does not know it


def load_network(checkpoint: Path) -> nn.Module:
    """The moving average of a checkpoint as a network ready for inference, without running its pickle.

    Raises:
        WeightsNotFoundError: there is no such file.
        WeightsError: the file is not a checkpoint of an oriented-box network, or holds anything but numbers
            and the classes of ultralytics.
    """
    model, _ = _open(checkpoint)
    return model.float().eval()


def _open(checkpoint: Path) -> tuple[nn.Module, dict[str, Any]]:
    # ultralytics would try to download what is not there.
    if not checkpoint.is_file():
        raise WeightsNotFoundError(f"there is no checkpoint {checkpoint}; train one with bargewatch train")
    try:
        model, content = tasks.load_checkpoint(checkpoint, device=torch.device("cpu"), fuse=False)
    except Exception as error:
        reason = " ".join(str(error).split())[:200]
        raise WeightsError(f"{checkpoint} cannot be read as a YOLO checkpoint: {reason}") from error
    task = getattr(model, "task", "another task")
    if task != "obb":
        raise WeightsError(f"{checkpoint} is a network for {task}, not for oriented boxes")
    return model, content


def epochs_done(checkpoint: Path) -> tuple[int, int]:
    """Epochs that a checkpoint has behind it, and epochs that its run was meant to have."""
    _, content = _open(checkpoint)
    return int(content.get("epoch", -1)) + 1, int(content.get("train_args", {}).get("epochs", 0))


def write_lean(checkpoint: Path, out: Path) -> None:
    """Keep the network of a checkpoint in half precision, without the state of the optimiser: 7 MB for 31.

    The file starts a new training run (`start:`) and can be exported again; it cannot be resumed.

    Raises:
        WeightsError: as `load_network`.
    """
    network, _ = _open(checkpoint)
    _save_lean(network, out)


def write_mean(checkpoints: Sequence[Path], out: Path) -> None:
    """Keep the network whose weights are the means of those of several checkpoints, lean.

    Networks that went on from one and the same checkpoint lie in one basin, and their mean is as good as the better one or
    better than both (Wortsman et al. 2022, "Model soups", ICML), at the cost of one network.

    Raises:
        WeightsError: as `load_network`, or the networks are of different makes.
    """
    networks = [load_network(path) for path in checkpoints]
    tables = [network.state_dict() for network in networks]
    for path, network, table in zip(checkpoints, networks, tables, strict=True):
        same = list(table) == list(tables[0]) and all(v.shape == tables[0][k].shape for k, v in table.items())
        if not same or network.names != networks[0].names:
            raise WeightsError(f"{path} is a network of another make or of other classes than {checkpoints[0]}")
    mean = {
        name: torch.stack([table[name] for table in tables]).mean(dim=0) if value.is_floating_point() else value
        for name, value in tables[0].items()
    }
    networks[0].load_state_dict(mean)
    _save_lean(networks[0], out)


def _save_lean(network: nn.Module, out: Path) -> None:
    model: Any = network
    model.pt_path = out.name  # the path of the machine it was trained on is nobody's business
    model.args = {key: value for key, value in dict(model.args).items() if key in ("task", "imgsz", "model")}
    model.args["model"] = out.name
    for parameter in model.parameters():
        parameter.requires_grad = False
    with replacing(out) as draft:
        torch.save({"model": model.half(), "ema": None, "optimizer": None, "epoch": -1, "train_args": model.args}, draft)
