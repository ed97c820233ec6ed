"""`bargewatch labels` as a user runs it: out, edited, back, compared, and into a training."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import geopandas
import pytest
import shapely

from tests.labelscenes import box, raster, scene_of
from training.config import SourceConfig
from training.datasets import load_source
from training.exchange.geopackage import write_labels
from training.labels import Label


def run(*arguments: object, code: int = 0) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "detector.cli", "labels", *map(str, arguments)], capture_output=True, text=True, timeout=250
    )
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout + done.stderr


@pytest.fixture
def work(tmp_path: Path) -> Path:
    labels = [Label(box(30, 30, 14, 4, 20), id=1), Label(box(80, 60, 10, 3, 70), id=2), Label(box(120, 90, 9, 3, 5), id=3)]
    write_labels([scene_of(raster(tmp_path / "images" / "a.tif", "EPSG:3857"), labels)], tmp_path / "labels.gpkg")
    return tmp_path


def test_the_loop_through_qgis(work: Path) -> None:
    said = run("export", work / "labels.gpkg", "--images", work / "images", "--out", work / "edited.gpkg")
    assert "1 images, 3 labels, 0 of them ignored" in said

    # What a person does in QGIS: remove one, call one a coal barge, doubt none, draw one.
    table = geopandas.read_file(work / "edited.gpkg", layer="labels")
    table = table[table["id"] != "3"]
    table.loc[table["id"] == "2", "class"] = "coal_barge"
    west, south, east, north = table.total_bounds
    drawn = shapely.box(west, north, west + (east - west) / 9, north + (north - south) / 9)
    table = geopandas.pd.concat([table, geopandas.GeoDataFrame({"geometry": [drawn]}, crs=table.crs)])
    table.to_file(work / "edited.gpkg", layer="labels")

    said = run(
        "diff", work / "edited.gpkg", "--original", work / "labels.gpkg", "--images", work / "images",
        "--reason", "second reader", "--out", work / "corrections.json",
    )  # fmt: skip
    assert "1 add, 1 class, 1 remove, in 1 of 1 images" in said
    source = SourceConfig("vector", "labels.gpkg", images="images", corrections="corrections.json")
    (scene,) = load_source(source, work)
    assert sorted((str(label.id), label.name) for label in scene.labels) == [
        ("1", "vessel"), ("2", "coal_barge"), ("None", "vessel")
    ]  # fmt: skip


def test_the_loop_through_cvat(work: Path) -> None:
    run("export", work / "labels.gpkg", "--images", work / "images", "--format", "coco", "--tile", 64, "--zoom", 2,
        "--jpeg", "--out", work / "cvat")  # fmt: skip
    assert len(list((work / "cvat" / "images").glob("*.jpg"))) == 6
    file = work / "cvat" / "annotations" / "instances_default.json"
    content = json.loads(file.read_text())
    content["annotations"][0]["attributes"]["ignore"] = True
    returned = work / "instances_default.json"
    returned.write_text(json.dumps(content))
    said = run("import", returned, "--tiles", work / "cvat", "--images", work / "images", "--out", work / "back.json")
    assert "3 labels, 1 of them ignored" in said
    assert "format: coco" in said
    (scene,) = load_source(SourceConfig("coco", "back.json", images="images"), work)
    assert sum(label.ignore for label in scene.labels) == 1

    content["images"] = content["images"][:1]
    content["annotations"] = [a for a in content["annotations"] if a["image_id"] == content["images"][0]["id"]]
    returned.write_text(json.dumps(content))
    again = ("import", returned, "--tiles", work / "cvat", "--images", work / "images", "--out", work / "part.gpkg")
    assert "5 tiles did not come back" in run(*again, code=2)
    assert "3 labels" in run(*again, "--original", work / "labels.gpkg")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["export", "labels.gpkg", "--out", "folder"], "--format coco or yolo"),
        (["export", "labels.gpkg", "--out", "a.gpkg", "--format", "coco"], "--format coco or yolo"),
        (["export", "labels.gpkg", "--format", "yolo", "--rejected", "--out", "y"], "--rejected goes with"),
        (["export", "labels.gpkg", "--images", "images", "--place", "x", "--out", "a.gpkg"], "there are a"),
        (["import", "labels.gpkg", "--out", "a.txt"], "must end in"),
        (["import", "none.gpkg", "--images", "images", "--out", "a.gpkg"], "no labels at none.gpkg"),
        (["diff", "labels.gpkg", "--original", "none.gpkg"], "no labels at none.gpkg"),
        (["choose", "none.tif", "--out", "r"], "none.tif"),
    ],
)
def test_mistakes(work: Path, arguments: list[str], says: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from click.testing import CliRunner

    from detector.cli import cli

    monkeypatch.chdir(work)
    before = sorted(path.name for path in work.iterdir())
    done = CliRunner().invoke(cli, ["labels", *arguments])
    assert done.exit_code != 0
    assert says in done.output + str(done.exception)
    assert sorted(path.name for path in work.iterdir()) == before


def test_help_needs_no_extra() -> None:
    code = (
        "import sys; sys.modules.update(dict.fromkeys(['torch', 'ultralytics', 'matplotlib', 'albumentations']));"
        "from detector.cli import run; sys.exit(run(['labels', '--help']))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    for word in ("export", "import", "diff", "choose", "docs/labelling.md"):
        assert word in done.stdout
