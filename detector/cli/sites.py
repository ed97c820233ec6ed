"""`bargewatch sites`: what sites there are, where they lie, and whether a site file is right."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from detector.wording import counted

if TYPE_CHECKING:
    from detector.loadings.sites import Site, Zone


@click.group()
def sites() -> None:
    """List, show, check or draw sites.

    \b
    bargewatch sites list
    bargewatch sites show nampo
    bargewatch sites check my-port.geojson
    bargewatch sites map my-port.geojson --out my-port.png
    """


@sites.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def list_(as_json: bool) -> None:
    """List the sites that ship with bargewatch."""
    from detector.loadings.sites import list_sites, load_site

    found = [load_site(name) for name in list_sites()]
    if as_json:
        rows = [
            {
                "name": site.name,
                "zones": [zone.id for zone in site.zones],
                "kinds": _kinds(site),
                "bounds": site.bounds,
            }
            for site in found
        ]
        click.echo(json.dumps(rows, indent=1))
        return
    table = [("SITE", "WHERE", "ZONES")]
    for site in found:
        zones = ", ".join(f"{number} {kind}" for kind, number in _kinds(site).items())
        table.append((site.name, _place(site), zones))
    _print(table)


def _kinds(site: Site) -> dict[str, int]:
    from detector.loadings.sites import KINDS

    count = Counter(zone.kind for zone in site.zones)
    return {kind: count[kind] for kind in KINDS if count[kind]}


def _place(site: Site) -> str:
    west, south, east, north = site.bounds
    lat, lon = (south + north) / 2, (west + east) / 2
    return f"{abs(lat):.2f} {'N' if lat >= 0 else 'S'} {abs(lon):.2f} {'E' if lon >= 0 else 'W'}"


def _print(table: Sequence[Sequence[str]]) -> None:
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for row in table:
        click.echo("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip())


@sites.command()
@click.argument("site")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def show(site: str, as_json: bool) -> None:
    """Show the zones of SITE, a name or a file, with their sources."""
    from detector.loadings.sites import load_site

    loaded = load_site(site)
    if as_json:
        answer = {"name": loaded.name, "note": loaded.note, "zones": [_row(zone) for zone in loaded.zones]}
        click.echo(json.dumps(answer, indent=1, ensure_ascii=False))
        return
    west, south, east, north = loaded.bounds
    click.echo(f"{loaded.name}: {west:.4f} to {east:.4f} E, {south:.4f} to {north:.4f} N")
    if loaded.note:
        click.echo(loaded.note)
    for zone in loaded.zones:
        row, centre = _row(zone), zone.polygon.centroid
        long, short = row["size_m"]
        click.echo(f"\n{zone.id} ({zone.kind}): {zone.name}")
        click.echo(f"  centre {centre.y:.4f} N {centre.x:.4f} E, outline good to {zone.accuracy_m:g} m")
        click.echo(f"  {long / 1000:.2f} x {short / 1000:.2f} km, {row['area_km2']:.3g} km2")
        stay = f", mean stay {zone.stay_days[0]:g} to {zone.stay_days[1]:g} days" if zone.stay_days else ""
        click.echo(f"  capacity {zone.capacity}{stay}")
        click.echo(f"  source: {zone.source}")
        if zone.note:
            click.echo(f"  note: {zone.note}")


def _row(zone: Zone) -> dict[str, Any]:
    from detector.loadings.sitecheck import area_m2, sides_m

    return {
        "id": zone.id,
        "kind": zone.kind,
        "name": zone.name,
        "capacity": zone.capacity,
        "accuracy_m": zone.accuracy_m,
        "stay_days": zone.stay_days,
        "source": zone.source,
        "note": zone.note,
        "area_km2": round(area_m2(zone.polygon) / 1e6, 4),
        "size_m": [round(side) for side in sides_m(zone.polygon)],
        "bounds": zone.polygon.bounds,
    }


@sites.command()
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@click.option("--strict", is_flag=True, help="Take warnings for faults.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def check(ctx: click.Context, files: tuple[str, ...], strict: bool, as_json: bool) -> None:
    """Check site FILEs (or names) before they are used; names each faulty feature.

    Warnings are about what can be used and is probably not meant: zones that overlap in part, smaller than a ship,
    or less sure than they are wide.

    Exit code: 0 all good; 1 a file has faults; 2 wrong usage.
    """
    from detector.cli import say
    from detector.loadings.sitecheck import check_site

    reports = [check_site(file) for file in files]
    bad = any(report.faults or (strict and report.warnings) for report in reports)
    if as_json:
        rows = [
            {
                "file": report.path,
                "zones": [zone.id for zone in report.zones],
                "faults": report.faults,
                "warnings": report.warnings,
            }
            for report in reports
        ]
        click.echo(json.dumps(rows, indent=1, ensure_ascii=False))
        ctx.exit(1 if bad else 0)
    for report in reports:
        for fault in report.faults:
            say(f"error: {fault}")
        for warning in report.warnings:
            say(f"warning: {report.path}: {warning}")
        if not report.faults:
            warned = f", {counted(len(report.warnings), 'warning')}" if report.warnings else ""
            click.echo(f"{report.path}: good, {counted(len(report.zones), 'zone')}{warned}")
    ctx.exit(1 if bad else 0)


@sites.command("map")
@click.argument("site")
@click.option("--out", required=True, metavar="PNG", help="The picture, .png or .svg.")
@click.option("--no-coast", is_flag=True, help="Leave out the coastline.")
def map_(site: str, out: str, no_coast: bool) -> None:
    """Draw the zones of SITE, a name or a file.  [plots]

    With bargewatch[land] installed, the coastlines of GSHHG and OpenStreetMap are drawn below the zones.
    """
    from detector.cli import say
    from detector.loadings.sitemap import write_site_map
    from detector.loadings.sites import load_site

    coast = write_site_map(load_site(site), out, coast=not no_coast)
    if not coast and not no_coast:
        say("the coastline is left out: pip install 'bargewatch[land]'")
    click.echo(out)
