"""AIS files: every shape that is known, hostile ones, and what becomes of each row."""

from __future__ import annotations

import gzip
import zipfile
from datetime import UTC, datetime

import numpy as np
import pytest

from detector.errors import MissingDependencyError, TableError
from detector.flags.ais import read_ais
from detector.flags.aisdata import Near
from tests.aisscenes import danish_files

TIME = datetime(2022, 8, 25, 10, 36, 41, tzinfo=UTC).timestamp()
NEAR = Near(9.0, 55.0, 12.0, 57.0, TIME - 3600, TIME + 3600)

GENERIC = "mmsi,time,lat,lon,sog,cog,heading,imo,name,length,width\n"
ROW = "219000001,2022-08-25T10:36:41Z,56.0,10.5,12.5,90.0,91,9074729,ALPHA,120,18\n"


def read(tmp_path, text, name="ais.csv", near=NEAR, **options):
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_ais([path], [near], **options)


def the_error(data) -> str:
    (error,) = data.failed.values()
    assert isinstance(error, TableError)
    return str(error)


def test_generic_form(tmp_path):
    data = read(tmp_path, GENERIC + ROW)
    assert not data.failed and len(data) == 1
    assert data["mmsi"][0] == 219000001 and data["time"][0] == TIME
    assert (data["lat"][0], data["lon"][0], data["sog"][0]) == (56.0, 10.5, 12.5)
    ship = data.particulars[219000001]
    assert (ship.imo, ship.name, ship.length, ship.width) == (9074729, "ALPHA", 120, 18)


def test_marinecadastre_old_and_new_columns(tmp_path):
    old = (
        "MMSI,BaseDateTime,LAT,LON,SOG,COG,Heading,VesselName,IMO,CallSign,VesselType,Status,Length,Width,Draft,Cargo,TransceiverClass\n"
        "219000001,2022-08-25T10:36:41,56.0,10.5,0.1,511,511.0,BETA,IMO9074729,OXYZ,70,5,90,14,5,70,A\n"
    )
    new = (
        "mmsi,base_date_time,longitude,latitude,sog,cog,heading,vessel_name,imo,call_sign,vessel_type,status,length,width,draft,cargo,transceiver\n"
        "219000001,2022-08-25 10:36:41,10.5,56.0,0.1,511,511,BETA,IMO9074729,OXYZ,70,5,90,14,5,70,A\n"
    )
    for text in (old, new):
        data = read(tmp_path, text)
        assert not data.failed and data["time"][0] == TIME
        assert data["lat"][0] == 56.0 and np.isnan(data["cog"][0]) and np.isnan(data["heading"][0])
        assert data["moored"][0] and data.particulars[219000001].imo == 9074729


DMA = (
    "# Timestamp,Type of mobile,MMSI,Latitude,Longitude,Navigational status,ROT,SOG,COG,Heading,IMO,Callsign,Name,Ship type,"
    "Cargo type,Width,Length,Type of position fixing device,Draught,Destination,ETA,Data source type,A,B,C,D\n"
    "25/08/2022 10:36:41,Class A,219000001,56.0,10.5,Moored,,0.0,90,91,9074729,"
    "OXYZ,GAMMA,Cargo,,12,80,GPS,5,AARHUS,,AIS,60,20,6,6\n"
    "25/08/2022 10:36:41,Base Station,2190064,56.1,10.6,Unknown value,,,,,Unknown,"
    "Unknown,,Undefined,,,,Undefined,,Unknown,,AIS,,,,\n"
)


def test_danish_authority_day_first(tmp_path):
    data = read(tmp_path, DMA)
    assert data["time"].tolist() == [TIME] and data["moored"].tolist() == [True]
    ship = data.particulars[219000001]
    assert (ship.a, ship.b, ship.c, ship.d, ship.name) == (60, 20, 6, 6, "GAMMA")
    assert data.reports[0].not_vessels == 1 and not data.reports[0].bad


@pytest.mark.real
def test_real_danish_files():
    for path in danish_files():
        stamp = datetime.strptime(path.name.split("_")[3], "%Y%m%dT%H%M%S").replace(tzinfo=UTC).timestamp()
        data = read_ais([path], [Near(8, 53, 14, 58, stamp - 60, stamp + 60)])
        rows = sum(1 for _ in open(path)) - 1
        assert not data.failed and not data.reports[0].bad
        assert len(data) + data.reports[0].not_vessels == data.reports[0].rows == rows
        assert set(data["time"]) == {stamp}


