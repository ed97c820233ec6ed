"""`bargewatch flag` in a process of its own, and its figures on real AIS with simulated detections."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from detector.flags import FlaggedVessels, flag_vessels
from tests.aisscenes import SimulatedScene, boxes, danish_files, simulate
from tests.transferscenes import PLANE

ROOT = Path(__file__).resolve().parents[2]
TIME = "2022-08-25T10:36:41Z"


def run(*arguments, code=0):
    process = subprocess.run(
        [sys.executable, "-m", "detector.cli", "flag", *map(str, arguments)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert process.returncode == code, process.stderr
    assert "Traceback" not in process.stderr
    return process


@pytest.fixture
def table(tmp_path) -> Path:
    path = tmp_path / "vessels.geojson"
    boxes(PLANE, [0, 3000], [0, 0], [100, 100], [16, 16], [90, 90], acquired=TIME).write(path)
    return path


@pytest.fixture
def ais(tmp_path) -> Path:
    lon, lat = PLANE.inverse(0, 0)
    path = tmp_path / "ais.csv"
    path.write_text(
        f"mmsi,time,lat,lon,imo,name\n445000001,{TIME},{float(lat)},{float(lon)},9020003,HUA FU\n445000001,{TIME},x,1,,\n"
    )
    return path


def test_flagging_a_table(tmp_path, table, ais):
    (tmp_path / "list.csv").write_text("imo,name\n9020003,HUA FU\n")
    out = tmp_path / "flagged.gpkg"
    process = run(
        "--vessels", table, "--ais", ais, "--watchlist", tmp_path / "list.csv", "--out", out, "--json"
    )
    summary = json.loads(process.stdout)
    assert summary["flags"] == {"watchlist": 1, "flag-KP": 1, "ais-unknown": 1}
    assert summary["ais"] == {"matched": 1, "ambiguous": 0, "unmatched": 1, "unknown": 0}
    assert summary["files"][0]["bad"] == {"without position": 1}
    assert "1 bad and left out (1 without position; first: line 3: without position)" in process.stderr
    assert FlaggedVessels.read(out)["ais_name"].tolist() == ["HUA FU", None]


def test_the_contract_call_needs_nothing_else(tmp_path, table):
    run("--vessels", table, "--out", tmp_path / "flagged.csv", "-q")
    rows = list(csv.DictReader(open(tmp_path / "flagged.csv", encoding="utf-8")))
    assert [row["flags"] for row in rows] == ["ais-unknown", "ais-unknown"]


def test_a_failed_input_is_named_and_the_rest_is_used(tmp_path, table, ais):
    out = tmp_path / "flagged.geojson"
    process = run("--vessels", table, "--ais", ais, "--ais", tmp_path / "none.csv", "--out", out, code=1)
    assert "none.csv: no such AIS file" in process.stderr and out.exists()
    process = run("--vessels", table, "--ais", tmp_path / "none.csv", "--out", tmp_path / "a.geojson", code=1)
    assert "none.csv: no such AIS file" in process.stderr and not (tmp_path / "a.geojson").exists()
    bad = tmp_path / "bad.geojson"
    process = run("--vessels", table, "--watchlist", table, "--out", bad, code=1)
    assert "nothing was written" in process.stderr and not bad.exists()


@pytest.mark.parametrize(
    ("extra", "says"),
    [
        (["--flag-state", "Narnia"], "unknown flag state 'Narnia'"),
        (["--rules", "none.yaml"], "none.yaml: cannot be read"),
        (["--site", "atlantis"], "unknown site 'atlantis'"),
        (["--ais-time", "noon", "--ais", __file__], "not a time"),
    ],
)
def test_wrong_usage(tmp_path, table, extra, says):
    process = run("--vessels", table, "--out", tmp_path / "x.csv", *extra, code=2)
    assert says in process.stderr and not (tmp_path / "x.csv").exists()


# ---- figures


def without(scene: SimulatedScene, folder: Path, gone) -> Path:
    """The AIS of a scene without the ships of some places."""
    with open(scene.ais, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    folder.mkdir()
    path = folder / scene.ais.name
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(r for r in rows if not gone(float(r["Longitude"]), float(r["Latitude"])))
    return path


@pytest.mark.real
def test_assignment_and_dark_on_real_ais(tmp_path):
    """Errors 20 m and 12 m, a tenth missed, a tenth false, a twentieth silenced; all ships whatever their size."""
    decided = right = broadcasting = dark_right = dark_wrong = silent = undecided = 0
    for seed in range(3):
        for source in danish_files():
            scene = simulate(source, tmp_path / str(seed), seed)
            flagged = flag_vessels(scene.vessels, ais=[scene.ais])
            flags = flagged.detections["flags"]
            matched = flagged["ais_status"] == "matched"
            mmsi = np.array([m or 0 for m in flagged["ais_mmsi"]])
            decided += int(matched.sum())
            right += int((matched & (mmsi == scene.mmsi)).sum())
            broadcasting += int(scene.broadcasting.sum())
            dark = np.array(["dark" in f for f in flags])
            covered = np.array(["ais-unknown" not in f for f in flags])
            silenced = scene.silenced & (scene.mmsi > 0)
            ambiguous = flagged["ais_status"] == "ambiguous"
            silent += int((silenced & covered & ~ambiguous).sum())
            undecided += int((silenced & covered & ambiguous).sum())
            dark_right += int((dark & silenced).sum())
            dark_wrong += int((dark & scene.broadcasting).sum())
    assert right / decided >= 0.97
    assert decided / broadcasting >= 0.85
    assert dark_right / silent >= 0.9
    assert dark_right / (silent + undecided) >= 0.8
    assert dark_right / (dark_right + dark_wrong) >= 0.9


@pytest.mark.real
def test_nothing_is_dark_where_no_ais_was_received(tmp_path):
    for source in danish_files():
        scene = simulate(source, tmp_path / "scene", 0)
        west = float(np.median(scene.vessels["lon"]))
        half = without(scene, tmp_path / f"half-{source.stem}", lambda lon, lat, west=west: lon < west)
        flags = flag_vessels(scene.vessels, ais=[half]).detections["flags"]
        dark = np.array(["dark" in f for f in flags])
        assert not (dark & (scene.vessels["lon"] < west)).any()
        assert dark.any()
        none = without(scene, tmp_path / f"none-{source.stem}", lambda lon, lat: lat > 0)
        assert not any("dark" in f for f in flag_vessels(scene.vessels, ais=[none]).detections["flags"])
