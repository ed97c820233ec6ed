"""The store of a site: whole scenes or none, one writer, versions, and a GeoPackage that others can read."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import warnings
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import geopandas
import numpy as np
import pyogrio
import pytest
import shapely
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from detector.detections import Detections
from detector.errors import StoreBusyError, StoreError
from detector.flags.flagging import FlaggedVessels
from detector.loadings.count import count_loadings
from detector.store import Acquisition, Settings, Store, geopackage, open_store, schema
from detector.store import store as store_module
from tests.storedump import check_whole, dump
from tests.timelines import Ship, look, scene_id, site, tables, vessel, when
from tests.unit.test_detections import assert_same, table

ROOT = Path(__file__).resolve().parents[2]
SETTINGS = Settings("bargewatch-n2", "ab" * 32, 0.14, "0123456789abcdef", 0.1)


def acquisition(day: float = 1.0, vessels: int = 0, **changes: object) -> Acquisition:
    facts = {
        "scene_id": scene_id(day),
        "acquired": when(day),
        "site": "port",
        "status": "fetched",
        "settings": SETTINGS.digest,
        "vessels": vessels,
        **changes,
    }
    return Acquisition(**facts)  # type: ignore[arg-type]


def ships(day: float, number: int) -> Detections:
    return Detections.from_rows([vessel(day, Ship(0, 9, x=40.0 * k)) for k in range(number)])


def fill(path: Path, days: tuple[float, ...] = (1, 3), number: int = 2) -> Path:
    with open_store(path, "port") as store:
        store.use(SETTINGS)
        for day in days:
            store.save(acquisition(day, number), [look(day)], ships(day, number))
    return path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "site.gpkg"


def test_a_scene_comes_back_as_it_was_given(path: Path) -> None:
    vessels = table(scene_id=["S"] * 3, acquired=["2020-03-01T02:21:09Z"] * 3)
    looks = [{**look(1.0), "scene_id": "S"}, {**look(1.0, "yard", 0.25), "scene_id": "S"}]
    whole = acquisition(
        scene_id="S", tiles=("51SYC", "51SZC"), products=("P",), image="S.tif", rejected=1, vessels=2
    )
    with open_store(path, "port") as store:
        store.use(SETTINGS)
        store.save(whole, looks, vessels)
    with Store(path) as store:
        assert store.site == "port"
        assert_same(store.vessels(), vessels, metres=1e-6)
        assert store.looks() == looks
        assert store.acquisitions() == {"S": whole}
    assert check_whole(path) == 1


def test_a_scene_that_is_saved_again_takes_the_place_of_the_first(path: Path) -> None:
    fill(path)
    once = dump(fill(path))
    assert len(once["vessels"]) == 4 and once == dump(fill(path))
    with open_store(path, "port") as store:
        store.save(acquisition(1, 1), [look(1)], ships(1, 1))
        assert store.vessels()["scene_id"].tolist() == [scene_id(1), scene_id(3), scene_id(3)]


def test_a_save_that_fails_in_the_middle_changes_nothing(path: Path) -> None:
    before = dump(fill(path))

    def broken():
        yield look(1, clear=0.5)
        raise RuntimeError("power cut")

    with open_store(path, "port") as store, pytest.raises(RuntimeError):
        store.save(acquisition(1, 5), broken(), ships(1, 5))
    assert dump(path) == before


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.integers(1, 4), st.integers(0, 3), st.booleans(), st.booleans()), max_size=8))
def test_any_order_of_saves_failures_and_restarts(tmp_path_factory: pytest.TempPathFactory, steps) -> None:
    path = tmp_path_factory.mktemp("any") / "s.gpkg"
    model: dict[str, int] = {}
    store = open_store(path, "port")
    store.use(SETTINGS)
    for day, number, fails, restarts in steps:
        looks = [look(day), *([{}] if fails else [])]  # a row without columns
        try:
            store.save(acquisition(day, number), looks, ships(day, number))
            model[scene_id(day)] = number
        except KeyError:
            assert fails
        if restarts:
            store.close()
            store = open_store(path, "port")
    found = store.vessels()["scene_id"].tolist()
    assert {scene: found.count(scene) for scene in store.acquisitions()} == model
    assert list(store.acquisitions()) == sorted(model)
    store.close()


# ---- GeoPackage


def test_geopandas_and_gdal_read_every_layer(path: Path) -> None:
    fill(path)
    with open_store(path, "port") as store:
        store.save_count(count_loadings(store.vessels(), store.looks(), site()))
        truth = store.vessels()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        kinds = {str(name): kind for name, kind in pyogrio.list_layers(path)}
        assert kinds == {
            "vessels": "Polygon", "visits": "Polygon", **dict.fromkeys(("loadings", "looks", "acquisitions")),
            "settings": None, "bargewatch": None,
        }  # fmt: skip
        frames = {name: geopandas.read_file(path, layer=name) for name in kinds}
    vessels = frames["vessels"]
    assert vessels.crs == "EPSG:4326"
    assert shapely.equals_exact(vessels.geometry.to_numpy(), truth["geometry"], 0).all()
    assert vessels["length_m"].tolist() == truth["length_m"].tolist()
    assert vessels["heading_ambiguous"].tolist() == [True] * 4
    assert frames["looks"]["clear_fraction"].tolist() == [1.0, 1.0]
    assert len(frames["visits"]) and frames["loadings"]["zone_id"].iloc[0] == "pier"
    assert_same(Detections.read(path), truth)  # columns of `flag` are no surprise


def test_the_spatial_index_that_qgis_makes_is_kept_up(path: Path, tmp_path: Path) -> None:
    fill(path)
    ships(1, 1).write(tmp_path / "by_gdal.gpkg")
    with closing(sqlite3.connect(tmp_path / "by_gdal.gpkg")) as other:
        triggers = [
            row[0] for row in other.execute("SELECT sql FROM sqlite_master WHERE type = 'trigger'")
            if "rtree_vessels_geom" in row[0]
        ]  # fmt: skip
    assert triggers
    with closing(sqlite3.connect(path, isolation_level=None)) as store:
        store.execute("CREATE VIRTUAL TABLE rtree_vessels_geom USING rtree(id, minx, maxx, miny, maxy)")
        geopackage.add_functions(store)
        store.execute(
            "INSERT INTO rtree_vessels_geom SELECT fid, ST_MinX(geom), ST_MaxX(geom), ST_MinY(geom), ST_MaxY(geom) "
            "FROM vessels"
        )
        for trigger in triggers:
            store.execute(trigger)
    with open_store(path, "port") as store:
        store.save(acquisition(1, 1), [look(1)], ships(1, 1))
        store.save(acquisition(5, 3), [look(5)], ships(5, 3))
        bounds = shapely.bounds(store.vessels()["geometry"])
    with closing(sqlite3.connect(path)) as store:
        index = np.array(
            store.execute("SELECT minx, miny, maxx, maxy FROM rtree_vessels_geom ORDER BY minx").fetchall()
        )
    assert index == pytest.approx(bounds[np.argsort(bounds[:, 0])], abs=1e-4) and len(index) == 6


@given(st.sampled_from([0, 1, 2, 3, 4]), st.booleans())
def test_geometry_of_other_writers_is_read(envelope: int, empty: bool) -> None:
    shape = shapely.box(125.1, 38.2, 125.3, 38.4)
    header = b"GP" + bytes([0, envelope << 1 | 1 | empty << 4]) + (4326).to_bytes(4, "little")
    blob = header + bytes((0, 32, 48, 48, 64)[envelope]) + shapely.to_wkb(shape, byte_order=0)
    assert geopackage.polygons_of([blob]) == [shape]
    assert geopackage.polygons_of(geopackage.blobs([shape])) == [shape]


# ---- one writer


def test_a_second_writer_is_refused_until_the_first_is_killed(path: Path) -> None:
    code = (
        "import sys, time; from detector.store import open_store\n"
        f"store = open_store({str(path)!r}, 'port'); print('open', flush=True); time.sleep(60)"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, env=environment) as first:
        assert first.stdout is not None and first.stdout.readline() == b"open\n"
        with pytest.raises(StoreBusyError, match=rf"process {first.pid}\) is writing .*site\.gpkg; wait"):
            open_store(path, "port")
        with Store(path) as reader:  # reading goes on
            assert reader.looks() == []
        first.send_signal(signal.SIGKILL)
    fill(path)


def test_another_program_that_holds_the_file(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(path)
    monkeypatch.setattr(store_module, "PATIENCE_S", 0.05)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(StoreError, match="another program has held"):
            open_store(path, "port")
    open_store(path, "port").close()


def test_an_open_that_fails_lets_go(path: Path) -> None:
    fill(path)
    for _ in range(2):
        with pytest.raises(StoreError, match="is the store of the site port, not of nampo"):
            open_store(path, "nampo")
    open_store(path, "port").close()


# ---- what is no store


def _text(path: Path) -> None:
    path.write_text("zone_id,loadings\n" * 100)


def _other_geopackage(path: Path) -> None:
    ships(1, 1).write(path)


def _database(path: Path) -> None:
    with closing(sqlite3.connect(path)) as other:
        other.execute("CREATE TABLE t (x)")


def _truncated(path: Path) -> None:
    fill(path, tuple(range(1, 40)), 5)
    os.truncate(path, path.stat().st_size * 2 // 3)


def _scribbled(path: Path) -> None:
    fill(path, tuple(range(1, 40)), 5)
    with open(path, "r+b") as file:
        file.seek(path.stat().st_size // 2)
        file.write(b"\xff" * 8192)


def _newer(path: Path) -> None:
    fill(path)
    with closing(sqlite3.connect(path, isolation_level=None)) as store:
        store.execute("UPDATE bargewatch SET value = '99' WHERE key = 'schema'")


def _nameless(path: Path) -> None:
    fill(path)
    with closing(sqlite3.connect(path, isolation_level=None)) as store:
        store.execute("DELETE FROM bargewatch WHERE key = 'schema'")


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (_text, "is no GeoPackage"),
        (_other_geopackage, "is a GeoPackage, but no store"),
        (_database, "is a SQLite database, but no store"),
        (_truncated, "is damaged"),
        (_scribbled, "is damaged"),
        (_newer, "later bargewatch .*store version 99, this one knows 1"),
        (_nameless, "does not say of which version"),
        (Path.mkdir, "it is a folder"),
    ],
)
def test_what_is_no_store_is_refused_and_left_as_it_is(path: Path, make, says: str) -> None:
    make(path)
    before = None if path.is_dir() else path.read_bytes()
    for _ in range(2):  # and the lock is let go
        with pytest.raises(StoreError, match=says):
            open_store(path, "port")
    assert before is None or path.read_bytes() == before


@pytest.mark.parametrize(
    ("name", "says"),
    [("store.db", "a store is a GeoPackage"), ("gone/store.gpkg", "does not exist"), ("store", "a store is")],
)
def test_names_that_a_store_cannot_have(tmp_path: Path, name: str, says: str) -> None:
    with pytest.raises(StoreError, match=says):
        open_store(tmp_path / name, "port")
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may write everything")
def test_no_permission(path: Path) -> None:
    fill(path).chmod(0o400)
    with pytest.raises(StoreError, match="no permission"):
        open_store(path, "port")
    with Store(path) as store:
        assert len(store.vessels()) == 4


def test_a_disk_that_fills_up(path: Path) -> None:
    fill(path)
    with open_store(path, "port") as store:
        pages = store._connection.execute("PRAGMA page_count").fetchone()[0]
        store._connection.execute(f"PRAGMA max_page_count = {pages}")
        with pytest.raises(StoreError, match="cannot be written .*full.*; what was finished is in it"):
            for day in range(10, 60):
                store.save(acquisition(day, 9), [look(day)], ships(day, 9))
    assert check_whole(path) == len(Store(path).acquisitions())


def test_reading(path: Path) -> None:
    with pytest.raises(StoreError, match="no such store"):
        Store(path)
    path.touch()
    with pytest.raises(StoreError, match="is empty"):
        Store(path)
    fill(path)  # an empty file, which a crash may leave, becomes a store
    with Store(path) as store, pytest.raises(sqlite3.Error, match="readonly"):
        store._connection.execute("DELETE FROM looks")


# ---- versions


def test_an_older_version_is_brought_up(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(path)
    monkeypatch.setattr(schema, "VERSION", 2)
    with pytest.raises(StoreError, match="is of version 1; `bargewatch watch` brings it up"):
        Store(path)
    failing = {1: lambda c: c.execute("UPDATE looks SET clear_fraction = 0") and c.execute("NO SQL")}
    monkeypatch.setattr(schema, "MIGRATIONS", failing)
    before = dump(path)
    with pytest.raises(StoreError):
        open_store(path, "port")
    assert dump(path) == before
    migrations = {1: lambda c: c.execute("UPDATE looks SET clear_fraction = clear_fraction / 2")}
    monkeypatch.setattr(schema, "MIGRATIONS", migrations)
    for _ in range(2):
        with open_store(path, "port") as store:
            assert [row["clear_fraction"] for row in store.looks()] == [0.5, 0.5]
    with Store(path) as store:
        assert len(store.vessels()) == 4


def test_columns_of_a_later_bargewatch_are_added(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    older = {name: kind for name, kind in schema.VESSELS.items() if name != "ais_name"}
    with monkeypatch.context() as patch:
        patch.setitem(schema.TABLES, "vessels", replace(schema.TABLES["vessels"], columns=older))
        patch.setattr(schema, "VESSELS", older)
        fill(path)
    with Store(path) as store:
        assert len(store.vessels()) == 4
    with open_store(path, "port") as store:
        assert store._read("vessels", {"ais_name": "text"}, "")["ais_name"] == [None] * 4


# ---- settings


def test_rows_of_other_settings_are_marked_and_left_out(path: Path) -> None:
    fill(path)
    other = replace(SETTINGS, confidence=0.3)
    with open_store(path, "port") as store:
        assert store.use(other) == 2
        assert (len(store.vessels()), store.looks()) == (0, [])
        assert (len(store.vessels(stale=True)), len(store.looks(stale=True))) == (4, 2)
        store.save(acquisition(3, 1, settings=other.digest), [look(3)], ships(3, 1))
        assert [a.stale for a in store.acquisitions().values()] == [True, False]
        assert store.vessels()["scene_id"].tolist() == [scene_id(3)]
        assert store.use(SETTINGS) == 1 and len(store.vessels()) == 2  # and back
    rows = geopandas.read_file(path, layer="settings")
    assert sorted(rows["confidence"]) == [0.14, 0.3]


def test_the_digest_is_of_what_rows_depend_on() -> None:
    changes = {"weights_sha256": "c", "confidence": 0.2, "area": "d", "min_clear": 0.2, "method": 99}
    digests = {replace(SETTINGS, **{name: value}).digest for name, value in changes.items()}  # type: ignore[arg-type]
    assert len(digests | {SETTINGS.digest}) == 6
    assert replace(SETTINGS, weights="a copy of it").digest == SETTINGS.digest


# ---- flags and counts


def test_flags_reach_their_vessels(path: Path) -> None:
    fill(path, (1, 3, 5))
    with open_store(path, "port") as store:
        scenes = {scene_id(5), scene_id(1)}
        vessels = store.vessels(scenes=scenes)
        flags = [["a"], [], ["b", "c"], ["d"]]
        extra = {
            name: np.full(4, 0.5) if kind == "float" else np.array([None] * 4, object)
            for name, kind in schema.EXTRA.items()
        } | {
            "ais_mmsi": np.array([1, None, 3, 4], object),
            "flag_reasons": geopandas.pd.Series([["x"]] * 4).to_numpy(),
        }
        store.save_flags(FlaggedVessels(vessels.with_columns(flags=flags), extra), scenes, "digest")
        assert store.vessels()["flags"].tolist() == [["a"], [], [], [], ["b", "c"], ["d"]]
        assert [a.flagged_by for a in store.acquisitions().values()] == ["digest", None, "digest"]
        assert store._read("vessels", {"ais_mmsi": "int"}, "ORDER BY fid")["ais_mmsi"] == [
            1,
            None,
            None,
            None,
            3,
            4,
        ]


def test_a_count_takes_the_place_of_the_last(path: Path) -> None:
    rows, looks = tables([Ship(2, 6), Ship(9, 12)], range(20))
    with open_store(path, "port") as store:
        store.use(SETTINGS)
        for number, one in enumerate(looks):
            mine = Detections.from_rows([row for row in rows if row["scene_id"] == one["scene_id"]])
            store.save(acquisition(number, len(mine)), [one], mine)
        count = count_loadings(store.vessels(), store.looks(), site())
        for _ in range(2):
            store.save_count(count)
            kept = [
                {name: value for name, value in row.items() if value is not None}
                for row in store.layer("loadings")
            ]
            assert kept == [
                {n: v for n, v in row.items() if v is not None and v == v} for row in count.loading_rows
            ]
            assert [row["visit_id"] for row in store.layer("visits")] == [
                r["visit_id"] for r in count.visit_rows
            ]
        store.save_count(None)
        assert store.layer("loadings") == store.layer("visits") == []


def test_sweep_removes_drafts_and_nothing_else(path: Path) -> None:
    fill(path)
    with open_store(path, "port") as store:
        kept = [store.scenes / "S.tif", store.scenes / ".fetching", store.chips / "pier" / "S.tif"]
        lost = [store.scenes / ".S.tif.x" / "S.tif", store.chips / "pier" / ".S.tif.y" / "S.tif"]
        for file in kept + lost:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.touch()
        store.sweep()
        assert all(file.exists() for file in kept) and not any(file.parent.exists() for file in lost)
