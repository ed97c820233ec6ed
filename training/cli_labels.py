"""The labelling loop: `bargewatch labels export`, `import`, `diff` and `choose`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from training.cli import FILE, FOLDER, config_option, data_option, extra, settings_of

if TYPE_CHECKING:
    from training.exchange.reading import Returned
    from training.labels import LabelledScene

ANY = click.Path(path_type=Path)
_VECTOR = (".gpkg", ".geojson")
images_option = click.option(
    "--images", type=FOLDER, metavar="DIR", help="The scenes.  [default: the folder of the labels, or --data]"
)
tiles_option = click.option(
    "--tiles", type=ANY, metavar="DIR", help="The folder that `labels export` wrote.  [default: looked for around EDITED]"
)
original_option = click.option(
    "--original", type=ANY, metavar="LABELS", help="The labels before editing.  [default: those of --config]"
)


@click.group()
def labels() -> None:
    """Take labels to QGIS, CVAT or YOLO and back; choose what to label next.

    \b
    1. What to label first, out of many scenes, with predictions from a low confidence on:
         bargewatch predict scenes/*.SAFE --confidence 0.05 --out vessels.gpkg
         bargewatch labels choose scenes/*.SAFE --vessels vessels.gpkg --out round1
    2. Correct round1/labels.gpkg in QGIS, over round1/images. Or in CVAT:
         bargewatch labels export round1/labels.gpkg --images round1/images --format coco --out cvat
         (upload, correct, export "COCO 1.0" to task.zip)
         bargewatch labels import task.zip --tiles cvat --images round1/images --out round1/corrected.gpkg
    3. Train on it: add a source to a copy of configs/train.yaml; import says which lines.

    The whole walk: docs/labelling.md. Needs: pip install 'bargewatch[train]'.
    """


@labels.command("export")
@click.argument("source", type=ANY, required=False, metavar="[LABELS]")
@images_option
@click.option("--out", type=ANY, required=True, metavar="PATH", help="A .gpkg or .geojson file, or a new folder.")
@click.option("--format", "form", type=click.Choice(["coco", "yolo"]), help="What to write into a folder.")
@click.option("--place", "places", multiple=True, metavar="NAME", help="Only scenes of this place; may be repeated.")
@click.option("--rejected", is_flag=True, help="Also what `predict --keep-rejected` rejected (.gpkg, .geojson).")
@click.option("--original-labels", is_flag=True, help="Without LABELS: without the corrections of the settings.")
@click.option("--boxes", type=click.Choice(["polygons", "rotated"]), default="polygons", show_default=True,
              help="COCO: as polygons, or as turned rectangles (CVAT 2.3 or later).")  # fmt: skip
@click.option("--ignore/--no-ignore", default=True, show_default=True, help="YOLO: ignored labels as classes of their own.")
@click.option("--tile", default=256, show_default=True, type=click.IntRange(32, 4096), help="Side of a tile, scene pixels.")
@click.option("--frame", default=32, show_default=True, type=click.IntRange(0, 512), help="Frame shown around it.")
@click.option("--zoom", default=4.0, show_default=True, type=click.FloatRange(1, 16), help="Picture pixels a scene pixel.")
@click.option("--jpeg", is_flag=True, help="Pictures as JPEG instead of PNG.")
@click.option("--labelled-only", is_flag=True, help="Only tiles with labels. Misses elsewhere then stay unseen.")
@config_option
@data_option
def export_labels(
    source: Path | None, images: Path | None, out: Path, form: str | None, places: tuple[str, ...], rejected: bool,
    original_labels: bool, boxes: str, ignore: bool, tile: int, frame: int, zoom: float, jpeg: bool,
    labelled_only: bool, config: Path | None, data: Path,
) -> None:  # fmt: skip
    """Write LABELS (or predictions) for QGIS, CVAT or YOLO.

    LABELS: a vessel table of `predict`, GeoPackage, GeoJSON, COCO or a YOLO folder; without it, the labels of --config.

    \b
    Predictions, to correct in QGIS (opens coloured by class and status):
        bargewatch labels export vessels.gpkg --images scenes --out labels.gpkg
    The training labels of one port, corrections applied:
        bargewatch labels export --data data --place gdynia --out gdynia.gpkg
    For CVAT: pictures, COCO, and the labels of a task to paste (cvat-labels.json):
        bargewatch labels export labels.gpkg --images scenes --format coco --out cvat
    For ultralytics (yolo obb train data=yolo/data.yaml …):
        bargewatch labels export labels.gpkg --images scenes --format yolo --out yolo

    A label is in the one tile that holds its centre; the dimmed frame belongs to the neighbours: do not label there.
    """
    vector = out.suffix.lower() in _VECTOR
    if vector == (form is not None):
        raise click.UsageError(f"--out {out}: name a .gpkg or .geojson file, or a folder with --format coco or yolo.")
    if rejected and not vector:
        raise click.UsageError("--rejected goes with .gpkg and .geojson; in the others a rejected box would be a vessel.")
    with extra("labels export"):
        from training.exchange.coco import write_coco
        from training.exchange.geopackage import write_labels
        from training.exchange.tiles import Cut
        from training.exchange.yolo import write_yolo_tiles
        from training.labelfiles import write_vector

        scenes = _scenes(source, images, config, data, corrected=not original_labels, rejected=rejected)
        scenes = _of_places(scenes, places)
        said = _counted(scenes)
        cut = Cut(tile, frame, zoom, ".jpg" if jpeg else ".png", labelled_only)
        if out.suffix.lower() == ".gpkg":
            write_labels(scenes, out)
        elif vector:
            write_vector(scenes, out)
        else:
            written = write_coco(scenes, out, cut, rotated=boxes == "rotated") if form == "coco" else write_yolo_tiles(
                scenes, out, cut, ignore=ignore)  # fmt: skip
            said += f", {len(written)} tiles"
    click.echo(f"{out}: {said}")


@labels.command("import")
@click.argument("edited", type=ANY)
@images_option
@tiles_option
@click.option("--out", type=FILE, required=True, metavar="FILE", help="What to train on: .gpkg, .geojson or .json (COCO).")
@click.option("--original", type=ANY, metavar="LABELS", help="Take the labels of tiles that did not come back from here.")
def import_labels(edited: Path, images: Path | None, tiles: Path | None, out: Path, original: Path | None) -> None:
    """Turn EDITED labels into a file to train on.

    EDITED: a GeoPackage or GeoJSON from QGIS, COCO from CVAT (.json or the .zip), or a YOLO folder or .zip.

    \b
    From CVAT (Export task dataset, COCO 1.0):
        bargewatch labels import task.zip --tiles cvat --images scenes --out labels.gpkg
    From QGIS, checked and made whole:
        bargewatch labels import edited.gpkg --images scenes --out labels.gpkg

    The command says which lines to add to a copy of configs/train.yaml. To keep the labels of a source and only note what
    changed, use `bargewatch labels diff`. Exit code: 0 written; 2 the labels cannot be understood, the reason is said.
    """
    if out.suffix.lower() not in (*_VECTOR, ".json"):
        raise click.UsageError(f"--out {out}: the file must end in .gpkg, .geojson or .json")
    with extra("labels import"):
        from training.exchange.coco import write_scene_coco
        from training.exchange.geopackage import write_labels
        from training.exchange.reading import read_labels
        from training.labelfiles import write_vector
        from training.ownlabels import own_scenes

        folder = images or (edited if edited.is_dir() else edited.parent)
        returned = read_labels(edited, folder, tiles)
        if original is not None:
            _fill(returned, own_scenes(original, folder))
        returned.require_whole()
        if out.suffix.lower() == ".gpkg":
            write_labels(returned.scenes, out)
        elif out.suffix.lower() == ".geojson":
            write_vector(returned.scenes, out)
        else:
            write_scene_coco(returned.scenes, out, folder)
    form = "coco" if out.suffix.lower() == ".json" else "vector"
    click.echo(f"{out}: {_counted(returned.scenes)}")
    click.echo(
        f"Next, under `data:` of your settings:\n  - format: {form}\n    labels: {out.absolute()}\n"
        f"    images: {folder.absolute()}\n    place: NAME OF THE PORT"
    )


@labels.command("diff")
@click.argument("edited", type=ANY)
@original_option
@images_option
@tiles_option
@click.option("--out", type=FILE, metavar="FILE.json", help="Write the corrections.  [default: only count them]")
@click.option("--reason", default="", metavar="TEXT", help="Why, for labels without a `reason` of their own.")
@click.option("--previous", type=FILE, metavar="FILE.json", help="Earlier corrections, whose reasons are kept.")
@config_option
@data_option
def diff_labels(
    edited: Path, original: Path | None, images: Path | None, tiles: Path | None, out: Path | None, reason: str,
    previous: Path | None, config: Path | None, data: Path,
) -> None:  # fmt: skip
    """Note what was changed in EDITED as corrections: add, remove, ignore, reshape, class, count.

    The labels of the source stay as they are; the corrections are laid over them when they are loaded.

    \b
    Against the labels of the settings, without their corrections:
        bargewatch labels export --data data --place gdynia --out gdynia.gpkg      (correct it in QGIS)
        bargewatch labels diff gdynia.gpkg --data data --reason "second reader" --out corrections.json
    Against predictions:
        bargewatch labels diff edited.gpkg --original vessels.gpkg --images scenes --out corrections.json

    Name the file in `corrections:` of the source (docs/labels.md says what is in it). Images that EDITED does not list
    and tiles that did not come back get no operation.
    """
    with extra("labels diff"):
        from training.exchange import differences as compare
        from training.exchange.reading import read_labels

        before = _scenes(original, images, config, data, corrected=False, rejected=False)
        folder = images or (data if original is None else original if original.is_dir() else original.parent)
        returned = read_labels(edited, folder, tiles)
        corrections = compare.differences(before, returned.scenes, unseen=returned.unseen, reason=reason)
        if previous is not None:
            compare.keep_reasons(corrections, previous)
        if out is not None:
            note = "Pixels, corner convention: (0, 0) is the upper left corner of the upper left pixel."
            compare.write_corrections(corrections, out, source=str(original or "settings"), note=note)
    counts = compare.count_operations(corrections)
    said = ", ".join(f"{number} {op}" for op, number in sorted(counts.items())) or "no difference"
    click.echo(f"{out or edited}: {said}, in {len(corrections)} of {len(returned.scenes)} images")


@labels.command("choose")
@click.argument("scenes", nargs=-1, required=True, type=ANY, metavar="SCENE...")
@click.option("--out", type=FOLDER, required=True, metavar="DIR", help="A new folder.")
@click.option("--vessels", type=FILE, metavar="FILE", help="Predictions of these scenes, from a low confidence on.")
@click.option("--threshold", type=click.FloatRange(0, 1, min_open=True, max_open=True), metavar="C",
              help="Confidence that counts as a vessel.  [default: that of the weights that ship]")  # fmt: skip
@click.option("--labelled", type=FOLDER, metavar="DIR", help="Images that are labelled already: choose what is unlike them.")
@click.option("--count", default=50, show_default=True, type=click.IntRange(1), help="How many chips.")
@click.option("--size", default=256, show_default=True, type=click.IntRange(64, 2048), help="Side of a chip, scene pixels.")
@click.pass_context
def choose_chips(
    ctx: click.Context, scenes: tuple[Path, ...], out: Path, vessels: Path | None, threshold: float | None,
    labelled: Path | None, count: int, size: int,
) -> None:  # fmt: skip
    """Find the chips of SCENEs that are most worth labelling: least certain, and unlike all before them.

    \b
        bargewatch predict scenes/*.SAFE --confidence 0.05 --out vessels.gpkg
        bargewatch labels choose scenes/*.SAFE --vessels vessels.gpkg --labelled data/sen2ships --out round1

    \b
    round1/chips.gpkg      outlines in order: rank, uncertainty, difference
    round1/pictures        a picture of each, with the predictions
    round1/images          each chip as a GeoTIFF of its own, to label and to train on
    round1/labels.gpkg     the predictions in them, to correct

    Exit code: 0 done; 1 a scene could not be read, the others are used; 2 wrong usage.
    """
    with extra("labels choose"):
        from detector.detections import Detections
        from training.exchange.chosen import choose, write_chosen
        from training.labelfiles import find_images

        table = Detections.read(vessels) if vessels is not None else None
        if threshold is None:
            from detector import calibration
            from detector.model import find_weights

            shipped = find_weights(None)
            shown = float(calibration.apply(shipped.calibration, shipped.confidence))
            threshold = shown if table is not None else 0.5
        known = find_images(labelled) if labelled is not None else []
        choices, failed = choose(
            scenes, count, size=size, vessels=table, threshold=threshold, labelled=known,
            say=lambda text: click.echo(text, err=True),
        )  # fmt: skip
        write_chosen(choices, out, table)
    for path, reason in failed.items():
        click.echo(f"bargewatch: error: {path}: {reason}", err=True)
    used = len({choice.candidate.path for choice in choices})
    click.echo(f"{out}: {len(choices)} chips of {used} scenes, the first is {choices[0].name}")
    ctx.exit(1 if failed else 0)


def _scenes(
    source: Path | None, images: Path | None, config: Path | None, data: Path, *, corrected: bool, rejected: bool
) -> list[LabelledScene]:
    """The labels of a file, or those of the settings."""
    from training.datasets import load_scenes
    from training.ownlabels import own_scenes

    if source is None:
        return load_scenes(settings_of(config), data, corrected=corrected)
    return own_scenes(source, images or (source if source.is_dir() else source.parent), rejected=rejected)


def _of_places(scenes: list[LabelledScene], places: tuple[str, ...]) -> list[LabelledScene]:
    known = {scene.place for scene in scenes}
    if unknown := [place for place in places if place not in known]:
        raise click.UsageError(f"--place {unknown[0]}: there are {', '.join(sorted(known))}.")
    return [scene for scene in scenes if not places or scene.place in places]


def _fill(returned: Returned, original: list[LabelledScene]) -> None:
    """Give tiles that did not come back the labels that they had."""
    by_name: dict[str, Any] = {scene.path.name: scene for scene in returned.scenes}
    for scene in original:
        gaps = [tile for tile in returned.unseen if tile.image == scene.path.name]
        kept = [label for label in scene.labels if any(tile.owns(label.centre) for tile in gaps)]
        if scene.path.name in by_name:
            by_name[scene.path.name].labels += kept
        elif gaps:
            scene.labels = kept
            returned.scenes.append(scene)
    returned.unseen = [tile for tile in returned.unseen if tile.image not in {scene.path.name for scene in original}]


def _counted(scenes: list[LabelledScene]) -> str:
    every = [label for scene in scenes for label in scene.labels]
    return f"{len(scenes)} images, {len(every)} labels, {sum(label.ignore for label in every)} of them ignored"
