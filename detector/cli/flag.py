"""`bargewatch flag`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from detector.cli import reason, say
from detector.cli.options import ais_time_option, crs_option, quiet_option, summary_option, vessels_option
from detector.wording import counted

if TYPE_CHECKING:
    from detector.flags import FlaggedVessels


@click.command()
@vessels_option
@click.option(
    "--ais", multiple=True, metavar="FILE", help="AIS: CSV (.gz, .zip), Parquet or raw NMEA; may be repeated."
)
@click.option(
    "--watchlist", "watchlists", multiple=True, metavar="FILE", help="List of ships; may be repeated."
)
@click.option(
    "--out", required=True, metavar="FILE", help="Flagged table: .geojson, .gpkg, .parquet or .csv."
)
@click.option(
    "--site", metavar="SITE", help="Site with berths and waters.  [default: the one the table names]"
)
@click.option("--rules", metavar="FILE.yaml", help="Rules and settings on top of those that ship.")
@click.option(
    "--flag-state",
    "flag_states",
    multiple=True,
    metavar="KP|445",
    help="Also flag ships of this country or MID.",
)
@ais_time_option
@crs_option
@summary_option
@quiet_option
@click.pass_context
def flag(ctx: click.Context, /, vessels: str, out: str, as_json: bool, quiet: bool, **options: Any) -> None:
    """Say which vessels are flagged, and why.

    A flag cannot be seen at 10 m: it is joined from AIS and lists, or inferred. Each flag comes with its reason, in the
    column flag_reasons. `dark` is given only where AIS is shown to have been received; elsewhere it is `ais-unknown`.

    \b
    bargewatch flag --vessels vessels.geojson --ais aisdk-2022-08-25.zip --out flagged.geojson
    bargewatch flag --vessels vessels.gpkg --ais ais.csv --watchlist sdn.xml --out flagged.gpkg
    bargewatch flag --vessels vessels.gpkg --ais ais.csv --flag-state CN --rules my.yaml --out flagged.csv

    Exit code: 0 all done; 1 some inputs failed, the rest was used; 2 wrong usage.
    """
    from detector.atomic import check_writable
    from detector.detections import Detections
    from detector.flags import flag_vessels
    from detector.formats import check_crs, check_suffix

    crs = options.pop("crs")
    check_suffix(out)
    check_writable(out)
    check_crs(out, crs)
    flagged = flag_vessels(Detections.read(vessels), **options)
    for path, error in flagged.failed.items():
        say(f"error: {reason(path, error)}")
    given = [*options["ais"], *options["watchlists"]]
    written = not given or len(flagged.failed) < len(given)
    if written:
        flagged.write(out, crs=crs)
    else:
        say("no AIS file and no list could be used; nothing was written")
    if not quiet:
        _say(flagged, out if written else None)
    if as_json:
        click.echo(json.dumps(_summary(flagged, out if written else None), indent=1, ensure_ascii=False))
    ctx.exit(1 if flagged.failed else 0)


def _say(flagged: FlaggedVessels, out: str | None) -> None:
    for report in flagged.reports:
        if report.path not in flagged.failed:
            click.echo(str(report), err=True)
    for line in flagged.unseen:
        click.echo(line, err=True)
    if out:
        kept = len(flagged.detections.kept)
        counts = ", ".join(f"{count} {name}" for name, count in flagged.counts.items()) or "no flags"
        click.echo(f"{counted(kept, 'vessel')}: {counts}: {out}", err=True)


def _summary(flagged: FlaggedVessels, out: str | None) -> dict[str, Any]:
    kept = flagged.detections["status"] == "kept"
    status = flagged.extra["ais_status"][kept].tolist()
    return {
        "vessels": int(kept.sum()),
        "ais": {name: status.count(name) for name in ("matched", "ambiguous", "unmatched", "unknown")},
        "flags": flagged.counts,
        "files": [
            {
                "path": report.path,
                "rows": report.rows,
                "kept": report.kept,
                "not_vessels": report.not_vessels,
                "bad": dict(report.bad),
                "first_bad": report.first_bad,
            }
            for report in flagged.reports
        ],
        "listed_but_not_seen": flagged.unseen,
        "failed": {path: str(error) for path, error in flagged.failed.items()},
        "out": out,
    }
