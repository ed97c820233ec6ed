"""Seconds and memory to match five million rows of AIS with one scene:

    python -m tests.bench.bench_ais [--form danish|marinecadastre|generic] [--rows 5000000]

The file has the columns of the Danish authority, of MarineCadastre or of the generic form, and 4,000 ships under way that
report every few minutes of one day over the 110 km of a tile and as much around it; 500 of them are detected at half past
ten, with errors of 20 m and 12 m. The file is written first and is not part of what is measured; the match runs in a
process of its own, imports included.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from detector.plane import Plane

_ROOT = Path(__file__).resolve().parents[2]
_NOON = datetime(2022, 8, 25, 10, 30, 0, tzinfo=UTC).timestamp()
_DAY = _NOON - 10.5 * 3600
_PLANE = Plane(10.5, 56.0)
_HALF = 110_000.0  # metres from the middle
# Header and row of each form. s: number of the ship, t: ISO time, d: time with the day first.
_FORMS = {
    "marinecadastre": (
        "MMSI,BaseDateTime,LAT,LON,SOG,COG,Heading,VesselName,IMO,CallSign,VesselType,Status,Length,Width,Draft,Cargo,"
        "TransceiverClass\n",
        "{mmsi},{t},{lat:.5f},{lon:.5f},{sog:.1f},{cog:.1f},{cog:.0f},SHIP NUMBER {s},IMO{imo},OX{s},70,0,{length:.0f},"
        "{width:.0f},5.0,70,A\n",
    ),
    "danish": (
        "# Timestamp,Type of mobile,MMSI,Latitude,Longitude,Navigational status,ROT,SOG,COG,Heading,IMO,Callsign,Name,"
        "Ship type,Cargo type,Width,Length,Type of position fixing device,Draught,Destination,ETA,"
        "Data source type,A,B,C,D\n",
        "{d},Class A,{mmsi},{lat:.6f},{lon:.6f},Under way using engine,0.0,{sog:.1f},{cog:.1f},{cog:.0f},{imo},OX{s},"
        "SHIP NUMBER {s},Cargo,No additional information,{width:.0f},{length:.0f},GPS,5.0,AARHUS,26/08/2022 06:00:00,AIS,"
        "{bow:.0f},{stern:.0f},{half:.0f},{half:.0f}\n",
    ),
    "generic": (
        "mmsi,time,lat,lon,sog,cog,heading,imo,name,length,width\n",
        "{mmsi},{t}Z,{lat:.5f},{lon:.5f},{sog:.1f},{cog:.1f},{cog:.0f},{imo},SHIP NUMBER {s},{length:.0f},{width:.0f}\n",
    ),
}


def write(path: Path, form: str, rows: int, ships: int = 4000, seed: int = 0) -> dict[str, np.ndarray]:
    """The AIS file; places and sizes at half past ten."""
    rng = np.random.default_rng(seed)
    x, y = rng.uniform(-_HALF, _HALF, (2, ships))
    speed, course = rng.uniform(0, 15, ships), rng.uniform(0, 360, ships)
    length = rng.uniform(20, 250, ships).round()
    vx = speed * 0.514444 * np.sin(np.radians(course))
    vy = speed * 0.514444 * np.cos(np.radians(course))
    per_block = 200_000
    with open(path, "w", encoding="utf-8") as file:
        header, line = _FORMS[form]
        file.write(header)
        for begin in range(0, rows, per_block):
            n = min(per_block, rows - begin)
            # A window of the day at a time: real files are sorted by time.
            times = np.sort(_DAY + 86_400 * (begin + rng.random(n) * n) / rows)
            ship = rng.integers(ships, size=n)
            swing = 3600 * np.sin((times - _NOON) / 3600)  # ships go to and fro, so that they stay in the box
            lon, lat = _PLANE.inverse(x[ship] + vx[ship] * swing, y[ship] + vy[ship] * swing)
            ahead = np.cos((times - _NOON) / 3600)
            sog = speed[ship] * np.abs(ahead)
            cog = np.where(ahead >= 0, course[ship], (course[ship] + 180) % 360)
            stamps = np.datetime_as_string(times.astype("datetime64[s]"))
            file.writelines(
                line.format(
                    s=s, t=t, d=f"{t[8:10]}/{t[5:7]}/{t[:4]} {t[11:]}", mmsi=219000000 + s, imo=9000000 + s, lat=la, lon=lo,
                    sog=v, cog=c, length=m, width=m / 6, bow=m * 0.5, stern=m - m * 0.5, half=m / 12,
                )
                for s, t, la, lo, v, c, m in zip(
                    ship.tolist(), stamps.tolist(), lat.tolist(), lon.tolist(), sog.tolist(), cog.tolist(),
                    length[ship].tolist(), strict=True,
                )
            )  # fmt: skip
    return {"x": x, "y": y, "length": length, "course": course, "mmsi": 219000000 + np.arange(ships)}


def detections(truth: dict[str, np.ndarray], path: Path, count: int = 500) -> None:
    from tests.aisscenes import boxes

    rng = np.random.default_rng(1)
    inside = np.flatnonzero((np.abs(truth["x"]) < 55_000) & (np.abs(truth["y"]) < 55_000))[:count]
    n = len(inside)
    boxes(
        _PLANE,
        truth["x"][inside] + rng.normal(0, 20, n),
        truth["y"][inside] + rng.normal(0, 20, n),
        np.maximum(truth["length"][inside] + rng.normal(0, 12, n), 10),
        np.maximum(truth["length"][inside] / 6 + rng.normal(0, 4, n), 8),
        truth["course"][inside],
        acquired="2022-08-25T10:30:00Z",
    ).write(path)


_JOB = """
import json, re, sys, time
begun = time.perf_counter()
from detector.detections import Detections
from detector.flags import flag_vessels
flagged = flag_vessels(Detections.read(sys.argv[1]), ais=[sys.argv[2]])
status = flagged["ais_status"].tolist()
with open("/proc/self/status") as file:
    peak = int(re.search(r"VmHWM:\\s+(\\d+)", file.read())[1]) * 1024 / 1e6
print(json.dumps({"seconds": time.perf_counter() - begun, "cpu": time.process_time(), "peak_mb": peak,
                  "rows": flagged.reports[0].rows, "kept": flagged.reports[0].kept,
                  "matched": status.count("matched"), "vessels": len(status)}))
"""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--form", choices=list(_FORMS), default="danish")
    parser.add_argument("--rows", type=int, default=5_000_000)
    parser.add_argument("--out", type=Path, default=_ROOT / ".cache" / "bench")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    ais, vessels = options.out / f"ais-{options.form}-{options.rows}.csv", options.out / "ais-vessels.parquet"
    begun = time.perf_counter()
    detections(write(ais, options.form, options.rows), vessels)
    print(
        f"wrote {ais} ({ais.stat().st_size / 1e6:.0f} MB) in {time.perf_counter() - begun:.0f} s",
        file=sys.stderr,
    )
    command = [sys.executable, "-c", _JOB, str(vessels), str(ais)]
    answer = subprocess.run(command, cwd=_ROOT, check=True, capture_output=True, text=True).stdout
    result = json.loads(answer.splitlines()[-1])
    print(
        f"{options.form}: {result['rows']} rows, {result['kept']} near the scene, {result['matched']} of "
        f"{result['vessels']} vessels matched: {result['seconds']:.1f} s ({result['cpu']:.1f} s of processor), "
        f"{result['peak_mb']:.0f} MB"
    )


if __name__ == "__main__":
    main()
