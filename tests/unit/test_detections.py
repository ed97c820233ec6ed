"""The vessel table: checks, selection, and every file format there and back."""

from __future__ import annotations

import csv
import json
import os
import sqlite3
import sys
import time

import geopandas
import numpy as np
import pytest
import shapely
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from detector.detections import COLUMNS, Detections
from detector.errors import MissingDependencyError, TableError

SUFFIXES = (".geojson", ".gpkg", ".parquet", ".csv")


def table(**changes):
    """Three vessels off Nampo; `changes` replace columns."""
    lon, lat = np.array([125.3961234, 125.4, 125.41]), np.array([38.72, 38.721, 38.722])
    columns = {
        "scene_id": ["S2A_1", "S2A_1", "S2B_2"],
        "acquired": ["2020-03-01T02:21:09Z", "2020-03-01T02:21:09Z", None],
        "class": ["vessel", "coal_barge", "vessel"],
        "confidence": [0.9, 0.4, 0.25],
        "lon": lon,
        "lat": lat,
        "length_m": [170.0, 61.5, np.nan],
        "width_m": [25.0, 14.0, np.nan],
        "heading_deg": [12.5, 180.0, 359.0],
        "heading_ambiguous": [True, True, False],
        "coal_score": [np.nan, 0.75, 0.0],
        "status": ["kept", "kept", "land"],
        "site": ["nampo", None, "nampo"],
        "zone_id": ["coal-terminal", None, None],
        "flags": [["dark", "watch list"], [], ["transfer"]],
        "geometry": shapely.box(lon, lat, lon + 0.002, lat + 0.0003),
    }
    return Detections.from_columns(**{**columns, **changes})


def assert_same(one: Detections, other: Detections, metres: float = 0.02) -> None:
    assert tuple(other.columns) == COLUMNS
    assert len(one) == len(other)
    for name in COLUMNS:
        a, b = one[name], other[name]
        assert a.dtype == b.dtype, name
        if name == "geometry":
            assert all(shapely.hausdorff_distance(a, b) < metres / 111_000)
        elif a.dtype.kind == "f":
            np.testing.assert_allclose(a, b, atol=6e-8, err_msg=name)
        else:
            assert a.tolist() == b.tolist(), name


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_every_format_gives_back_what_was_written(tmp_path, suffix):
    path = tmp_path / f"v{suffix}"
    table().write(path)
    assert_same(table(), Detections.read(path))
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_an_empty_table_keeps_its_columns_and_types(tmp_path, suffix):
    path = tmp_path / f"v{suffix}"
    Detections.empty().write(path)
    again = Detections.read(path)
    assert len(again) == 0
    assert {n: c.dtype for n, c in again.columns.items()} == {n: c.dtype for n, c in table().columns.items()}


def test_empty_files_have_typed_columns_for_other_readers(tmp_path):
    for suffix in (".gpkg", ".parquet"):
        Detections.empty().write(tmp_path / f"v{suffix}")
    frame = geopandas.read_file(tmp_path / "v.gpkg")
    assert list(frame.columns) == list(COLUMNS)
    assert frame["confidence"].dtype == float
    assert frame["heading_ambiguous"].dtype == bool
    parquet = pytest.importorskip("pyarrow.parquet")
    schema = parquet.read_schema(tmp_path / "v.parquet")
    assert str(schema.field("flags").type).startswith("list<")
    assert str(schema.field("site").type) == "string"


