"""The commands that make networks: `bargewatch train`, `evaluate`, `export` and `data`."""

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
_config = click.option("--config", type=FILE, metavar="FILE", help="Settings.  [default: configs/train.yaml]")
_data = click.option(
    "--data", type=FOLDER, default=Path("data"), show_default=True, metavar="DIR", help="Folder of `bargewatch data`."
)
_runs = click.option(
    "--runs", type=FOLDER, default=Path("runs"), show_default=True, metavar="DIR", help="Folder of training runs."
)


@contextmanager
def _extra(command: str) -> Iterator[None]:
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
            f"`bargewatch {command}` needs the training extra ({error.name} is missing): pip install bargewatch[train]"
        ) from error
    finally:
        logger.removeHandler(handler)


def _settings(config: Path | None) -> Any:
    from detector.resources import config_path
    from training.config import read_config

    return read_config(config or config_path("train.yaml"))


@click.command()
@_config
@_data
@_runs
@click.option("--fold", metavar="NAME", help="Leave this fold's places out (configs/folds.yaml).  [default: none]")
@click.option("--resume", is_flag=True, help="Go on with the run from its last finished epoch.")
def train(config: Path | None, data: Path, runs: Path, fold: str | None, resume: bool) -> None:
    """Train a network; the checkpoint is RUNS/FOLD/weights/last.pt (RUNS/all/… without --fold).

    \b
    The network to ship, on every place of the training group:
        bargewatch data --out data
        bargewatch train
    A network to measure on the places of fold a, which it does not see:
        bargewatch train --fold a
    An interrupted run:
        bargewatch train --fold a --resume

    Copy configs/train.yaml to change settings. The places of the test group are never read. There is no early stop:
    the number of epochs is a setting, so that no held-out place has a say in the network that is judged on it.
    """
    with _extra("train"):
        settings = _settings(config)
        from training.train import train as run

        last = run(settings, data, runs, fold=fold, resume=resume)
    click.echo(f"{last}\nNext: bargewatch export {last} --out weights/NAME.onnx, or bargewatch evaluate --runs {runs}")


@click.command()
@_config
@_data
@_runs
@click.option("--weights", metavar="W", help="One network for all places, by name or .onnx path, instead of --runs.")
@click.option("--confidence", type=click.FloatRange(0, 1), metavar="C", help="Threshold for --weights.  [default: theirs]")
@click.option(
    "--bands", type=click.Choice(["four", "true"]), default="four", show_default=True,
    help="Show scenes with near infrared where they have it, or all as true colour.",
)  # fmt: skip
@click.option("--original-labels", is_flag=True, help="Score on the source's own labels alone.  [default: both]")
@click.option(
    "--out", type=FOLDER, default=Path("runs/evaluation"), show_default=True, metavar="DIR",
    help="Where the report and the cache of predictions go.",
)  # fmt: skip
@click.pass_context
def evaluate(ctx: click.Context, /, **options: Any) -> None:
    """Measure networks on whole labelled scenes; writes evaluation-*.json and .md.

    \b
    Out of fold, each place by the network that never saw it (train every --fold first):
        bargewatch evaluate --runs runs
    The same without near infrared:
        bargewatch evaluate --runs runs --bands true
    The weights that ship; their training places flatter them:
        bargewatch evaluate --weights NAME

    The threshold of each place is chosen on the places of the other folds. Scenes that lack red, green or blue are
    named and left out. Exit code: 0 done; 1 a scene could not be read, the others are reported; 2 wrong usage.
    """
    with _extra("evaluate"):
        report = _evaluate(**options)
        from training.reporting import markdown, write_report

        paths = write_report(report, options["out"])
    click.echo(markdown(report))
    click.echo("\n".join(str(path) for path in paths), err=True)
    ctx.exit(1 if any(one["failed"] for one in report["skipped"]) else 0)


