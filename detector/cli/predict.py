"""`bargewatch predict`."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from detector.cli import reason
from detector.cli.options import crs_option, quiet_option, summary_option, weights_option
from detector.cli.paths import check_apart, check_preview, each_once
from detector.cli.progress import Progress
from detector.encoding import BANDS
from detector.wording import counted

if TYPE_CHECKING:
    from detector.prediction import SceneResult


@click.command()
@click.argument("scenes", nargs=-1, required=True, metavar="SCENE...")
@click.option("--out", required=True, metavar="FILE", help="Vessel table: .geojson, .gpkg, .parquet or .csv.")
@click.option("--looks", metavar="FILE.csv", help="Also write what could be seen of each zone; needs --site.")
@click.option(
    "--site", metavar="SITE", help="Name of a site (see `bargewatch sites list`) or a GeoJSON file."
)
@click.option(
    "--chips", metavar="DIR", help="Also keep the pixels of each zone for `count --chips`; needs --site."
)
@weights_option
@click.option(
    "--confidence", type=click.FloatRange(0, 1), metavar="C",
    help="Least confidence as in the table, 0 to 1; lower finds more and errs more.  [default: goes with the weights, about"
    " 0.39 for those that ship]",
)  # fmt: skip
@click.option("--keep-rejected", is_flag=True, help="Keep rejected boxes, with the reason in `status`.")
@click.option("--preview", metavar="PNG|DIR", help="Draw each scene with its vessels; a folder for several.")
@click.option(
    "--bands", metavar="B04,B03,…", help="Names of the bands in the file, in order, where it has none."
)
@click.option("--acquired", metavar="TIME", help="Sensing time (UTC, ISO 8601) of one SCENE that does not tell it.")
@click.option(
    "--scale",
    metavar="SCALE",
    help='How stored numbers (DN) become reflectance, where unknown: GAIN[,OFFSET] or "DN / 10000 - 0.1".',
)
@crs_option
@click.option("--threads", type=click.IntRange(1), metavar="N", help="Processor threads.  [default: all]")
@click.option(
    "--workers", type=click.IntRange(1), metavar="N", help="Processes that share the scenes and the threads."
)
@click.option(
    "--scheduler", metavar="ADDRESS", help="Share the scenes among the workers of a Dask scheduler.  [dask]"
)
@summary_option
@quiet_option
@click.pass_context
def predict(
    ctx: click.Context, /, scenes: tuple[str, ...], out: str, as_json: bool, quiet: bool, **options: Any
) -> None:
    """Find vessels in Sentinel-2 SCENEs.

    A SCENE is a SAFE folder or its zip, a GeoTIFF or COG (path or https://), a netCDF file, a folder of one-band
    rasters, or a STAC item.

    \b
    One scene:
        bargewatch predict S2A_MSIL2A_….SAFE --out vessels.geojson
    A berth over time, with what could be seen of it on each date:
        bargewatch predict *.SAFE --site nampo --out vessels.gpkg --looks looks.csv
    A file that does not say what it holds (Sentinel-2 L2A since 2022):
        bargewatch predict crop.tif --bands B04,B03,B02,B08 --scale 0.0001,-0.1 --out v.csv
    Many scenes on a machine with many processors, or on a cluster:
        bargewatch predict *.SAFE --workers 8 --out vessels.gpkg
        bargewatch predict *.SAFE --scheduler tcp://head:8786 --out vessels.gpkg
    To see why boxes were rejected:
        bargewatch predict scene.tif --keep-rejected --preview scene.png --out v.geojson

    Exit code: 0 all done; 1 some scenes failed, the results of the others are written; 2 wrong usage.
    """
    plan = _checked(scenes, out, **options)
    code = _run(plan, debug=ctx.find_root().obj["debug"], as_json=as_json, quiet=quiet)
    ctx.exit(code)


def _checked(
    scenes: tuple[str, ...],
    out: str,
    *,
    looks: str | None,
    site: str | None,
    chips: str | None,
    preview: str | None,
    bands: str | None,
    scale: str | None,
    acquired: str | None,
    **options: Any,
) -> dict[str, Any]:
    """Everything that can be wrong with the call is found here, before hours of work.

    Raises:
        click.UsageError, TableError, SiteError, UnknownScaleError.
    """
    from detector.atomic import check_writable
    from detector.columns import utc_text
    from detector.formats import check_crs, check_suffix
    from detector.loadings.looks import check_csv
    from detector.loadings.sites import load_site
    from detector.scene.scale import parse_scale

    scenes = each_once(scenes)
    check_apart({"--out": out, "--looks": looks, "--preview": preview}, scenes)
    if acquired is not None and len(scenes) > 1:
        raise click.UsageError(f"--acquired is the time of one scene, and there are {len(scenes)}.")
    check_suffix(out)
    check_writable(out)
    check_crs(out, options["crs"])
    if looks is not None:
        if site is None:
            raise click.UsageError("--looks needs --site: a look is a look at a zone of a site.")
        check_csv(looks)
        check_writable(looks)
    if options["workers"] is not None and options["scheduler"] is not None:
        raise click.UsageError("--workers and --scheduler: give one of them.")
    zones = None if site is None else load_site(site)
    if chips is not None:
        from detector.loadings.chips import prepare_chips

        if zones is None:
            raise click.UsageError("--chips needs --site: a chip shows a zone of a site.")
        prepare_chips(chips, zones)
    if preview is not None:
        check_preview(Path(preview), len(scenes))
    if scale is not None:
        parse_scale(scale, "--scale")
    return {
        **options,
        "scenes": scenes,
        "out": out,
        "looks": looks,
        "site": zones,
        "chips": chips,
        "preview": None if preview is None else Path(preview),
        "bands": None if bands is None else tuple(band.strip() for band in bands.split(",")),
        "scale": scale,
        "acquired": None if acquired is None else utc_text(acquired, "--acquired"),
    }


def _run(plan: dict[str, Any], *, debug: bool, as_json: bool, quiet: bool) -> int:
    from detector.detections import Detections
    from detector.loadings.looks import write_looks
    from detector.prediction import run

    results: list[SceneResult] = []
    errors: dict[int, str] = {}
    with Progress(len(plan["scenes"]), quiet=quiet) as progress:
        for result in run(
            plan["scenes"],
            weights=plan["weights"],
            confidence=plan["confidence"],
            site=plan["site"],
            keep_rejected=plan["keep_rejected"],
            bands=plan["bands"],
            scale=plan["scale"],
            acquired=plan["acquired"],
            threads=plan["threads"],
            workers=plan["workers"],
            scheduler=plan["scheduler"],
            progress=progress.step,
            chips=plan["chips"],
        ):
            results.append(result)
            if result.error is None:
                progress.done(_line(result))
                if plan["site"] is not None and not result.looks:
                    progress.warn(f"{result.scene_id} does not touch site {plan['site'].name}: no looks, no zones")
                elif plan["looks"] and result.acquired is None:
                    progress.warn(f"{result.scene_id} has no sensing time, which `count` needs; give it with --acquired")
            else:
                errors[len(results) - 1] = reason(result.source, result.error, debug)
                progress.done("")
                progress.error(errors[len(results) - 1])
        good = [result for result in results if result.detections is not None]
        previews: dict[int, str] = {}
        if good:
            table = Detections.concat([r.detections for r in good if r.detections is not None])
            table.write(plan["out"], crs=plan["crs"])
            if plan["looks"]:
                write_looks(plan["looks"], [look for result in good for look in result.looks])
            previews = _draw(plan, results, errors, progress, debug)
            where = f"{len(good)} of {counted(len(results), 'scene')}"
            progress.say(f"{counted(len(table.kept), 'vessel')} in {where}: {plan['out']}")
        else:
            progress.error("every scene failed; nothing was written")
    if as_json:
        click.echo(json.dumps(_summary(plan, results, errors, previews), indent=1, ensure_ascii=False))
    return 1 if errors else 0


def _draw(
    plan: dict[str, Any], results: list[SceneResult], errors: dict[int, str], progress: Progress, debug: bool
) -> dict[int, str]:
    """Previews of the scenes that went well, by the number of the result; failures are added to `errors`."""
    from detector.preview import write_preview
    from detector.scene import open_scene

    preview: Path | None = plan["preview"]
    drawn: dict[int, str] = {}
    if preview is None:
        return drawn
    if preview.suffix.lower() != ".png":
        preview.mkdir(exist_ok=True)
    for number, result in enumerate(results):
        if result.detections is None:
            continue
        path = preview if preview.suffix.lower() == ".png" else preview / f"{_file_name(result.scene_id)}.png"
        if str(path) in drawn.values():
            path = path.with_stem(f"{path.stem}-{number + 1}")
        try:
            with open_scene(result.source, bands=plan["bands"], scale=plan["scale"]) as scene:
                write_preview(scene, result.detections, path)
        except Exception as error:  # noqa: BLE001 - one bad picture must not cost the others
            errors[number] = f"no preview: {reason(result.source, error, debug)}"
            progress.error(errors[number])
        else:
            drawn[number] = str(path)
    return drawn


def _file_name(scene_id: str | None) -> str:
    return (
        "".join(c if c.isalnum() or c in "-_." else "_" for c in scene_id or "scene").lstrip(".") or "scene"
    )


def _line(result: SceneResult) -> str:
    counts = _counts(result)
    coal = f", {counted(counts['coal_barges'], 'coal barge')}" if counts["coal_barges"] else ""
    rejected = ", ".join(f"{number} {reason}" for reason, number in counts["rejected"].items())
    rejected = f" (rejected: {rejected})" if rejected else ""
    vessels = counted(counts["vessels"], "vessel")
    few = f", from {' '.join(result.bands)} alone" if len(result.bands) < len(BANDS) else ""
    return f"{result.scene_id}: {vessels}{coal}{rejected}{few} in {result.seconds:.1f} s"


def _counts(result: SceneResult) -> dict[str, Any]:
    detections = result.detections
    assert detections is not None
    status = Counter(str(s) for s in detections["status"])
    kept = status.pop("kept", 0)
    rejected = dict(getattr(result, "rejected", None) or sorted(status.items()))
    coal = int(((detections["class"] == "coal_barge") & (detections["status"] == "kept")).sum())
    return {"vessels": kept, "coal_barges": coal, "rejected": rejected}


def _summary(
    plan: dict[str, Any], results: list[SceneResult], errors: dict[int, str], previews: dict[int, str]
) -> dict[str, Any]:
    scenes = []
    totals: Counter[str] = Counter()
    rejected: Counter[str] = Counter()
    for number, result in enumerate(results):
        row: dict[str, Any] = {
            "source": result.source,
            "scene_id": result.scene_id,
            "acquired": getattr(result, "acquired", None),
        }
        if result.detections is not None:
            counts = _counts(result)
            row |= {**counts, "bands": list(result.bands), "looks": len(result.looks), "chips": len(result.chips)}
            totals.update(vessels=counts["vessels"], coal_barges=counts["coal_barges"])
            rejected.update(counts["rejected"])
        row |= {
            "seconds": round(result.seconds, 3),
            "preview": previews.get(number),
            "error": errors.get(number),
        }
        scenes.append(row)
    done = any(result.detections is not None for result in results)
    return {
        "scenes": scenes,
        "totals": {
            "scenes": len(results),
            "failed": len(errors),
            "vessels": totals["vessels"],
            "coal_barges": totals["coal_barges"],
            "rejected": dict(rejected),
            "seconds": round(sum(result.seconds for result in results), 3),
        },
        "out": plan["out"] if done else None,
        "looks": plan["looks"] if done else None,
    }
