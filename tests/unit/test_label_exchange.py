"""Labels to each format and back, without loss."""

from __future__ import annotations

import json
import shutil
import sqlite3
import tempfile
import zipfile
from contextlib import closing
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pyogrio
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from detector.errors import LabelError
from detector.geometry import Grid
from tests.labelscenes import GRIDS, box, raster, scene_of, some_labels
from training.exchange import styles
from training.exchange.coco import cvat_labels, write_coco, write_scene_coco
from training.exchange.differences import corner_distance
from training.exchange.geopackage import write_labels
from training.exchange.reading import read_labels
from training.exchange.tiles import Cut, plan, read_manifest
from training.exchange.yolo import write_yolo_tiles
from training.labelfiles import write_vector
from training.labels import Label, LabelledScene

SMALL = Cut(core=64, frame=8, zoom=3.0)
QUICK = Cut(core=64, frame=8, zoom=1.0)
few = settings(max_examples=10, deadline=None, suppress_health_check=list(HealthCheck))


@pytest.fixture(scope="module")
def images() -> Path:
    folder = Path(tempfile.mkdtemp())
    for crs in GRIDS:
        raster(folder / crs.replace(":", "") / f"{crs[5:]}.tif", crs)
    yield folder
    shutil.rmtree(folder)


def pairs(before: list[Label], after: list[Label]) -> list[tuple[Label, Label]]:
    assert len(before) == len(after)
    left = list(after)
    out = []
    for label in before:
        nearest = min(left, key=lambda other: corner_distance(label.corners, other.corners))
        left = [other for other in left if other is not nearest]
        out.append((label, nearest))
    return out


def same(before: list[Label], after: list[Label], *, ids: bool = True, pixels: float = 0.02) -> None:
    for one, other in pairs(before, after):
        assert corner_distance(one.corners, other.corners) < pixels
        assert (one.name, one.ignore) == (other.name, other.ignore)
        if ids:
            assert str(one.id) == str(other.id)


class TestRoundTrip:
    @pytest.mark.parametrize("crs", GRIDS)
    @pytest.mark.parametrize("form", ["gpkg", "geojson", "json", "polygons", "rotated", "yolo"])
    @few
    @given(labels=some_labels())
    def test_nothing_is_lost(self, images: Path, crs: str, form: str, labels: list[Label]) -> None:
        folder = images / crs.replace(":", "")
        scene = scene_of(folder / f"{crs[5:]}.tif", labels)
        with tempfile.TemporaryDirectory() as name:
            out = Path(name) / "out"
            if form == "gpkg":
                out = out.with_suffix(".gpkg")
                write_labels([scene], out)
            elif form == "geojson":
                out = out.with_suffix(".geojson")
                write_vector([scene], out)
            elif form == "json":
                out = out.with_suffix(".json")
                write_scene_coco([scene], out, folder)
            elif form == "yolo":
                write_yolo_tiles([scene], out, QUICK)
            else:
                write_coco([scene], out, QUICK, rotated=form == "rotated")
            returned = read_labels(out, folder)
        assert not returned.unseen
        (back,) = returned.scenes
        assert back.path == scene.path
        same(labels, back.labels, ids=form != "yolo")

    def test_what_cvat_rounds_stays_below_a_tenth_of_a_pixel(self, images: Path, tmp_path: Path) -> None:
        folder = images / "EPSG32651"
        labels = [Label(box(40 + 9 * i, 50, 20, 3, 37 * i), id=i) for i in range(1, 6)]
        write_coco([scene_of(folder / "32651.tif", labels)], tmp_path / "out", SMALL, rotated=True)
        file = tmp_path / "out" / "annotations" / "instances_default.json"
        content = json.loads(file.read_text())
        for annotation in content["annotations"]:
            assert annotation["segmentation"] == []
            annotation["bbox"] = [round(v, 2) for v in annotation["bbox"]]
            annotation["attributes"]["rotation"] = round(annotation["attributes"]["rotation"], 1)
        file.write_text(json.dumps(content))
        same(labels, read_labels(tmp_path / "out", folder).scenes[0].labels, pixels=0.1)

    def test_properties(self, images: Path, tmp_path: Path) -> None:
        folder = images / "EPSG32651"
        label = Label(box(40, 50, 20, 3, 10), id="a7", properties={"confidence": 0.25, "reason": "a wake, perhaps"})
        scene = scene_of(folder / "32651.tif", [label])
        write_labels([scene], tmp_path / "l.gpkg")
        write_coco([scene], tmp_path / "coco", SMALL)
        for path in (tmp_path / "l.gpkg", tmp_path / "coco"):
            (back,) = read_labels(path, folder).scenes[0].labels
            assert back.properties == label.properties
            assert back.id == "a7"

    def test_without_labels(self, images: Path, tmp_path: Path) -> None:
        folder = images / "EPSG32651"
        scene = scene_of(folder / "32651.tif", [])
        write_labels([scene], tmp_path / "l.gpkg")
        write_coco([scene], tmp_path / "coco", SMALL)
        write_yolo_tiles([scene], tmp_path / "yolo", SMALL)
        for path in (tmp_path / "l.gpkg", tmp_path / "coco", tmp_path / "yolo"):
            returned = read_labels(path, folder)
            assert [len(scene.labels) for scene in returned.scenes] == [0]
            assert not returned.unseen

    def test_a_zip_as_cvat_gives_it(self, images: Path, tmp_path: Path) -> None:
        folder = images / "EPSG3857"
        labels = [Label(box(30, 30, 12, 3, 20), id=5), Label(box(100, 90, 9, 3, 80), "coal_barge", True, id=6)]
        write_coco([scene_of(folder / "3857.tif", labels)], tmp_path / "coco", SMALL)
        write_yolo_tiles([scene_of(folder / "3857.tif", labels)], tmp_path / "yolo", SMALL)
        with zipfile.ZipFile(tmp_path / "coco.zip", "w") as archive:
            archive.write(tmp_path / "coco/annotations/instances_default.json", "annotations/instances_default.json")
        with zipfile.ZipFile(tmp_path / "yolo.zip", "w") as archive:
            archive.write(tmp_path / "yolo/data.yaml", "data.yaml")
            archive.writestr("train.txt", "images/train/a.png\n")
            for file in (tmp_path / "yolo/labels").iterdir():
                archive.write(file, f"labels/train/{file.name}")
        same(labels, read_labels(tmp_path / "coco.zip", folder, tmp_path / "coco").scenes[0].labels)
        same(labels, read_labels(tmp_path / "yolo.zip", folder, tmp_path / "yolo").scenes[0].labels, ids=False)


