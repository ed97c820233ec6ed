"""`bargewatch demo`: the whole way from an image to a table, on a painted port."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from pathlib import Path

import click


@click.command()
@click.option(
    "--out", default="bargewatch-demo", show_default=True, metavar="DIR", help="New folder for the files."
)
@click.option("--seed", default=7, show_default=True, help="Another seed paints another port.")
@click.option("--weights", metavar="W", help="Weights by name or path.  [default: those that ship]")
def demo(out: str, seed: int, weights: str | None) -> None:
    """Paint a small port with known vessels, find them, and compare.

    The image is painted, so it shows how the files look, not how good the network is on real scenes.
    """
    from detector.atomic import check_writable
    from detector.errors import TableError

    target = Path(out)
    if target.exists():
        raise TableError(f"{out} exists; name a new folder with --out")
    check_writable(target)
    folder = Path(tempfile.mkdtemp(prefix=".bargewatch-demo.", dir=target.resolve().parent))
    try:
        found, painted, matched = _make(folder, seed, weights)
        folder.chmod(0o755)
        os.replace(folder, target)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    click.echo(
        f"{painted} vessels were painted; {found} were found, {matched} of the painted ones among them."
    )
    for name, text in (
        ("scene.tif", "the painted image, with its bands, scale and time"),
        ("port.geojson", "its site file: berths and anchorage"),
        ("vessels.geojson", "what was found; open it in QGIS over scene.tif"),
        ("looks.csv", "how much of each zone could be seen"),
        ("preview.png", "scene and vessels at a glance"),
        ("truth.geojson", "what was painted"),
    ):
        click.echo(f"  {target / name}: {text}")
    click.echo("Next, a scene of your own: bargewatch predict SCENE --out vessels.geojson")


def _make(folder: Path, seed: int, weights: str | None) -> tuple[int, int, int]:
    """Write all files; returns the numbers of vessels found, painted, and painted that were found."""
    import shapely

    from detector.loadings.looks import look_rows, write_looks
    from detector.loadings.sites import load_site
    from detector.prediction import predict
    from detector.preview import write_preview
    from detector.scene import open_scene
    from training.simulate import SceneSpec, paint, site_geojson, truth_geojson, write_geotiff

    painted = paint(SceneSpec(seed=seed, size=(512, 512), vessel_count=20))
    image = write_geotiff(painted, folder / "scene.tif")
    (folder / "port.geojson").write_text(json.dumps(site_geojson(painted.zones, painted.grid), indent=1))
    (folder / "truth.geojson").write_text(json.dumps(truth_geojson(painted.truth), indent=1))
    site = load_site(folder / "port.geojson")
    vessels = predict(image, weights=weights, site=site, keep_rejected=True)
    vessels.write(folder / "vessels.geojson")
    with open_scene(image) as scene:
        write_looks(folder / "looks.csv", look_rows(scene, site))
        write_preview(scene, vessels, folder / "preview.png")
    kept = vessels.kept
    if not len(kept) or not painted.truth:
        return len(kept), len(painted.truth), 0
    hits, _ = shapely.STRtree(list(kept["geometry"])).query(
        [t.polygon for t in painted.truth], predicate="intersects"
    )
    return len(kept), len(painted.truth), len(set(hits.tolist()))
