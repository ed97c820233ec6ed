"""`bargewatch sites`: what sites there are and whether a site file is right."""

from __future__ import annotations

import json

import click


@click.group()
def sites() -> None:
    """List, show or check sites.

    \b
    bargewatch sites list
    bargewatch sites show nampo
    bargewatch sites check my-port.geojson
    """


@sites.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def list_(as_json: bool) -> None:
    """List the sites that ship with bargewatch."""
    from detector.loadings.sites import list_sites, load_site

    found = [load_site(name) for name in list_sites()]
    if as_json:
        click.echo(
            json.dumps([{"name": site.name, "zones": [z.id for z in site.zones]} for site in found], indent=1)
        )
        return
    for site in found:
        click.echo(f"{site.name}: {', '.join(f'{zone.id} ({zone.kind})' for zone in site.zones)}")


@sites.command()
@click.argument("site")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def show(site: str, as_json: bool) -> None:
    """Show the zones of SITE, a name or a file, with their sources."""
    from detector.loadings.sites import load_site

    loaded = load_site(site)
    if as_json:
        zones = [
            {
                "id": zone.id,
                "kind": zone.kind,
                "name": zone.name,
                "capacity": zone.capacity,
                "accuracy_m": zone.accuracy_m,
                "stay_days": zone.stay_days,
                "source": zone.source,
                "bounds": zone.polygon.bounds,
            }
            for zone in loaded.zones
        ]
        click.echo(json.dumps({"name": loaded.name, "zones": zones}, indent=1, ensure_ascii=False))
        return
    west, south, east, north = loaded.bounds
    click.echo(f"{loaded.name}: {west:.4f} to {east:.4f} E, {south:.4f} to {north:.4f} N")
    for zone in loaded.zones:
        centre = zone.polygon.centroid
        click.echo(f"\n{zone.id} ({zone.kind}): {zone.name}")
        click.echo(f"  centre {centre.y:.4f} N {centre.x:.4f} E, outline good to {zone.accuracy_m:g} m")
        stay = f", mean stay {zone.stay_days[0]:g} to {zone.stay_days[1]:g} days" if zone.stay_days else ""
        click.echo(f"  capacity {zone.capacity}{stay}")
        click.echo(f"  source: {zone.source}")


@sites.command()
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@click.pass_context
def check(ctx: click.Context, files: tuple[str, ...]) -> None:
    """Check site FILEs before they are used; says what is wrong with the first bad feature of each."""
    from detector.cli import say
    from detector.errors import SiteError
    from detector.loadings.sites import load_site

    failed = False
    for file in files:
        try:
            site = load_site(file)
        except SiteError as error:
            failed = True
            say(f"error: {error}")
        else:
            click.echo(f"{file}: good, {len(site.zones)} zones")
    ctx.exit(1 if failed else 0)
