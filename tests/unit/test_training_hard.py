"""What else is trained on: painted ports, and places where an earlier network was wrong."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine

pytest.importorskip("cv2")
pytest.importorskip("torch")
pytest.importorskip("albumentations")

from detector.detections import Detections  # noqa: E402
from detector.errors import ConfigError  # noqa: E402
from detector.geometry import Grid  # noqa: E402
from training import hard  # noqa: E402
from training.chips import cut_chips, read_index  # noqa: E402
from training.config import LaidConfig, PaintedConfig, read_folds  # noqa: E402
from training.evaluate import Predicted  # noqa: E402
from training.labels import Label, LabelledScene  # noqa: E402
from training.laid import laid_scenes  # noqa: E402
from training.painted import PLACE, painted_scenes  # noqa: E402
from training.sampling import ChipSampler  # noqa: E402

TRANSFORM = Affine(10, 0, 700_000.0, 0, -10, 4_300_000.0)


def square(col: float, row: float, half: float = 4.0) -> np.ndarray:
    return np.array([[col - half, row - 1], [col + half, row - 1], [col + half, row + 1], [col - half, row + 1]])


def test_painted_ports_are_labelled_where_their_hulls_are(tmp_path: Path) -> None:
    config = PaintedConfig(scenes=1, size=700)
    (scene,) = painted_scenes(config, ["vessel"], tmp_path)
    assert scene.place == PLACE
    assert PLACE not in {place for places in read_folds()[0].values() for place in places}
    assert {label.name for label in scene.labels} == {"vessel"}
    with rasterio.open(scene.path) as image:
        pixels = image.read(image.descriptions.index("B08") + 1).astype(float)

    def patch(label: Label) -> np.ndarray:
        col, row = label.centre.astype(int)
        return pixels[max(row - 8, 0) : row + 9, max(col - 8, 0) : col + 9]

    afloat = [label for label in scene.labels if not label.ignore and np.percentile(patch(label), 80) < 1600]
    assert len(afloat) >= 2
    for label in afloat:
        col, row = label.centre.astype(int)
        water = np.median(patch(label))
        # In the bow of a dark hull, or on its deck: one of them is no water.
        spots = np.r_[label.corners.mean(axis=0)[None], 0.7 * label.centre + 0.3 * label.corners].astype(int)
        assert np.abs(pixels[spots[:, 1], spots[:, 0]] - water).max() > 60, label
    stamp = scene.path.stat().st_mtime_ns
    assert painted_scenes(config, ["vessel"], tmp_path)[0].path.stat().st_mtime_ns == stamp


def test_laid_ports_keep_their_own_labels_and_their_place(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    stored = rng.normal([[[3300]], [[3900]], [[2600]], [[1300]], [[650]]], 60, (5, 300, 300))  # water
    stored[:, :, :40] = 13000  # a straight quay
    stored[:, 200:202, 200:212] = 9000  # a real ship
    path = tmp_path / "quay.tif"
    profile = {"driver": "GTiff", "count": 5, "dtype": "uint16", "width": 300, "height": 300, "crs": "EPSG:32651"}
    with rasterio.open(path, "w", **profile, transform=TRANSFORM, nodata=0) as out:
        out.write(stored.astype(np.uint16))
        out.descriptions = ("B02", "B03", "B04", "B08", "B11")
        out.update_tags(SCALE=str(1 / 65535))
    real = Label(square(206, 201, 6.0), id="real")
    scene = LabelledScene(path, "quay", [real])
    laid = laid_scenes([scene], LaidConfig(copies=2, vessels=20), ["vessel"], tmp_path / "laid")
    assert [one.place for one in laid] == ["quay", "quay"] and len({one.name for one in laid}) == 2
    assert laid_scenes([scene], LaidConfig(), ["vessel"], tmp_path / "none") == []
    for one in laid:
        assert one.labels[0] is real and len(one.labels) >= 6
        with rasterio.open(one.path) as image:
            pixels = image.read().astype(float)
        changed = np.abs(pixels - stored.astype(np.uint16)).max(axis=0) > 300
        assert (pixels[:, 200:202, 202:210] > 6000).all()  # nothing is laid on a real ship
        for label in one.labels[1:]:
            col, row = label.centre.astype(int)
            assert changed[max(row - 3, 0) : row + 4, max(col - 3, 0) : col + 4].any(), label
        at_quay = [label for label in one.labels[1:] if label.corners[:, 0].min() < 43]
        assert len(at_quay) >= 3


def test_false_alarms_are_found_and_the_worst_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    grid = Grid(rasterio.crs.CRS.from_epsg(32651), TRANSFORM, 500, 500)
    labels = [Label(square(100, 100)), Label(square(300, 100, 30.0), ignore=True)]
    seen = [(102, 101, 0.9), (400, 400, 0.5), (300, 100, 0.8), (200, 400, 0.3), (450, 50, 0.05)]
    boxes = np.array([square(col, row) for col, row, _ in seen])
    lon, lat = grid.to_lonlat(boxes[..., 0], boxes[..., 1])
    import shapely

    n = len(seen)
    table = Detections.from_columns(
        **{
            "scene_id": ["s"] * n, "acquired": [None] * n, "class": ["vessel"] * n,
            "confidence": [score for *_, score in seen], "lon": lon.mean(axis=1), "lat": lat.mean(axis=1),
            "length_m": [80.0] * n, "width_m": [20.0] * n, "heading_deg": [90.0] * n, "heading_ambiguous": [True] * n,
            "geometry": shapely.polygons(np.stack([lon, lat], axis=-1)),
        }
    )  # fmt: skip
    corners = np.array([label.corners for label in labels])
    lonlat = np.stack(grid.to_lonlat(corners[..., 0], corners[..., 1]), axis=-1)
    one = Predicted(LabelledScene(tmp_path / "p.tif", "p", labels), table, lonlat[:1], lonlat[1:], grid)
    monkeypatch.setattr(hard, "fold_weights", lambda runs, folds: {})
    monkeypatch.setattr(hard, "predict_all", lambda *args: ([one], []))
    spots = hard.hard_spots([one.scene], tmp_path, "folds.yaml")
    assert np.allclose(spots["p"], [[400, 400], [200, 400]], atol=0.05)  # not the hit, not the ignored, not the faint
    monkeypatch.setattr(hard, "MOST_A_SCENE", 1)
    assert len(hard.hard_spots([one.scene], tmp_path, "folds.yaml")["p"]) == 1
    path = tmp_path / "hard.json"
    hard.write_spots(spots, path)
    assert np.allclose(hard.read_spots(path)["p"], spots["p"], atol=0.06)


@pytest.mark.parametrize("text", ["", "[1]", '{"a": "b"}'])
def test_a_damaged_table_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "hard.json"
    path.write_text(text)
    with pytest.raises(ConfigError, match="--hard"):
        hard.read_spots(path)


def test_crops_are_drawn_near_hard_spots(tmp_path: Path) -> None:
    """With the share of hard crops at most, all crops but those near the vessel show the spot."""
    path = tmp_path / "p.tif"
    pixels = np.full((4, 500, 500), 300, np.uint16)
    pixels[:, 420:424, 420:424] = 4000
    with rasterio.open(
        path, "w", driver="GTiff", width=500, height=500, count=4, dtype="uint16", crs="EPSG:32651", transform=TRANSFORM
    ) as out:
        out.write(pixels)
        out.descriptions = ("B04", "B03", "B02", "B08")
        out.update_tags(SCALE="reflectance = DN / 10000")
    scene = LabelledScene(path, "p", [Label(square(60, 60))])
    folder = tmp_path / "chips"
    cut_chips([scene], folder, ("vessel",), {scene.name: np.array([[422.0, 422.0]])})
    chips = read_index(folder)
    assert sum(len(chip.hard) for chip in chips) >= 1

    def share(hard_share: float) -> float:
        sampler = ChipSampler(
            folder, chips, size=256, samples=40, seed=1, near_vessel=0.0, hard=hard_share, strength=0.0,
            drop_near_infrared=0.0, scale=(1.0, 1.0),
        )  # fmt: skip
        return float(np.mean([sampler[i]["img"].float().amax().item() > 100 for i in range(40)]))

    assert share(0.99) > share(0.0) + 0.2
