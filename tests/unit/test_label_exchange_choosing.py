"""Which chips come first."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyogrio
import pytest
import rasterio
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from rasterio.crs import CRS

from detector.detections import Detections
from detector.errors import LabelError
from detector.geometry import Grid, Window
from detector.scene import open_scene
from tests.labelscenes import GRIDS, box
from training.exchange.candidates import features
from training.exchange.choosing import k_centre, standardised, uncertainty
from training.exchange.chosen import choose, write_chosen
from training.labelfiles import read_vector

SIZE = 64


def test_uncertainty_is_largest_at_the_threshold() -> None:
    got = uncertainty(np.array([0.0, 0.15, 0.3, 0.65, 1.0]), 0.3)
    assert got == pytest.approx([0, 0.25, 1, 0.25, 0])


@given(st.integers(1, 30), st.integers(1, 40), st.integers(0, 2**32 - 1))
@settings(max_examples=40, deadline=None)
def test_k_centre_covers_within_twice_the_best(n: int, count: int, seed: int) -> None:
    points = np.random.default_rng(seed).normal(size=(n, 3))
    order = [i for i, _ in k_centre(points, count)]
    assert len(order) == len(set(order)) == min(n, count)
    distances = [d for _, d in k_centre(points, count)][1:]
    assert distances == sorted(distances, reverse=True)  # each choice is the farthest; so the greedy bound of 2 holds


def test_k_centre_begins_away_from_what_is_known() -> None:
    points = np.array([[0.0], [1.0], [10.0], [10.5]])
    assert [i for i, _ in k_centre(points, 2, known=np.array([[0.0]]))] == [3, 1]
    assert [i for i, _ in k_centre(points, 1, weight=np.array([1, 1, 9, 1.0]))] == [2]


def test_equal_chips_come_by_weight() -> None:
    order = [i for i, _ in k_centre(np.zeros((3, 2)), 3, weight=np.array([1.0, 3.0, 2.0]))]
    assert order == [1, 2, 0]


def test_standardised() -> None:
    got = standardised(np.array([[1.0, 5.0], [2.0, 5.0], [3.0, 5.0], [1e9, 5.0]]))
    assert (got[:, 1] == 0).all()
    assert np.abs(got).max() == 5.0


def test_features_without_near_infrared_are_numbers() -> None:
    pixels = np.random.default_rng(0).integers(1, 255, (4, 20, 20)).astype(np.uint8)
    pixels[3] = 0
    got = features(pixels)
    assert got.shape == (28,)
    assert np.isfinite(got).all() and (got[21:] == 0).all() and (got[:21] > 0).all()


@pytest.fixture
def port(tmp_path: Path) -> Path:
    """Four bands, 4 × 1 chips: three of plain water, the last one with a coast of its own look."""
    rng = np.random.default_rng(3)
    pixels = rng.normal(1500, 8, (4, SIZE, 4 * SIZE))
    pixels[3] -= 400
    pixels[:, 20:, 3 * SIZE + 30 :] = rng.normal(4000, 900, (4, 44, 34))
    path = tmp_path / "scenes" / "port.tif"
    path.parent.mkdir()
    with rasterio.open(
        path, "w", driver="GTiff", width=4 * SIZE, height=SIZE, count=4, dtype="uint16", crs="EPSG:32651",
        transform=GRIDS["EPSG:32651"], nodata=0,
    ) as out:  # fmt: skip
        out.write(pixels.astype(np.uint16))
        out.descriptions = ("B02", "B03", "B04", "B08")
        out.update_tags(SCALE="DN / 10000 - 0.1", ACQUIRED="2024-05-01T02:21:09Z")
    return path


def vessels(*rows: tuple[float, float, float]) -> Detections:
    """Predictions at pixel positions: col, row, confidence."""
    grid = Grid(CRS.from_epsg(32651), GRIDS["EPSG:32651"], 4 * SIZE, SIZE)
    shapes = []
    for col, row, _ in rows:
        corners = box(col, row, 10, 3, 20)
        shapes.append(shapely.Polygon(np.column_stack(grid.to_lonlat(corners[:, 0], corners[:, 1]))))
    n = len(rows)
    return Detections.from_columns(
        **{"class": ["vessel"] * n}, scene_id=["port"] * n, confidence=[c for *_, c in rows],
        lon=[120.0] * n, lat=[38.0] * n, length_m=[100.0] * n, width_m=[30.0] * n,
        heading_deg=[20.0] * n, heading_ambiguous=[True] * n, geometry=shapes,
    )  # fmt: skip


def test_the_uncertain_first_then_the_different(port: Path) -> None:
    table = vessels((100, 30, 0.32), (30, 30, 0.99))
    choices, failed = choose([port], 4, size=SIZE, vessels=table, threshold=0.3)
    assert not failed
    assert [choice.candidate.window.col // SIZE for choice in choices][:2] == [1, 3]
    assert [round(choice.uncertainty, 1) for choice in choices][:2] == [0.9, 0.0]


def test_what_is_like_the_labelled_comes_last(port: Path) -> None:
    choices, _ = choose([port], 4, size=SIZE, labelled=[port])
    assert [choice.difference for choice in choices] == [0, 0, 0, 0]
    plain, _ = choose([port], 4, size=SIZE)
    assert plain[1].candidate.window.col == 3 * SIZE


def test_rejected_predictions_do_not_count(port: Path) -> None:
    table = vessels((100, 30, 0.3))
    choices, _ = choose([port], 4, size=SIZE, vessels=table.with_columns(status=["land"]), threshold=0.3)
    assert sum(len(choice.candidate.boxes) for choice in choices) == 0


def test_what_is_written(port: Path, tmp_path: Path) -> None:
    table = vessels((100, 30, 0.32), (30, 30, 0.99))
    choices, _ = choose([port], 3, size=SIZE, vessels=table, threshold=0.3)
    write_chosen(choices, tmp_path / "out", table)
    chips = pyogrio.read_dataframe(tmp_path / "out" / "chips.gpkg", layer="chips")
    assert chips["rank"].tolist() == [1, 2, 3]
    assert chips["scene"].tolist() == ["port.tif"] * 3
    assert np.isnan(chips["difference"][0]) and chips["difference"][1] > 0
    assert [(tmp_path / "out/images/port" / name).is_file() for name in chips["image"]] == [True] * 3
    assert len(list((tmp_path / "out" / "pictures").glob("*.jpg"))) == 3
    with open_scene(port) as whole, open_scene(tmp_path / "out/images/port" / chips["image"][0]) as cut:
        window = choices[0].candidate.window
        assert cut.bands == whole.bands and cut.acquired == whole.acquired
        both = [s.reflectance(w, s.bands) for s, w in ((whole, window), (cut, Window(0, 0, SIZE, SIZE)))]
        assert np.array_equal(*both)
    scenes = read_vector(tmp_path / "out" / "labels.gpkg", tmp_path / "out" / "images")
    by_name = {s.path.name: s.labels for s in scenes}
    (label,) = by_name[chips["image"][0]]
    assert label.centre + [SIZE, 0] == pytest.approx([100, 30], abs=1e-3)
    assert label.properties["confidence"] == pytest.approx(0.32)
    with pytest.raises(LabelError, match="already there"):
        write_chosen(choices, tmp_path / "out", table)


def test_scenes_that_cannot_be_read_are_named(port: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.tif").write_text("x")
    choices, failed = choose([tmp_path / "bad.tif", port], 1, size=SIZE)
    assert len(choices) == 1 and list(failed) == [tmp_path / "bad.tif"]
    with pytest.raises(LabelError, match="none of the 1 scenes"):
        choose([tmp_path / "bad.tif"], 1, size=SIZE)
