"""Raw AIS: messages that pyais encodes, with times beside them, and everything that radio does to them."""

from __future__ import annotations

import gzip
from datetime import UTC, datetime

import numpy as np
import pytest

from detector.flags import flag_vessels
from detector.flags.ais import read_ais
from detector.flags.aisdata import Near
from detector.plane import Plane
from tests.aisscenes import boxes

encode = pytest.importorskip("pyais.encode", reason="needs pip install bargewatch[ais]")

TIME = datetime(2022, 8, 25, 10, 36, 41, tzinfo=UTC).timestamp()
NEAR = Near(9.0, 55.0, 12.0, 57.0, TIME - 3600, TIME + 3600)


def checksum(text):
    total = 0
    for letter in text.encode():
        total ^= letter
    return f"{total:02X}"


def sentences(seq=1, channel="A", **fields):
    return encode.encode_dict(fields, sentence_type="VDM", radio_channel=channel, seq_id=seq)


def tagged(sentence, time=TIME, station="s:2573135,"):
    tag = f"{station}c:{int(time)}"
    return f"\\{tag}*{checksum(tag)}\\{sentence}"


def position(mmsi=219000001, kind=1, time=TIME, **fields):
    fields = {"lat": 56.0, "lon": 10.5, "speed": 12.3, "course": 91.2, "heading": 90, "status": 5} | fields
    return [tagged(s, time) for s in sentences(type=kind, mmsi=mmsi, **fields)]


def particulars(mmsi=219000001, time=TIME, seq=3, **fields):
    fields = {
        "imo": 9074729, "shipname": "ALPHA", "callsign": "OXYZ", "ship_type": 70, "to_bow": 100, "to_stern": 20,
        "to_port": 12, "to_starboard": 8,
    } | fields  # fmt: skip
    first, second = sentences(seq, "B", type=5, mmsi=mmsi, **fields)
    return [tagged(first, time), second]  # receivers put the time before the first part alone


def read(tmp_path, lines, near=NEAR, pack=False):
    text = "\r\n".join(lines).encode()
    path = tmp_path / "ais.nmea"
    path.write_bytes(gzip.compress(text) if pack else text)
    return read_ais([path], [near])


@pytest.mark.parametrize("kind", [1, 2, 3, 18, 19, 27])
def test_every_kind_of_position(tmp_path, kind):
    data = read(tmp_path, position(kind=kind))
    assert not data.failed and not data.reports[0].bad
    assert data["mmsi"].tolist() == [219000001] and data["time"].tolist() == [TIME]
    assert data["lat"][0] == pytest.approx(56.0, abs=0.002) and data["lon"][0] == pytest.approx(
        10.5, abs=0.002
    )
    assert data["sog"][0] == pytest.approx(12.3, abs=0.5) and data["cog"][0] == pytest.approx(91.2, abs=0.5)
    assert data["moored"][0] == (kind in (1, 2, 3, 27))  # class B has no status
    if kind != 27:
        assert data["heading"][0] == 90


def test_name_and_size_in_two_parts(tmp_path):
    data = read(tmp_path, [*particulars(), *position()])
    ship = data.particulars[219000001]
    assert (ship.imo, ship.name, ship.type) == (9074729, "ALPHA", "70")
    assert (ship.a, ship.b, ship.c, ship.d) == (100, 20, 12, 8)
    assert len(data) == 1 and not data.reports[0].bad


def test_class_b_sends_name_and_size_apart(tmp_path):
    lines = [tagged(s) for s in sentences(type=24, mmsi=219000002, partno=0, shipname="BETA")]
    lines += [
        tagged(s)
        for s in sentences(
            type=24, mmsi=219000002, partno=1, ship_type=37, to_bow=8, to_stern=4, to_port=2, to_starboard=2
        )
    ]
    data = read(tmp_path, [*position(219000002, 18), *lines, *reversed(lines)])
    ship = data.particulars[219000002]
    assert (ship.name, ship.type, ship.a, ship.b) == ("BETA", "37", 8, 4)
    assert not data.reports[0].bad and data.reports[0].rows == 5


def test_parts_of_two_ships_may_be_mixed(tmp_path):
    one, two = particulars(), particulars(219000002, seq=4, shipname="BETA", imo=0)
    data = read(tmp_path, [one[0], two[0], two[1], one[1]])
    assert [data.particulars[m].name for m in (219000001, 219000002)] == ["ALPHA", "BETA"]


@pytest.mark.parametrize(
    "prefix",
    [
        "2022-08-25T10:36:41Z ",
        "2022-08-25 10:36:41,",
        f"{TIME:.0f} ",
        f"{TIME * 1000:.0f};",
        f"{TIME:.0f}.25,",
    ],
)
def test_times_before_the_sentence(tmp_path, prefix):
    (bare,) = sentences(type=1, mmsi=219000001, lat=56.0, lon=10.5)
    data = read(tmp_path, [prefix + bare])
    assert data["time"].tolist() == [TIME]


