"""Many scenes at once: over processes of this machine, or over a cluster by Dask.

Only what a scene needs by itself is done elsewhere (`prediction.look_at`); what compares scenes, the doubles of an
overpass, stays here and is done in order. So the tables are those of one process with as many threads a scene.
A worker holds one scene at a time, and no more of it than the windows that one process holds.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from detector import __version__
from detector.errors import ConfigError, MissingDependencyError
from detector.prediction import Job, Looked, name_of
from detector.processors import processors
from detector.worker import lost, opened, work

if TYPE_CHECKING:
    from multiprocessing.connection import Connection
    from multiprocessing.process import BaseProcess

Progress = Callable[[int, int], None]

#: Workers that a scene may cost before it is given up: one may have died of something else.
ATTEMPTS = 3
#: Seconds to wait for the first worker of a cluster; one that grows on demand takes a while.
_PATIENCE = 60.0


def scattered(
    job: Job,
    sources: Sequence[Any],
    workers: int | None,
    scheduler: str | None,
    progress: Progress | None = None,
) -> Iterator[Looked]:
    """What `prediction.look_at` says of each source, in order, by workers.

    Args:
        workers: processes of this machine; they share `job.threads`, or all processors.
        scheduler: address of a Dask scheduler, e.g. "tcp://host:8786", instead. `job.threads` are those of a scene, 1 where
            None. Paths and weights must mean the same to its workers as here.
        progress: called with (scenes that are done before their turn, 1).

    Raises:
        ConfigError: both or neither are asked for, a number of workers below 1, no scheduler or worker answers, or a source
            that cannot be sent.
        MissingDependencyError: dask.distributed is not installed.
    """
    if (workers is None) == (scheduler is None):
        raise ConfigError("give either a number of workers or the address of a scheduler")
    for source in sources:
        if not isinstance(source, str | os.PathLike | dict):
            raise ConfigError(
                f"{name_of(source)} cannot be sent to a worker; give the path of a file that holds it"
            )
    if scheduler is not None:
        return _in_order(_by_dask(job, sources, scheduler), len(sources), progress)
    if workers is None or workers < 1:
        raise ConfigError(f"the number of workers must be 1 or more, got {workers}")
    return _in_order(_by_processes(job, sources, workers), len(sources), progress)


def _in_order(done: Iterator[tuple[int, Looked]], total: int, progress: Progress | None) -> Iterator[Looked]:
    early: dict[int, Looked] = {}
    for turn in range(total):
        while turn not in early:
            number, looked = next(done)
            early[number] = looked
            if progress is not None:
                progress(len(early), 1)
        yield early.pop(turn)


# ---- processes


def _by_processes(job: Job, sources: Sequence[Any], workers: int) -> Iterator[tuple[int, Looked]]:
    """Answers as they come. A worker that dies is replaced; its scene, and no other, is tried again."""
    from multiprocessing.connection import wait

    workers = min(workers, len(sources))
    threads = max(1, (job.threads or processors()) // max(workers, 1))
    job = replace(job, threads=threads)
    waiting = deque((number, 1) for number in range(len(sources)))
    crew: list[_Worker] = []
    try:
        while waiting or crew:
            while waiting and len(crew) < workers:
                crew.append(_Worker(job))
            for worker in crew:
                if worker.task is None and waiting:
                    worker.task = waiting.popleft()
                    worker.send(sources[worker.task[0]])
            crew = [worker for worker in crew if worker.task is not None or worker.stop()]
            ready = wait([worker.ear for worker in crew]) if crew else []
            for worker in [worker for worker in crew if worker.ear in ready]:
                assert worker.task is not None
                number, attempt = worker.task
                worker.task = None
                try:
                    answer = worker.ear.recv()
                except (EOFError, OSError):
                    crew.remove(worker)
                    ended = worker.ended()
                    if attempt < ATTEMPTS:
                        waiting.appendleft((number, attempt + 1))
                        continue
                    yield (
                        number,
                        lost(sources[number], f"{ATTEMPTS} workers died of it ({ended}); is memory short?"),
                    )
                else:
                    yield number, opened(answer)
    finally:
        for worker in crew:
            worker.kill()


class _Worker:
    """A process that looks at one scene at a time; it ends with this process, however that ends."""

    def __init__(self, job: Job) -> None:
        from multiprocessing import get_context

        # Not forked: a copy of a process whose runtime has threads would hang.
        context = get_context("spawn")
        self.ear: Connection[Any, Any]
        self.ear, far = context.Pipe()
        self.task: tuple[int, int] | None = None
        self._process: BaseProcess = context.Process(
            target=_serve, args=(far, job, __version__), daemon=True, name="bargewatch-worker"
        )
        self._process.start()
        far.close()

    def send(self, source: Any) -> None:
        """Hand over a scene; that the process is gone shows when it is listened to."""
        with suppress(OSError):
            self.ear.send(source)

    def ended(self) -> str:
        """How the process ended, once its end of the pipe is closed."""
        self._process.join(10)
        code = self._process.exitcode
        return f"signal {-code}" if code is not None and code < 0 else f"exit code {code}"

    def stop(self) -> bool:
        """Let an idle process end; never true, so that it drops out of a list."""
        self.ear.close()
        self._process.join(10)
        self.kill()
        return False

    def kill(self) -> None:
        """End the process whatever it does."""
        self.ear.close()
        if self._process.is_alive():
            self._process.kill()
            self._process.join()


def _serve(pipe: Connection[Any, Any], job: Job, version: str) -> None:
    """The life of a worker process: scenes come, answers go, until the pipe is closed."""
    import signal

    signal.signal(
        signal.SIGINT, signal.SIG_IGN
    )  # the terminal sends it to all; the first process ends the others
    with suppress(EOFError, OSError):
        while True:
            pipe.send(work(job, version, pipe.recv()))


# ---- Dask


def _by_dask(job: Job, sources: Sequence[Any], scheduler: str) -> Iterator[tuple[int, Looked]]:
    """Answers as they come. Dask itself gives the scene of a lost worker to another one."""
    with _client(scheduler) as client:
        from distributed import as_completed

        job = replace(
            job, threads=job.threads or 1, chips=None if job.chips is None else os.path.abspath(job.chips)
        )
        run = os.urandom(8).hex()  # names of tasks are of the whole cluster: no other run may have the same
        tasks = {
            client.submit(
                work, job, __version__, _anywhere(source), pure=False, key=f"bargewatch-{run}-{n}"
            ): n
            for n, source in enumerate(sources)
        }
        with client.as_current():  # as_completed asks for the client of the day and no other
            finished = as_completed(tasks)  # type: ignore[no-untyped-call]
        try:
            for task in finished:
                number = tasks.pop(task)
                yield number, _answer_of(task, sources[number])
        finally:
            client.cancel(list(tasks), force=True)


@contextmanager
def _client(scheduler: str) -> Iterator[Any]:
    try:
        from distributed import Client
    except ImportError:
        raise MissingDependencyError("--scheduler needs Dask: pip install 'bargewatch[dask]'") from None
    try:
        client = Client(scheduler, timeout=30, set_as_default=False)  # type: ignore[no-untyped-call]
    except (OSError, ValueError) as error:  # TimeoutError is an OSError
        reason = " ".join(str(error).split())[:200]
        raise ConfigError(f"no Dask scheduler answers at {scheduler}: {reason}; check that it runs") from None
    with client:
        try:
            client.wait_for_workers(1, timeout=_PATIENCE)
        except TimeoutError:
            raise ConfigError(
                f"the scheduler {scheduler} has no workers; start some: dask worker {scheduler}"
            ) from None
        yield client


def _anywhere(source: Any) -> Any:
    """A source by a path that does not depend on the folder that a worker was started in."""
    if isinstance(source, str | os.PathLike) and os.path.exists(source):
        return os.path.abspath(source)
    return source


def _answer_of(task: Any, source: Any) -> Looked:
    from concurrent.futures import CancelledError

    try:
        result, moment = opened(task.result())
    except CancelledError:
        return lost(source, "the scheduler was lost; start again")
    except Exception as error:  # noqa: BLE001 - a worker can fail in ways of its own
        what = type(error).__name__
        if what == "KilledWorker":
            return lost(source, "it was given up because workers died of it; is their memory short?")
        reason = " ".join(str(error).split())[:200]
        return lost(source, f"a worker failed ({what}: {reason}); is the same bargewatch installed there?")
    result.source = name_of(source)
    return result, moment
