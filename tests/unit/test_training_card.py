"""Reports, model cards and a user's own labels: what comes out is what was measured."""

from __future__ import annotations

import json
from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine

from detector.detections import Detections
from detector.errors import ConfigError, LabelError, WeightsNotFoundError
from detector.geometry import Grid
from training import failures
from training.card import write_card
from training.evaluate import Predicted, Scored
from training.labels import Label, LabelledScene
from training.matching import FALSE_ALARM
from training.ownlabels import own_scenes
from training.reporting import markdown, write_report
from training.scores import RADII_M, Matched
from training.slices import Slice
from training.summary import summarise
from training.surroundings import SHORES

TRANSFORM = Affine(10, 0, 500000, 0, -10, 4000000)


def place(seed: int) -> Matched:
    rng = np.random.default_rng(seed)
    n, labels = 40, 20
    match = np.where(rng.random(n) < 0.4, 0, FALSE_ALARM)
    match[match == 0] = rng.permutation(labels)[: (match == 0).sum()]
    confidence = np.where(match >= 0, rng.uniform(0.2, 1, n), rng.uniform(0, 0.8, n))
    return Matched(
        confidence, dict.fromkeys(RADII_M, match), match, rng.uniform(20, 300, n), rng.uniform(0, 180, n),
        rng.uniform(0, 600, n), rng.uniform(20, 300, labels), rng.uniform(0, 180, labels), rng.uniform(0, 600, labels),
        {name: 12.0 for name, _, _ in SHORES},
    )  # fmt: skip


@pytest.fixture
def report(measured: dict) -> dict:
    return deepcopy(measured)


@pytest.fixture(scope="module")
def measured() -> dict:
    places = {name: place(seed) for seed, name in enumerate(("north_port", "south", "east"))}
    fold_of = {"north_port": "a", "south": "a", "east": "b"}
    return {
        "mode": "four_band", "weights": {f: {"file": "last.onnx", "sha256": f * 64} for f in "ab"},
        "weights_note": "Out of fold.", "threshold_note": "Thresholds of others.", "out_of_fold": True,
        "settings": {"a": None, "b": None}, "labels": {"corrected": summarise(places, fold_of)},
        "scenes": [{"scene": p, "place": p, "vessels": 20, "ignore_areas": 0} for p in places],
        "skipped": [{"scene": "west", "reason": "no blue", "failed": False}],
    }  # fmt: skip


def weights_folder(path: Path) -> Path:
    path.mkdir()
    entry = {"onnx": "net.onnx", "onnx_sha256": "f" * 64, "classes": ["vessel"], "confidence": 0.31, "size": 768}
    (path / "registry.json").write_text(json.dumps({"default": "net", "weights": {"net": entry}}))
    return path