def _evaluate(
    config: Path | None,
    data: Path,
    runs: Path,
    weights: str | None,
    confidence: float | None,
    bands: str,
    original_labels: bool,
    out: Path,
) -> dict[str, Any]:
    from training import evaluate as ev
    from training.config import read_folds
    from training.datasets import load_scenes

    if confidence is not None and weights is None:
        raise click.UsageError("--confidence goes with --weights; out of fold, thresholds are chosen on other folds.")
    settings = _settings(config)
    folds, _ = read_folds(settings.folds)
    scenes = load_scenes(settings, data, corrected=not original_labels)
    thresholds: dict[str, float] | None = None
    if weights is not None:
        from detector.model import find_weights

        found = find_weights(weights)
        of_fold, of_place = {"all": found.path}, {scene.place: found.path for scene in scenes}
        fold_of = dict.fromkeys(of_place, "all")
        thresholds = {"all": found.confidence if confidence is None else confidence}
        note = f"One network, {found.name}, for all places; places that it was trained on flatter it."
        threshold_note = f"Threshold: {thresholds['all']:.2f}, that of the weights or as asked for."
    else:
        of_fold = ev.fold_weights(runs, folds)
        of_place = ev.out_of_fold(folds, of_fold)
        fold_of = {place: fold for fold, places in folds.items() for place in places}
        note = "Out of fold: every place is predicted by the network whose fold leaves it out."
        threshold_note = (
            "Threshold of each place: the one of largest pooled F1 at 150 m on the places of the other folds, so no place "
            "judges itself. 'One threshold' is chosen over all of them, to ship."
        )
    mode = "four_band" if bands == "four" else "true_colour"
    log = logging.getLogger("training")
    predicted, skipped = ev.predict_all(scenes, of_place, mode, out / "cache", log.info)
    first = "original" if original_labels else "corrected"
    labels = {first: ev.summarise(ev.by_place(predicted), fold_of, thresholds=thresholds)}
    if thresholds is not None:
        labels[first]["thresholds"]["single"] = thresholds["all"]
    if not original_labels:
        # The same system against other labels: its thresholds stay.
        chosen = labels[first]["thresholds"]
        originals = ev.relabel(predicted, load_scenes(settings, data, corrected=False))
        labels["original"] = ev.summarise(
            ev.by_place(originals), fold_of, thresholds=chosen["cross_fit"], single=chosen["single"]
        )
    return {
        "mode": mode, "weights": ev.describe_weights(of_fold), "weights_note": note, "threshold_note": threshold_note,
        "labels": labels, "skipped": skipped,
    }  # fmt: skip


@click.command()
@click.argument("checkpoint", type=FILE)
@click.option("--out", type=FILE, required=True, metavar="FILE.onnx", help="The ONNX file to write.")
@click.option("--name", metavar="NAME", help="Enter it under this name in registry.json beside it, with a lean .pt.")
@click.option(
    "--confidence", type=click.FloatRange(0, 1), default=0.25, show_default=True, metavar="C",
    help="The threshold that goes with these weights (see `bargewatch evaluate`).",
)  # fmt: skip
@click.option("--size", default=768, show_default=True, help="Side of the network input in pixels of 5 m.")
@click.option("--default", is_flag=True, help="With --name: make them the weights that are used unless told otherwise.")
def export(checkpoint: Path, out: Path, name: str | None, confidence: float, size: int, default: bool) -> None:
    """Turn CHECKPOINT (a .pt of `bargewatch train`) into an ONNX file that `predict` takes.

    \b
    To use it once:
        bargewatch export runs/all/weights/last.pt --out mine.onnx
        bargewatch predict SCENE --weights mine.onnx --out vessels.geojson
    To release it with the package:
        bargewatch export runs/all/weights/last.pt --out weights/NAME.onnx --name NAME --confidence 0.3 --default

    The file is written only if it and the checkpoint say the same on noise. With --name a half-precision .pt without
    the state of the optimiser is kept beside it, to train on from (`start:` in the settings).
    """
    if out.suffix.lower() != ".onnx":
        raise click.UsageError(f"--out {out}: the file must end in .onnx")
    if default and name is None:
        raise click.UsageError("--default needs --name: only named weights are in the registry.")
    with _extra("export"):
        from training.checkpoints import write_lean
        from training.export import export_onnx
        from training.registry import register

        facts = export_onnx(checkpoint, out, size=size, confidence=confidence)
        click.echo(f"{out}: classes {', '.join(facts['classes'])}, input {size}, confidence {confidence:g}")
        if name is not None:
            lean = out.with_suffix(".pt")
            write_lean(checkpoint, lean)
            keep = {key: facts[key] for key in ("classes", "size", "confidence")}
            table = register(out.parent, name, out, pt=lean, default=default, **keep)
            click.echo(f"{out.parent / 'registry.json'}: {name} entered, default is {table['default']}")


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
        bargewatch data --out data --from ../shared/data

    The test ports are not fetched. Where the data come from, under which licence, and what is made of them: docs/data.md.
    Exit code: 0 all there; 1 some files failed, the others are there; 2 wrong usage.
    """
    from training.fetch import fetch, link

    failed = link(source, out, click.echo) if source is not None else fetch(out, click.echo)
    for problem in failed:
        click.echo(f"bargewatch: error: {problem}", err=True)
    click.get_current_context().exit(1 if failed else 0)