class TestTiles:
    @few
    @given(labels=some_labels(), core=st.integers(32, 200), frame=st.integers(0, 20))
    def test_every_label_is_in_one_tile_and_wholly_shown(self, labels: list[Label], core: int, frame: int) -> None:
        from rasterio.crs import CRS

        grid = Grid(CRS.from_epsg(4326), GRIDS["EPSG:4326"], 150, 110)
        tiles = plan(scene_of(Path("a.tif"), labels), grid, Cut(core=core, frame=frame))
        assert sorted(label.id for _, owned in tiles for label in owned) == sorted(label.id for label in labels)
        assert sum(tile.core.width * tile.core.height for tile, _ in tiles) == 150 * 110
        for tile, owned in tiles:
            across, down = tile.zoom
            # A degree of longitude is shorter at 38.7 N; pictures are whole pixels wide, so slivers are off a little.
            assert across / down == pytest.approx(0.783, abs=0.005 + 0.5 / (tile.window.width * down))
            for label in owned:
                shown = tile.to_tile(label.corners)
                assert (shown >= 0).all() and (shown <= tile.size).all()
                assert np.allclose(tile.to_scene(shown), label.corners)

    def test_the_frame_is_dim_for_people_and_grey_for_training(self, images: Path, tmp_path: Path) -> None:
        folder = images / "EPSG32651"
        scene = scene_of(folder / "32651.tif", [Label(box(64, 30, 20, 3, 0), id=1)])
        write_coco([scene], tmp_path / "coco", SMALL)
        write_yolo_tiles([scene], tmp_path / "yolo", SMALL)
        tile = next(t for t in read_manifest(tmp_path / "yolo").values() if t.owns(np.array([64.0, 30.0])))
        dim, grey = (np.asarray(Image.open(tmp_path / form / "images" / tile.file)) for form in ("coco", "yolo"))
        assert dim.shape == grey.shape == (tile.size[1], tile.size[0], 3)
        inside, frame, hull = (tile.to_tile(np.array(p)).astype(int) for p in ([90.0, 20.0], [60.0, 5.0], [58.0, 30.0]))
        assert (grey[inside[1], inside[0]] == dim[inside[1], inside[0]]).all()
        assert (grey[frame[1], frame[0]] == 114).all()
        assert (grey[hull[1], hull[0]] != 114).any()  # the tile's own hull shows through
        assert 0 < dim[frame[1], frame[0]].max() < dim[inside[1], inside[0]].max()

    def test_a_vessel_drawn_again_in_the_frame_counts_once(self, images: Path, tmp_path: Path) -> None:
        folder = images / "EPSG32651"
        write_coco([scene_of(folder / "32651.tif", [Label(box(60, 30, 10, 3, 0), id=1)])], tmp_path / "o", SMALL)
        file = tmp_path / "o" / "annotations" / "instances_default.json"
        content = json.loads(file.read_text())
        neighbour = next(i for i in content["images"] if "00000_00064" in i["file_name"])
        tile = read_manifest(tmp_path / "o")[Path(neighbour["file_name"]).stem]
        for corners in (box(60.5, 30, 10, 3, 0), box(60, 50, 10, 3, 0)):
            ring = tile.to_tile(corners).reshape(-1).tolist()
            number = 90 + len(content["annotations"])
            drawn = {"id": number, "image_id": neighbour["id"], "category_id": 1, "segmentation": [ring]}
            content["annotations"].append(drawn)
        file.write_text(json.dumps(content))
        centres = sorted(tuple(label.centre.round()) for label in read_labels(file, folder).scenes[0].labels)
        assert centres == [(60, 30), (60, 50)]

    def test_tiles_that_did_not_come_back_are_named(self, images: Path, tmp_path: Path) -> None:
        folder = images / "EPSG32651"
        labels = [Label(box(30, 30, 10, 3, 0), id=1), Label(box(100, 30, 10, 3, 0), id=2)]
        write_yolo_tiles([scene_of(folder / "32651.tif", labels)], tmp_path / "o", SMALL)
        next((tmp_path / "o" / "labels").glob("*_00000_00064.txt")).unlink()
        returned = read_labels(tmp_path / "o", folder)
        assert [tile.core[:2] for tile in returned.unseen] == [(64, 0)]
        with pytest.raises(LabelError, match="00064.png; give --original"):
            returned.require_whole()


