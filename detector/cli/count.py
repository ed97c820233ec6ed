"""`bargewatch count`."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from detector.cli import plain, say, unexpected
from detector.cli.options import min_clear_option, quiet_option, recall_option, site_option, vessels_option

if TYPE_CHECKING:
    from detector.loadings.count import LoadingCount


@click.command()
@vessels_option
@click.option("--looks", required=True, metavar="FILE.csv", help="Looks table of the same run.")
@site_option
@click.option(
    "--out", required=True, metavar="DIR", help="Folder for visits.geojson and loadings.csv; made if need be."
)
@click.option(
    "--period",
    type=click.Choice(["month", "quarter", "year", "all"]),
    default="month",
    show_default=True,
    help="Calendar periods to count in, UTC; `all` is one from the first look to the last.",
)
@click.option(
    "--kinds",
    metavar="KIND[,KIND]",
    default="coal_berth,berth",
    show_default=True,
    help="Kinds of zones whose visits are loadings: coal_berth, berth, anchorage.",
)
@min_clear_option
@recall_option
@click.option(
    "--chips",
    metavar="DIR",
    help="Pixels that `predict --chips` kept: recovers missed vessels, leaves out what never moves.",
)
@click.option(
    "--payload",
    metavar="FILE.yaml",
    help="What ships carry, instead of configs/payload.yaml (docs/tonnes.md).",
)
@click.option(
    "--prices", metavar="FILE.yaml", help="US$ a tonne of coal by period, instead of configs/prices.yaml."
)
@click.option("--plots", is_flag=True, help="Also draw timelines and loadings as PNG and SVG into DIR/plots.")
@click.option(
    "--seed", type=click.IntRange(0), default=0, show_default=True, help="Of the random draws behind the intervals."
)
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON on standard output.")
@quiet_option
@click.pass_context
def count(
    ctx: click.Context,
    /,
    vessels: str,
    looks: str,
    site: str,
    out: str,
    as_json: bool,
    quiet: bool,
    **options: Any,
) -> None:
    """Count visits and loadings at the berths of a site.

    Satellites pass every few days and clouds hide much, so most visits are never seen. Three figures are kept apart:

    \b
      visits_seen   distinct vessels first seen in the period: the fact; of the whole time, a lower bound
      loadings      the estimate of all visits, seen or not, at the berths
      low to high   its 90 % interval

    A ship at a coal berth is what the image shows; that it loaded is an inference. Zones with too few usable looks get
    no estimate, and `note` says why. Loadings at coal berths also become tonnes, by what ships of their length carry, and
    US$ where a price is known.

    \b
    First find the vessels, with the looks (without them an empty berth and a cloud are the same thing):
        bargewatch predict *.SAFE --site nampo --out vessels.gpkg --looks looks.csv
    Then count, month by month:
        bargewatch count --vessels vessels.gpkg --looks looks.csv --site nampo --out counts
    By quarter and with pictures:
        bargewatch count --vessels vessels.gpkg --looks looks.csv --site nampo --out counts --period quarter --plots

    Exit code: 0 all done; 1 the count was written but a picture failed; 2 wrong usage or tables that do not fit.
    """
    ctx.exit(_run(ctx, vessels, looks, site, out, as_json=as_json, quiet=quiet, **options))


def _run(
    ctx: click.Context,
    vessels: str,
    looks: str,
    site: str,
    out: str,
    *,
    period: Any,
    kinds: str,
    min_clear: float | None,
    recall: float | None,
    chips: str | None,
    payload: str | None,
    prices: str | None,
    plots: bool,
    seed: int,
    as_json: bool,
    quiet: bool,
) -> int:
    from detector.loadings.count import MIN_CLEAR, RECALL, count_loadings, prepare_folder

    if plots:
        from detector.loadings.plots import check_matplotlib

        check_matplotlib()
    made = not Path(out).exists()
    folder = prepare_folder(out)
    try:
        result = count_loadings(
            vessels,
            looks,
            site,
            period=period,
            kinds=tuple(kind.strip() for kind in kinds.split(",") if kind.strip()),
            min_clear=MIN_CLEAR if min_clear is None else min_clear,
            recall=RECALL if recall is None else recall,
            seed=seed,
            chips=chips,
            payload=payload,
            prices=prices,
        )
    except BaseException:
        if made:
            folder.rmdir()
        raise
    files = [str(path) for path in result.write(folder)]
    if result.changes is not None:
        files += [str(path) for path in result.changes.write(folder)]
    failed = False
    if plots:
        from detector.loadings.plots import write_plots

        try:
            files += [str(path) for path in write_plots(result, folder / "plots")]
        except Exception as error:  # noqa: BLE001 - the count is written; a picture must not hide that
            failed = True
            say(f"error: no pictures: {unexpected(error, ctx.find_root().obj['debug'])}")
    if as_json:
        click.echo(json.dumps(summary(result, files), indent=1, ensure_ascii=False, allow_nan=False))
    elif not quiet:
        click.echo(text(result, files))
    return 1 if failed else 0


def summary(result: LoadingCount, files: list[str]) -> dict[str, Any]:
    """The count as plain values; None for what is not known."""
    return {
        "site": result.tables.site.name,
        "visits": len(result.visit_rows),
        "loadings": [{name: plain(value) for name, value in row.items()} for row in result.loading_rows],
        "remarks": list(result.remarks),
        "files": files,
    }


def text(result: LoadingCount, files: list[str]) -> str:
    """The count for people."""
    lines = [
        f"{'zone':24} {'period':10} {'looks':>9} {'seen':>5} {'loadings':>9}  {'90 % interval':14}  coal, kt"
    ]
    notes: dict[str, list[str]] = {}
    periods = {row["period_start"] for row in result.loading_rows}
    for row in result.loading_rows:
        zone = row["zone_id"] or "whole site"
        looks = f"{row['usable_looks']}/{row['looks']}"
        known = math.isfinite(row["loadings"])
        interval = f"{row['loadings_low']:g} to {row['loadings_high']:g}"
        number = f"{row['loadings']:9.1f}  {interval:14}" if known else f"{'-':>9}{'':16}"
        if math.isfinite(row["tonnes"]):
            number += f"  {row['tonnes_low'] / 1000:.3g} to {row['tonnes_high'] / 1000:.3g}"
        lines.append(
            f"{zone[:24]:24} {row['period_start'][:10]} {looks:>9} {row['visits_seen']:5} {number}".rstrip()
        )
        if not known:
            notes.setdefault(f"{zone}: {_reason(row['note'])}", []).append(row["period_start"][:10])
    lines.append(
        "looks: usable/all; seen: visits first seen in the period, some of which may have begun before; "
        "coal: 90 % interval; -: no estimate, see below"
    )
    for zone, estimate in result.estimates.items():
        if estimate is not None and math.isfinite(estimate.mean_stay_days):
            lines.append(
                f"{zone}: mean stay {estimate.mean_stay_days:.1f} days ({estimate.mean_stay_low:.1f} to "
                f"{estimate.mean_stay_high:.1f}, from {estimate.stay_source}), recall {estimate.recall:.2f}"
            )
    lines += [note if len(of) == len(periods) else f"{note} ({', '.join(of)})" for note, of in notes.items()]
    lines += result.remarks
    return "\n".join([*lines, f"written: {', '.join(files)}"])


def _reason(note: str) -> str:
    return next((part for part in note.split("; ") if part.startswith("no estimate")), note)
