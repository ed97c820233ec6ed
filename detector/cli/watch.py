"""`bargewatch watch`."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from detector.cli import reason, say
from detector.cli.count import count as count_command
from detector.cli.fetch import WITHOUT_IMAGE, fetch, source_of
from detector.cli.flag import flag
from detector.cli.options import borrowed
from detector.cli.predict import predict
from detector.cli.progress import Progress
from detector.wording import counted

if TYPE_CHECKING:
    from detector.flags import FlaggedVessels
    from detector.imagery.sources import Source
    from detector.loadings.count import LoadingCount
    from detector.loadings.sites import Site
    from detector.store.writing import WritableStore
    from detector.watching import Watch, Watched


@click.command()
@click.option(
    "--store", required=True, metavar="FILE.gpkg", help="Where everything is kept; made if need be."
)
@click.option("--to", "last", metavar="DATE", help="Last day, included.  [default: today, UTC]")
@click.option(
    "--redo", is_flag=True, help="Also do scenes again whose rows come from another model or setting."
)
@click.option(
    "--keep-scenes/--no-keep-scenes",
    default=True,
    help="Keep the images when their scenes are done.  [default: keep]",
)
@click.option(
    "--chips/--no-chips", default=True, help="Keep the pixels of the zones for --use-chips.  [default: keep]"
)
@click.option(
    "--use-chips", is_flag=True, help="Count with the pixels of the zones, too, as `count --chips` does."
)
@click.option("--out", metavar="DIR", help="Also write visits.geojson and loadings.csv into this folder.")
@click.pass_context
def watch(ctx: click.Context, /, as_json: bool, quiet: bool, **options: Any) -> None:
    """Keep a site's vessels, visits and loadings up to date in one GeoPackage: fetch, predict, flag and count.

    Only scenes that are not in the store yet are fetched. Each is written whole or not at all: a run that was stopped,
    however, goes on where it was. A scene that fails is named and tried again the next time. Beside nampo.gpkg lie
    nampo.scenes (the images) and nampo.chips (the pixels of the zones).

    \b
    A year of Nampo, and later what was published since:
        bargewatch watch --site nampo --from 2020-01-01 --to 2020-12-31 --store nampo.gpkg
        bargewatch watch --site nampo --from 2020-01-01 --store nampo.gpkg
    Every Monday at six, by cron (docs/watch.md):
        0 6 * * 1  bargewatch watch --site nampo --from 2020-01-01 --store /srv/nampo.gpkg --quiet
    With AIS and a list of ships:
        bargewatch watch --site nampo --from 2020-01-01 --store nampo.gpkg --ais ais.csv --watchlist list.csv
    After a change of model or settings:
        bargewatch watch --site nampo --from 2020-01-01 --store nampo.gpkg --redo

    Exit code: 0 all done; 1 some scenes failed, or another run has the store; 2 wrong usage.
    """
    ctx.exit(_run(options, debug=ctx.find_root().obj["debug"], as_json=as_json, quiet=quiet))


watch.params[1:1] = borrowed(fetch, "site", "first")
watch.params[4:4] = [
    *borrowed(fetch, "source", "collection", "profile", "max_cloud", "min_clear", "margin", "scale"),
    *borrowed(predict, "weights", "confidence", "threads"),
    *borrowed(flag, "ais", "watchlists", "rules", "flag_states"),
    *borrowed(count_command, "period"),
]
watch.params += borrowed(fetch, "as_json", "quiet")


def _run(options: dict[str, Any], *, debug: bool, as_json: bool, quiet: bool) -> int:
    from detector.errors import AccountError, FetchError, StoreBusyError
    from detector.loadings.count import prepare_folder
    from detector.loadings.sites import load_site
    from detector.store import open_store

    site = load_site(options["site"])
    if options["use_chips"] and not options["chips"]:
        raise click.UsageError("--use-chips needs the chips that --no-chips does not keep.")
    options["last"] = options["last"] or f"{datetime.now(UTC):%Y-%m-%d}"
    source = _source(options)
    if options["out"] is not None:
        prepare_folder(options["out"])
    try:
        with open_store(options["store"], site.name) as store:
            return _watch(options, site, store, source, debug=debug, as_json=as_json, quiet=quiet)
    except AccountError:
        raise
    except (FetchError, StoreBusyError) as error:  # the call was right; the network or the moment was not
        say(f"error: {error}")
        return 1


def _source(options: dict[str, Any]) -> Source:
    """The source, after a look at the other options: nothing is made for a call that is wrong."""
    from detector.imagery.granules import day_span

    day_span(options["first"], options["last"])
    return source_of(options)


def _watch(
    options: dict[str, Any],
    site: Site,
    store: WritableStore,
    source: Source,
    *,
    debug: bool,
    as_json: bool,
    quiet: bool,
) -> int:
    from detector.watching import plan_watch

    watch = plan_watch(
        site,
        options["first"],
        options["last"],
        store,
        source,
        weights=options["weights"],
        confidence=options["confidence"],
        margin_m=options["margin"],
        max_cloud=options["max_cloud"],
        min_clear=options["min_clear"],
        redo=options["redo"],
        keep_scenes=options["keep_scenes"],
        keep_chips=options["chips"],
        threads=options["threads"],
    )
    errors: dict[str, str] = dict(getattr(source, "skipped", {}))
    done: list[Watched] = []
    with Progress(watch.todo, quiet=quiet) as progress:
        for path, why in errors.items():
            progress.error(reason(path, why))
        progress.say(
            f"{site.name}: {counted(watch.todo, 'scene')} to do, {len(watch.listed) - watch.todo} in the store"
        )
        for scene in watch.scenes(progress.step):
            done.append(scene)
            if scene.error is None:
                progress.done(_line(scene))
            else:
                progress.done("")
                errors[scene.scene_id] = reason(scene.scene_id, scene.error, debug)
                progress.error(errors[scene.scene_id])
        flagged = _flag(watch, options, progress, errors)
        count = watch.count(period=options["period"], use_chips=options["use_chips"])
        for remark in () if count is None else count.remarks:
            progress.say(remark)
    files = _written(count, options["out"])
    summary = _summary(watch, done, errors, flagged, count, files)
    if as_json:
        click.echo(json.dumps(summary, indent=1, ensure_ascii=False, allow_nan=False))
    elif not quiet:
        click.echo(summary["summary"])
    return 1 if errors else 0


def _written(count: LoadingCount | None, folder: str | None) -> list[str]:
    if count is None or folder is None:
        return []
    files = count.write(folder)
    changes = [] if count.changes is None else count.changes.write(folder)
    return [str(path) for path in (*files, *changes)]


def _flag(
    watch: Watch, options: dict[str, Any], progress: Progress, errors: dict[str, str]
) -> FlaggedVessels | None:
    if not (options["ais"] or options["watchlists"]):
        return None
    flagged = watch.flag(
        ais=options["ais"],
        watchlists=options["watchlists"],
        rules=options["rules"],
        flag_states=options["flag_states"],
    )
    if flagged is None:
        return None
    for path, error in flagged.failed.items():
        errors[path] = reason(path, error)
        progress.error(errors[path])
    for line in (
        *(str(report) for report in flagged.reports if report.path not in flagged.failed),
        *flagged.unseen,
    ):
        progress.say(line)
    return flagged


def _line(scene: Watched) -> str:
    acquisition = scene.acquisition
    assert acquisition is not None
    if acquisition.status == "fetched":
        return f"{scene.scene_id}: {counted(acquisition.vessels, 'vessel')} in {scene.seconds:.1f} s"
    return f"{scene.scene_id}: {WITHOUT_IMAGE[acquisition.status]}"


def _summary(
    watch: Watch,
    done: list[Watched],
    errors: dict[str, str],
    flagged: FlaggedVessels | None,
    count: LoadingCount | None,
    files: list[str],
) -> dict[str, Any]:
    from detector.cli.count import summary as count_summary

    acquisitions = watch.store.acquisitions().values()
    counted = [a for a in acquisitions if not a.stale]
    failed = sum(scene.error is not None for scene in done)
    facts: dict[str, Any] = {
        "site": watch.site.name,
        "from": watch.span[0],
        "to": watch.span[1],
        "store": str(watch.store.path),
        "source": watch.plan.source.name,
        "listed": len(watch.listed),
        "done": len(done) - failed,
        "failed": failed,
        "errors": errors,
        "scenes": len(counted),
        "clouded": sum(a.status == "clouded" for a in counted),
        "stale": len(acquisitions) - len(counted),
        "vessels": sum(a.vessels for a in counted),
        "flags": None if flagged is None else flagged.counts,
        "weights": watch.weights.name,
        "settings": watch.settings.digest,
    }
    told = {"visits": 0, "loadings": [], "remarks": []} if count is None else count_summary(count, files)
    return {"summary": _text(facts, count, len(errors)), **facts, **told, "files": files}


def _text(facts: dict[str, Any], count: LoadingCount | None, errors: int) -> str:
    """One line for people and logs."""
    parts = [
        f"{facts['site']} {facts['from']} to {facts['to']}: {counted(facts['done'], 'scene')} new, "
        f"{facts['failed']} failed",
        f"{facts['scenes']} in the store ({facts['clouded']} clouded), {counted(facts['vessels'], 'vessel')}",
    ]
    if errors > facts["failed"]:
        parts.append(f"{counted(errors - facts['failed'], 'other input')} failed")
    if facts["stale"]:
        parts.append(
            f"{facts['stale']} more of another model or setting NOT counted (--redo does them again)"
        )
    if count is None:
        return "; ".join([*parts, "no look to count by"])
    parts.append(f"{counted(len(count.visit_rows), 'visit')} seen")
    last = count.loading_rows[-1]  # of the whole site, the latest period
    known = math.isfinite(last["loadings"])
    number = (
        f"{last['loadings']:.1f} ({last['loadings_low']:g} to {last['loadings_high']:g})"
        if known
        else "no estimate"
    )
    parts.append(f"loadings {last['period_start'][:10]} to {last['period_end'][:10]}: {number}")
    return "; ".join(parts)
