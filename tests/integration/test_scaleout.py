"""Scenes shared among workers: the same tables in the same order, whoever fails or dies."""

from __future__ import annotations

import os
import re
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from functools import partial
from multiprocessing import active_children
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from detector import scaleout, worker
from detector.cli import run as cli
from detector.errors import ConfigError, EmptySceneError, SceneError, UnreadableSceneError
from detector.loadings.sites import Site, Zone
from detector.prediction import SceneResult, run
from detector.scaleout import ATTEMPTS
from tests.network import weights_to_test
from training.simulate import SceneSpec, Vessel, paint, write_geotiff

SHIPS = ((60, 190, 150, 10), (150, 205, 185, 75), (230, 200, 130, 140))


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[str], Site]:
    """Four scenes of one place: the second of the overpass of the first, the third cut short, the last without ships."""
    import shapely

    folder = tmp_path_factory.mktemp("scenes")
    vessels = tuple(
        Vessel(str(k), "bulk_carrier", 10.0 * col, 10.0 * row, float(length), length / 6.2, float(heading))
        for k, (col, row, length, heading) in enumerate(SHIPS)
    )
    calm = {"haze": 0.05, "wind": 2.0, "harbours": 0, "estuary": False, "lon": 124.0}
    spec = SceneSpec(seed=3, size=(256, 300), vessels=vessels, **calm)
    again = replace(spec, acquired=spec.acquired + timedelta(minutes=2))
    later = replace(spec, acquired=spec.acquired + timedelta(days=5), vessels=())
    files = []
    for name, painted in (("a", paint(spec)), ("b", paint(again)), ("c", None), ("d", paint(later))):
        path = folder / f"{name}.tif"
        if painted is None:
            path.write_bytes((folder / "a.tif").read_bytes()[:5000])
        else:
            write_geotiff(painted, path)
            west, north = painted.grid.to_lonlat(0, 0)
            east, south = painted.grid.to_lonlat(300, 256)
        files.append(str(path))
    outline = shapely.box(float(west), float(south), float(east), float(north))
    return files, Site("port", (Zone("roads", "anchorage", "Roads", 9, "painted", 1.0, None, outline),))


@pytest.fixture(scope="module")
def alone(scenes: tuple[list[str], Site]) -> list[SceneResult]:
    """What one process makes of the scenes."""
    return results(scenes, threads=1)


def results(scenes: tuple[list[str], Site], **options: Any) -> list[SceneResult]:
    files, site = scenes
    return list(
        run(files, weights=weights_to_test(), confidence=0.2, site=site, keep_rejected=True, **options)
    )


def same(ours: list[SceneResult], theirs: list[SceneResult]) -> None:
    assert [r.source for r in ours] == [r.source for r in theirs]
    for one, other in zip(ours, theirs, strict=True):
        for name in ("scene_id", "acquired", "looks", "rejected", "windows", "skipped"):
            assert getattr(one, name) == getattr(other, name), name
        assert type(one.error) is type(other.error)
        # How many bytes are missing depends on which part of a file GDAL reads first, which earlier reads change.
        assert re.sub(r"\d+ bytes at offset \d+", "", str(one.error)) == re.sub(
            r"\d+ bytes at offset \d+", "", str(other.error)
        )
        if one.detections is None:
            assert other.detections is None
            continue
        assert other.detections is not None
        for name, column in one.detections.columns.items():
            theirs_column = other.detections.columns[name]
            equal = column == theirs_column
            if column.dtype.kind == "f":
                equal |= np.isnan(column) & np.isnan(theirs_column)
            assert np.all(equal), name


def test_the_scenes_ask_something(alone: list[SceneResult]) -> None:
    first, second, broken, empty = alone
    assert first.detections is not None and len(first.detections.kept) >= 2
    assert second.rejected["duplicate"] >= 2
    assert isinstance(broken.error, UnreadableSceneError)
    assert empty.error is None
    assert [look["scene_id"] for look in first.looks] == [first.scene_id]


def test_two_processes_give_the_tables_of_one(
    scenes: tuple[list[str], Site], alone: list[SceneResult]
) -> None:
    steps: list[tuple[int, int]] = []
    shared = results(scenes, workers=2, threads=2, progress=lambda *step: steps.append(step))
    same(shared, alone)
    assert len(steps) == 4
    assert not [child for child in active_children() if child.name == "bargewatch-worker"]
    [note] = shared[2].error.__notes__  # where it happened, for --debug
    assert "Traceback" in note


def test_a_killed_process_costs_nothing(scenes: tuple[list[str], Site], alone: list[SceneResult]) -> None:
    killed: list[int] = []

    def kill() -> None:
        end = time.monotonic() + 60
        while not killed and time.monotonic() < end:
            for child in active_children():
                if child.name == "bargewatch-worker" and child.pid is not None and not killed:
                    os.kill(child.pid, signal.SIGKILL)
                    killed.append(child.pid)
            time.sleep(0.01)

    killer = threading.Thread(target=kill)
    killer.start()
    shared = results(scenes, workers=2, threads=2)
    killer.join()
    assert killed
    same(shared, alone)