_TEXT = st.text(st.characters(exclude_categories=("Cs", "Cc")) | st.sampled_from("=+-@'\";,"), max_size=12)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    scene=_TEXT.filter(bool),
    site=_TEXT,
    flags=st.lists(_TEXT.map(lambda t: t.replace(";", "")).filter(bool), max_size=3),
    confidence=st.floats(0, 1),
    length=st.floats(0, 5000) | st.just(float("nan")),
    suffix=st.sampled_from((".geojson", ".csv")),
)
def test_any_text_and_number_survives_text_formats(tmp_path, scene, site, flags, confidence, length, suffix):
    if suffix == ".csv" and flags and flags[0].startswith("["):
        return  # taken for the JSON that QGIS makes of lists
    one = table(
        scene_id=[scene] * 3, site=[site] * 3, flags=[flags] * 3, confidence=[confidence] * 3, length_m=[length] * 3
    )
    one.write(tmp_path / f"v{suffix}")
    assert_same(one, Detections.read(tmp_path / f"v{suffix}"))


def test_geojson_is_rfc_7946(tmp_path):
    clockwise = shapely.box([125.0], [38.0], [125.1], [38.1], ccw=False)
    one = table()[:1].with_columns(geometry=clockwise)
    one.write(tmp_path / "v.geojson")
    text = (tmp_path / "v.geojson").read_text()
    document = json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
    assert set(document) == {"type", "features"}
    feature = document["features"][0]
    assert list(feature["properties"]) == list(COLUMNS[:-1])
    assert feature["properties"]["coal_score"] is None
    assert feature["properties"]["flags"] == ["dark", "watch list"]
    ring = feature["geometry"]["coordinates"][0]
    assert ring[0] == ring[-1]
    assert shapely.LinearRing(ring).is_ccw
    assert max(len(str(v).partition(".")[2]) for point in ring for v in point) <= 7


def test_flags_are_joined_where_a_format_has_no_lists(tmp_path):
    table().write(tmp_path / "v.csv")
    table().write(tmp_path / "v.gpkg")
    rows = list(csv.DictReader((tmp_path / "v.csv").open(newline="")))
    assert [row["flags"] for row in rows] == ["dark;watch list", "", "transfer"]
    assert geopandas.read_file(tmp_path / "v.gpkg", layer="vessels")["flags"][0] == "dark;watch list"


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "'="])
def test_no_csv_cell_is_a_formula(tmp_path, start):
    evil = f"{start}HYPERLINK(1)"
    one = table(scene_id=[evil] * 3, site=[evil] * 3, zone_id=[evil] * 3, flags=[[evil]] * 3)
    one.write(tmp_path / "v.csv")
    for row in csv.DictReader((tmp_path / "v.csv").open(newline="")):
        for name in ("scene_id", "site", "zone_id", "flags"):
            assert row[name][0] not in "=+-@\t\r"
    assert_same(one, Detections.read(tmp_path / "v.csv"))


@pytest.mark.parametrize("suffix", [".gpkg", ".parquet", ".csv"])
def test_other_formats_keep_the_crs_asked_for(tmp_path, suffix):
    path = tmp_path / f"v{suffix}"
    table().write(path, crs="EPSG:32651")
    assert_same(table(), Detections.read(path))
    if suffix != ".csv":
        frame = geopandas.read_file(path) if suffix == ".gpkg" else geopandas.read_parquet(path)
        assert frame.crs.to_epsg() == 32651
        assert frame.total_bounds[0] > 1000


def test_geojson_refuses_another_crs_and_no_format_takes_nonsense(tmp_path):
    with pytest.raises(TableError, match="WGS84"):
        table().write(tmp_path / "v.geojson", crs="EPSG:32651")
    with pytest.raises(TableError, match="not a CRS"):
        table().write(tmp_path / "v.gpkg", crs="EPSG:99999999")
    assert not list(tmp_path.iterdir())


def test_parquet_is_geoparquet(tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    table().write(tmp_path / "v.parquet")
    geo = json.loads(parquet.read_schema(tmp_path / "v.parquet").metadata[b"geo"])
    assert geo["primary_column"] == "geometry"
    assert geo["columns"]["geometry"]["encoding"] == "WKB"
    frame = geopandas.read_parquet(tmp_path / "v.parquet")
    assert frame.crs == "EPSG:4326"
    assert list(frame["flags"][0]) == ["dark", "watch list"]


def test_parquet_without_pyarrow_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingDependencyError, match=r"bargewatch\[parquet\]"):
        table().write(tmp_path / "v.parquet")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["v.shp", "v", "v.geojson.zip"])
