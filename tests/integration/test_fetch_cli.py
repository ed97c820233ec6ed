"""`bargewatch fetch` in a process of its own, against services on this machine."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import rasterio

from detector.imagery.selection import clear_by_class
from detector.loadings.looks import look_rows, read_looks
from detector.loadings.sites import load_site
from detector.scene import open_scene
from tests.loopback.catalogue import Catalogue
from tests.loopback.hub import CLIENT_ID, SECRET, Hub
from tests.loopback.world import Pass, box, write_site
from tests.wrongcalls import WRONG, answer

ROOT = Path(__file__).resolve().parents[2]
WHEN = datetime(2020, 3, 1, 2, 27, 13, tzinfo=UTC)
WEST = Pass(WHEN, box(0, 0, 6000, 4200), cloud=(box(0, 0, 2000, 1800),))
EAST = Pass(WHEN + timedelta(seconds=7), box(4800, 0, 7200, 4200), tile="51SZC")
NETWORK = {"GDAL_HTTP_RETRY_DELAY": "0.02", "GDAL_HTTP_MAX_RETRY": "1", "OMP_NUM_THREADS": "1"}


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "detector.cli", "fetch", *map(str, arguments)]


def environment(**more: str) -> dict[str, str]:
    clean = {key: value for key, value in os.environ.items() if not key.startswith("SH_")}
    return {**clean, **NETWORK, "PYTHONPATH": str(ROOT), **more}


def bargewatch(*arguments: object, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(*arguments), capture_output=True, check=False, text=True, env=environment(**env), timeout=300
    )


@pytest.fixture
def catalogue(tmp_path: Path) -> Iterator[Catalogue]:
    with Catalogue(tmp_path / "cogs") as server:
        yield server


@pytest.fixture
def port(tmp_path: Path) -> Path:
    zones = {"west": box(1500, 1500, 800, 600), "east": box(9000, 1500, 800, 600)}
    return write_site(tmp_path / "port.geojson", zones)


def days(port: Path, out: Path) -> tuple[object, ...]:
    return ("--site", port, "--from", "2020-02-01", "--to", "2020-03-31", "--out", out)


def test_dry_run_fetch_and_resume(catalogue: Catalogue, port: Path, tmp_path: Path) -> None:
    catalogue.add(WEST)
    catalogue.add(EAST)
    call = (*days(port, tmp_path / "out"), "--source", catalogue.url)
    dry = bargewatch(*call, "--dry-run")
    assert dry.returncode == 0, dry.stderr
    assert "port, 9 x 2 km: 1 scene to fetch; at most 2 MB" in dry.stderr
    assert not (tmp_path / "out").exists() and not catalogue.asked("cogs")
    done = bargewatch(*call, "--json")
    assert done.returncode == 0, done.stderr
    (scene,) = json.loads(done.stdout)["scenes"]
    assert (scene["status"], scene["error"]) == ("fetched", None)
    again = bargewatch(*call, "--json")
    assert json.loads(again.stdout)["there"] == [scene["scene_id"]] and not json.loads(again.stdout)["scenes"]
    # What `predict` makes of the file: the same cloud, the same looks.
    site = load_site(port)
    with open_scene(tmp_path / "out" / scene["file"]) as opened:
        looks = {row["zone_id"]: row["clear_fraction"] for row in look_rows(opened, site)}
        assert {
            row["zone_id"]: row["clear_fraction"] for row in look_rows(opened, site, clear_by_class)
        } == looks
    kept = {row["zone_id"]: row["clear_fraction"] for row in read_looks(tmp_path / "out" / "looks.csv")}
    assert kept == pytest.approx(looks, abs=0.05)
    assert looks["east"] == 1.0 and 0.3 < looks["west"] < 0.9
    line = json.loads((tmp_path / "out" / "manifest.jsonl").read_text())
    assert line["granules"][0]["id"] == WEST.product()


def test_a_failed_scene_is_named_and_the_others_are_there(
    catalogue: Catalogue, port: Path, tmp_path: Path
) -> None:
    whole = replace(WEST, box=box(0, 0, 12_000, 4200))
    catalogue.add(whole)
    catalogue.add(replace(whole, acquired=WHEN + timedelta(days=5)))
    catalogue.fault("20200301.*B02", "404", times=1000)
    ran = bargewatch(*days(port, tmp_path / "out"), "--source", f"{catalogue.url}?key=hidden-key")
    assert ran.returncode == 1
    assert "S2A_MSIL2A_20200301T022109_port: cannot read" in ran.stderr and "Traceback" not in ran.stderr
    assert "hidden-key" not in ran.stderr
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {".fetching", "looks.csv", "manifest.jsonl", "S2A_MSIL2A_20200306T022109_port.tif"}
    assert "hidden-key" not in (tmp_path / "out" / "manifest.jsonl").read_text()


@pytest.mark.parametrize(("change", "code", "says"), WRONG)
def test_exit_codes(port: Path, tmp_path: Path, change: dict[str, str], code: int, says: str) -> None:
    call = {"--site": str(port), "--from": "2020-02-01", "--to": "2020-03-31", "--out": "out"}
    told, said = answer("fetch", call | {"--source": str(tmp_path)} | change, tmp_path)
    assert told == code and says in said
    assert not (tmp_path / "out").exists()


def test_killed_at_any_instant(catalogue: Catalogue, port: Path, tmp_path: Path) -> None:
    """Whole files only, and in the end the same as an undisturbed run."""
    whole = replace(WEST, box=box(0, 0, 12_000, 4200))
    for number in range(4):
        catalogue.add(replace(whole, acquired=WHEN + timedelta(days=number)))
    call = ("--source", catalogue.url, "--quiet")
    assert bargewatch(*days(port, tmp_path / "calm"), *call).returncode == 0
    out, dice = tmp_path / "out", random.Random(0)
    for _ in range(4):
        with subprocess.Popen(command(*days(port, out), *call), env=environment()) as running:
            until = time.monotonic() + 60
            start = len(catalogue.asked("cogs"))
            while running.poll() is None and time.monotonic() < until:
                if len(catalogue.asked("cogs")) > start + dice.randrange(2, 30):
                    break
                time.sleep(0.01)
            running.send_signal(signal.SIGKILL)
        for path in out.glob("*.tif"):
            with rasterio.open(path) as file:
                file.read()
    assert bargewatch(*days(port, out), *call).returncode == 0
    for path in (tmp_path / "calm").glob("*.tif"):
        assert path.read_bytes() == (out / path.name).read_bytes()
    assert (out / "looks.csv").read_text() == (tmp_path / "calm" / "looks.csv").read_text()
    assert len(list(out.glob("*.tif"))) == 4


def test_sentinel_hub_shows_no_secret_anywhere(port: Path, tmp_path: Path) -> None:
    with Hub([WEST, EAST]) as hub:
        env = hub.account(tmp_path / "config") | {"CPL_CURL_VERBOSE": "YES"}
        call = (*days(port, tmp_path / "out"), "--source", "sentinelhub", "--json", "--debug")
        good = bargewatch(*call, **env)
        hub.fault(
            "process", "403", times=100, body=f'{{"error": {{"message": "limit of {SECRET}"}}}}'.encode()
        )
        bad = bargewatch(*call, "--refetch", **env)
        wrong = bargewatch(*call, **{**env, "SH_CLIENT_SECRET": "wrong-but-secret"})
    assert (good.returncode, bad.returncode, wrong.returncode) == (0, 1, 2), (
        good.stderr + bad.stderr + wrong.stderr
    )
    assert json.loads(good.stdout)["scenes"][0]["status"] == "fetched"
    assert "quota" in bad.stderr
    texts = [run.stdout + run.stderr for run in (good, bad, wrong)]
    texts += [path.read_bytes().decode("latin-1") for path in tmp_path.rglob("*") if path.is_file()]
    for secret in (SECRET, CLIENT_ID, "token-secret", "wrong-but-secret"):
        assert not [text for text in texts if secret in text], secret
