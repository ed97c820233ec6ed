"""Options that several commands have: what they do is the same, and so are their names and their help."""

from __future__ import annotations

import click

site_option = click.option(
    "--site",
    required=True,
    metavar="SITE",
    help="Name of a site (see `bargewatch sites list`) or a GeoJSON file.",
)
vessels_option = click.option(
    "--vessels", required=True, metavar="FILE", help="Vessel table that `bargewatch predict` wrote."
)
weights_option = click.option(
    "--weights", metavar="W", help="Weights by name or path.  [default: those that ship]"
)
min_clear_option = click.option(
    "--min-clear",
    type=float,
    metavar="F",
    help="Least clear share of a zone in a look that can show it to be empty.  [default: 0.7]",
)
recall_option = click.option(
    "--recall",
    type=float,
    metavar="R",
    help="Believed chance that a vessel is in the table where its zone was seen.  [default: 0.85]",
)
ais_time_option = click.option(
    "--ais-time", metavar="TIME", help="Time of AIS files that have no time column (UTC, ISO 8601)."
)
crs_option = click.option(
    "--crs", metavar="CRS", default="EPSG:4326", help="CRS of the geometry in .gpkg, .parquet and .csv."
)
summary_option = click.option(
    "--json", "as_json", is_flag=True, help="Print a summary as JSON on standard output."
)
quiet_option = click.option("--quiet", "-q", is_flag=True, help="Say nothing but errors.")


def borrowed(command: click.Command, *names: str) -> list[click.Parameter]:
    """Options of another command that does the same thing, as they are there."""
    return [next(option for option in command.params if option.name == name) for name in names]
