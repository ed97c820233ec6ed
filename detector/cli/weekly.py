"""`bargewatch weekly`."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

import click

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
@click.option(
    "--ais-time", metavar="TIME", help="Time of AIS files that have no time column (UTC, ISO 8601)."
)
@click.option(
    "--out", required=True, metavar="DIR", help="Folder for weekly.csv and the picture; made if need be."
)
@click.option("--no-plot", is_flag=True, help="Write no picture; without it matplotlib is needed.")
@click.option(
    "--min-clear",
    type=float,
    metavar="F",
    help="Least clear share of a zone in a look that can show it to be empty.  [default: 0.7]",
)
@click.option(
    "--recall",
    type=float,
    metavar="R",
    help="Believed chance that a vessel is in the table where its zone was seen.  [default: 0.85]",
)
@click.option("--seed", type=int, default=0, show_default=True, help="Of the draws behind the intervals.")
@click.option("--json", "as_json", is_flag=True, help="Print the rows as JSON on standard output.")
@click.option("--quiet", "-q", is_flag=True, help="Say nothing but errors.")
@click.pass_context
def weekly(
    ctx: click.Context, /, vessels: str, out: str, no_plot: bool, as_json: bool, quiet: bool, **options: Any
) -> None:
    """Different vessels of each week at a site, by images and by AIS, with the effort behind them.

    \b
      seen      different vessels in the images of the week: a lower bound
      present   the estimate of all that were there, seen or not, with its 90 % interval
      ais_seen  different MMSIs heard inside the zones

    \b
    bargewatch weekly --vessels flagged.gpkg --looks looks.csv --site nampo --out nampo
    bargewatch weekly --vessels flagged.gpkg --looks looks.csv --site nampo --ais ais-2021.csv.gz --out nampo

    Writes weekly.csv, weekly.png and weekly.svg. Exit code: 0 all done; 1 some AIS files failed, the rest was used; 2 wrong
    usage or tables that do not fit.
    """
    from detector.flags.weekly import weekly_picture
    from detector.loadings.count import MIN_CLEAR, RECALL

    if not no_plot:
        from detector.loadings.plots import check_matplotlib

        check_matplotlib()
    for name, default in (("min_clear", MIN_CLEAR), ("recall", RECALL)):
        options[name] = default if options[name] is None else options[name]
    picture = weekly_picture(_read(vessels), options.pop("looks"), options.pop("site"), **options)
    for path, error in picture.failed.items():
        text = " ".join(str(error).split())
        click.echo(f"bargewatch: error: {text if path in text else f'{path}: {text}'}", err=True)
    files = [str(picture.write(out))]
    if not no_plot:
        from detector.flags.weeklyplot import write_weekly_plot

        files += [str(path) for path in write_weekly_plot(picture, out)]
    if as_json:
        rows = [{name: _plain(value) for name, value in row.items()} for row in picture.rows]
        click.echo(json.dumps({"weeks": rows, "files": files}, indent=1, ensure_ascii=False))
    elif not quiet:
        click.echo(_text(picture, files))
    ctx.exit(1 if picture.failed else 0)


def _read(path: str) -> FlaggedVessels | Detections:
    """A flagged table, or a vessel table that nobody flagged."""
    from detector.detections import Detections
    from detector.errors import TableError
    from detector.flags import FlaggedVessels

    try:
        return FlaggedVessels.read(path)
    except TableError:
        return Detections.read(path)


def _plain(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


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