def test_an_unknown_suffix_names_the_four(tmp_path, name):
    for act in (table().write, Detections.read):
        with pytest.raises(TableError, match=r"\.geojson, \.gpkg, \.parquet, \.csv"):
            act(tmp_path / name)


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(TableError, match="nowhere"):
        table().write(tmp_path / "nowhere" / "v.csv")


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_failed_write_leaves_the_older_file_and_nothing_else(tmp_path, suffix, monkeypatch):
    path = tmp_path / f"v{suffix}"
    table()[:1].write(path)
    before = path.read_bytes()

    def fail(*_args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(TableError, match="No space left"):
        table().write(path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_leftovers_of_an_older_geopackage_do_not_reach_the_new_one(tmp_path):
    path = tmp_path / "v.gpkg"
    for sibling in ("-wal", "-shm", "-journal"):
        (tmp_path / f"v.gpkg{sibling}").write_bytes(b"stale")
    table().write(path)
    assert [p.name for p in tmp_path.iterdir()] == ["v.gpkg"]
    with sqlite3.connect(path) as base:
        assert base.execute("pragma integrity_check").fetchone() == ("ok",)


def test_writing_over_a_link_replaces_what_it_points_to(tmp_path):
    (tmp_path / "real.csv").write_text("old")
    (tmp_path / "link.csv").symlink_to("real.csv")
    table().write(tmp_path / "link.csv")
    assert (tmp_path / "link.csv").is_symlink()
    assert_same(table(), Detections.read(tmp_path / "real.csv"))


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_missing_column_is_named(tmp_path, suffix):
    path = tmp_path / f"v{suffix}"
    frame = table().to_geodataframe().drop(columns="length_m")
    if suffix == ".parquet":
        frame.to_parquet(path)
    elif suffix == ".csv":
        frame.drop(columns="geometry").to_csv(path, index=False)
    else:
        frame.drop(columns="flags").to_file(path)
    with pytest.raises(TableError, match="'length_m'"):
        Detections.read(path)


def test_extra_columns_and_another_order_are_fine(tmp_path):
    table().write(tmp_path / "v.csv")
    rows = list(csv.reader((tmp_path / "v.csv").open(newline="")))
    with (tmp_path / "w.csv").open("w", newline="", encoding="utf-8-sig") as file:
        csv.writer(file).writerows([*row[::-1], "mine"] for row in rows)
    with pytest.warns(UserWarning, match="ignored the columns mine"):
        again = Detections.read(tmp_path / "w.csv")
    assert_same(table(), again)


def test_a_geopackage_saved_by_qgis_is_read(tmp_path):
    frame = table().to_geodataframe()
    frame["flags"] = [";".join(flags) for flags in frame["flags"]]
    frame["acquired"] = frame["acquired"].astype("datetime64[ms, UTC]")
    frame["geometry"] = [shapely.MultiPolygon([g]) for g in frame.geometry]
    frame.to_file(tmp_path / "v.gpkg", layer="edited")
    assert_same(table(), Detections.read(tmp_path / "v.gpkg"))


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("content", [b"", b"\x00\xff\xfe not a table", b'{"type": "Feature"}', b'{"features": [1]}'])
def test_a_damaged_file_is_a_table_error(tmp_path, suffix, content):
    path = tmp_path / f"v{suffix}"
    path.write_bytes(content)
    with pytest.raises(TableError, match=r"v\."):
        Detections.read(path)


def test_a_file_that_is_not_there_is_a_table_error(tmp_path):
    with pytest.raises(TableError, match="no such table"):
        Detections.read(tmp_path / "v.gpkg")


@pytest.mark.parametrize(
    ("column", "values"),
    [
        ("class", ["ship"] * 3),
        ("status", ["kept", "kept", "gone"]),
        ("confidence", [0.5, 1.5, 0.5]),
        ("confidence", [0.5, np.nan, 0.5]),
        ("lon", [1, 2, 181]),
        ("lat", [1, 2, np.inf]),
        ("length_m", [1, np.inf, 1]),
        ("coal_score", [0.1, -0.1, 0.1]),
        ("heading_ambiguous", [True, None, False]),
        ("acquired", ["yesterday"] * 3),
        ("flags", ["dark"] * 3),
        ("flags", [["a;b"], [], []]),
        ("scene_id", [None] * 3),
        ("scene_id", [""] * 3),
        ("geometry", [shapely.Point(1, 2)] * 3),
        ("geometry", [shapely.Polygon()] * 3),
        ("geometry", [None] * 3),
        ("lat", [1, 2]),
    ],
)
def test_a_value_that_a_column_cannot_hold_is_named(column, values):
    with pytest.raises(TableError, match=f"'{column}'"):
        table(**{column: values})


def test_unknown_and_missing_columns_are_named():
    with pytest.raises(TableError, match="'colour'"):
        table(colour=[1, 2, 3])
    with pytest.raises(TableError, match="lacks the column 'scene_id'"):
        Detections.from_columns(geometry=[])


@pytest.mark.parametrize(
    ("given_time", "kept"),
    [
        ("2020-03-01T02:21:09Z", "2020-03-01T02:21:09Z"),
        ("2020-03-01T11:21:09+09:00", "2020-03-01T02:21:09Z"),
        ("2020-03-01 02:21:09", "2020-03-01T02:21:09Z"),
        ("", None),
    ],
)
def test_times_become_utc(given_time, kept):
    assert table(acquired=[given_time] * 3)["acquired"].tolist() == [kept] * 3


def test_text_is_one_line_and_unicode_whatever_the_file_was_called(tmp_path):
    one = table(scene_id=["a\r\nb\x00", "Nampʼo 남포", os.fsdecode(b"caf\xe9")])
    assert one["scene_id"].tolist() == ["a  b ", "Nampʼo 남포", "caf?"]
    for suffix in SUFFIXES:
        one.write(tmp_path / f"v{suffix}")
        assert_same(one, Detections.read(tmp_path / f"v{suffix}"))


def test_selection():
    one = table()
    assert len(one.kept) == 2
    assert one["flags"][0] == ["dark", "watch list"]
    assert one[1]["class"] == "coal_barge"
    assert type(one[0]["confidence"]) is float
    assert len(one[one["confidence"] > 0.3]) == 2
    assert one[[2, 0]]["confidence"].tolist() == [0.25, 0.9]
    assert len(one[[]]) == 0
    assert len(Detections.empty()[[]]) == 0
    assert [row["scene_id"] for row in one] == ["S2A_1", "S2A_1", "S2B_2"]
    with pytest.raises(KeyError, match="no column"):
        one["colour"]


def test_concat_and_rows_give_the_same_table():
    one = table()
    assert_same(one, Detections.concat([one[:1], Detections.empty(), one[1:]]))
    assert_same(one, Detections.from_rows(list(one)))
    assert len(Detections.concat([])) == 0


def test_geodataframe(tmp_path):
    frame = table().to_geodataframe("EPSG:32651")
    assert list(frame.columns) == list(COLUMNS)
    assert frame.crs.to_epsg() == 32651
    assert frame["flags"][0] == ["dark", "watch list"]
    assert frame.area.iloc[0] == pytest.approx(5790, rel=0.01)
    assert list(Detections.empty().to_geodataframe().columns) == list(COLUMNS)


def test_twenty_thousand_rows_are_written_in_seconds(tmp_path):
    rows = np.zeros(20_000, dtype=int)
    started = time.process_time()
    table()[rows].write(tmp_path / "v.geojson")
    assert time.process_time() - started < 2.0
