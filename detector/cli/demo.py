"""`bargewatch demo`: the whole way from an image to a table, on a painted port."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from pathlib import Path

import click

from detector.cli.options import weights_option


@click.command()
@click.option("--out", default="bargewatch-demo", show_default=True, metavar="DIR", help="Folder for the files.")
@click.option("--seed", default=7, show_default=True, help="Another seed paints another port.")
@weights_option
@click.option("--force", is_flag=True, help="Replace the folder of an earlier demo.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def demo(out: str, seed: int, weights: str | None, force: bool, as_json: bool) -> None:
    """Paint a port with known vessels, find them, and compare.

    The image is painted, with the structure of a Sentinel-2 product: it shows how everything works and what the
    files look like, not how good the network is on real scenes.
    """
    from detector.atomic import check_writable
    from detector.errors import TableError
    from detector.model import find_weights
    from training.simulate.demo import run_demo

    target = Path(out)
    if target.exists() and not force:
        raise TableError(f"{out} exists; name a new folder with --out, or replace it with --force")
    if target.exists() and not (target / "truth.geojson").is_file():
        raise TableError(f"{out} is not the folder of an earlier demo and is left alone; name another with --out")
    check_writable(target.resolve().with_name(f".{target.name}.new"))  # beside it: the old one is replaced as a whole
    find_weights(weights)
    click.echo("Painting a port of 12 x 12 km and looking for its vessels ...", err=True)
    folder = Path(tempfile.mkdtemp(prefix=".bargewatch-demo.", dir=target.resolve().parent))
    try:
        result = run_demo(folder, seed=seed, weights=weights)
        folder.chmod(0o755)
        if target.exists():
            shutil.rmtree(target)
        os.replace(folder, target)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    result = result.moved(folder, target)
    if as_json:
        click.echo(json.dumps(result.to_json(), indent=1))
    else:
        click.echo(result.summary())
        files = f"--vessels {result.table} --looks {result.looks} --site {result.site}"
        click.echo(f"Next, visits to its berths: bargewatch count {files} --out counts")
        click.echo("Then a scene of your own:  bargewatch predict SCENE --out vessels.geojson --preview scene.png")
