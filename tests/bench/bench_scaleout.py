"""Two workers of one thread each against one process, on eight painted scenes.

    python -m tests.bench.bench_scaleout [--scenes 8] [--size 2048] [--dask] [--out DIR] [--json]

Wall seconds from start to end, the start of the workers included; processor seconds of all processes (without those of
Dask's workers), which a busy machine hardly changes; the largest resident memory of any process; and whether the tables
are the same. The workers' share of the start is the same for eight scenes as for eight hundred, so many scenes
gain more. Needs two idle processors: the load before and after is in the answer.

One process of one thread uses more than one processor, for it reads and sorts boxes beside the network. So it is measured
twice: held to one processor, which is what a second one must be judged by, and free to use both.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from tests.bench.painted import painted_port
from tests.bench.report import machine


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--scenes", type=int, default=8)
    parser.add_argument("--size", type=int, default=2048, help="pixels a side")
    parser.add_argument("--dask", action="store_true", help="two Dask workers too")
    parser.add_argument("--out", type=Path, default=Path(".cache/bench"))
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    scenes = [
        str(painted_port(arguments.out, seed, arguments.size)) for seed in range(1, arguments.scenes + 1)
    ]
    before = machine(1)
    alone = ["--threads", "1"]
    rows = {
        "one process, one processor": measured(scenes, arguments.out, alone, processors={0}),
        "one process of one thread": measured(scenes, arguments.out, alone),
        "two workers": measured(scenes, arguments.out, ["--threads", "2", "--workers", "2"]),
    }
    if arguments.dask:
        rows |= by_dask(scenes, arguments.out, {}, " as they come")
        rows |= by_dask(scenes, arguments.out, ADVISED, ", settings advised")
    one = rows["one process, one processor"]
    table = one["table"]
    for row in rows.values():
        row["speed"] = round(one["seconds"] / row["seconds"], 2)
        row["same table"] = row.pop("table") == table
    answer = {
        "machine": before,
        "load_after": round(os.getloadavg()[0], 2),
        "scenes": len(scenes),
        "rows": rows,
    }
    if arguments.json:
        print(json.dumps(answer, indent=1))
        return
    load = f"load before {before['load_before']}, after {answer['load_after']}"
    print(
        f"{len(scenes)} scenes of {arguments.size} x {arguments.size}; {load}; {before['cpus']} processors\n"
    )
    print("| | seconds | speed | processor seconds | largest MB | same table |\n|---|---|---|---|---|---|")
    for name, row in rows.items():
        cells = (row[key] for key in ("seconds", "speed", "cpu_seconds", "peak_mb", "same table"))
        print(f"| {name} | {' | '.join(map(str, cells))} |")


def measured(
    scenes: list[str], folder: Path, options: list[str], processors: set[int] | None = None
) -> dict[str, Any]:
    """Run the command on the scenes, on some processors or all; its seconds, the largest process, and its table."""
    import resource

    out = folder / "scaleout.geojson"
    out.unlink(missing_ok=True)
    begun, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, "-m", "detector.cli", "predict", *scenes, "--out", str(out), *options]
    everywhere = os.sched_getaffinity(0)
    os.sched_setaffinity(0, processors or everywhere)  # children inherit it
    try:
        subprocess.run(command, check=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    finally:
        os.sched_setaffinity(0, everywhere)
    seconds, after = round(time.perf_counter() - begun, 1), resource.getrusage(resource.RUSAGE_CHILDREN)
    # The largest of all children so far and their children: rows that come later can only be larger.
    peak = round(after.ru_maxrss * 1024 / 1e6)
    work = round(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, 1)
    return {"seconds": seconds, "cpu_seconds": work, "peak_mb": peak, "table": out.read_text()}


#: What docs/scaleout.md advises: no profiler in the workers, and no eager return of memory to the system.
ADVISED = {
    "distributed.worker.profile.enabled": False,
    "distributed.nanny.pre-spawn-environ.MALLOC_TRIM_THRESHOLD_": 1 << 27,
}


def by_dask(scenes: list[str], folder: Path, settings: dict[str, Any], how: str) -> dict[str, dict[str, Any]]:
    """The same by two Dask workers that run already: for the first time, and again when they have the network in memory."""
    import dask
    from distributed import LocalCluster

    with (
        dask.config.set(settings),
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None, host="127.0.0.1") as cluster,
    ):
        options = ["--threads", "1", "--scheduler", cluster.scheduler_address]
        return {f"two Dask workers{how}{when}": measured(scenes, folder, options) for when in ("", ", again")}


if __name__ == "__main__":
    main()
