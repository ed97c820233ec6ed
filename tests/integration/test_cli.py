"""The command line: exit codes, messages, and what is on disk afterwards.

What the network finds is not tested here: most tests put a stand-in for `detector.prediction.run`; the last ones
run the real thing in a process of its own, where weights are there.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import shapely

import detector.cli
from detector.detections import Detections
from detector.errors import UnreadableSceneError, WeightsError
from detector.loadings.looks import read_looks
from tests import scenes

ROOT = Path(__file__).resolve().parents[2]


def bargewatch(*arguments, **options):
    """Run the command in a process of its own."""
    env = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "detector.cli", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, check=False, text=True, env=env, timeout=300, **options)


def found(scene_id: str, status: str = "kept") -> Detections:
    return Detections.from_columns(
        scene_id=[scene_id],
        confidence=[0.9],
        lon=[125.4],
        lat=[38.72],
        length_m=[170],
        width_m=[25],
        heading_deg=[10],
        heading_ambiguous=[True],
        status=[status],
        geometry=[shapely.box(125.4, 38.72, 125.402, 38.721)],
        **{"class": ["vessel"]},
    )


LOOK = {"scene_id": "a", "acquired": None, "site": "nampo", "zone_id": "coal-terminal", "clear_fraction": 1.0}


@pytest.fixture
def fake(monkeypatch):
    """A stand-in for the prediction: what happens to a scene is in its name."""
    calls = []

    def run(sources, *, progress=None, **options):
        calls.append(options)
        for source in sources:
            error, detections = None, found(Path(source).stem, "land" if "land" in source else "kept")
            if "bad" in source:
                error, detections = UnreadableSceneError(f"{source}: it is\ncut short; fetch it again"), None
            if "odd" in source:
                error, detections = ZeroDivisionError("division by zero"), None
            if "stop" in source:
                raise KeyboardInterrupt
            if "weights" in source:
                raise WeightsError("weights 'w' are damaged; fetch them again")
            if progress:
                progress(1, 2)
            yield SimpleNamespace(
                source=source,
                scene_id=None if error else Path(source).stem,
                acquired=None,
                detections=detections,
                bands=("B04", "B03", "B02") if "colour" in source else ("B04", "B03", "B02", "B08"),
                looks=[] if error or "far" in source else [LOOK],
                chips=[],
                error=error,
                seconds=0.5,
            )

    module = SimpleNamespace(run=run)
    monkeypatch.setitem(sys.modules, "detector.prediction", module)
    return calls


def call(*arguments) -> int:
    return detector.cli.run([str(argument) for argument in arguments])


def test_all_good_is_0_and_everything_is_written(tmp_path, fake, capsys):
    out, looks = tmp_path / "v.geojson", tmp_path / "looks.csv"
    assert call("predict", "a.tif", "b.tif", "--out", out, "--looks", looks, "--site", "nampo") == 0
    assert Detections.read(out)["scene_id"].tolist() == ["a", "b"]
    assert read_looks(looks) == [LOOK, LOOK]
    said = capsys.readouterr()
    assert said.out == ""
    assert "a: 1 vessel in 0.5 s" in said.err
    assert "2 vessels in 2 of 2 scenes" in said.err


def test_options_reach_the_prediction(tmp_path, fake):
    code = call(
        *("predict", "a.tif", "--out", tmp_path / "v.csv", "--bands", "B04, B03,B02", "--scale", "0.0001,-0.1"),
        *("--confidence", "0.4", "--threads", "2", "--weights", "w", "--keep-rejected", "--site", "nampo", "-q"),
    )
    assert code == 0
    options = fake[0]
    assert options["bands"] == ("B04", "B03", "B02")
    assert options["scale"] == "0.0001,-0.1"
    assert options["confidence"] == 0.4
    assert options["threads"] == 2
    assert options["weights"] == "w"
    assert options["keep_rejected"] is True
    assert options["site"].name == "nampo"


def test_some_failed_is_1_and_the_others_are_written(tmp_path, fake, capsys):
    out = tmp_path / "v.gpkg"
    assert call("predict", "a.tif", "bad.tif", "odd.tif", "c.tif", "--out", out) == 1
    assert Detections.read(out)["scene_id"].tolist() == ["a", "c"]
    lines = capsys.readouterr().err.splitlines()
    assert "bargewatch: error: bad.tif: it is cut short; fetch it again" in lines
    assert [line for line in lines if "odd.tif: unexpected ZeroDivisionError" in line and "--debug" in line]
    assert not any("Traceback" in line for line in lines)


def test_what_may_not_be_meant_is_said_even_when_quiet(tmp_path, fake, capsys):
    out, looks = tmp_path / "v.csv", tmp_path / "l.csv"
    assert call("predict", "a.tif", "far.tif", "./a.tif", "--out", out, "--looks", looks, "--site", "nampo", "-q") == 0
    assert Detections.read(out)["scene_id"].tolist() == ["a", "far"], "named twice, counted once"
    said = capsys.readouterr().err
    assert "./a.tif is named twice" in said
    assert "a has no sensing time" in said and "--acquired" in said
    assert "far does not touch site nampo" in said
    assert call("predict", "colour.tif", "--out", out, "--acquired", "2020-03-01T02:21:09+00:00") == 0
    assert fake[-1]["acquired"] == "2020-03-01T02:21:09Z"
    assert "from B04 B03 B02 alone" in capsys.readouterr().err


def test_debug_shows_the_traceback(tmp_path, fake, capsys):
    assert call("predict", "odd.tif", "--out", tmp_path / "v.csv", "--debug") == 1
    assert "ZeroDivisionError: division by zero" in capsys.readouterr().err


def test_all_failed_is_1_and_an_older_file_stays(tmp_path, fake, capsys):
    out = tmp_path / "v.csv"
    out.write_text("older")
    assert call("predict", "bad.tif", "--out", out, "--looks", tmp_path / "l.csv", "--site", "nampo") == 1
    assert out.read_text() == "older"
    assert [p.name for p in tmp_path.iterdir()] == ["v.csv"]
    assert "nothing was written" in capsys.readouterr().err


def test_interrupted_is_130_and_nothing_is_written(tmp_path, fake, capsys):
    assert call("predict", "a.tif", "stop.tif", "--out", tmp_path / "v.csv") == 130
    assert not list(tmp_path.iterdir())
    assert "interrupted" in capsys.readouterr().err


def test_bad_weights_are_2(tmp_path, fake, capsys):
    assert call("predict", "weights.tif", "--out", tmp_path / "v.csv") == 2
    assert "bargewatch: error: weights 'w' are damaged" in capsys.readouterr().err


def test_json_is_all_there_is_on_stdout(tmp_path, fake, capsys):
    out = tmp_path / "v.csv"
    assert call("predict", "a.tif", "land.tif", "bad.tif", "--out", out, "--json", "--quiet") == 1
    said = capsys.readouterr()
    summary = json.loads(said.out)
    assert [scene["source"] for scene in summary["scenes"]] == ["a.tif", "land.tif", "bad.tif"]
    assert [scene.get("vessels") for scene in summary["scenes"]] == [1, 0, None]
    assert summary["scenes"][1]["rejected"] == {"land": 1}
    assert "cut short" in summary["scenes"][2]["error"]
    assert summary["totals"]["vessels"] == 1
    assert summary["totals"]["failed"] == 1
    assert summary["out"] == str(out)
    assert said.err.splitlines() == ["bargewatch: error: bad.tif: it is cut short; fetch it again"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["predict"], "SCENE"),
        (["predict", "a.tif"], "--out"),
        (["predict", "a.tif", "--out", "v.shp"], ".geojson, .gpkg, .parquet, .csv"),
        (["predict", "a.tif", "--out", "nowhere/v.csv"], "nowhere"),
        (["predict", "a.tif", "--out", "v.csv", "--site", "nampoo"], "nampo, ningbo-zhoushan"),
        (["predict", "a.tif", "--out", "v.csv", "--looks", "l.csv"], "--site"),
        (["predict", "a.tif", "--out", "v.csv", "--looks", "l.txt", "--site", "nampo"], ".csv"),
        (["predict", "a.tif", "--out", "v.csv", "--confidence", "2"], "0<=x<=1"),
        (["predict", "a.tif", "--out", "v.csv", "--scale", "lots"], "--scale"),
        (["predict", "a.tif", "--out", "v.geojson", "--crs", "EPSG:32651"], "WGS84"),
        (["predict", "a.tif", "b.tif", "--out", "v.csv", "--preview", "p.png"], "folder"),
        (["predict", "a.tif", "--out", "v.csv", "--preview", "p.jpg"], ".png"),
        (["predict", "a.tif", "--out", "v.csv", "--nonsense"], "--nonsense"),
        (["predict", "a.tif", "--out", "v.csv", "--looks", "./v.csv", "--site", "nampo"], "replace"),
        (["predict", "a.gpkg", "--out", "a.gpkg"], "replace the scene"),
        (["predict", "a.tif", "b.tif", "--out", "v.csv", "--acquired", "2020-03-01T02:21:09Z"], "one scene"),
        (["predict", "a.tif", "--out", "v.csv", "--acquired", "noon"], "--acquired"),
        (["fly"], "fly"),
        (["sites", "show", "atlantis"], "atlantis"),
    ],
)
def test_wrong_usage_is_2_and_leaves_nothing(tmp_path, fake, capsys, monkeypatch, arguments, said):
    monkeypatch.chdir(tmp_path)
    assert call(*arguments) == 2
    error = capsys.readouterr().err
    assert said in error
    assert "Traceback" not in error
    assert not fake
    assert not list(tmp_path.iterdir())


def sea_file(path: Path) -> Path:
    pixels = np.stack([scenes.sea(seed=i) for i in range(4)])
    return scenes.write_raster(path, pixels, descriptions=["B04", "B03", "B02", "B08"], tags={"SCALE": "DN / 10000"})


def test_previews_of_several_scenes_go_to_a_folder(tmp_path, fake, capsys):
    a, b = sea_file(tmp_path / "a.tif"), sea_file(tmp_path / "b.tif")
    folder = tmp_path / "pictures"
    assert call("predict", a, b, "--out", tmp_path / "v.csv", "--preview", folder, "--json") == 0
    assert sorted(p.name for p in folder.iterdir()) == ["a.png", "b.png"]
    assert json.loads(capsys.readouterr().out)["scenes"][0]["preview"] == str(folder / "a.png")


def test_a_preview_that_fails_does_not_cost_the_table(tmp_path, fake, capsys):
    gone = tmp_path / "gone.tif"
    assert call("predict", gone, "--out", tmp_path / "v.csv", "--preview", tmp_path / "p.png") == 1
    assert len(Detections.read(tmp_path / "v.csv")) == 1
    assert "no preview" in capsys.readouterr().err


def test_help_is_quick_lists_everything_and_imports_nothing_heavy():
    code = (
        "import sys, detector.cli as c; c.run(['--help']);"
        "heavy = {'torch', 'rasterio', 'geopandas', 'numpy', 'training'} & set(sys.modules); print('HEAVY', heavy)"
    )
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, check=False, text=True, env=env, timeout=60
    )
    assert "HEAVY set()" in done.stdout
    for name in ("predict", "sites", "demo", "train", "evaluate", "export", "data", "version"):
        assert f"  {name} " in done.stdout


def test_the_help_names_the_threshold_of_the_weights_that_ship():
    from detector import calibration
    from detector.model import find_weights

    shipped = find_weights(None)
    shown = float(calibration.apply(shipped.calibration, shipped.confidence))
    text = " ".join(bargewatch("predict", "--help").stdout.split())
    assert f"about {shown:.2f} for those that ship" in text


def test_training_commands_say_what_to_install(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "training.cli", None)
    assert call("train", "--help") == 2
    assert "pip install 'bargewatch[train]'" in capsys.readouterr().err


def test_sites_and_version(tmp_path):
    [nampo] = [line for line in bargewatch("sites", "list").stdout.splitlines() if line.startswith("nampo ")]
    assert "38.70 N 125.35 E  1 coal_berth, 1 berth, 1 anchorage, 1 stockpile, 1 area" in nampo
    assert json.loads(bargewatch("sites", "show", "nampo", "--json").stdout)["zones"][0]["capacity"] == 2
    bad = tmp_path / "bad.geojson"
    bad.write_text('{"type": "FeatureCollection", "features": []}')
    good = ROOT / "configs" / "sites" / "nampo.geojson"
    done = bargewatch("sites", "check", good, bad)
    assert done.returncode == 1
    assert "good, 5 zones" in done.stdout
    assert "no feature" in done.stderr
    assert bargewatch("version").stdout.startswith("bargewatch 0.1.0")


def test_the_package_is_light_and_its_names_are_there():
    code = (
        "import time; t = time.perf_counter(); import detector; t = time.perf_counter() - t;"
        "from detector import Detections, load_site, open_scene, list_sites, write_preview; import detector.prediction;"
        "from detector import predict; assert callable(predict); print(t)"
    )
    if not (ROOT / "detector" / "prediction.py").exists():
        pytest.skip("detector/prediction.py is not there yet")
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, check=False, text=True, env=env, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) < 0.7


@pytest.fixture
def network():
    """Skip where there is no network to predict with."""
    if not (ROOT / "detector" / "prediction.py").exists():
        pytest.skip("detector/prediction.py is not there yet")
    if not list((ROOT / "weights").glob("*.onnx")):
        pytest.skip("no weights in weights/: train and export a network first")


@pytest.mark.usefixtures("network")
def test_predict_for_real(tmp_path):
    scene = sea_file(tmp_path / "sea.tif")
    broken = tmp_path / "broken.tif"
    broken.write_bytes(scene.read_bytes()[:500])
    out = tmp_path / "v.geojson"
    looks, picture = tmp_path / "looks.csv", tmp_path / "pictures"
    site = ROOT / "configs" / "sites" / "nampo.geojson"
    done = bargewatch(
        *("predict", scene, broken, "--out", out, "--site", site, "--looks", looks),
        *("--preview", picture, "--keep-rejected", "--json", "--threads", 1),
    )
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    summary = json.loads(done.stdout)
    assert [bool(row["error"]) for row in summary["scenes"]] == [False, True]
    assert len(Detections.read(out)) >= summary["totals"]["vessels"]
    assert looks.read_text().startswith("scene_id,")
    assert (picture / "sea.png").exists()


@pytest.mark.usefixtures("network")
def test_demo(tmp_path):
    done = bargewatch("demo", "--out", tmp_path / "demo")
    assert done.returncode == 0, done.stderr
    files = {path.name for path in (tmp_path / "demo").iterdir()}
    assert files >= {"vessels.geojson", "vessels.png", "truth.geojson", "site.geojson", "looks.csv"}
    assert any(name.endswith(".SAFE") for name in files)
    assert "34 vessels painted" in done.stdout
    found = len(Detections.read(tmp_path / "demo" / "vessels.geojson"))
    assert found >= 17, "half of the painted vessels and more are easy to find"
    again = bargewatch("demo", "--out", tmp_path / "demo")
    assert again.returncode == 2
    assert "exists" in again.stderr
    (tmp_path / "demo" / "looks.csv").unlink()
    again = bargewatch("demo", "--out", tmp_path / "demo", "--force")
    assert again.returncode == 0, again.stderr
    assert (tmp_path / "demo" / "looks.csv").is_file()


def test_demo_replaces_nothing_but_a_demo(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "work.txt").write_text("precious")
    done = bargewatch("demo", "--out", tmp_path / "mine", "--force")
    assert done.returncode == 2
    assert (tmp_path / "mine" / "work.txt").read_text() == "precious"
