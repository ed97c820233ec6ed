"""Hulls of real vessels cut out of their water and pasted on elsewhere."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine
from rasterio.crs import CRS

from detector.geometry import Grid
from training.composites.ports import Port
from training.config import PastedConfig
from training.labels import Label, LabelledScene
from training.pasted import Cutout, cut_out, paste, pasted_scenes
from training.simulate.hulls import Vessel

WATER = np.array([0.05, 0.06, 0.04, 0.02, 0.01])
HULL = np.array([0.20, 0.18, 0.30, 0.25, 0.15])
GRID = Grid(CRS.from_epsg(32651), Affine(10, 0, 700_000.0, 0, -10, 4_300_000.0), 300, 300)


def box(col: float, row: float, length_m: float, width_m: float, heading: float) -> np.ndarray:
    vessel = Vessel("v", "real", 0.0, 0.0, length_m, width_m, heading)
    return np.asarray(vessel.box.exterior.coords)[:4] / 10.0 + np.array([col, row])


def sea(hulls: list[np.ndarray], quay: int = 0) -> np.ndarray:
    """Even water with hulls, seen at 10 m through 5.4 m of blur, and a quay at the left."""
    from rasterio.features import rasterize
    from scipy import ndimage
    from shapely import Polygon, affinity

    sub = 5
    fine = np.zeros((300 * sub, 300 * sub), np.uint8)
    for corners in hulls:
        rasterize([affinity.scale(Polygon(corners), sub, sub, origin=(0, 0))], out=fine, default_value=1)
    blurred = ndimage.gaussian_filter(fine.astype(float), 0.46 * sub)  # and the pixel itself, 0.29 of its side
    share = blurred.reshape(300, sub, 300, sub).mean(axis=(1, 3))
    pixels = WATER[:, None, None] * (1 - share) + HULL[:, None, None] * share
    pixels[:, :, :quay] = 0.3
    return pixels + np.random.default_rng(0).normal(0, 0.0005, pixels.shape)


def port(hulls: list[np.ndarray], quay: int = 0) -> Port:
    labels = [Label(corners, id=i) for i, corners in enumerate(hulls)]
    return Port("quay", sea(hulls, quay).astype(np.float32), GRID, 10.0, labels)


def test_a_hull_is_cut_out_with_its_own_light() -> None:
    one = port([box(150.3, 120.6, 120.0, 24.0, 30.0)])
    found = cut_out(one, one.labels[0])
    assert found is not None
    middle = found.share > 0.85
    assert middle.sum() >= 5
    assert found.light[:, middle] / found.share[middle] == pytest.approx(np.tile(HULL[:, None], middle.sum()), rel=0.06)
    assert (found.length, found.width, found.heading % 180.0) == pytest.approx((120.0, 24.0, 30.0), abs=0.1)
    assert np.abs(found.light[:, found.share < 0.001]).max() < 0.01


@pytest.mark.parametrize(
    ("hulls", "quay"),
    [
        ([box(25.0, 100.0, 120.0, 24.0, 0.0)], 22),  # at a quay
        ([box(100.0, 100.0, 120.0, 24.0, 0.0), box(104.0, 100.0, 120.0, 24.0, 0.0)], 0),  # beside another
        ([box(100.0, 100.0, 60.0, 16.0, 0.0), box(100.0, 121.0, 300.0, 40.0, 0.0)], 0),  # ahead of a long one
        ([box(150.0, 3.0, 120.0, 24.0, 0.0)], 0),  # over the edge of the image
    ],
)
def test_a_hull_beside_anything_but_water_stays(hulls: list[np.ndarray], quay: int) -> None:
    one = port(hulls, quay)
    assert cut_out(one, one.labels[0]) is None


def test_a_hull_too_faint_or_cut_by_no_data_stays() -> None:
    one = port([box(150.0, 120.0, 120.0, 24.0, 0.0), box(3.0, 250.0, 120.0, 24.0, 0.0)])
    one.pixels[:, 115:125, 140:145] = np.nan
    assert cut_out(one, one.labels[0]) is None
    dim = port([box(150.0, 120.0, 120.0, 24.0, 0.0)])
    dim.pixels[:] = WATER[:, None, None] + 0.05 * (dim.pixels - WATER[:, None, None])
    assert cut_out(dim, dim.labels[0]) is None


@pytest.mark.parametrize("turn", [0.0, 37.0, 90.0])
def test_a_pasted_hull_looks_as_one_that_lies_there(turn: float) -> None:
    one = port([box(150.3, 120.6, 120.0, 24.0, 30.0)])
    hull = cut_out(one, one.labels[0])
    assert hull is not None
    pixels = sea([])
    paste(pixels, hull, Vessel("p", "real", 12.0, -7.0, 120.0, 24.0, 30.0 + turn), (80.5, 200.0), 10.0, True, 1.0)
    wanted = sea([box(80.5 + 1.2, 200.0 - 0.7, 120.0, 24.0, 30.0 + turn)])
    assert np.abs(pixels - wanted).max() < (0.09 if turn % 90 else 0.07)  # a second resampling blurs the edge
    near = np.s_[:, 190:210, 70:92]
    assert (pixels - sea([]))[near].sum(axis=(1, 2)) == pytest.approx((wanted - sea([]))[near].sum(axis=(1, 2)), rel=0.08)
    outside = np.ones((300, 300), bool)
    outside[185:215, 65:97] = False
    assert np.array_equal(pixels[:, outside], sea([])[:, outside])


def test_a_hull_pasted_over_the_edge_changes_what_is_inside() -> None:
    one = port([box(150.0, 120.0, 120.0, 24.0, 0.0)])
    hull = cut_out(one, one.labels[0])
    assert isinstance(hull, Cutout)
    pixels = sea([])
    paste(pixels, hull, Vessel("p", "real", 0.0, 0.0, 120.0, 24.0, 0.0), (1.0, 2.0), 10.0, False, 1.0)
    assert pixels[3, 1, 0] > 0.1 and np.isfinite(pixels).all()


def written(tmp_path: Path, scene: Port) -> LabelledScene:
    path = tmp_path / "quay.tif"
    profile = {"driver": "GTiff", "count": 5, "dtype": "uint16", "width": 300, "height": 300, "crs": GRID.crs}
    with rasterio.open(path, "w", **profile, transform=GRID.transform, nodata=0) as out:
        out.write((scene.pixels * 65535).astype(np.uint16))
        out.descriptions = ("B02", "B03", "B04", "B08", "B11")
        out.update_tags(SCALE=str(1 / 65535))
    return LabelledScene(path, "quay", scene.labels)


def test_pasted_ports_keep_their_labels_and_show_the_new_ones(tmp_path: Path) -> None:
    hulls = [box(230.0, 30.0 + 40 * k, 60.0 + 15 * k, 14.0 + 2 * k, 20.0 * k) for k in range(6)]
    scene = written(tmp_path, port(hulls, quay=40))
    scene.labels[0].name = scene.labels[1].name = "coal_barge"
    made = pasted_scenes([scene], PastedConfig(copies=2, vessels=20), ["vessel", "coal_barge"], tmp_path / "pasted")
    assert [one.place for one in made] == ["quay", "quay"] and len({one.name for one in made}) == 2
    with rasterio.open(scene.path) as image:
        before = image.read().astype(float)
    for one in made:
        assert one.labels[:6] == scene.labels and len(one.labels) >= 12
        assert len({label.id for label in one.labels}) == len(one.labels)
        with rasterio.open(one.path) as image:
            after = image.read().astype(float)
        for label in one.labels[6:]:
            col, row = label.centre.astype(int)
            near = np.s_[3, max(row - 1, 0) : row + 2, max(col - 1, 0) : col + 2]
            assert (after[near] - before[near]).max() > 0.1 * 65535, label
        assert sum(label.corners[:, 0].min() < 44 for label in one.labels[6:]) >= 3  # at the quay
    names = [label.name for one in made for label in one.labels[6:]]
    assert 0 < names.count("coal_barge") < len(names)
    again = pasted_scenes([scene], PastedConfig(copies=1, vessels=20), ["vessel"], tmp_path / "again")
    assert np.array_equal([x.corners for x in again[0].labels], [x.corners for x in made[0].labels])
    assert {label.name for label in again[0].labels[6:]} == {"vessel"}  # the only class of that run


def test_without_a_copy_or_a_hull_nothing_is_pasted(tmp_path: Path) -> None:
    scene = written(tmp_path, port([box(25.0, 100.0, 120.0, 24.0, 0.0)], quay=22))
    assert pasted_scenes([scene], PastedConfig(), ["vessel"], tmp_path / "none") == []
    assert pasted_scenes([scene], PastedConfig(copies=1), ["vessel"], tmp_path / "none") == []
    assert not (tmp_path / "none").exists()
