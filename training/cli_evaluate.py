"""The commands that measure networks: `bargewatch evaluate` and `card`."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import click

from training.cli import FILE, FOLDER, config_option, data_option, extra, runs_option, settings_of

_OUT = Path("runs/evaluation")


@click.command()
@config_option
@data_option
@runs_option
@click.option(
    "--weights", metavar="W", help="One network for all places: a name, `default` or an .onnx file.  [default: --runs]"
)
@click.option(
    "--confidence", type=click.FloatRange(0, 1), metavar="C",
    help="Threshold for --weights, of the network's own scores (not calibrated).  [default: theirs]",
)  # fmt: skip
@click.option(
    "--labels", type=click.Path(exists=True, path_type=Path), metavar="PATH",
    help="Your own labels: .gpkg, .geojson, COCO .json or a folder of YOLO-OBB files, instead of --config and --data.",
)  # fmt: skip
@click.option("--images", type=FOLDER, metavar="DIR", help="The images of --labels.  [default: the folder of the labels]")
@click.option(
    "--bands", type=click.Choice(["four", "true"]), default="four", show_default=True,
    help="Show scenes with near infrared where they have it, or all as true colour.",
)  # fmt: skip
@click.option("--original-labels", is_flag=True, help="Score on the source's own labels alone.  [default: both]")
@click.option("--plots/--no-plots", default=True, show_default=True, help="Draw curves, bars and pictures of failures.")
@click.option(
    "--out", type=FOLDER, default=_OUT, show_default=True, metavar="DIR",
    help="Where the report and the cache of predictions go.",
)  # fmt: skip
@click.pass_context
def evaluate(ctx: click.Context, /, **options: Any) -> None:
    """Measure networks on whole labelled scenes; writes evaluation-*.json, .md and pictures.

    \b
    Out of fold, each place by the network that never saw it (train every --fold first):
        bargewatch evaluate --runs runs
    The same without near infrared:
        bargewatch evaluate --runs runs --bands true
    The weights that ship, on labels of your own (images of one port in a folder of its own below --images):
        bargewatch evaluate --labels my.gpkg --images scenes --weights default
    The weights that ship, on the labelled data; their training places flatter them:
        bargewatch evaluate --weights NAME

    The threshold of each place is chosen on the places of the other folds. Scenes that lack red, green or blue are
    named and left out. Exit code: 0 done; 1 a scene could not be read, the others are reported; 2 wrong usage.
    """
    plots, out = options.pop("plots"), options["out"]
    with extra("evaluate"):
        from training.reporting import markdown, write_report

        report, scored, chosen = _evaluate(**options)
        log = logging.getLogger("training")
        if plots:
            from training import failures
            from training import plots as drawing

            out.mkdir(parents=True, exist_ok=True)
            first = next(iter(report["labels"].values()))
            report["plots"] = drawing.write(first, out, report["mode"])
            report["failures"] = failures.write(failures.find(scored, chosen), out, report["mode"], log.info)
            report["failure_legend"] = failures.LEGEND
        paths = write_report(report, out)
    click.echo(markdown(report))
    click.echo("\n".join(str(path) for path in paths), err=True)
    ctx.exit(1 if any(one["failed"] for one in report["skipped"]) else 0)


def _evaluate(
    config: Path | None,
    data: Path,
    runs: Path,
    weights: str | None,
    confidence: float | None,
    labels: Path | None,
    images: Path | None,
    bands: str,
    original_labels: bool,
    out: Path,
) -> tuple[dict[str, Any], Any, dict[str, float]]:
    """The report, the scored scenes of its first set of labels, and the threshold of each place."""
    from training import evaluate as ev
    from training.config import read_folds
    from training.datasets import load_scenes
    from training.ownlabels import own_scenes
    from training.summary import summarise

    if confidence is not None and weights is None:
        raise click.UsageError("--confidence goes with --weights; out of fold, thresholds are chosen on other folds.")
    if labels is None and images is not None:
        raise click.UsageError("--images goes with --labels; for the images of a configuration set --data.")
    if labels is not None and weights is None:
        raise click.UsageError("--labels goes with --weights, e.g. --weights default: your places are in no fold.")
    settings = settings_of(config)
    folds, _ = read_folds(settings.folds)
    if labels is not None:
        scenes, first = own_scenes(labels, images or (labels if labels.is_dir() else labels.parent)), "own"
    else:
        scenes = load_scenes(settings, data, corrected=not original_labels)
        first = "original" if original_labels else "corrected"
    thresholds: dict[str, float] | None = None
    if weights is not None:
        from detector.model import find_weights

        found = find_weights(None if weights == "default" else weights)
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
            "Threshold of each place: the one of largest mean F1 at 150 m over the places of the other folds, averaged over "
            "thresholds within 0.05, so no place judges itself and none outweighs the others. 'One threshold' is chosen "
            "over all of them, to ship."
        )
    mode = "four_band" if bands == "four" else "true_colour"
    log = logging.getLogger("training")
    predicted, skipped = ev.predict_all(scenes, of_place, mode, out / "cache", log.info)
    scored = ev.score(predicted, log.info)
    log.info("making figures of %d scenes", len(scored))
    single = None if thresholds is None else thresholds["all"]
    results = {first: summarise(ev.by_place(scored), fold_of, thresholds=thresholds, single=single)}
    chosen = results[first]["thresholds"]
    if first == "corrected":
        # The same system against other labels: its thresholds stay.
        originals = ev.score(ev.relabel(predicted, load_scenes(settings, data, corrected=False)), log.info)
        results["original"] = summarise(
            ev.by_place(originals), fold_of, thresholds=chosen["cross_fit"], single=chosen["single"]
        )
    report = {
        "mode": mode, "weights": ev.describe_weights(of_fold), "weights_note": note, "threshold_note": threshold_note,
        "out_of_fold": weights is None, "settings": {fold: ev.training_settings(runs / fold) for fold in of_fold},
        "scenes": ev.describe_scenes(predicted), "labels": results, "skipped": skipped,
    }  # fmt: skip
    return report, scored, {place: chosen["cross_fit"][fold_of[place]] for place in results[first]["places"]}


@click.command()
@click.argument("name")
@click.option(
    "--evaluation", type=FOLDER, default=_OUT, show_default=True, metavar="DIR", help="The folder of `bargewatch evaluate`."
)
@click.option("--run", type=FOLDER, metavar="DIR", help="The training run of these weights, e.g. runs/all: its settings.")
@click.option("--template", type=FILE, metavar="FILE", help="The hand-written text.  [default: configs/card.md]")
@click.option(
    "--out", type=FOLDER, metavar="DIR", help="Where NAME.md and its picture go.  [default: the folder of registry.json]"
)
def card(name: str, evaluation: Path, run: Path | None, template: Path | None, out: Path | None) -> None:
    """Write the model card of the weights NAME, every figure of it from an evaluation.

    \b
        bargewatch evaluate --runs runs --out runs/evaluation
        bargewatch evaluate --runs runs --out runs/evaluation --bands true
        bargewatch card NAME --evaluation runs/evaluation --run runs/all

    The text around the figures is configs/card.md. Exit code: 0 written; 2 something is missing.
    """
    with extra("card"):
        from training.card import write_card

        paths = write_card(name, evaluation, run=run, template=template, folder=out)
    click.echo("\n".join(str(path) for path in paths))
