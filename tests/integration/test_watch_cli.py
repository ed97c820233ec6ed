"""`bargewatch watch` in a process of its own, against services on this machine."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import geopandas
import pytest

from detector.store import Store, open_store
from tests.killing import command, environment, kill_and_compare
from tests.loopback.catalogue import Catalogue
from tests.loopback.hub import CLIENT_ID, SECRET, Hub
from tests.loopback.painted import PaintedPort, overpasses
from tests.loopback.world import Pass, box, write_site
from tests.storedump import check_whole, drafts, dump, files
from tests.wrongcalls import WRONG, answer

SPAN = ("--from", "2020-03-01", "--to", "2020-03-31")


def watch(store: Path, *call: object, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(store, call), env=environment(**env), capture_output=True, text=True, check=False, timeout=300
    )


@pytest.fixture(scope="module")
def port() -> PaintedPort:
    dates = overpasses(datetime(2020, 3, 1, tzinfo=UTC), datetime(2020, 3, 13, tzinfo=UTC), 2.0)
    return PaintedPort(5, dates, berths=1, size=(128, 128))


@pytest.fixture(scope="module")
def served(port: PaintedPort, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Catalogue]:
    with Catalogue(tmp_path_factory.mktemp("cogs")) as catalogue:
        port.serve(catalogue, clouded=0.3)
        yield catalogue


@pytest.fixture
def catalogue(served: Catalogue) -> Iterator[Catalogue]:
    items = list(served.items)
    yield served
    served.faults.clear()
    served.items[:] = items
    served.log.clear()


@pytest.fixture
def site(port: PaintedPort, tmp_path: Path) -> Path:
    return port.write_site(tmp_path / "nampo.geojson")


def test_a_store_grows_with_what_is_published(catalogue: Catalogue, site: Path, tmp_path: Path) -> None:
    store, call = tmp_path / "site.gpkg", ("--site", site, *SPAN, "--source", catalogue.url)
    later = catalogue.items[4:]
    del catalogue.items[4:]
    first = watch(store, *call)
    assert first.returncode == 0, first.stderr
    assert "nampo: 4 scenes to do, 0 in the store" in first.stderr
    (line,) = first.stdout.splitlines()
    assert line.startswith("nampo 2020-03-01 to 2020-03-31: 4 scenes new, 0 failed; 4 in the store")
    assert "visits seen" in line and "NOT counted" not in line
    asked = len(catalogue.log)
    catalogue.items.extend(later)
    second = watch(store, *call, "--json", "--out", tmp_path / "counted", "--quiet")
    assert second.returncode == 0 and not second.stderr, second.stderr
    told = json.loads(second.stdout)
    assert (told["done"], told["listed"], told["scenes"], told["failed"], told["stale"]) == (2, 6, 6, 0, 0)
    assert told["site"] == "nampo" and told["loadings"][-1]["zone_id"] is None
    fetched = {path.split("/")[2] for _, path, _, _ in catalogue.log[asked:] if "cogs" in path}
    assert fetched == {item["id"] for item in later}
    # The layers are those of one run over all, and of `count` over the tables.
    whole = tmp_path / "whole.gpkg"
    assert watch(whole, *call, "--quiet").returncode == 0
    assert dump(whole) == dump(store) and files(whole) == files(store)
    visits = geopandas.read_file(tmp_path / "counted" / "visits.geojson")
    layer = geopandas.read_file(store, layer="visits")
    assert layer["visit_id"].tolist() == visits["visit_id"].tolist()
    assert geopandas.read_file(store, layer="acquisitions")["scene_id"].is_unique
    assert not drafts(store)


def test_what_is_found_is_what_lay_there(
    catalogue: Catalogue, port: PaintedPort, site: Path, tmp_path: Path
) -> None:
    store = tmp_path / "site.gpkg"
    assert watch(store, "--site", site, *SPAN, "--source", catalogue.url, "--quiet").returncode == 0
    with Store(store) as opened:
        clear = {row["acquired"] for row in opened.looks() if row["clear_fraction"] > 0.95}
        kept = opened.vessels().kept
        scenes = opened.acquisitions().values()
    assert len(scenes) == 6 and 3 <= len(clear)
    assert sum(a.vessels for a in scenes) == len(kept)
    found = {when: (kept["acquired"] == when).sum() for when in clear}
    there = {_text(w): len(port.present(w)) for w in port.dates if _text(w) in clear}
    assert found.keys() == there.keys()
    wrong = {when: found[when] - there[when] for when in found if found[when] != there[when]}
    assert len(wrong) <= 1 and set(wrong.values()) <= {1}, wrong  # nothing missed; at most one false alarm in all


def _text(when: datetime) -> str:
    return f"{when:%Y-%m-%dT%H:%M:%SZ}"


def test_a_failed_scene_is_named_and_tried_again(catalogue: Catalogue, site: Path, tmp_path: Path) -> None:
    store, call = (
        tmp_path / "site.gpkg",
        ("--site", site, *SPAN, "--source", f"{catalogue.url}?key=hidden-key"),
    )
    catalogue.fault("20200303.*B02", "404", times=1000)
    first = watch(store, *call, "--no-keep-scenes")
    assert first.returncode == 1
    assert "error: S2A_MSIL2A_20200303T022109_nampo: cannot read" in first.stderr
    assert "Traceback" not in first.stderr and "hidden-key" not in first.stderr + first.stdout
    assert "5 scenes new, 1 failed; 5 in the store" in first.stdout
    assert check_whole(store) == 5 and not list(tmp_path.glob("site.scenes/*.tif"))
    catalogue.faults.clear()
    asked = len(catalogue.log)
    second = watch(store, *call, "--no-keep-scenes")
    assert second.returncode == 0 and "1 scene new, 0 failed; 6 in the store" in second.stdout
    assert {path.split("/")[2] for _, path, _, _ in catalogue.log[asked:] if "cogs" in path} == {
        "S2A_51SYC_20200303_0_L2A"
    }
    assert b"hidden-key" not in store.read_bytes()


def test_an_image_that_was_damaged_is_fetched_again(catalogue: Catalogue, site: Path, tmp_path: Path) -> None:
    """It is in the manifest and not in the store: a run was killed between the two."""
    store, call = tmp_path / "site.gpkg", ("--site", site, *SPAN, "--source", catalogue.url, "--quiet")
    del catalogue.items[2:]
    assert watch(store, *call).returncode == 0
    before = dump(store)
    image = tmp_path / "site.scenes" / "S2A_MSIL2A_20200303T022109_nampo.tif"
    store.unlink()
    os.truncate(image, 1000)
    (tmp_path / "site.scenes" / ".half.tif.x").mkdir()
    assert watch(store, *call).returncode == 0
    assert dump(store) == before and not drafts(store)


def test_other_settings_are_not_mixed_in(catalogue: Catalogue, site: Path, tmp_path: Path) -> None:
    store, call = tmp_path / "site.gpkg", ("--site", site, *SPAN, "--source", catalogue.url)
    late = catalogue.items.pop()
    assert watch(store, *call, "--quiet").returncode == 0
    catalogue.items.append(late)
    changed = watch(store, *call, "--confidence", "0.3")
    assert changed.returncode == 0
    assert "1 scene new, 0 failed; 1 in the store" in changed.stdout
    assert "5 more of another model or setting NOT counted (--redo does them again)" in changed.stdout
    asked = len(catalogue.asked("cogs"))
    redone = watch(store, *call, "--confidence", "0.3", "--redo", "--json", "--quiet")
    told = json.loads(redone.stdout)
    assert (redone.returncode, told["done"], told["scenes"], told["stale"]) == (0, 5, 6, 0)
    assert len(catalogue.asked("cogs")) == asked, "the images were there"
    alone = tmp_path / "alone.gpkg"
    assert watch(alone, *call, "--confidence", "0.3", "--quiet").returncode == 0
    one, other = dump(store), dump(alone)
    assert len(one.pop("settings")) == 2 and len(other.pop("settings")) == 1
    assert one == other


def test_a_second_run_is_refused(catalogue: Catalogue, site: Path, tmp_path: Path) -> None:
    store, call = tmp_path / "site.gpkg", ("--site", site, *SPAN, "--source", catalogue.url)
    with open_store(store, "nampo"):
        second = watch(store, *call)
        assert second.returncode == 1 and not second.stdout
        assert f"another run (process {os.getpid()}) is writing {store}; wait" in second.stderr
    assert not catalogue.asked("")
    assert watch(store, *call, "--quiet").returncode == 0


def test_flags_come_with_ais_and_lists(
    catalogue: Catalogue, port: PaintedPort, site: Path, tmp_path: Path
) -> None:
    when = next(when for when in port.dates if port.present(when))
    ship = port.present(when)[0].vessel
    lon, lat = port.painter.grid.to_lonlat([ship.x / 10], [ship.y / 10])
    times = [_text(when + timedelta(minutes=m)) for m in range(-20, 21, 2)]
    rest = f"{lat[0]:.6f},{lon[0]:.6f},0.0,90,90,,CHON SONG,{ship.length:.0f}"
    rows = [f"445000001,{time},{rest}" for time in times]
    header = "MMSI,BaseDateTime,LAT,LON,SOG,COG,Heading,IMO,VesselName,Length"
    ais = tmp_path / "ais.csv"
    ais.write_text("\n".join([header, *rows]))
    store, call = tmp_path / "site.gpkg", ("--site", site, *SPAN, "--source", catalogue.url, "--json")
    plain = watch(store, *call)
    assert plain.returncode == 0 and json.loads(plain.stdout)["flags"] is None
    flagged = watch(store, *call, "--ais", ais)
    assert flagged.returncode == 0, flagged.stderr
    assert json.loads(flagged.stdout)["flags"]["ais-unknown"] >= 1
    layer = geopandas.read_file(store, layer="vessels")
    mine = layer[layer["ais_mmsi"] == 445000001]
    assert mine["acquired"].tolist() == [_text(when)] and "ais-unknown" not in mine["flags"].iloc[0]
    again = watch(store, *call, "--ais", ais)
    assert json.loads(again.stdout)["flags"] is None, "the same file again changes nothing"
    gone = watch(store, *call, "--ais", ais, "--ais", tmp_path / "gone.csv")
    assert gone.returncode == 1 and "gone.csv" in gone.stderr
    assert geopandas.read_file(store, layer="vessels")["flags"].tolist() == layer["flags"].tolist()


@pytest.mark.parametrize(
    ("change", "code", "says"),
    [
        *WRONG,
        ({"--weights": "gone"}, 2, "no weights 'gone'"),
        ({"--store": "site.csv"}, 2, "a store is a GeoPackage"),
        ({"--store": "nowhere/site.gpkg"}, 2, "does not exist"),
        ({"--store": "text.gpkg"}, 2, "is no GeoPackage"),
        ({"--out": "text.gpkg"}, 2, "is a file"),
    ],
)
def test_exit_codes(tmp_path: Path, change: dict[str, str], code: int, says: str) -> None:
    (tmp_path / "text.gpkg").write_text("no store" * 100)
    (tmp_path / "archive").mkdir()
    port = write_site(tmp_path / "port.geojson", {"west": box(1500, 1500, 800, 600)})
    call = {
        "--site": str(port),
        "--from": "2020-02-01",
        "--to": "2020-03-31",
        "--source": str(tmp_path / "archive"),
    }
    told, said = answer("watch", call | {"--store": "site.gpkg"} | change, tmp_path)
    assert told == code and says in said


def test_nothing_to_see(tmp_path: Path) -> None:
    (tmp_path / "archive").mkdir()
    port = write_site(tmp_path / "port.geojson", {"west": box(1500, 1500, 800, 600)})
    ran = watch(tmp_path / "site.gpkg", "--site", port, *SPAN, "--source", tmp_path / "archive")
    assert ran.returncode == 0
    assert ran.stdout.endswith("0 in the store (0 clouded), 0 vessels; no look to count by\n")


def test_killed_a_few_times(catalogue: Catalogue, site: Path, tmp_path: Path) -> None:
    """`make killtest` does it sixty times over thirty scenes."""
    call = ("--site", site, *SPAN, "--source", catalogue.url)
    where = kill_and_compare(tmp_path, call, scenes=6, kills=5, seed=3)
    assert sum(where.values()) - where["stores"] == 5


def test_chips_are_counted_with_and_can_be_left_out(catalogue: Catalogue, site: Path, tmp_path: Path) -> None:
    call = ("--site", site, *SPAN, "--source", catalogue.url, "--json", "--quiet")
    with_chips = watch(tmp_path / "with.gpkg", *call, "--use-chips", "--out", tmp_path / "out")
    assert with_chips.returncode == 0, with_chips.stderr
    written = {path.name for path in (tmp_path / "out").iterdir()}
    assert written == {"visits.geojson", "loadings.csv", "changes.geojson"}
    assert len(list((tmp_path / "with.chips" / "coal-berth-1").glob("*.tif"))) >= 4
    without = watch(tmp_path / "without.gpkg", *call, "--no-chips")
    assert without.returncode == 0 and not (tmp_path / "without.chips").exists()
    assert watch(tmp_path / "without.gpkg", *call, "--no-chips", "--use-chips").returncode == 2


def test_interrupted_by_the_keyboard(catalogue: Catalogue, site: Path, tmp_path: Path) -> None:
    store, call = tmp_path / "site.gpkg", ("--site", site, *SPAN, "--source", catalogue.url)
    catalogue.fault("20200305.*B0", "slow", times=1000)
    with subprocess.Popen(
        command(store, call), env=environment(), stderr=subprocess.PIPE, text=True
    ) as running:
        assert running.stderr is not None
        for line in running.stderr:
            if line.startswith("S2A"):
                break
        running.send_signal(signal.SIGINT)
        rest = running.stderr.read()
        assert running.wait(120) == 130, rest
    assert "interrupted" in rest and "Traceback" not in rest
    assert check_whole(store) >= 1


WEST = Pass(datetime(2020, 3, 1, 2, 27, 13, tzinfo=UTC), box(0, 0, 6000, 4200))


def test_no_secret_anywhere(tmp_path: Path) -> None:
    port = write_site(tmp_path / "port.geojson", {"west": box(1500, 1500, 800, 600)})
    with Hub([WEST, replace(WEST, acquired=WEST.acquired + timedelta(days=5))]) as hub:
        env = hub.account(tmp_path / "config") | {"CPL_CURL_VERBOSE": "YES"}
        call = ("--site", port, *SPAN, "--source", "sentinelhub", "--debug", "--out", tmp_path / "out")
        store = tmp_path / "site.gpkg"
        hub.fault("process", "403", times=1, body=f'{{"error": {{"message": "{SECRET} may not"}}}}'.encode())
        bad = watch(store, *call, **env)
        hub.fault("process", "400", times=100, body=f"your secret is {SECRET}".encode())
        broken = watch(store, *call, **env)
        hub.faults.clear()
        good = watch(store, *call, "--json", **env)
        wrong = watch(store, *call, **{**env, "SH_CLIENT_SECRET": "wrong-but-secret"})
    runs = (bad, broken, good, wrong)
    assert [run.returncode for run in runs] == [1, 1, 0, 2], [run.stderr for run in runs]
    assert json.loads(good.stdout)["scenes"] == 2
    texts = [run.stdout + run.stderr for run in runs]
    texts += [path.read_bytes().decode("latin-1") for path in tmp_path.rglob("*") if path.is_file()]
    assert len(texts) > 10
    for secret in (SECRET, CLIENT_ID, "token-secret", "wrong-but-secret", *hub.tokens):
        assert not [text for text in texts if secret in text], secret


def test_a_tile_that_is_published_later_is_taken_in(catalogue: Catalogue, site: Path, tmp_path: Path) -> None:
    store, call = (
        tmp_path / "site.gpkg",
        ("--site", site, *SPAN, "--source", catalogue.url, "--json", "--quiet"),
    )
    del catalogue.items[1:]
    assert watch(store, *call).returncode == 0
    other = dict(catalogue.items[0], id="S2A_51SZC_20200301_0_L2A")
    uri = other["properties"]["s2:product_uri"].replace("T51SYC", "T51SZC")
    other["properties"] = {**other["properties"], "s2:product_uri": uri, "grid:code": "MGRS-51SZC"}
    catalogue.items.append(other)
    again = json.loads(watch(store, *call).stdout)
    assert (again["done"], again["scenes"]) == (1, 1)
    with Store(store) as opened:
        (acquisition,) = opened.acquisitions().values()
    assert acquisition.tiles == ("51SYC", "51SZC")