class TestFormats:
    def test_coco_is_what_cvat_takes(self, images: Path, tmp_path: Path) -> None:
        folder = images / "EPSG32651"
        scene = scene_of(folder / "32651.tif", [Label(box(30, 30, 12, 3, 20), "coal_barge", id="x")])
        write_coco([scene], tmp_path / "o", SMALL)
        content = json.loads((tmp_path / "o/annotations/instances_default.json").read_text())
        (annotation,) = content["annotations"]
        assert isinstance(annotation["id"], int)
        assert annotation["iscrowd"] == 0  # CVAT makes a mask of a crowd
        assert {c["id"]: c["name"] for c in content["categories"]}[annotation["category_id"]] == "coal_barge"
        assert len(annotation["segmentation"][0]) == 8
        image = next(i for i in content["images"] if i["id"] == annotation["image_id"])
        with Image.open(tmp_path / "o/images" / image["file_name"]) as picture:
            assert picture.size == (image["width"], image["height"])
            assert picture.format == "PNG"
        declared = {a["name"] for label in cvat_labels() for a in label["attributes"]}
        assert set(annotation["attributes"]) - {"occluded", "rotation"} == declared

    @pytest.mark.slow  # imports torch
    def test_yolo_is_what_ultralytics_takes(self, images: Path, tmp_path: Path) -> None:
        utils = pytest.importorskip("ultralytics.data.utils")
        folder = images / "EPSG32651"
        # One at the corner of the raster sticks out of it, one crosses the border of two tiles.
        labels = [Label(box(1, 1, 12, 3, 20), id=1), Label(box(64, 30, 30, 3, 5), "coal_barge", True, id=2)]
        write_yolo_tiles([scene_of(folder / "32651.tif", labels)], tmp_path / "o", SMALL)
        data = utils.check_det_dataset(str(tmp_path / "o" / "data.yaml"), autodownload=False)
        assert list(data["names"].values()) == ["vessel", "coal_barge", "ignore_coal_barge"]
        found = 0
        for picture in sorted(Path(data["train"]).glob("*.png")):
            text = utils.img2label_paths([str(picture)])[0]
            *_, missing, read, _, corrupt, message = utils.verify_image_label(
                (str(picture), text, "", False, len(data["names"]), 0, 0, False)
            )
            assert (missing, corrupt) == (0, 0), message
            found += len(Path(text).read_text().splitlines())
        assert found == 2

    def test_ignored_labels_can_be_left_out_of_yolo(self, images: Path, tmp_path: Path) -> None:
        scene = scene_of(images / "EPSG32651/32651.tif", [Label(box(30, 30, 12, 3, 20), ignore=True, id=1)])
        write_yolo_tiles([scene], tmp_path / "o", SMALL, ignore=False)
        assert not "".join(f.read_text() for f in (tmp_path / "o/labels").iterdir())

    def test_a_folder_with_something_in_it_is_left_alone(self, images: Path, tmp_path: Path) -> None:
        (tmp_path / "o").mkdir()
        (tmp_path / "o" / "mine.txt").write_text("x")
        with pytest.raises(LabelError, match="already there"):
            write_coco([scene_of(images / "EPSG32651/32651.tif", [])], tmp_path / "o", SMALL)
        assert [p.name for p in tmp_path.iterdir()] == ["o"]


