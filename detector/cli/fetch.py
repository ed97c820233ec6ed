"""`bargewatch fetch`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from detector.cli import reason, say
from detector.cli.options import quiet_option, site_option, summary_option
from detector.cli.progress import Progress
from detector.wording import counted

if TYPE_CHECKING:
    from detector.imagery.fetching import Fetched, Plan
    from detector.imagery.sources import Source

#: What is said of a scene of which no image is kept, by its status in the manifest.
WITHOUT_IMAGE = {"clouded": "under cloud, kept as a look", "empty": "shows nothing of the site"}


@click.command()
@site_option
@click.option("--from", "first", required=True, metavar="DATE", help="First day, YYYY-MM-DD, UTC.")
@click.option("--to", "last", required=True, metavar="DATE", help="Last day, included.")
@click.option("--out", required=True, metavar="DIR", help="Folder for the images; made if need be.")
@click.option(
    "--source",
    default="earth-search",
    show_default=True,
    metavar="SOURCE",
    help="earth-search (free, no account), sentinelhub (Copernicus Data Space), sentinelhub-commercial, the https "
    "address of a STAC API, or a folder of products.",
)
@click.option("--collection", metavar="NAME", help="Collection of the source.  [default: sentinel-2-l2a]")
@click.option(
    "--profile", metavar="NAME", help="Profile of sentinelhub's config.toml.  [default: SH_PROFILE]"
)
@click.option(
    "--max-cloud",
    type=float,
    default=100.0,
    metavar="%",
    help="Leave out tiles with more cloud.  [default: 100]",
)
@click.option(
    "--min-clear",
    type=float,
    default=0.1,
    metavar="F",
    help="Do not download zones that are seen less than this share; they are looks all the same.  [default: 0.1]",
)
@click.option(
    "--margin", type=float, default=500.0, metavar="M", help="Metres around the site.  [default: 500]"
)
@click.option(
    "--scale",
    metavar="SCALE",
    help='How stored numbers (DN) become reflectance, where a source errs: GAIN[,OFFSET] or "DN / 10000 - 0.1".',
)
@click.option("--dry-run", is_flag=True, help="Say how many scenes and megabytes there are; fetch none.")
@click.option("--refetch", is_flag=True, help="Fetch again what is there.")
@summary_option
@quiet_option
@click.pass_context
def fetch(ctx: click.Context, /, as_json: bool, quiet: bool, **options: Any) -> None:
    """Get the Sentinel-2 images of a site, one GeoTIFF an overpass, cut to the site.

    Zones under cloud are not downloaded but are written to looks.csv beside the images. What is there already is
    not fetched again; a run that was stopped goes on where it was.

    \b
    A year of Nampo from the free catalogue, and the vessels in it:
        bargewatch fetch --site nampo --from 2020-01-01 --to 2020-12-31 --out scenes
        bargewatch predict scenes/*.tif --site nampo --out vessels.gpkg
        bargewatch count --vessels vessels.gpkg --looks scenes/looks.csv --site nampo --out counts
    How much is it?
        bargewatch fetch --site nampo --from 2020-01-01 --to 2020-12-31 --out scenes --dry-run
    With a free Copernicus account (SH_CLIENT_ID and SH_CLIENT_SECRET):
        bargewatch fetch --source sentinelhub --site nampo --from 2020-03-01 --to 2020-03-31 --out scenes
    From products that are here:
        bargewatch fetch --source downloads/ --site nampo --from 2020-03-01 --to 2020-03-31 --out scenes

    Exit code: 0 all done; 1 some scenes failed, the others are there; 2 wrong usage.
    """
    ctx.exit(_run(options, debug=ctx.find_root().obj["debug"], as_json=as_json, quiet=quiet))


def _run(options: dict[str, Any], *, debug: bool, as_json: bool, quiet: bool) -> int:
    from detector.errors import AccountError, FetchError
    from detector.imagery import fetching

    try:
        plan = _planned(options)
    except AccountError:
        raise
    except FetchError as error:  # the call was right, the network was not
        say(f"error: {error}")
        return 1
    skipped: dict[str, str] = dict(getattr(plan.source, "skipped", {}))
    results: list[Fetched] = []
    with Progress(len(plan.todo), quiet=quiet) as progress:
        for path, why in skipped.items():
            progress.error(reason(path, why))
        progress.say(_plan_line(plan))
        if not options["dry_run"]:
            for result in fetching.fetch(plan, lambda _: progress.step(0, 1)):
                results.append(result)
                if result.error is None:
                    progress.done(_line(result))
                else:
                    progress.done("")
                    progress.error(reason(result.scene_id, result.error, debug))
                progress.step(0, 1)
            progress.say(_last_line(plan, results))
    if as_json:
        click.echo(json.dumps(_summary(plan, results, skipped, debug), indent=1, ensure_ascii=False))
    return 1 if skipped or any(result.error for result in results) else 0


def _planned(options: dict[str, Any]) -> Plan:
    from detector.errors import ConfigError
    from detector.imagery import fetching
    from detector.loadings.sites import load_site

    site = load_site(options["site"])
    out = Path(options["out"])
    if out.exists() and not out.is_dir():
        raise ConfigError(f"--out {out} is a file; name a folder")
    return fetching.plan(
        site,
        options["first"],
        options["last"],
        out,
        source_of(options),
        margin_m=options["margin"],
        max_cloud=options["max_cloud"],
        min_clear=options["min_clear"],
        refetch=options["refetch"],
    )


def source_of(options: dict[str, Any]) -> Source:
    """The source that the options name; a --scale that is none is refused whatever the source makes of it."""
    from detector.imagery.sources import open_source
    from detector.scene.scale import parse_scale

    if options["scale"] is not None:
        parse_scale(options["scale"], "--scale")
    return open_source(
        options["source"],
        collection=options["collection"],
        profile=options["profile"],
        scale=options["scale"],
    )


def _plan_line(plan: Plan) -> str:
    grid = plan.area.grid
    size = f"{grid.width / 100:.0f} x {grid.height / 100:.0f} km"
    there = f", {len(plan.done)} more are there" if plan.done else ""
    return (
        f"{plan.area.site.name}, {size}: {counted(len(plan.todo), 'scene')} to fetch{there}; "
        f"at most {plan.most_mb:.0f} MB (nothing clouded, nothing compressed)"
    )


def _line(result: Fetched) -> str:
    record = result.record
    assert record is not None
    if record["status"] == "fetched":
        return f"{result.scene_id}: {record['bytes'] / 1e6:.1f} MB, {counted(len(record['zones']), 'zone')}"
    return f"{result.scene_id}: {WITHOUT_IMAGE[record['status']]}"


def _last_line(plan: Plan, results: list[Fetched]) -> str:
    fetched = [r.record for r in results if r.record is not None and r.record["status"] == "fetched"]
    size = sum(record["bytes"] for record in fetched) / 1e6
    failed = sum(result.error is not None for result in results)
    return f"{counted(len(fetched), 'scene')} fetched, {size:.1f} MB, {failed} failed: {plan.folder}"


def _summary(plan: Plan, results: list[Fetched], skipped: dict[str, str], debug: bool) -> dict[str, Any]:
    scenes = []
    for result in results:
        record = result.record or {"scene_id": result.scene_id, "status": "failed"}
        why = reason(result.scene_id, result.error, debug) if result.error else None
        scenes.append({**record, "error": why})
    return {
        "site": plan.area.site.name,
        "source": plan.source.name,
        "to_fetch": [overpass.scene_id(plan.area.site.name) for overpass in plan.todo],
        "there": sorted(plan.done),
        "most_mb": round(plan.most_mb, 1),
        "scenes": scenes,
        "skipped": skipped,
        "out": str(plan.folder),
    }
