"""The commands that make networks: `bargewatch train`, `export` and `data`; see `cli_evaluate` for those that measure."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from detector.errors import MissingDependencyError

FILE = click.Path(dir_okay=False, path_type=Path)
FOLDER = click.Path(file_okay=False, path_type=Path)
config_option = click.option("--config", type=FILE, metavar="FILE", help="Settings.  [default: configs/train.yaml]")
data_option = click.option(
    "--data", type=FOLDER, default=Path("data"), show_default=True, metavar="DIR", help="Folder of `bargewatch data`."
)
runs_option = click.option(
    "--runs", type=FOLDER, default=Path("runs"), show_default=True, metavar="DIR", help="Folder of training runs."
)


@contextmanager
def extra(command: str) -> Iterator[None]:
    """Say which package is missing, in one sentence, and show what the training code logs."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(message)s"))
    logger = logging.getLogger("training")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield
    except ModuleNotFoundError as error:
        raise MissingDependencyError(
            f"`bargewatch {command}` needs the training extra ({error.name} is missing): pip install 'bargewatch[train]'"
        ) from error
    finally:
        logger.removeHandler(handler)


def settings_of(config: Path | None) -> Any:
    """The settings of a file, or those that ship."""
    from detector.resources import config_path
    from training.config import read_config

    return read_config(config or config_path("train.yaml"))


@click.command()
@config_option
@data_option
@runs_option
@click.option("--fold", metavar="NAME", help="Leave this fold's places out (configs/folds.yaml).  [default: none]")
@click.option("--places", type=click.IntRange(1), metavar="N", help="Train on N places only (learning curve).")
@click.option("--resume", is_flag=True, help="Go on with the run from its last finished epoch.")
@click.option("--start", type=FILE, metavar="FILE.pt", help="Checkpoint to start from, instead of the settings' own.")
@click.option(
    "--hard", type=FOLDER, metavar="DIR", help="Runs that were evaluated before: also draw crops where they saw vessels"
    " that are none, as often as `sampling.hard` says.",
)  # fmt: skip
def train(
    config: Path | None, data: Path, runs: Path, fold: str | None, places: int | None, resume: bool, start: Path | None,
    hard: Path | None,
) -> None:  # fmt: skip
    """Train a network; the checkpoint is RUNS/FOLD/weights/last.pt (RUNS/all/… without --fold).

    \b
    The network to ship, on every place of the training group:
        bargewatch data --out data
        bargewatch train
    A network to measure on the places of fold a, which it does not see:
        bargewatch train --fold a
    An interrupted run:
        bargewatch train --fold a --resume
    A second stage, on painted ports and on the false alarms of the first as well:
        bargewatch train --fold a --runs second --config configs/train-second.yaml --start runs/a/weights/last.pt --hard runs

    Copy configs/train.yaml to change settings. The places of the test group are never read. There is no early stop:
    the number of epochs is a setting, so that no held-out place has a say in the network that is judged on it.
    """
    with extra("train"):
        settings = settings_of(config)
        from training.train import train as run

        if start is not None:
            settings.start = str(start.resolve())
        if places is not None:
            settings.most_places = places
        spots = _hard_spots(settings, data, hard, runs / (fold or "all")) if hard is not None else None
        last = run(settings, data, runs, fold=fold, resume=resume, hard=spots)
    click.echo(f"{last}\nNext: bargewatch export {last} --out weights/NAME.onnx, or bargewatch evaluate --runs {runs}")


def _hard_spots(settings: Any, data: Path, earlier: Path, run: Path) -> Path:
    """The file of hard negatives of a run, made from an earlier one unless it is there already."""
    from training.datasets import load_scenes
    from training.hard import hard_spots, write_spots

    path = run / "hard.json"
    if not path.is_file():
        run.mkdir(parents=True, exist_ok=True)
        write_spots(hard_spots(load_scenes(settings, data), earlier, settings.folds), path)
    return path


@click.command()
@click.argument("runs", type=FOLDER, nargs=-1, required=True)
@click.option("--out", type=FOLDER, required=True, metavar="DIR", help="Folder of the averaged networks.")
def average(runs: tuple[Path, ...], out: Path) -> None:
    """Average the weights of two or more RUNS (folders of `bargewatch train --runs`), fold by fold.

    \b
    Two second stages that went on from the same first one:
        bargewatch average second ranks --out averaged
        bargewatch evaluate --runs averaged

    The runs must have started from the same checkpoints (`--start`); the mean of unrelated networks is worth nothing.
    It costs no more to run than one network. OUT can be used like a folder of runs, but not trained on (`--resume`).
    """
    with extra("average"):
        from training.average import average_runs

        done = average_runs(runs, out)
    click.echo(f"{len(done)} networks. Next: bargewatch evaluate --runs {out}")