class TestGeoPackage:
    def test_styles_are_there_for_each_layer(self, images: Path, tmp_path: Path) -> None:
        write_labels([scene_of(images / "EPSG32651/32651.tif", [])], tmp_path / "l.gpkg")
        with closing(sqlite3.connect(tmp_path / "l.gpkg")) as base:
            wanted = "f_table_name, f_geometry_column, useAsDefault, styleQML"
            rows = base.execute(f"SELECT {wanted} FROM layer_styles").fetchall()
            columns = dict(base.execute("SELECT table_name, column_name FROM gpkg_geometry_columns").fetchall())
            listed = base.execute("SELECT data_type FROM gpkg_contents WHERE table_name = 'layer_styles'").fetchall()
        assert listed == [("attributes",)]
        assert {row[0] for row in rows} == {"labels", "images"}
        for layer, geometry, default, qml in rows:
            assert (geometry, default) == (columns[layer], 1)
            assert qml.startswith("<!DOCTYPE qgis")
            ElementTree.fromstring(qml)
        assert {str(name) for name, _ in pyogrio.list_layers(tmp_path / "l.gpkg")} >= {"labels", "images"}

    @pytest.mark.parametrize("qml", [styles.label_style(), styles.image_style(), styles.chip_style()])
    def test_rules_have_their_symbols(self, qml: str) -> None:
        root = ElementTree.fromstring(qml)
        renderer = root.find("renderer-v2")
        assert renderer is not None and renderer.get("type") == "RuleRenderer"
        rules = renderer.findall("./rules/rule")
        symbols = {s.get("name"): s for s in renderer.findall("./symbols/symbol")}
        assert [rule.get("symbol") for rule in rules] == list(symbols)
        for symbol in symbols.values():
            options = {o.get("name"): o.get("value") for o in symbol.findall("./layer/Option/Option")}
            assert symbol.get("type") == "fill" and options["style"] == "no"
            assert len(str(options["outline_color"]).split(",")) == 4

    @pytest.mark.parametrize(
        ("row", "label"),
        [
            ((1, "vessel", "kept"), "ignore: counted neither way"), ((0, "vessel", "land"), "rejected: see status"),
            ((0, "coal_barge", None), "coal barge"), ((0, "vessel", None), "vessel"), ((None, None, None), "vessel"),
        ],
    )  # fmt: skip
    def test_one_rule_is_true_for_each_label(self, row: tuple, label: str) -> None:
        # The expressions are such that SQLite understands them as QGIS does.
        root = ElementTree.fromstring(styles.label_style())
        with closing(sqlite3.connect(":memory:")) as base:
            base.execute('CREATE TABLE t ("ignore" INTEGER, "class" TEXT, "status" TEXT)')
            base.execute("INSERT INTO t VALUES (?, ?, ?)", row)
            true = [
                rule.get("label")
                for rule in root.iter("rule")
                if base.execute(f"SELECT count(*) FROM t WHERE {rule.get('filter')}").fetchone() == (1,)
            ]
        assert true == [label]

    def test_only_images_that_were_exported_count(self, tmp_path: Path) -> None:
        paths = [raster(tmp_path / "i" / f"{name}.tif") for name in "ab"]
        write_labels([scene_of(paths[0], [])], tmp_path / "l.gpkg")
        assert [s.path.name for s in read_labels(tmp_path / "l.gpkg", tmp_path / "i").scenes] == ["a.tif"]

    def test_images_of_one_name_cannot_be_told_apart(self, tmp_path: Path) -> None:
        scenes = [LabelledScene(raster(tmp_path / place / "a.tif"), place, []) for place in ("x", "y")]
        with pytest.raises(LabelError, match="same file name"):
            write_labels(scenes, tmp_path / "l.gpkg")
