"""`bargewatch watch` over 30 painted scenes, killed fifty times and more: `make killtest`."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.killing import kill_and_compare
from tests.loopback.catalogue import Catalogue
from tests.loopback.painted import PaintedPort, overpasses

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]


def test_fifty_kills_end_with_the_tables_of_an_undisturbed_run(tmp_path: Path) -> None:
    port = PaintedPort(
        5,
        overpasses(datetime(2020, 3, 1, tzinfo=UTC), datetime(2020, 3, 31, tzinfo=UTC), 1.0),
        berths=1,
        size=(128, 128),
    )
    assert len(port.dates) == 30
    site = port.write_site(tmp_path / "port.geojson")
    with Catalogue(tmp_path / "cogs") as catalogue:
        port.serve(catalogue, clouded=0.3)
        call = ("--site", site, "--from", "2020-03-01", "--to", "2020-03-31", "--source", catalogue.url)
        where = kill_and_compare(tmp_path, call, scenes=30, kills=60, seed=1)
    print(dict(where))
    assert where["start and search"] and where["fetching and predicting"] and where["counting"]