@click.command()
@click.argument("checkpoint", type=FILE)
@click.option("--out", type=FILE, required=True, metavar="FILE.onnx", help="The ONNX file to write.")
@click.option("--name", metavar="NAME", help="Enter it under this name in registry.json beside it, with a lean .pt.")
@click.option(
    "--evaluation", type=FILE, metavar="FILE.json", help="Report of `bargewatch evaluate` on the folds of this recipe:"
    " its threshold and its calibration go with the weights.",
)  # fmt: skip
@click.option(
    "--confidence", type=click.FloatRange(0, 1), metavar="C",
    help="The threshold that goes with these weights, of the network's own scores.  [default: the evaluation's, or 0.25]",
)  # fmt: skip
@click.option("--size", default=768, show_default=True, help="Side of the network input in pixels of 5 m.")
@click.option("--default", is_flag=True, help="With --name: make them the weights that are used unless told otherwise.")
def export(
    checkpoint: Path, out: Path, name: str | None, evaluation: Path | None, confidence: float | None, size: int,
    default: bool,
) -> None:  # fmt: skip
    """Turn CHECKPOINT (a .pt of `bargewatch train`) into an ONNX file that `predict` takes.

    \b
    To use it once:
        bargewatch export runs/all/weights/last.pt --out mine.onnx
        bargewatch predict SCENE --weights mine.onnx --out vessels.geojson
    To release it with the package:
        bargewatch export runs/all/weights/last.pt --out weights/NAME.onnx --name NAME --default \\
            --evaluation runs/evaluation/evaluation-four_band.json

    The file is written only if it and the checkpoint say the same on noise. With --name a half-precision .pt without
    the state of the optimiser is kept beside it, to train on from (`start:` in the settings).
    """
    if out.suffix.lower() != ".onnx":
        raise click.UsageError(f"--out {out}: the file must end in .onnx")
    if default and name is None:
        raise click.UsageError("--default needs --name: only named weights are in the registry.")
    with extra("export"):
        from training.checkpoints import write_lean
        from training.export import export_onnx
        from training.registry import register
        from training.reporting import operating_point

        threshold, calibration = (0.25, None) if evaluation is None else operating_point(evaluation)
        confidence = threshold if confidence is None else confidence
        measured = {} if calibration is None else {"calibration": calibration}
        facts = export_onnx(checkpoint, out, size=size, confidence=confidence, extra=measured)
        click.echo(f"{out}: classes {', '.join(facts['classes'])}, input {size}, confidence {confidence:g}")
        if name is not None:
            lean = out.with_suffix(".pt")
            write_lean(checkpoint, lean)
            table = register(out.parent, name, out, pt=lean, default=default)
            click.echo(f"{out.parent / 'registry.json'}: {name} entered, default is {table['default']}")


@click.command()
@click.argument("network", type=FILE)
@click.option("--out", type=FILE, required=True, metavar="FILE.onnx", help="The 8-bit ONNX file to write.")
@click.option("--name", metavar="NAME", help="Enter it under this name in registry.json beside it.")
@click.option("--default", is_flag=True, help="With --name: the default of processors with VNNI instructions.")
@click.option("--chips", type=FOLDER, metavar="DIR", help="Chips to take ranges from.  [default: RUNS/all/chips]")
@click.option(
    "--most-loss", type=click.FloatRange(0, 1), default=0.01, show_default=True, metavar="F1",
    help="Refuse if F1 at 150 m falls by more than this.",
)  # fmt: skip
@config_option
@data_option
@runs_option
def quantize(
    network: Path, out: Path, name: str | None, default: bool, chips: Path | None, most_loss: float,
    config: Path | None, data: Path, runs: Path,
) -> None:  # fmt: skip
    """Turn NETWORK (an .onnx of `bargewatch export`) into 8-bit integers, which run faster, if it stays as accurate.

    \b
        bargewatch quantize weights/NAME.onnx --out weights/NAME-int8.onnx --name NAME-int8

    The gate: the network of every fold below RUNS is quantised in the same way, and both forms are scored on the places
    that it has not seen. A loss of F1 above --most-loss writes nothing. Exit code: 0 written; 2 refused or wrong usage.
    """
    if default and name is None:
        raise click.UsageError("--default needs --name: only named weights are in the registry.")
    with extra("quantize"):
        import json

        from training import gate
        from training import quantize as quantisation
        from training.config import read_folds
        from training.datasets import load_scenes
        from training.registry import register

        settings = settings_of(config)
        folds, _ = read_folds(settings.folds)
        loss = gate.measure_loss(runs, folds, load_scenes(settings, data), runs / "evaluation" / "cache")
        click.echo(str(loss))
        gate.require(loss, most_loss)
        quantisation.quantize(network, chips or runs / "all" / "chips", out)
        click.echo(f"{out}: {out.stat().st_size / 1e6:.1f} MB")
        if name is not None:
            table = register(out.parent, name, out, made_from=network, default="vnni" if default else False)
            click.echo(json.dumps({"default": table["default"], "weights": list(table["weights"])}))


@click.command()
@click.option(
    "--out", type=FOLDER, default=Path("data"), show_default=True, metavar="DIR", help="The folder to fill."
)
@click.option(
    "--from", "source", type=FOLDER, metavar="PATH", help="Take files from a local copy instead of the network."
)
def data(out: Path, source: Path | None) -> None:
    """Prepare the training data: fetch it, or link a local copy, and check every file's SHA-256.

    \b
    From the public sources (GitHub); run it again after an interruption, whole files are not fetched twice:
        bargewatch data --out data
    From a folder with sen2ships/, series/ and weights/:
        bargewatch data --out data --from copy

    The test ports are not fetched. Where the data come from, under which licence, and what is made of them: docs/data.md.
    Exit code: 0 all there; 1 some files failed, the others are there; 2 wrong usage.
    """
    from training.fetch import fetch, link

    failed = link(source, out, click.echo) if source is not None else fetch(out, click.echo)
    for problem in failed:
        click.echo(f"bargewatch: error: {problem}", err=True)
    click.get_current_context().exit(1 if failed else 0)
