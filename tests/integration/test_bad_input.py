"""`bargewatch predict BAD... GOOD`: a sentence for each bad input, the right exit code, the good one written.

Bad scenes share calls, for each call loads everything anew.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from affine import Affine

from detector import Detections
from tests import scenes
from tests.network import weights_to_test

ROOT = Path(__file__).resolve().parents[2]
RGBN = ("B04", "B03", "B02", "B08")
SCALE = {"SCALE": "DN / 10000"}
NOISE = ("Traceback", "ERROR ", "Warning", "rasterio", "site-packages", "unexpected")


def bargewatch(*arguments: object) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "detector.cli", "predict", *map(str, arguments), "--threads", "1"]
    return subprocess.run(command, capture_output=True, check=False, text=True, env=env, timeout=280)


@pytest.fixture
def weights() -> list[str]:
    path = weights_to_test()
    return [] if path is None else ["--weights", str(path)]


def tif(path: Path, pixels: np.ndarray | None = None, **options: object) -> Path:
    pixels = scenes.four_bands()[[2, 1, 0, 3]] if pixels is None else pixels
    return scenes.write_raster(path, pixels, **{"descriptions": RGBN, "tags": SCALE, **options})


def noise(size: int = 400) -> np.ndarray:
    return np.random.default_rng(0).integers(1, 2000, (4, size, size)).astype(np.uint16)


def truncate(path: Path, keep: float) -> Path:
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * keep)])
    return path


def short_tiff(folder: Path) -> Path:
    return truncate(tif(folder / "short.tif", noise(), tiled=True, blockxsize=128, blockysize=128), 0.6)


def short_jp2(folder: Path) -> Path:
    safe = scenes.write_safe(folder)
    truncate(next(safe.rglob("*_B03_10m.jp2")), 0.5)
    return safe


def text(folder: Path) -> Path:
    path = folder / "text.tif"
    path.write_text("this is not a raster\n")
    return path


def nothing(folder: Path) -> Path:
    path = folder / "nothing.tif"
    path.touch()
    return path


def empty_folder(folder: Path) -> Path:
    path = folder / "empty"
    path.mkdir()
    return path


def rotated(folder: Path) -> Path:
    return tif(folder / "rotated.tif", transform=Affine(9.8, 1.7, 700_000, 1.7, -9.8, 4_300_000))


BAD: dict[str, tuple[Callable[[Path], Path], str]] = {
    "truncated TIFF": (short_tiff, "truncated or damaged"),
    "truncated JPEG 2000": (short_jp2, "truncated or damaged"),
    "text": (text, "not a raster"),
    "empty file": (nothing, "nothing.tif"),
    "missing band": (lambda d: tif(d / "bands.tif", descriptions=("B04", "B03", "B05", "B08")), "B02"),
    "unknown bands": (lambda d: tif(d / "anonymous.tif", descriptions=None), "bands"),
    "unknown scale": (lambda d: tif(d / "scale.tif", tags=None), "scale"),
    "no CRS": (lambda d: tif(d / "nowhere.tif", crs=None, transform=scenes.grid_transform()), "CRS"),
    "rotated": (rotated, "rotated"),
    "all no data": (lambda d: tif(d / "zeros.tif", np.zeros((4, 64, 64), np.uint16)), "no"),
    "all NaN": (lambda d: tif(d / "nan.tif", np.full((4, 64, 64), np.nan, np.float32), tags=None), "no"),
    "one pixel": (lambda d: tif(d / "one.tif", np.ones((4, 1, 1), np.uint16)), "1 x 1 pixels"),
    "empty folder": (empty_folder, "holds no raster"),
    "missing": (lambda d: d / "gone.tif", "does not exist"),
    "20 m bands": (lambda d: tif(d / "coarse.tif", transform=scenes.grid_transform(60)), "10 m"),
}


def test_bad_scenes_are_named_and_the_good_one_is_written(tmp_path: Path, weights: list[str]) -> None:
    inputs, results = tmp_path / "in", tmp_path / "out"
    inputs.mkdir()
    results.mkdir()
    bad = {name: make(inputs) for name, (make, _) in BAD.items()}
    good = tif(inputs / "good.tif", noise(200))
    out = results / "x.geojson"
    before = sorted(inputs.rglob("*"))
    done = bargewatch(*bad.values(), good, "--out", out, "--confidence", "0", "--keep-rejected", *weights)
    assert done.returncode == 1, done.stderr
    assert done.stdout == ""
    lines = done.stderr.splitlines()
    for name, path in bad.items():
        about = [line for line in lines if str(path) in line]
        assert len(about) == 1, (name, about)
        assert about[0].startswith("bargewatch: error: "), (name, about)
        assert BAD[name][1] in about[0].replace(str(inputs), ""), (name, about)
        assert len(about[0].replace(str(path), "")) < 400, (name, about)
    assert len(lines) == len(bad) + 2, done.stderr  # the good scene and the sum
    assert not [line for line in lines for word in NOISE if word in line.replace(str(inputs), "")]
    table = Detections.read(out)
    assert set(table["scene_id"]) <= {"good"}
    assert [p.name for p in results.iterdir()] == ["x.geojson"]
    assert sorted(inputs.rglob("*")) == before  # nothing is left beside the data either


def test_when_every_scene_fails_nothing_is_written(tmp_path: Path, weights: list[str]) -> None:
    out = tmp_path / "x.gpkg"
    done = bargewatch(text(tmp_path), "--out", out, *weights)
    assert done.returncode == 1
    assert "text.tif" in done.stderr.splitlines()[0]
    assert "nothing was written" in done.stderr
    assert [p.name for p in tmp_path.iterdir()] == ["text.tif"]


def test_scenes_with_holes_work(tmp_path: Path, weights: list[str]) -> None:
    """NaN and no data in a part; 8 pixels a side are the fewest."""
    holes = scenes.four_bands()[[2, 1, 0, 3]].astype(np.float32) / 10_000
    holes[:, :40] = np.nan
    holes[2, 60:70, 60:70] = np.nan
    paths = [
        tif(tmp_path / "holes.tif", holes, tags=None),
        tif(tmp_path / "zeros.tif", np.where(np.arange(200) < 90, 0, noise(200)).astype(np.uint16)),
        tif(tmp_path / "tiny.tif", noise(8)),
    ]
    done = bargewatch(*paths, "--out", tmp_path / "x.csv", *weights)
    assert done.returncode == 0, done.stderr
    assert len(done.stderr.splitlines()) == 4
    assert (tmp_path / "x.csv").exists()


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="the superuser may read everything")
def test_a_file_that_may_not_be_read(tmp_path: Path, weights: list[str]) -> None:
    path = tif(tmp_path / "secret.tif")
    path.chmod(0)
    done = bargewatch(path, "--out", tmp_path / "x.csv", *weights)
    assert done.returncode == 1
    assert "permission denied" in done.stderr.splitlines()[0]


def refused(folder: Path, said: str, *arguments: object) -> None:
    """Exit code 2, one sentence, and nothing new on disk."""
    before = sorted(folder.rglob("*"))
    done = bargewatch(*arguments)
    assert done.returncode == 2, done.stderr
    assert done.stdout == ""
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert not [word for word in NOISE if word in done.stderr.replace(str(folder), "")]
    assert sorted(folder.rglob("*")) == before


def test_weights_that_are_not_a_network(tmp_path: Path) -> None:
    scene = tif(tmp_path / "good.tif")
    odd = tmp_path / "odd.onnx"
    odd.write_text("hello")
    refused(tmp_path, "odd.onnx", scene, "--out", tmp_path / "x.csv", "--weights", odd)


def test_weights_that_are_cut_short(tmp_path: Path, weights: list[str]) -> None:
    if not weights:
        from detector.model import find_weights

        weights = ["--weights", str(find_weights(None).path)]
    cut = tmp_path / "cut.onnx"
    cut.write_bytes(Path(weights[1]).read_bytes()[:100_000])
    refused(tmp_path, "cut.onnx", tif(tmp_path / "good.tif"), "--out", tmp_path / "x.csv", "--weights", cut)


def test_weights_whose_graph_is_damaged(tmp_path: Path, weights: list[str]) -> None:
    """The description is whole but the graph is not: found when it is loaded, which is at the first scene."""
    if not weights:
        from detector.model import find_weights

        weights = ["--weights", str(find_weights(None).path)]
    content = Path(weights[1]).read_bytes()
    torn = tmp_path / "torn.onnx"
    torn.write_bytes(content[: len(content) // 3] + content[len(content) // 2 :])
    done = bargewatch(tif(tmp_path / "good.tif"), "--out", tmp_path / "x.csv", "--weights", torn)
    assert done.returncode in (1, 2), done.stderr
    assert "torn.onnx" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "x.csv").exists()


def test_no_weights_of_that_name(tmp_path: Path, weights: list[str]) -> None:
    scene = tif(tmp_path / "good.tif")
    refused(tmp_path, "gone.onnx", scene, "--out", tmp_path / "x.csv", "--weights", tmp_path / "gone.onnx")


def test_unknown_site(tmp_path: Path, weights: list[str]) -> None:
    scene = tif(tmp_path / "good.tif")
    refused(tmp_path, "atlantis", scene, "--out", tmp_path / "x.csv", "--site", "atlantis", *weights)


@pytest.mark.parametrize(("out", "said"), [("nowhere/x.csv", "nowhere"), ("x.shp", ".geojson")])
def test_results_that_cannot_be_written(tmp_path: Path, weights: list[str], out: str, said: str) -> None:
    refused(tmp_path, said, tif(tmp_path / "good.tif"), "--out", tmp_path / out, *weights)