def test_no_time_column_needs_a_time(tmp_path):
    text = "MMSI,Latitude,Longitude\n219000001,56,10.5\n"
    assert "--ais-time" in the_error(read(tmp_path, text))
    assert read(tmp_path, text, time="2022-08-25T10:36:41Z")["time"].tolist() == [TIME]
    named = read(
        tmp_path, text, name="crop_S2A_MSIL1C_20220825T103641_N0400_R008_T32VPH_20220825T173926.SAFE.csv"
    )
    assert named["time"].tolist() == [TIME]


def test_packed_files(tmp_path):
    packed = gzip.compress((GENERIC + ROW).encode())
    assert len(read(tmp_path, packed, "ais.csv.gz")) == 1
    with zipfile.ZipFile(tmp_path / "ais.zip", "w") as archive:
        archive.writestr("day.csv", DMA)
    assert len(read_ais([tmp_path / "ais.zip"], [NEAR])) == 1


def test_parquet_and_seconds_since_1970(tmp_path):
    pandas = pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    frame = pandas.DataFrame(
        {
            "mmsi": [219000001, 219000002],
            "timestamp": [TIME, None],
            "lat": [56.0, 56.0],
            "lon": [10.5, 10.5],
            "extra": [1, 2],
        }
    )
    frame.to_parquet(tmp_path / "ais.parquet")
    data = read_ais([tmp_path / "ais.parquet"], [NEAR])
    assert not data.failed and data["mmsi"].tolist() == [219000001]
    assert data.reports[0].bad == {"without a time": 1}
    frame["timestamp"] = pandas.to_datetime(frame["timestamp"], unit="s", utc=True)
    frame.to_parquet(tmp_path / "ais.parquet")
    assert read_ais([tmp_path / "ais.parquet"], [NEAR])["time"].tolist() == [TIME]
    (tmp_path / "bad.parquet").write_bytes((tmp_path / "ais.parquet").read_bytes()[:300])
    assert "Parquet" in the_error(read_ais([tmp_path / "bad.parquet"], [NEAR]))


NMEA = (
    b"\\c:1661423801*5A\\!AIVDM,1,1,,B,15N4cJ005Jrek0H@9nDW5608EP,0*13\n"
    b"!AIVDM,1,1,,B,15N4cJ005Jrek0H@9nDW5608EP,0*13\n"
    b"garbage\n"
)


def test_nmea(tmp_path):
    try:
        import pyais  # noqa: F401
    except ImportError:
        (error,) = read(tmp_path, NMEA, "ais.nmea").failed.values()
        assert isinstance(error, MissingDependencyError) and "bargewatch[ais]" in str(error)
        pytest.skip("pyais is not installed")
    data = read(tmp_path, NMEA, "ais.nmea", near=Near(-180, -90, 180, 90, 0, 4e9))
    assert data.reports[0].bad == {"no time": 1, "no whole AIS sentence": 1}
    assert data["time"].tolist() == [1661423801]


BAD_ROWS = {
    "219000001,2022-08-25T10:36:41Z,156.0,10.5,1,1,1,,,,\n": "with a latitude beyond 90",
    "219000001,2022-08-25T10:36:41Z,56.0,200.5,1,1,1,,,,\n": "with a longitude beyond 180",
    "219000001,2022-08-25T10:36:41Z,NaN,10.5,1,1,1,,,,\n": "without position",
    "219000001,2022-08-25T10:36:41Z,91,181,1,1,1,,,,\n": "without position",
    "219000001,2022-08-25T10:36:41Z,inf,10.5,1,1,1,,,,\n": "without position",
    "219000001,not a time,56.0,10.5,1,1,1,,,,\n": "without a time",
    "=1+1,2022-08-25T10:36:41Z,56.0,10.5,1,1,1,,,,\n": "without a whole MMSI",
    "-5,2022-08-25T10:36:41Z,56.0,10.5,1,1,1,,,,\n": "without a whole MMSI",
    "219000001,2022-08-25T10:36:41Z,56.0\n": "a wrong number of fields",
    "219000001,2022-08-25T10:36:41Z,56.0,10.5,1,1,1,,,,,,,,\n": "a wrong number of fields",
    '219000001,2022-08-25T10:36:41Z,56.0,10.5,1,1,1,,"OPEN,,\n': "an unclosed quote",
    "219000001,2022-08-25T10:36:41Z,56.0,10.5,1,1,1,," + "X" * 100_000 + ",,\n": "a line longer than 64 kB",
    "219000001,2022-08-25T10:36:41Z,56.0,10.5,1,1,1,,"
    + "X" * 20_000_000
    + ",,\n": "a line longer than 64 kB",
}


