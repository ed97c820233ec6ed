"""Kill `bargewatch watch` again and again at random instants, and see that nothing is lost and nothing repeated."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from tests.storedump import check_whole, drafts, dump, files

ROOT = Path(__file__).resolve().parents[1]


def command(store: Path, call: Sequence[object]) -> list[str]:
    return [sys.executable, "-m", "detector.cli", "watch", "--store", str(store), *map(str, call)]


def environment(**more: str) -> dict[str, str]:
    clean = {key: value for key, value in os.environ.items() if not key.startswith("SH_")}
    quick = {"GDAL_HTTP_RETRY_DELAY": "0.02", "GDAL_HTTP_MAX_RETRY": "1", "OMP_NUM_THREADS": "1"}
    return {**clean, **quick, "PYTHONPATH": str(ROOT), **more}


def kill_and_compare(
    folder: Path, call: Sequence[object], *, scenes: int, kills: int, seed: int
) -> Counter[str]:
    """Run once undisturbed; then begin anew with a store as often as it takes for so many kills, each store to its end.

    Returns:
        How many kills fell into which part of a run.
    """
    calm = folder / "calm.gpkg"
    begun = time.monotonic()
    ran = subprocess.run(command(calm, call), env=environment(), capture_output=True, text=True, check=False)
    life = time.monotonic() - begun
    assert ran.returncode == 0, ran.stderr
    assert check_whole(calm) == scenes
    wanted, wanted_files = dump(calm), files(calm)
    dice, where, number = random.Random(seed), Counter[str](), 0
    while sum(where.values()) < kills:
        number += 1
        store = folder / f"store{number}.gpkg"
        left = kills - sum(where.values())
        fell = _one_store(store, call, scenes, left, dice, life)
        print(f"{store.name} took {sum(fell.values())} kills: {dict(fell)}", flush=True)
        where += fell
        got = dump(store)
        for table, rows in wanted.items():
            assert got[table] == rows, f"{store.name}: {table}"
        assert got.keys() == wanted.keys()
        got_files = files(store)
        assert got_files.keys() == wanted_files.keys(), store.name
        other = [name for name, digest in wanted_files.items() if got_files[name] != digest]
        assert not other, f"{store.name}: {other}"
        assert not drafts(store)
    where["stores"] = number
    return where


def _one_store(
    store: Path, call: Sequence[object], scenes: int, kills: int, dice: random.Random, life: float
) -> Counter[str]:
    """Fill one store, killed at most so many times; it is whole when this returns.

    Kills wait for a number of scenes and a moment more, so that they spread alike on slow and busy machines.
    """
    where: Counter[str] = Counter()
    log, held, start = store.with_suffix(".log"), 0, 0.4 * life
    full = 0  # kills with all scenes in the store; when there are enough, another store is more telling
    while True:
        kind = dice.choices(["start", "any", "end"], [3, 8, 1])[0]
        number, share = dice.randrange(8), dice.random()
        begun = time.monotonic()
        with open(log, "wb") as err, subprocess.Popen(
            command(store, call), env=environment(), stdout=subprocess.DEVNULL, stderr=err
        ) as running:  # fmt: skip
            if sum(where.values()) < kills and full < 3:
                if kind == "start":
                    _wait(running, share * start)
                else:
                    _wait_for(running, log, number if kind == "any" else scenes)
                    start = time.monotonic() - begun if kind == "any" and not number else start
                    _wait(running, share * life * 1.5 / scenes)
                running.send_signal(signal.SIGKILL)
            code = running.wait(600)
        if code != -signal.SIGKILL:
            assert code == 0, log.read_text()
            return where
        where[_part(log, store)] += 1
        now = check_whole(store) if store.exists() else 0
        assert held <= now <= scenes, "a scene that was in the store is lost"
        held = now
        full += held == scenes


def _wait(running: subprocess.Popen[bytes], seconds: float) -> None:
    until = time.monotonic() + seconds
    while running.poll() is None and time.monotonic() < until:
        time.sleep(0.002)


def _wait_for(running: subprocess.Popen[bytes], log: Path, scenes: int) -> None:
    """Wait until a run has said how many scenes there are, and has done so many, or all."""
    until = time.monotonic() + 600
    while running.poll() is None and time.monotonic() < until:
        left = _left(log)
        if left is not None and (left == 0 or _done(log) >= scenes):
            return
        time.sleep(0.005)


def _done(log: Path) -> int:
    return sum(line.startswith("S2") for line in log.read_text(errors="replace").splitlines())


def _left(log: Path) -> int | None:
    """Scenes that are still to do by the lines that a run has written; None before it says how many there are."""
    lines = log.read_text(errors="replace").splitlines()
    number = next((int(line.split()[1]) for line in lines if " to do, " in line), None)
    return None if number is None else number - _done(log)


def _part(log: Path, store: Path) -> str:
    left = _left(log)
    if store.with_name(store.name + "-journal").exists():
        return "writing the store"
    if left is None:
        return "start and search"
    return "fetching and predicting" if left else "counting"
