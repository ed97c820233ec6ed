"""`bargewatch weekly`."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

import click

from detector.cli import plain, reason, say
from detector.cli.options import ais_time_option, min_clear_option, quiet_option, recall_option

if TYPE_CHECKING:
    from detector.detections import Detections
    from detector.flags import FlaggedVessels
    from detector.flags.weekly import WeeklyPicture


@click.command()
@click.option(
    "--vessels", required=True, metavar="FILE", help="Vessel table, best flagged by `bargewatch flag`."
)
@click.option("--looks", required=True, metavar="FILE.csv", help="Looks table of the same run of `predict`.")
@click.option("--site", required=True, metavar="SITE", help="Name of a site or a GeoJSON file.")
@click.option(
    "--ais",
    multiple=True,
    metavar="FILE",
    help="AIS of the whole time: CSV (.gz, .zip), Parquet or NMEA; may be repeated.",
)
@ais_time_option
@click.option(
    "--out", required=True, metavar="DIR", help="Folder for weekly.csv and the picture; made if need be."
)
@click.option(
    "--plot/--no-plot",
    default=None,
    help="Also draw the picture, which needs bargewatch[plots].  [default: where that is installed]",
)
@min_clear_option
@recall_option
@click.option("--seed", type=int, default=0, show_default=True, help="Of the draws behind the intervals.")
@click.option("--json", "as_json", is_flag=True, help="Print the rows as JSON on standard output.")
@quiet_option
@click.pass_context
def weekly(
    ctx: click.Context,
    /,
    vessels: str,
    out: str,
    plot: bool | None,
    as_json: bool,
    quiet: bool,
    **options: Any,
) -> None:
    """Different vessels of each week at a site, by images and by AIS, with the effort behind them.

    \b
      seen      different vessels in the images of the week: a lower bound
      present   the estimate of all that were there, seen or not, with its 90 % interval
      ais_seen  different MMSIs heard inside the zones

    \b
    bargewatch weekly --vessels flagged.gpkg --looks looks.csv --site nampo --out weekly
    bargewatch weekly --vessels flagged.gpkg --looks looks.csv --site nampo --ais ais-2021.csv.gz --out weekly

    Writes weekly.csv and, where matplotlib is installed, weekly.png and weekly.svg. Exit code: 0 all done; 1 some AIS files
    failed, the rest was used; 2 wrong usage or tables that do not fit.
    """
    from detector.flags.weekly import weekly_picture
    from detector.loadings.count import MIN_CLEAR, RECALL

    plot = _drawn(plot)
    for name, default in (("min_clear", MIN_CLEAR), ("recall", RECALL)):
        options[name] = default if options[name] is None else options[name]
    picture = weekly_picture(_read(vessels), options.pop("looks"), options.pop("site"), **options)
    for path, error in picture.failed.items():
        say(f"error: {reason(path, error)}")
    files = [str(picture.write(out))]
    if plot:
        from detector.flags.weeklyplot import write_weekly_plot

        files += [str(path) for path in write_weekly_plot(picture, out)]
    if as_json:
        rows = [{name: plain(value) for name, value in row.items()} for row in picture.rows]
        click.echo(json.dumps({"weeks": rows, "files": files}, indent=1, ensure_ascii=False))
    elif not quiet:
        click.echo(_text(picture, files))
    ctx.exit(1 if picture.failed else 0)


def _drawn(asked: bool | None) -> bool:
    """Whether to draw the picture; where it was asked for and cannot be drawn, that is an error before the work."""
    from detector.loadings.plots import check_matplotlib, has_matplotlib

    if asked:
        check_matplotlib("; or leave the picture out with --no-plot")
    elif asked is None and not has_matplotlib():
        say(
            "warning: no picture, only the table, for matplotlib is missing: pip install 'bargewatch[plots]', "
            "or say --no-plot"
        )
        return False
    return asked is not False


def _read(path: str) -> FlaggedVessels | Detections:
    """A flagged table, or a vessel table that nobody flagged."""
    from detector.detections import Detections
    from detector.errors import MissingColumnError
    from detector.flags import FlaggedVessels

    try:
        return FlaggedVessels.read(path)
    except MissingColumnError as error:
        if "flag_reasons" not in error.missing:  # `bargewatch flag` wrote it, so that is what is wrong
            raise
    return Detections.read(path)


def _text(picture: WeeklyPicture, files: list[str]) -> str:
    lines = [
        f"{'week':10} {'looks':>7} {'observed':>8} {'seen':>5} {'present':>8}  {'90 % interval':14} {'AIS':>5}"
    ]
    for row in picture.rows:
        if row["zone_id"] is None and row["group"] == "all":
            known = math.isfinite(row["present"])
            present = f"{row['present']:8.1f}" if known else f"{'-':>8}"
            interval = f"{row['present_low']:g} to {row['present_high']:g}" if known else ""
            heard = "-" if row["ais_seen"] is None else str(row["ais_seen"])
            lines.append(
                f"{row['week_start'][:10]} {row['usable_looks']:3}/{row['looks']:<3} {row['observed_share']:8.0%} "
                f"{row['seen']:5} {present}  {interval:14} {heard:>5}"
            )
    lines.append(
        "looks: usable/all; seen: a lower bound; AIS: different ships heard inside the zones; -: not known"
    )
    lines += [str(report) for report in picture.reports if report.path not in picture.failed]
    return "\n".join([*lines, f"written: {', '.join(files)}"])