def deadly(job: Any, version: str, source: Any, marks: str | None = None) -> Any:
    """A worker's task that kills its process at scene b: each time, or with `marks`, a folder, once."""
    if Path(source).stem == "b":
        mark = None if marks is None else Path(marks) / "died"
        if mark is None or not mark.exists():
            if mark is not None:
                mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
    return worker.work(job, version, source)


def deadly_life(pipe: Any, job: Any, version: str) -> None:
    try:
        while True:
            pipe.send(deadly(job, version, pipe.recv()))
    except (EOFError, OSError):
        pass


def test_a_scene_that_kills_its_workers_fails_alone(
    scenes: tuple[list[str], Site], alone: list[SceneResult], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scaleout, "_serve", deadly_life)
    shared = results(scenes, workers=2, threads=2)
    assert isinstance(shared[1].error, SceneError)
    assert f"{ATTEMPTS} workers died of it (signal 9)" in str(shared[1].error)
    same([shared[0], *shared[2:]], [alone[0], *alone[2:]])


def test_the_command_writes_the_same_files(scenes: tuple[list[str], Site], tmp_path: Path) -> None:
    arguments = ["predict", *scenes[0], "--confidence", "0.2", "--keep-rejected", "-q"]
    if weights := weights_to_test():
        arguments += ["--weights", str(weights)]
    for name, options in (
        ("one.geojson", ["--threads", "1"]),
        ("two.geojson", ["--threads", "2", "--workers", "2"]),
    ):
        assert cli([*arguments, "--out", str(tmp_path / name), *options]) == 1  # one scene is cut short
    assert (tmp_path / "one.geojson").read_bytes() == (tmp_path / "two.geojson").read_bytes()
    assert (
        cli([*arguments, "--out", str(tmp_path / "x.csv"), "--workers", "2", "--scheduler", "tcp://h:1"]) == 2
    )


def test_an_unfinished_run_leaves_no_process(scenes: tuple[list[str], Site]) -> None:
    going = run(scenes[0], weights=weights_to_test(), workers=2, threads=2)
    next(going)
    going.close()
    assert not [child for child in active_children() if child.name == "bargewatch-worker"]


# ---- Dask (its cluster alone takes some seconds)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    distributed = pytest.importorskip("distributed")
    import dask

    # Dask gives a task up after three lost workers; one less lets a test end sooner.
    with dask.config.set({"distributed.scheduler.allowed-failures": 1}):
        made = distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None, host="127.0.0.1"
        )
    with made:
        yield made


@pytest.mark.slow
def test_dask_gives_the_tables_of_one_process(
    scenes: tuple[list[str], Site], alone: list[SceneResult], cluster: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    same(results(scenes, scheduler=cluster.scheduler_address), alone)
    files, site = scenes
    monkeypatch.chdir(Path(files[0]).parent)  # the workers are elsewhere
    near = results(([Path(file).name for file in files], site), scheduler=cluster.scheduler_address)
    assert [result.source for result in near] == ["a.tif", "b.tif", "c.tif", "d.tif"]
    assert [result.scene_id for result in near] == [result.scene_id for result in alone]


@pytest.mark.slow
def test_dask_retries_the_scene_of_a_lost_worker(
    scenes: tuple[list[str], Site], alone: list[SceneResult], cluster: Any, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(scaleout, "work", partial(deadly, marks=str(tmp_path)))
    same(results(scenes, scheduler=cluster.scheduler_address), alone)
    assert (tmp_path / "died").exists()


@pytest.mark.slow
def test_dask_gives_up_a_scene_that_kills_its_workers(
    scenes: tuple[list[str], Site], alone: list[SceneResult], cluster: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scaleout, "work", deadly)
    files, site = scenes
    # One scene a worker: Dask counts a lost worker against all scenes that wait at it, and may give up the wrong one, too.
    shared = results((files[:2], site), scheduler=cluster.scheduler_address)
    assert "given up because workers died of it" in str(shared[1].error)
    same(shared[:1], alone[:1])


# ---- what is refused


def test_what_cannot_be_shared_is_refused(scenes: tuple[list[str], Site]) -> None:
    for options, said in (
        ({"workers": 0}, "1 or more"),
        ({"workers": 2, "scheduler": "tcp://127.0.0.1:1"}, "either"),
        ({"scheduler": "nonsense://x"}, "no Dask scheduler answers at nonsense://x"),
    ):
        with pytest.raises(ConfigError, match=said):
            list(run(scenes[0], weights=weights_to_test(), **options))  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="<ndarray> cannot be sent"):
        list(run([np.zeros((4, 8, 8))], weights=weights_to_test(), workers=2))
    assert list(run([], weights=weights_to_test(), workers=2)) == []


def test_another_version_at_a_worker_is_told(scenes: tuple[list[str], Site]) -> None:
    answer = worker.work(None, "0.0.0", scenes[0][0])  # type: ignore[arg-type]
    assert "install the same" in str(answer.looked[0].error)


def test_errors_that_cannot_be_pickled_travel_as_text() -> None:
    error = EmptySceneError("nothing there")
    assert worker.portable(error) is error

    class Odd(Exception):
        def __init__(self, one: int, two: int) -> None:
            super().__init__(f"{one} and {two}")

    text = worker.portable(Odd(1, 2))
    assert str(text) == "Odd: 1 and 2"
    assert type(text) is RuntimeError