def test_report_is_plain_json_and_a_table_with_every_place(report: dict, tmp_path: Path) -> None:
    path, text = write_report(report, tmp_path)
    again = json.loads(path.read_text(), parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
    assert again["labels"]["corrected"]["pooled"] == report["labels"]["corrected"]["pooled"]
    written = text.read_text()
    assert all(f"| {name} |" in written for name in ("north_port", "south", "east", "**pooled**", "near quay"))
    assert "- west: no blue" in written
    assert "nan" not in written


def test_card_holds_the_figures_of_the_evaluation(report: dict, tmp_path: Path) -> None:
    write_report(report, tmp_path)
    folder = weights_folder(tmp_path / "weights")
    (tmp_path / "failures-four_band.jpg").write_bytes(b"picture")
    paths = write_card("net", tmp_path, folder=folder)
    assert [p.name for p in paths] == ["net.md", "net-failures.jpg"]
    card = paths[0].read_text()
    result = report["labels"]["corrected"]
    low, high = result["intervals"]["f1_150"]
    assert f"| F1 at 150 m | {result['pooled']['f1_150']:.2f} ({low:.2f} to {high:.2f}) |" in card
    assert "| near quay |" in card
    assert "net-failures.jpg" in card
    assert "3 places drawn anew" in card
    assert "| Threshold | 0.31 of the network's own scores; " in card
    assert "$" not in card
    result["pooled"]["f1_150"] = 0.987
    write_report(report, tmp_path)
    assert "0.99 (" in write_card("net", tmp_path, folder=folder)[0].read_text()


def test_card_says_when_the_settings_are_not_those_measured(report: dict, tmp_path: Path) -> None:
    folder = weights_folder(tmp_path / "weights")
    for fold, epochs in (("all", 10), ("b", 12)):
        run = tmp_path / fold
        run.mkdir()
        (run / "train.yaml").write_text(f"start: /some/where/start.pt\ndata: []\noptimise: {{epochs: {epochs}}}\n")
    from training.evaluate import training_settings

    for measured, words in (("all", "the same settings"), ("b", "(a, b) were trained with other settings")):
        report["settings"] = dict.fromkeys("ab", training_settings(tmp_path / measured))
        write_report(report, tmp_path)
        card = write_card("net", tmp_path, run=tmp_path / "all", folder=folder)[0].read_text()
        assert words in card
        assert "`start.pt`, 10 epochs" in card


def test_card_that_cannot_be_written_leaves_nothing(report: dict, tmp_path: Path) -> None:
    folder = weights_folder(tmp_path / "weights")
    with pytest.raises(ConfigError, match="run bargewatch evaluate"):
        write_card("net", tmp_path, folder=folder)
    write_report(report, tmp_path)
    with pytest.raises(WeightsNotFoundError, match="other"):
        write_card("other", tmp_path, folder=folder)
    bad = tmp_path / "bad.md"
    bad.write_text("# $name $figure_of_eight")
    with pytest.raises(ConfigError, match="figure_of_eight"):
        write_card("net", tmp_path, template=bad, folder=folder)
    (tmp_path / "evaluation-four_band.json").write_text('{"labels": {}}')
    with pytest.raises(ConfigError, match="evaluate again"):
        write_card("net", tmp_path, folder=folder)
    assert [p.name for p in folder.iterdir()] == ["registry.json"]


def raster(path: Path, value: int = 900) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with rasterio.open(
        path, "w", driver="GTiff", width=200, height=160, count=4, dtype="uint16", crs="EPSG:32650", transform=TRANSFORM
    ) as file:
        file.write(np.full((4, 160, 200), value, np.uint16))
        for number, band in enumerate(("B02", "B03", "B04", "B08"), 1):
            file.set_band_description(number, band)
        file.update_tags(SCALE="0.0001")
    return path


def corners(col: float, row: float, length: float = 20, width: float = 4) -> np.ndarray:
    return np.array([[col, row], [col + length, row], [col + length, row + width], [col, row + width]], float)


def test_pictures_show_the_worst_of_each_slice(tmp_path: Path) -> None:
    path = raster(tmp_path / "port.tif")
    with rasterio.open(path) as file:
        grid = Grid(file.crs, file.transform, 200, 160)
    labels = np.array([corners(30, 30), corners(90, 90, 9)])
    found = np.array([corners(30, 31), corners(120, 40), corners(150, 120)])

    def lonlat(boxes: np.ndarray) -> np.ndarray:
        return np.stack(grid.to_lonlat(boxes[..., 0], boxes[..., 1]), axis=-1)

    import shapely

    n, at = len(found), lonlat(found)
    table = Detections.from_columns(
        **{
            "scene_id": ["port"] * n, "acquired": [None] * n, "class": ["vessel"] * n, "confidence": [0.9, 0.8, 0.1],
            "lon": at[:, 0, 0], "lat": at[:, 0, 1], "length_m": [200.0] * n, "width_m": [40.0] * n,
            "heading_deg": [90.0] * n, "heading_ambiguous": [True] * n, "coal_score": [0.0] * n, "status": ["kept"] * n,
            "geometry": shapely.polygons(at),
        }
    )  # fmt: skip
    scene = LabelledScene(path, "port", [Label(c) for c in labels])
    one = Predicted(scene, table, lonlat(labels), np.zeros((0, 4, 2)), grid)
    wrong = failures.find([Scored(one, one.matched())], {"port": 0.5})
    assert [(f.kind, round(f.length_m), f.caption) for f in wrong] == [
        ("missed", 90, "missed, port, 90 m"), ("false", 200, "false, port, 200 m, 0.80"),
    ]  # fmt: skip
    assert not wrong[0].near(wrong[1])  # 610 m
    neighbour = replace(wrong[0], corners=lonlat(corners(105, 90, 9)[None])[0])  # 150 m
    everything = Slice("all", "all")
    assert failures.of_slice([wrong[0], neighbour, wrong[1]], everything) == wrong
    assert failures.of_slice(wrong, everything, beside=[neighbour]) == wrong[1:]
    listed = failures.write(wrong, tmp_path, "four_band")
    assert {one["slice"] for one in listed} == {"60-100 m", "200 m and over"}  # nothing is known of the shore
    assert all((tmp_path / one["file"]).stat().st_size < failures.STRIP_BYTES for one in listed)
    from PIL import Image

    with Image.open(tmp_path / "failures-four_band.jpg") as picture:
        red, green, blue = (np.asarray(picture.convert("RGB"), int)[..., i] for i in range(3))
    assert ((red > 180) & (green < 110) & (blue < 110)).sum() > 50


def test_own_labels_of_every_kind(tmp_path: Path) -> None:
    for name in ("rizhao/one", "rizhao/two", "lone"):
        raster(tmp_path / "images" / f"{name}.tif")
    import geopandas
    import shapely

    x0, y0 = 500300, 3999700
    hull = shapely.box(x0, y0 - 40, x0 + 200, y0)
    rows = geopandas.GeoDataFrame({"image": ["one.tif"]}, geometry=[hull], crs="EPSG:32650")
    rows.to_file(tmp_path / "my.gpkg")
    rows.to_crs(4326).to_file(tmp_path / "my.json", driver="GeoJSON")
    coco = {"images": [{"id": 1, "file_name": "rizhao/one.tif"}], "categories": [{"id": 1, "name": "vessel"}]}
    coco["annotations"] = [{"id": 1, "image_id": 1, "category_id": 1, "obb": corners(30, 30).ravel().tolist()}]
    (tmp_path / "coco.json").write_text(json.dumps(coco))
    (tmp_path / "yolo").mkdir()
    (tmp_path / "yolo" / "one.txt").write_text("0 " + " ".join(str(v) for v in (corners(30, 30) / [200, 160]).ravel()))
    for labels in ("my.gpkg", "my.json", "coco.json", "yolo"):
        scenes = {s.name: s for s in own_scenes(tmp_path / labels, tmp_path / "images")}
        (label,) = scenes["rizhao_one"].labels
        np.testing.assert_allclose(np.sort(label.corners, axis=0), np.sort(corners(30, 30), axis=0), atol=1e-3)
        if labels != "coco.json":  # the others know of images without vessels
            assert {s.place for s in scenes.values()} == {"rizhao", "lone"}
    with pytest.raises(LabelError, match="--images"):
        own_scenes(tmp_path / "coco.json", tmp_path / "yolo")
    with pytest.raises(LabelError, match="no labels"):
        own_scenes(tmp_path / "none.gpkg", tmp_path / "images")


def test_markdown_without_pictures_or_intervals(report: dict) -> None:
    one = {"north_port": place(1)}
    report["labels"] = {"own": summarise(one, {"north_port": "all"}, thresholds={"all": 0.4}, single=0.4)}
    text = markdown(report)
    assert "## Own labels" in text
    assert "With so few" in text
