"""A simulated year at two coal berths of Nampo: painted, served by a STAC on this machine, watched, counted: `make year`.

It is a test of the chain from the catalogue to the interval. The berths are moorings in open water, where the network
finds painted ships; how well it finds ships in real images is a matter of the evaluation.
"""

from __future__ import annotations

import json
import subprocess
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from detector.store import Store
from tests.killing import command, environment
from tests.loopback.catalogue import Catalogue
from tests.loopback.painted import PaintedPort, overpasses

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]

START, END = datetime(2020, 1, 1, tzinfo=UTC), datetime(2021, 1, 1, tzinfo=UTC)
SEED = 21


def test_the_truth_lies_inside_the_interval(tmp_path: Path) -> None:
    begun = time.monotonic()
    port = PaintedPort(SEED, overpasses(START, END, 2.5))
    site = port.write_site(tmp_path / "nampo.geojson", stay_days=(2.0, 4.0))
    store = tmp_path / "nampo.gpkg"
    with Catalogue(tmp_path / "cogs") as catalogue:
        port.serve(catalogue, clouded=0.4)
        painted = time.monotonic()
        call = ("--site", site, "--from", "2020-01-01", "--to", "2020-12-31", "--source", catalogue.url)
        ran = subprocess.run(
            command(store, (*call, "--period", "year", "--json")),
            env=environment(), capture_output=True, text=True, check=False, timeout=3000,
        )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    told = json.loads(ran.stdout)
    year = told["loadings"][-1]
    truth = len(port.begun(START, END))
    print(f"\npainted in {painted - begun:.0f} s, watched in {time.monotonic() - painted:.0f} s")
    print(told["summary"])
    print(f"truth {truth}, looks {year['usable_looks']} of {year['looks']} usable")
    with Store(store) as opened:
        assert len(opened.acquisitions()) == len(port.dates) == told["done"]
        clear = {row["acquired"] for row in opened.looks() if row["clear_fraction"] >= 0.99}
        kept = opened.vessels().kept
    found = sum(
        zone is not None and when in clear
        for when, zone in zip(kept["acquired"], kept["zone_id"], strict=True)
    )
    there = sum(len(port.present(when)) for when in port.dates if f"{when:%Y-%m-%dT%H:%M:%SZ}" in clear)
    print(f"vessels at the berths in clear looks: {found} found, {there} painted")
    assert year["usable_looks"] >= 70
    assert year["visits_seen"] <= truth
    assert year["loadings_low"] <= truth <= year["loadings_high"]
