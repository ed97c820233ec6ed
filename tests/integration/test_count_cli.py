"""`bargewatch count` in a process of its own: exit codes, what it says, and what is on disk afterwards."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import shapely.geometry

from detector.loadings.looks import write_looks
from tests.timelines import calls, detections, look, site, tables, vessel, zone

ROOT = Path(__file__).resolve().parents[2]


def bargewatch(*arguments, **environment):
    env = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", **environment}
    command = [sys.executable, "-m", "detector.cli", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, check=False, text=True, env=env, timeout=300)


def write_site(path, *zones):
    features = [
        {
            "type": "Feature",
            "properties": {
                "id": at.id, "kind": at.kind, "name": at.name, "capacity": at.capacity, "source": at.source,
                "accuracy_m": at.accuracy_m, "stay_days": list(at.stay_days),
            },
            "geometry": shapely.geometry.mapping(at.polygon),
        }
        for at in zones
    ]  # fmt: skip
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))


@pytest.fixture(scope="module")
def port(tmp_path_factory):
    """Tables and site file of a berth with eight ships in two months."""
    folder = tmp_path_factory.mktemp("port")
    ships = calls(8, seed=2)
    rows, looks = tables(ships, range(0, 60, 2), clouds={4, 10, 12, 30}, noise=0.5)
    detections(rows).write(folder / "vessels.geojson")
    write_looks(folder / "looks.csv", looks)
    write_site(folder / "port.geojson", *site(zone()).zones)
    return folder


def arguments(port, out):
    return ["count", "--vessels", port / "vessels.geojson", "--looks", port / "looks.csv",
            "--site", port / "port.geojson", "--out", out]  # fmt: skip


def test_a_count_is_written_and_told(port, tmp_path):
    done = bargewatch(*arguments(port, tmp_path / "out"), "--period", "all")
    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["loadings.csv", "visits.geojson"]
    assert "26/30" in done.stdout
    assert "may have begun before" in done.stdout
    assert "mean stay" in done.stdout
    with open(tmp_path / "out" / "loadings.csv", encoding="utf-8") as file:
        pier, whole = csv.DictReader(file)
    assert (pier["zone_id"], whole["zone_id"]) == ("pier", "")
    assert 6 <= int(pier["visits_seen"]) <= 8
    assert float(pier["loadings_low"]) <= 8 <= float(pier["loadings_high"])
    assert float(pier["loadings_low"]) <= float(pier["loadings"]) <= float(pier["loadings_high"])


def test_json_is_the_result_alone(port, tmp_path):
    done = bargewatch(*arguments(port, tmp_path / "out"), "--period", "all", "--json")
    result = json.loads(done.stdout)
    assert result["site"] == "port"
    tonnes = [result["loadings"][0][name] for name in ("tonnes_low", "tonnes", "tonnes_high")]
    assert 0 < tonnes[0] < tonnes[1] < tonnes[2]
    assert result["visits"] == result["loadings"][0]["visits_seen"]
    assert len(result["files"]) == 2


def test_pictures_are_drawn_on_demand(port, tmp_path):
    pytest.importorskip("matplotlib")
    done = bargewatch(*arguments(port, tmp_path / "out"), "--plots", "--quiet")
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    names = sorted(path.name for path in (tmp_path / "out" / "plots").iterdir())
    assert names == ["loadings.png", "loadings.svg", "timeline-pier-2020.png", "timeline-pier-2020.svg"]


def test_a_picture_that_fails_does_not_hide_the_count(port, tmp_path):
    pytest.importorskip("matplotlib")
    out = tmp_path / "out"
    out.mkdir()
    (out / "plots").write_text("in the way")
    done = bargewatch(*arguments(port, out), "--plots", "--period", "all")
    assert done.returncode == 1
    assert "no pictures" in done.stderr
    assert (out / "loadings.csv").is_file()


def test_matplotlib_is_asked_for_before_the_work(port, tmp_path):
    blocked = tmp_path / "blocked"
    (blocked / "matplotlib").mkdir(parents=True)
    (blocked / "matplotlib" / "__init__.py").write_text("raise ImportError('blocked')")
    done = bargewatch(
        *arguments(port, tmp_path / "out"), "--plots", PYTHONPATH=f"{blocked}{os.pathsep}{ROOT}"
    )
    assert done.returncode == 2
    assert "pip install 'bargewatch[plots]'" in done.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"--site": "nmapo"}, "unknown site 'nmapo'"),
        ({"--site": "nampo"}, "of the site port, not of nampo"),
        ({"--looks": "none.csv"}, "no such looks table"),
        ({"--vessels": "none.gpkg"}, "no such table"),
        ({"--period": "week"}, "'week' is not one of"),
        ({"--kinds": "quay"}, "use some of coal_berth, berth, anchorage"),
        ({"--recall": "2"}, "recall is 2.0"),
        ({"--payload": "none.yaml"}, "none.yaml: cannot be read"),
        ({"--prices": __file__}, "not YAML"),
    ],
)
def test_wrong_usage_is_said_in_one_sentence_and_writes_nothing(port, tmp_path, changes, said):
    given = [str(a) for a in arguments(port, tmp_path / "out")]
    for option, value in changes.items():
        if option in given:
            given[given.index(option) + 1] = value
        else:
            given += [option, value]
    done = bargewatch(*given)
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.rglob("*.csv"))


def test_tables_that_do_not_fit_are_refused(port, tmp_path):
    detections([vessel(5, calls(1)[0], scene="elsewhere")]).write(tmp_path / "vessels.geojson")
    write_looks(tmp_path / "looks.csv", [look(0)])
    write_site(tmp_path / "port.geojson", *site(zone()).zones)
    done = bargewatch(*arguments(tmp_path, tmp_path / "out"))
    assert done.returncode == 2
    assert "without a look" in done.stderr


def test_the_help_teaches():
    done = bargewatch("count", "--help")
    assert done.returncode == 0
    for word in ("visits_seen", "a lower bound", "90 % interval", "predict *.SAFE --site nampo", "inference"):
        assert word in done.stdout