@pytest.mark.parametrize("row", BAD_ROWS, ids=[f"{i}-{v}" for i, v in enumerate(BAD_ROWS.values())])
def test_a_bad_row_is_counted_and_the_others_are_kept(tmp_path, row):
    other = ROW.replace("219000001", "219000002")
    data = read(tmp_path, GENERIC + ROW + row + other)
    assert not data.failed
    assert data["mmsi"].tolist() == [219000001, 219000002]
    report = data.reports[0]
    assert report.bad == {BAD_ROWS[row]: 1} and report.rows == 3 and report.first_bad.startswith("line 3: ")


def test_formula_cells_and_odd_encodings_stay_text(tmp_path):
    row = ROW.replace("ALPHA", '"=HYPERLINK(""http://x"";""y"")"')
    assert read(tmp_path, GENERIC + row).particulars[219000001].name.startswith("=HYPERLINK(")
    data = read(tmp_path, (GENERIC + ROW.replace("ALPHA", "SØHUND")).encode("latin-1"))
    assert data.particulars[219000001].name == "SØHUND"
    assert len(read(tmp_path, b"\xef\xbb\xbf" + (GENERIC + ROW).encode())) == 1
    assert len(read(tmp_path, (GENERIC + ROW).replace("\n", "\r\n").replace(",", ";"))) == 1


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "empty"),
        ((GENERIC + ROW).encode("utf-16"), "UTF-16"),
        (b"\x89PNG\r\n\x1a\n\0\0\0", "UTF-16, or no table"),
        ("a,b,c\n1,2,3\n", "no column 'mmsi'"),
        (GENERIC + ROW.replace("56.0,10.5", "10.5,56.0"), "swapped"),
        (GENERIC + ROW.replace("56.0,10.5", "north,east"), "nothing can be used of its 1 row "),
    ],
)
def test_a_hopeless_file_says_why(tmp_path, text, says):
    assert says in the_error(read(tmp_path, text))


def test_a_missing_or_broken_file_leaves_the_others(tmp_path):
    (tmp_path / "good.csv").write_text(GENERIC + ROW)
    (tmp_path / "broken.csv.gz").write_bytes(gzip.compress(b"x" * 5000)[:-9])
    data = read_ais([tmp_path / "none.csv", tmp_path / "broken.csv.gz", tmp_path / "good.csv"], [NEAR])
    assert len(data) == 1 and len(data.failed) == 2


def test_rows_elsewhere_and_other_times_are_left_out(tmp_path):
    rows = [ROW, ROW.replace("56.0", "20.0"), ROW.replace("T10", "T02"), ROW]
    data = read(tmp_path, GENERIC + "".join(rows))
    assert len(data) == 1  # the last repeats the first
    assert (data.reports[0].rows, data.reports[0].kept) == (4, 2)


def test_a_box_across_180_degrees():
    near = Near(179.5, -1, 180.5, 1, 0, 1)
    assert near.holds(np.array([179.9, -179.9, 0.0]), np.zeros(3)).tolist() == [True, True, False]


def test_many_blocks_lose_no_row(tmp_path, monkeypatch):
    import detector.flags.aisfiles as aisfiles

    monkeypatch.setattr(aisfiles, "_BLOCK", 8000)
    rows = [ROW.replace("219000001", str(219000001 + i)) for i in range(500)]
    rows[250] = rows[250].replace("56.0", "x")
    data = read(tmp_path, GENERIC + "".join(rows).rstrip("\n"))
    assert len(data) == 499 and data.reports[0].rows == 500
    assert data.reports[0].first_bad == "line 252: without position"
