"""Label files that are damaged, made to harm, or simply something else: one sentence, no traceback."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from detector.errors import LabelError
from tests.labelscenes import box, raster, scene_of
from training.exchange.coco import write_coco
from training.exchange.reading import read_labels
from training.exchange.tiles import Cut
from training.exchange.yolo import write_yolo_tiles
from training.labels import Label

CUT = Cut(core=128, frame=4, zoom=1.0)


@pytest.fixture
def images(tmp_path: Path) -> Path:
    raster(tmp_path / "images" / "a.tif")
    return tmp_path / "images"


@pytest.fixture
def coco(tmp_path: Path, images: Path) -> Path:
    write_coco([scene_of(images / "a.tif", [Label(box(30, 30, 10, 3, 0), id=1)])], tmp_path / "coco", CUT)
    return tmp_path / "coco"


@pytest.fixture
def yolo(tmp_path: Path, images: Path) -> Path:
    write_yolo_tiles([scene_of(images / "a.tif", [Label(box(30, 30, 10, 3, 0), id=1)])], tmp_path / "yolo", CUT)
    return tmp_path / "yolo"


def changed(change: Callable[[dict], object]) -> Callable[[Path], None]:
    def apply(file: Path) -> None:
        content = json.loads(file.read_text())
        change(content)
        file.write_text(json.dumps(content))

    return apply


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda file: file.write_text("{"), "not JSON"),
        (lambda file: file.write_bytes(b"\xff\xfe\x00"), "not JSON"),
        (lambda file: file.write_text("[" * 100_000), "not JSON"),
        (lambda file: file.write_text("[]"), "not a COCO"),
        (changed(lambda c: c.update(annotations=7)), "not a COCO"),
        (changed(lambda c: c["images"][0].update(file_name=None)), "not a COCO"),
        (changed(lambda c: c["images"][0].update(file_name="other.png")), "other.png.*--tiles"),
        (changed(lambda c: c["annotations"][0].update(category_id=99)), "not a COCO"),
        (changed(lambda c: c["annotations"][0].update(segmentation=[[1, 2, 3]])), "not a COCO"),
        (changed(lambda c: c["annotations"][0].update(segmentation={"counts": [1], "size": [2, 2]})), "not a COCO"),
        (changed(lambda c: c["annotations"][0].update(segmentation=[], bbox=[0, 0, "x", 1])), "not a COCO"),
        (changed(lambda c: c["annotations"][0].update(segmentation=[[float("nan")] * 8])), "not a number"),
        (changed(lambda c: c["annotations"][0].update(segmentation=[], bbox=[])), "no obb, segmentation or bbox"),
        (changed(lambda c: c["annotations"][0].update(attributes=[1])), "not a COCO"),
    ],
)
def test_damaged_coco(coco: Path, images: Path, damage: Callable[[Path], None], says: str) -> None:
    damage(coco / "annotations" / "instances_default.json")
    with pytest.raises(LabelError, match=says):
        read_labels(coco, images)


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("0 0.1 0.2", "positions"), ("9 0 0 1 0 1 1 0 1", "class 9"), ("x 0 0 1 0 1 1 0 1", "class number"),
        ("0 0 0 nan 0 1 1 0 1", "positions"), ("0 0 0 900 0 900 900 0 900", "shares"), ("\0", "class number"),
    ],
)  # fmt: skip
def test_damaged_yolo(yolo: Path, images: Path, line: str, says: str) -> None:
    file = next((yolo / "labels").iterdir())
    file.write_text(f"{line}\n")
    with pytest.raises(LabelError, match=f"{file.stem}.*{says}"):
        read_labels(yolo, images)


@pytest.mark.parametrize("text", ["", "names: 7", "[", "names: !!python/object/apply:os.getcwd []", "names: {1: a}"])
def test_damaged_names(yolo: Path, images: Path, text: str) -> None:
    (yolo / "data.yaml").write_text(text)
    with pytest.raises(LabelError, match="data.yaml"):
        read_labels(yolo, images)


@pytest.mark.parametrize(
    "text", ["", "{}", '{"tiles": [{}]}', '{"tiles": 3}', '{"tiles": [{"file": "a", "image": "a", "place": "a", '
    '"core": [0,0,0,0], "window": [0,0,1,1], "zoom": [0, 0]}]}'],
)  # fmt: skip
def test_damaged_tiles(coco: Path, images: Path, text: str) -> None:
    (coco / "tiles.json").write_text(text)
    with pytest.raises(LabelError, match="tiles.json is no list"):
        read_labels(coco, images)


def test_text_file_of_another_export(yolo: Path, images: Path) -> None:
    (yolo / "labels" / "other.txt").write_text("")
    with pytest.raises(LabelError, match=r"other\.txt has no picture"):
        read_labels(yolo, images)


def test_image_that_is_gone(coco: Path, images: Path) -> None:
    (images / "a.tif").rename(images / "b.tif")
    with pytest.raises(LabelError, match=r"of a\.tif, which is not among the images"):
        read_labels(coco, images)


class TestZip:
    def test_not_a_zip(self, tmp_path: Path, images: Path) -> None:
        (tmp_path / "a.zip").write_text("hello")
        with pytest.raises(LabelError, match=r"a\.zip cannot be unpacked"):
            read_labels(tmp_path / "a.zip", images)

    def test_members_that_point_out_of_it(self, tmp_path: Path, images: Path, coco: Path) -> None:
        with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
            archive.writestr("../../evil.json", "{}")
        with pytest.raises(LabelError, match="points out of it"):
            read_labels(tmp_path / "a.zip", images, coco)
        assert not list(tmp_path.parent.rglob("evil.json"))

    def test_a_bomb(self, tmp_path: Path, images: Path, coco: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("training.exchange.reading._MOST_BYTES", 1_000_000)
        with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("annotations/a.json", "0" * 2_000_000)
        with pytest.raises(LabelError, match="would unpack to over 1 MB"):
            read_labels(tmp_path / "a.zip", images, coco)

    def test_nothing_in_it(self, tmp_path: Path, images: Path, coco: Path) -> None:
        with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
            archive.writestr("picture.png", b"")
        with pytest.raises(LabelError, match="no label files"):
            read_labels(tmp_path / "a.zip", images, coco)


@pytest.mark.parametrize("suffix", [".gpkg", ".geojson", ".json", ".csv", ".parquet", ".xyz"])
@pytest.mark.parametrize("content", [b"", b"\0" * 64, bytes(np.random.default_rng(0).integers(0, 256, 999, np.uint8))])
def test_rubbish(tmp_path: Path, images: Path, suffix: str, content: bytes) -> None:
    file = tmp_path / f"rubbish{suffix}"
    file.write_bytes(content)
    with pytest.raises(LabelError, match="rubbish"):
        read_labels(file, images)


def test_no_labels(tmp_path: Path, images: Path) -> None:
    with pytest.raises(LabelError, match=r"no labels at .*none\.gpkg"):
        read_labels(tmp_path / "none.gpkg", images)


def test_corners_in_a_crossed_order_are_put_in_order(coco: Path, images: Path) -> None:
    file = coco / "annotations" / "instances_default.json"
    crossed = [20, 20, 40, 30, 40, 20, 20, 30]
    changed(lambda c: c["annotations"][0].update(segmentation=[crossed]))(file)
    corners = read_labels(coco, images).scenes[0].labels[0].corners
    assert np.ptp(corners, axis=0) == pytest.approx([20, 10])
    sides = np.hypot(*(np.roll(corners, -1, axis=0) - corners).T)
    assert sorted(sides.round(6)) == [10, 10, 20, 20]
