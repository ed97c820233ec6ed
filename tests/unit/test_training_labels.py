"""Label formats, corrections, folds and settings."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import geopandas
import numpy as np
import pytest
import rasterio
import shapely
from affine import Affine

from detector.errors import ConfigError, LabelError
from training import datasets
from training.config import SourceConfig, TrainConfig, read_config, read_folds
from training.labelfiles import read_vector, read_yolo, write_vector, write_yolo
from training.labels import LabelledScene, apply_corrections, read_coco

BOX = [[20.0, 10.0], [40.0, 30.0], [35.0, 35.0], [15.0, 15.0]]


def raster(path: Path, *, x: float = 700_000.0, size: int = 64) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with rasterio.open(
        path, "w", driver="GTiff", width=size, height=size, count=3, dtype="uint8", crs="EPSG:32651",
        transform=Affine(10, 0, x, 0, -10, 4_300_000.0), photometric="RGB",
    ) as out:  # fmt: skip
        out.write(np.full((3, size, size), 40, np.uint8))
    return path


def coco(path: Path, annotations: list[dict], images: list[dict] | None = None) -> Path:
    images = images or [{"id": 1, "file_name": "a.tif"}]
    categories = [{"id": 1, "name": "vessel"}, {"id": 2, "name": "fixed"}, {"id": 3, "name": "smudge"}]
    rows = [{"id": i, "image_id": 1, "category_id": 1, **a} for i, a in enumerate(annotations, 1)]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"images": images, "categories": categories, "annotations": rows}))
    return path


def same_box(a: np.ndarray, b: np.ndarray, tolerance: float = 1e-6) -> bool:
    p, q = shapely.Polygon(np.asarray(a)), shapely.Polygon(np.asarray(b))
    return p.symmetric_difference(q).area < tolerance


class TestCoco:
    def test_corners(self, tmp_path: Path) -> None:
        (scene,) = read_coco(coco(tmp_path / "l.json", [{"obb": sum(BOX, [])}]), tmp_path)
        assert scene.labels[0].corners.tolist() == BOX
        assert scene.place == scene.name == "a"

    def test_centre_length_width_angle(self, tmp_path: Path) -> None:
        file = coco(tmp_path / "l.json", [{"obb": [50, 40, 20, 4, 30]}])
        label = read_coco(file, tmp_path, obb="cxcywha")[0].labels[0]
        assert label.centre == pytest.approx([50, 40])
        bow = np.array([50, 40]) + 10 * np.array([np.cos(np.pi / 6), np.sin(np.pi / 6)])  # clockwise, y down
        assert np.abs(label.corners[:2].mean(axis=0) - bow).max() < 1e-9 or (
            np.abs(label.corners[2:].mean(axis=0) - bow).max() < 1e-9
        )
        assert shapely.Polygon(label.corners).area == pytest.approx(80)

    def test_polygon_and_bbox_where_there_is_no_obb(self, tmp_path: Path) -> None:
        ring = [20, 10, 30, 20, 40, 30, 35, 35, 15, 15]
        file = coco(tmp_path / "l.json", [{"segmentation": [ring]}, {"bbox": [1, 2, 10, 5]}])
        first, second = read_coco(file, tmp_path)[0].labels
        assert same_box(first.corners, BOX)
        assert same_box(second.corners, [[1, 2], [11, 2], [11, 7], [1, 7]])

    def test_drop_and_ignore(self, tmp_path: Path) -> None:
        rows = [{"bbox": [0, 0, 9, 9], **more} for more in ({}, {"category_id": 2}, {"category_id": 3}, {"iscrowd": 1})]
        labels = read_coco(coco(tmp_path / "l.json", rows), tmp_path, drop=["fixed"])[0].labels
        assert [(label.id, label.ignore) for label in labels] == [(1, False), (3, True), (4, True)]

    @pytest.mark.parametrize("text", ["{", "[]", '{"images": []}', '{"images": 1, "categories": [], "annotations": []}'])
    def test_not_coco(self, tmp_path: Path, text: str) -> None:
        (tmp_path / "l.json").write_text(text)
        with pytest.raises(LabelError, match="l.json"):
            read_coco(tmp_path / "l.json", tmp_path)

    def test_annotation_without_a_box(self, tmp_path: Path) -> None:
        with pytest.raises(LabelError, match="no obb"):
            read_coco(coco(tmp_path / "l.json", [{}]), tmp_path)


class TestCorrections:
    def correct(self, tmp_path: Path, *operations: dict) -> LabelledScene:
        scenes = read_coco(coco(tmp_path / "l.json", [{"obb": sum(BOX, [])}, {"bbox": [0, 0, 9, 9]}]), tmp_path)
        file = tmp_path / "c.json"
        file.write_text(json.dumps({"images": {"a.tif": list(operations), "not_fetched.tif": [{"op": "remove", "id": 9}]}}))
        apply_corrections(scenes, file)
        return scenes[0]

    def test_every_operation(self, tmp_path: Path) -> None:
        square = [0, 0, 4, 0, 4, 4, 0, 4]
        scene = self.correct(
            tmp_path, {"op": "reshape", "id": 1, "obb": square}, {"op": "remove", "id": 2},
            {"op": "add", "obb": square}, {"op": "ignore", "obb": square}, {"op": "ignore", "id": 1},
        )  # fmt: skip
        assert [(label.id, label.ignore) for label in scene.labels] == [(1, True), (None, False), (None, True)]
        assert all(same_box(label.corners, np.reshape(square, (4, 2))) for label in scene.labels)

    @pytest.mark.parametrize(
        "operation",
        [{"op": "remove", "id": 99}, {"op": "paint", "id": 1}, {"op": "add"}, {"op": "reshape", "id": 1}, {"op": "remove"}],
    )
    def test_nonsense_is_refused(self, tmp_path: Path, operation: dict) -> None:
        with pytest.raises(LabelError, match="c.json, a.tif"):
            self.correct(tmp_path, operation)

    @pytest.mark.parametrize("text", [
        "{", "{}", '{"images": {"a.tif": [{"id": 1}]}}', '{"images": {"a.tif": [{"op": "add", "obb": [1]}]}}',
    ])  # fmt: skip
    def test_damaged_file(self, tmp_path: Path, text: str) -> None:
        scenes = read_coco(coco(tmp_path / "l.json", [{"obb": sum(BOX, [])}]), tmp_path)
        (tmp_path / "c.json").write_text(text)
        with pytest.raises(LabelError, match="c.json"):
            apply_corrections(scenes, tmp_path / "c.json")


def some_scenes(tmp_path: Path) -> list[LabelledScene]:
    raster(tmp_path / "images" / "a.tif")
    raster(tmp_path / "images" / "b.tif", x=710_000.0)
    images = [{"id": 1, "file_name": "a.tif"}, {"id": 2, "file_name": "b.tif"}]
    rows = [
        {"obb": sum(BOX, [])},
        {"obb": [3.5, 3.25, 9, 3, 9, 7, 3.5, 7], "image_id": 2},
        {"bbox": [50, 50, 5, 5], "ignore": 1},
    ]
    return read_coco(coco(tmp_path / "l.json", rows, images), tmp_path / "images")


class TestYolo:
    def test_round_trip(self, tmp_path: Path) -> None:
        scenes = some_scenes(tmp_path)
        write_yolo(scenes, tmp_path / "labels")
        assert (tmp_path / "labels" / "a.txt").read_text().split()[0] == "0"
        back = read_yolo(tmp_path / "labels", tmp_path / "images")
        for ours, theirs in zip(scenes, back, strict=True):
            kept = [label for label in ours.labels if not label.ignore]
            assert theirs.path == ours.path
            np.testing.assert_allclose([x.corners for x in theirs.labels], [x.corners for x in kept], atol=1e-5)

    def test_image_without_text_file_is_background(self, tmp_path: Path) -> None:
        raster(tmp_path / "images" / "a.tif")
        (tmp_path / "labels").mkdir()
        assert read_yolo(tmp_path / "labels", tmp_path / "images")[0].labels == []

    def test_classes_and_drop(self, tmp_path: Path) -> None:
        raster(tmp_path / "images" / "a.tif")
        (tmp_path / "labels").mkdir()
        line = "0.1 0.1 0.2 0.1 0.2 0.2 0.1 0.2\n"
        (tmp_path / "labels" / "a.txt").write_text(f"0 {line}1 {line}\n2 {line}")
        names = ["coal_barge", "buoy", "raft"]
        labels = read_yolo(tmp_path / "labels", tmp_path / "images", names=names, drop=["buoy"])[0].labels
        assert [(label.name, label.ignore) for label in labels] == [("coal_barge", False), ("vessel", True)]

    @pytest.mark.parametrize(
        ("line", "says"),
        [
            ("0 0.1 0.2 0.3", "3 positions"), ("x 1 2 3 4 5 6 7 8", "eight positions"),
            ("0 10 10 20 10 20 20 10 20", "shares"), ("7 .1 .1 .2 .1 .2 .2 .1 .2", "class 7"),
            ("0 nan .1 .2 .1 .2 .2 .1 .2", "positions"),
        ],
    )  # fmt: skip
    def test_bad_line_is_named(self, tmp_path: Path, line: str, says: str) -> None:
        raster(tmp_path / "images" / "a.tif")
        (tmp_path / "labels").mkdir()
        (tmp_path / "labels" / "a.txt").write_text(f"\n{line}\n")
        with pytest.raises(LabelError, match=f"line 2.*{says}"):
            read_yolo(tmp_path / "labels", tmp_path / "images")

    def test_text_file_without_image(self, tmp_path: Path) -> None:
        raster(tmp_path / "images" / "a.tif")
        (tmp_path / "labels").mkdir()
        (tmp_path / "labels" / "other.txt").write_text("")
        with pytest.raises(LabelError, match="other.txt"):
            read_yolo(tmp_path / "labels", tmp_path / "images")


class TestVector:
    @pytest.mark.parametrize("suffix", [".geojson", ".gpkg"])
    def test_round_trip(self, tmp_path: Path, suffix: str) -> None:
        scenes = some_scenes(tmp_path)
        file = tmp_path / f"labels{suffix}"
        write_vector(scenes, file)
        for ours, theirs in zip(scenes, read_vector(file, tmp_path / "images"), strict=True):
            assert [x.ignore for x in theirs.labels] == [x.ignore for x in ours.labels]
            for a, b in zip(ours.labels, theirs.labels, strict=True):
                assert same_box(a.corners, b.corners, 0.05)

    def test_other_crs_and_no_image_column(self, tmp_path: Path) -> None:
        scenes = some_scenes(tmp_path)
        write_vector(scenes, tmp_path / "l.geojson")
        table = geopandas.read_file(tmp_path / "l.geojson")[["geometry"]].to_crs("EPSG:32651")
        table.to_file(tmp_path / "l.gpkg")
        back = read_vector(tmp_path / "l.gpkg", tmp_path / "images")
        assert [len(scene.labels) for scene in back] == [2, 1]
        assert same_box(back[1].labels[0].corners, scenes[1].labels[0].corners, 0.05)

    def test_two_dates_of_one_place_need_an_image_column(self, tmp_path: Path) -> None:
        write_vector(some_scenes(tmp_path), tmp_path / "l.geojson")
        raster(tmp_path / "images" / "c.tif")
        table = geopandas.read_file(tmp_path / "l.geojson")
        table[["geometry"]].to_file(tmp_path / "bare.geojson")
        with pytest.raises(LabelError, match="2 images.*`image`"):
            read_vector(tmp_path / "bare.geojson", tmp_path / "images")
        assert len(read_vector(tmp_path / "l.geojson", tmp_path / "images")) == 3

    def test_points_are_refused(self, tmp_path: Path) -> None:
        raster(tmp_path / "images" / "a.tif")
        points = geopandas.GeoDataFrame(geometry=[shapely.Point(125, 38)], crs="EPSG:4326")
        points.to_file(tmp_path / "l.geojson")
        with pytest.raises(LabelError, match="feature 1 is a Point"):
            read_vector(tmp_path / "l.geojson", tmp_path / "images")

    def test_not_a_map(self, tmp_path: Path) -> None:
        (tmp_path / "l.geojson").write_text("hello")
        with pytest.raises(LabelError, match="l.geojson"):
            read_vector(tmp_path / "l.geojson", tmp_path)

    def test_no_images(self, tmp_path: Path) -> None:
        write_vector(some_scenes(tmp_path), tmp_path / "l.geojson")
        (tmp_path / "empty").mkdir()
        with pytest.raises(LabelError, match="holds no images"):
            read_vector(tmp_path / "l.geojson", tmp_path / "empty")


class TestSplits:
    def config(self, *labels: str) -> TrainConfig:
        return TrainConfig("yolov8n-obb.yaml", [SourceConfig("coco", name, images="images") for name in labels])

    def data(self, tmp_path: Path, *ports: str) -> TrainConfig:
        images = [{"id": i, "file_name": f"{port}.tif"} for i, port in enumerate(ports, 1)]
        for port in ports:
            raster(tmp_path / "images" / f"{port}.tif")
        coco(tmp_path / "l.json", [{"bbox": [1, 1, 9, 9], "image_id": i} for i in range(1, len(ports) + 1)], images)
        return self.config("l.json")

    def test_every_place_is_in_one_fold_and_none_is_a_test_port(self) -> None:
        folds, test = read_folds()
        places = [place for fold in folds.values() for place in fold]
        assert len(places) == len(set(places))
        assert not set(places) & set(test)
        assert {"durban", "hedland", "qingdao", "vancouver"} <= set(test)

    def test_test_ports_are_refused_whatever_they_are_called(self, tmp_path: Path) -> None:
        config = self.data(tmp_path, "busan", "durban", "Qingdao", "HEDLAND", "vancouver")
        assert [scene.place for scene in datasets.load_scenes(config, tmp_path)] == ["busan"]
        config.data[0].place = "harbour"
        assert [scene.path.stem for scene in datasets.load_scenes(config, tmp_path)] == ["busan"]

    def test_only_test_ports_is_an_error(self, tmp_path: Path) -> None:
        with pytest.raises(LabelError, match="test group"):
            datasets.load_scenes(self.data(tmp_path, "durban"), tmp_path)

    def test_a_fold_leaves_whole_places_out(self, tmp_path: Path) -> None:
        config = self.data(tmp_path, "busan", "klang", "gdynia", "algiers", "newport")
        scenes = datasets.load_scenes(config, tmp_path)
        for fold, places in read_folds()[0].items():
            kept = {scene.place for scene in datasets.split(scenes, config, fold)}
            assert not kept & set(places)
            assert kept | (set(places) & {s.place for s in scenes}) == {s.place for s in scenes}
        assert datasets.split(scenes, config, None) == scenes

    def test_fewer_places_are_part_of_more(self, tmp_path: Path) -> None:
        config = self.data(tmp_path, "busan", "klang", "gdynia", "algiers", "newport")
        scenes = datasets.load_scenes(config, tmp_path)
        before: set[str] = set()
        for config.most_places in (1, 2, 3):
            kept = {scene.place for scene in datasets.split(scenes, config, "a")}
            assert len(kept) == config.most_places and before < kept and "busan" not in kept
            before = kept

    def test_unknown_fold(self, tmp_path: Path) -> None:
        config = self.data(tmp_path, "busan")
        with pytest.raises(ConfigError, match="no fold 'z'"):
            datasets.split(datasets.load_scenes(config, tmp_path), config, "z")
        with pytest.raises(ConfigError, match="leaves nothing"):
            datasets.split(datasets.load_scenes(config, tmp_path), config, "a")

    def test_missing_image_is_said(self, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        config = self.data(tmp_path, "busan", "klang")
        (tmp_path / "images" / "klang.tif").unlink()
        assert [scene.place for scene in datasets.load_scenes(config, tmp_path)] == ["busan"]
        assert "klang.tif" in caplog.text

    @pytest.mark.parametrize(("form", "error"), [("pascal", ConfigError), ("vector", LabelError), ("yolo", LabelError)])
    def test_format(self, tmp_path: Path, form: str, error: type[Exception]) -> None:
        config = self.data(tmp_path, "busan")
        config.data[0].format = form
        (tmp_path / "l.json").write_text("[]")
        with pytest.raises(error):
            datasets.load_scenes(config, tmp_path)

    def test_no_labels(self, tmp_path: Path) -> None:
        with pytest.raises(LabelError, match="bargewatch data"):
            datasets.load_scenes(self.config("none.json"), tmp_path)


class TestConfig:
    def write(self, tmp_path: Path, text: str) -> Path:
        (tmp_path / "c.yaml").write_text(text)
        return tmp_path / "c.yaml"

    def test_shipped_settings_are_good_and_survive_a_round_trip(self, tmp_path: Path) -> None:
        from detector.resources import config_path

        for name in ("train.yaml", "train-second.yaml", "train-ranks.yaml"):
            config = read_config(config_path(name))
            assert read_config(self.write(tmp_path, config.to_yaml())) == config

    @pytest.mark.parametrize(
        ("text", "says"),
        [
            ("start: a.pt\ndata: []\nsed: 1", "unknown setting 'sed'"), ("start: a.pt", "data"),
            ("start: a.pt\ndata: []\nseed: x", "seed must be int"), ("- 1", "table of settings"), ("{", "cannot be read"),
            ("start: a.pt\ndata: []\noptimise: {epoch: 3}", "c.yaml.optimise.*'epoch'"),
            ("start: a.pt\ndata: [{format: coco}]", r"c.yaml.data\[0\].*labels"),
            ("start: a.pt\ndata: 7", "data"), ("start: a.pt\ndata: []\nclasses: vessel", "classes"),
            ("start: a.pt\ndata: []\nsampling: {scale: [1]}", "scale"),
            ("start: a.pt\ndata: []\noptimise: {epochs: 0}", "epochs"),
            ("start: a.pt\ndata: []\nsampling: {size: 100}", "size"),
            ("start: a.pt\ndata: []\nlaid: {status: {alongside: 0.5}}", "laid.status"),
            ("start: a.pt\ndata: []\nlaid: {status: {aground: 1.0}}", "laid.status"),
            ("base: c.yaml", "name each other"), ("base: none.yaml", "none.yaml"),
        ],
    )  # fmt: skip
    def test_mistakes_are_named(self, tmp_path: Path, text: str, says: str) -> None:
        with pytest.raises(ConfigError, match=says):
            read_config(self.write(tmp_path, text))

    def test_a_base_is_overruled_setting_by_setting(self, tmp_path: Path) -> None:
        (tmp_path / "base.yaml").write_text("start: a.pt\ndata: []\nseed: 5\nlaid: {copies: 2, vessels: 7}")
        config = read_config(self.write(tmp_path, "base: base.yaml\nlaid: {vessels: 9, status: {end_on: 1.0}}"))
        assert (config.start, config.seed, config.laid.copies, config.laid.vessels) == ("a.pt", 5, 2, 9)
        assert config.laid.status == {"end_on": 1.0}

    def test_missing_file(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match="none.yaml"):
            read_config(tmp_path / "none.yaml")


def test_an_optional_source_without_labels_is_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    absent = SourceConfig(format="coco", labels="nowhere.json", optional=True)
    assert datasets.load_source(absent, tmp_path) == []
    assert "nowhere.json" in caplog.text
    with pytest.raises(LabelError, match="nowhere.json"):
        datasets.load_source(replace(absent, optional=False), tmp_path)