def test_tag_blocks_in_seconds_and_milliseconds(tmp_path):
    (bare,) = sentences(type=1, mmsi=219000001, lat=56.0, lon=10.5)
    for time, station in ((TIME, ""), (TIME * 1000, "g:1-1-77,s:r003669945,")):
        assert read(tmp_path, [tagged(bare, time, station)])["time"].tolist() == [TIME]


def test_what_radio_does_is_counted_line_by_line(tmp_path):
    (good,) = position()
    (bare,) = sentences(type=1, mmsi=219000003, lat=56.0, lon=10.5)
    first, second = particulars(219000004, seq=5)
    lines = [
        "# a comment",
        good,
        good[:-2] + ("00" if good[-2:] != "00" else "01"),  # a wrong checksum
        "garbage \x00\xff",
        bare,  # no time
        first,  # its second part was lost
        *particulars(219000005, seq=5),
        second,  # without a first part
        good[: len(good) // 2],
        tagged(particulars(219000006, seq=9)[0].split("\\")[-1]),  # the file ends before the second part
        *(tagged(s) for s in sentences(type=1, mmsi=219000007, lat=91, lon=181)),
        "",
    ]
    data = read(tmp_path, lines)
    report = data.reports[0]
    assert report.bad == {
        "a message that does not decode (InvalidNMEAChecksum)": 1,
        "no whole AIS sentence": 2,
        "no time": 1,
        "parts of a message missing": 3,
        "without position": 1,
    }
    assert report.kept == 1 and 219000005 in data.particulars and 219000004 not in data.particulars
    assert report.first_bad.startswith("line 3: a message that does not decode")


def test_stations_marks_and_aircraft_are_no_ships(tmp_path):
    lines = [
        *position(),
        *(tagged(s) for s in sentences(type=4, mmsi=2190075, lat=56.0, lon=10.5, year=2022)),
        *(tagged(s) for s in sentences(type=21, mmsi=992190001, lat=56.0, lon=10.5, name="MARK")),
        *(tagged(s) for s in sentences(type=9, mmsi=111219001, lat=56.0, lon=10.5)),
    ]
    data = read(tmp_path, lines)
    assert data["mmsi"].tolist() == [219000001] and not data.reports[0].bad


def test_packed_files_and_other_talkers(tmp_path):
    lines = [line.replace("!AIVDM", "!SAVDM") for line in position()]
    lines = [
        line[: line.rindex("*")] + "*" + checksum(line[line.rindex("!") + 1 : line.rindex("*")])
        for line in lines
    ]
    assert len(read(tmp_path, lines)) == len(read(tmp_path, position(), pack=True)) == 1


def test_a_file_of_rubbish_is_refused(tmp_path):
    (bare,) = sentences(type=1, mmsi=219000001, lat=56.0, lon=10.5)
    (error,) = read(tmp_path, [bare, "x"]).failed.values()
    assert "nothing can be used of its 2 rows" in str(error) and "line 1: no time" in str(error)


def test_many_messages_in_blocks(tmp_path, monkeypatch):
    monkeypatch.setattr("detector.flags.aisfiles._ROWS", 50)
    lines = [line for n in range(333) for line in position(219000001 + n % 20, time=TIME + n)]
    data = read(tmp_path, [*lines[:100], "x", *lines[100:]])
    assert len(data) == 333 and data.reports[0].rows == 334 and data.reports[0].bad.total() == 1
    assert data.reports[0].first_bad == "line 101: no whole AIS sentence"


def test_a_ship_is_matched_by_nmea_alone(tmp_path):
    """Two reports around the image, the antenna 80 m before the middle: the hull is where the transponder says."""
    plane = Plane(10.5, 56.0)
    lines = particulars(to_bow=20, to_stern=180, to_port=15, to_starboard=15)
    for minute in (-2, 3):
        lon, lat = plane.inverse(np.array([80.0 + minute * 60 * 5.0]), np.array([0.0]))
        lines += position(
            time=TIME + 60 * minute,
            lat=float(lat[0]),
            lon=float(lon[0]),
            speed=9.7,
            course=90.0,
            heading=90,
            status=0,
        )
    path = tmp_path / "ais.nmea"
    path.write_text("\n".join(lines))
    flagged = flag_vessels(boxes(plane, 0.0, 0.0, 200, 30, 90), ais=[path])
    assert flagged["ais_mmsi"].tolist() == [219000001] and flagged["ais_imo"].tolist() == [9074729]
    assert flagged["ais_distance_m"][0] < 25 and flagged["match_score"][0] > 0.8
