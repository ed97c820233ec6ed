"""Previews: something is drawn where the vessels are, north is up, and whatever the scene is like."""

from __future__ import annotations

import numpy as np
import pytest
import shapely
from affine import Affine
from PIL import Image

from detector.canvas import COAL, VESSEL
from detector.detections import Detections
from detector.errors import TableError
from detector.preview import write_preview
from detector.scene import open_scene
from detector.truecolour import Stretch

RGBN = ("B04", "B03", "B02", "B08")
TITLE = 56  # pixels above the picture


def sea(width=300, height=200, transform=None, crs="EPSG:32651", value=700):
    noise = np.random.default_rng(1).integers(-30, 30, (4, height, width))
    pixels = (value + noise).astype(np.uint16)
    transform = transform or Affine(10, 0, 400_000, 0, -10, 4_290_000)
    return open_scene(pixels, bands=RGBN, scale=(1e-4, 0.0), transform=transform, crs=crs)


def vessels(scene, *places, **columns):
    """Boxes of 20 x 6 pixels with their centres at (col, row)."""
    rows = []
    for col, row in places:
        cols, rows_ = np.array([-10, 10, 10, -10]) + col, np.array([3, 3, -3, -3]) + row
        lon, lat = scene.grid.to_lonlat(cols, rows_)
        rows.append(
            {
                "scene_id": scene.id,
                "class": "vessel",
                "confidence": 0.9,
                "lon": lon.mean(),
                "lat": lat.mean(),
                "length_m": 200.0,
                "width_m": 60.0,
                "heading_deg": 90.0,
                "heading_ambiguous": True,
                "geometry": shapely.Polygon(np.column_stack([lon, lat])),
                **columns,
            }
        )
    return Detections.from_rows(rows)


def drawn(path, colour, below=TITLE, tolerance=60):
    """(x, y) of the pixels of about a colour."""
    picture = np.asarray(Image.open(path).convert("RGB")).astype(int)[below:]
    rows, cols = np.nonzero(np.abs(picture - colour).max(axis=2) < tolerance)
    return np.column_stack([cols, rows])


def test_a_small_scene_is_one_picture_with_its_boxes_in_place(tmp_path):
    scene = sea()
    write_preview(scene, vessels(scene, (150, 50)), tmp_path / "p.png", max_side=900)
    picture = Image.open(tmp_path / "p.png")
    assert picture.size == (900, 600 + TITLE)
    found = drawn(tmp_path / "p.png", VESSEL)
    box = found[(found[:, 0] > 410) & (found[:, 0] < 485)]  # without the label beside it
    assert box.mean(axis=0) == pytest.approx((450, 150), abs=4)
    assert np.ptp(box[:, 0]) == pytest.approx(60 + 5, abs=4)


def test_coal_barges_and_rejected_boxes_look_different(tmp_path):
    scene = sea()
    write_preview(scene, vessels(scene, (80, 80), **{"class": "coal_barge"}), tmp_path / "coal.png")
    write_preview(scene, vessels(scene, (80, 80), status="land"), tmp_path / "land.png")
    assert len(drawn(tmp_path / "coal.png", COAL)) > 100
    assert not len(drawn(tmp_path / "coal.png", VESSEL))
    assert not len(drawn(tmp_path / "land.png", VESSEL))


@pytest.mark.parametrize(
    ("transform", "x", "y"),
    [
        (Affine(10, 0, 400_000, 0, -10, 4_290_000), 0.2, 0.25),
        (Affine(10, 0, 400_000, 0, 10, 4_290_000), 0.2, 0.75),  # rows run northwards
        (Affine(-10, 0, 400_000, 0, -10, 4_290_000), 0.8, 0.25),
    ],
)
def test_north_is_up_whichever_way_the_rows_run(tmp_path, transform, x, y):
    scene = sea(transform=transform)
    write_preview(scene, vessels(scene, (60, 50), length_m=float("nan")), tmp_path / "p.png", max_side=600)
    centre = np.median(drawn(tmp_path / "p.png", VESSEL), axis=0)
    assert centre == pytest.approx((x * 600, y * 400), abs=25)


def test_a_degree_grid_is_drawn_in_true_proportion(tmp_path):
    scene = sea(400, 400, Affine(1e-4, 0, 10, 0, -1e-4, 60), "EPSG:4326")
    write_preview(scene, Detections.empty(), tmp_path / "p.png", max_side=1000)
    width, height = Image.open(tmp_path / "p.png").size
    assert width / (height - TITLE) == pytest.approx(0.5, abs=0.02)


def test_a_large_scene_gets_enlarged_crops_and_is_never_read_whole(tmp_path, monkeypatch):
    scene = sea(2600, 1800)
    monkeypatch.setattr("detector.truecolour._STRIP", 200_000)
    read, largest = type(scene).reflectance, []

    def spy(self, window, bands):
        largest.append(window.width * window.height)
        return read(self, window, bands)

    monkeypatch.setattr(type(scene), "reflectance", spy)
    write_preview(scene, vessels(scene, (300, 300), (2400, 1500), (2500, 1560)), tmp_path / "p.png", max_side=800)
    width, height = Image.open(tmp_path / "p.png").size
    assert width == 800
    assert height == 554 + TITLE + 8 + 250
    assert max(largest) <= 200_000
    assert len(drawn(tmp_path / "p.png", VESSEL, below=554 + TITLE)) > 200


@pytest.mark.parametrize("value", [0, 300, 9000])
def test_no_data_night_and_cloud_are_drawn_without_complaint(tmp_path, value):
    scene = open_scene(
        np.full((3, 80, 90), value, np.uint16),
        bands=RGBN[:3],
        scale=(1e-4, 0.0),
        transform=Affine(10, 0, 400_000, 0, -10, 4_290_000),
        crs="EPSG:32651",
    )
    write_preview(scene, Detections.empty(), tmp_path / "p.png")
    assert Image.open(tmp_path / "p.png").size[0] >= 240


def test_clouds_do_not_darken_the_sea():
    rng = np.random.default_rng(2)
    water = rng.normal(0.05, 0.005, (3, 200, 200)).astype(np.float32)
    clouded = water.copy()
    clouded[:, :120] = 0.7
    plain, under = Stretch(water)(water), Stretch(clouded)(clouded)
    assert under[150:].mean() > 0.8 * plain[150:].mean()
    assert under[:100].min() > 240


def test_another_suffix_or_folder_is_refused_before_reading(tmp_path):
    for path in (tmp_path / "p.jpg", tmp_path / "nowhere" / "p.png"):
        with pytest.raises(TableError):
            write_preview("no such scene.tif", Detections.empty(), path)
