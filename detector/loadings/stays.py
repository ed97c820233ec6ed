"""How long ships stay and how berths change hands: the hidden Markov chain of one berth and its tables.

An empty berth takes its next ship at a rate; a ship passes through phases and leaves after the last, and one
that waits may take its place (a phase-type stay: Neuts 1981, Matrix-Geometric Solutions in Stochastic Models, ch. 2).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

PHASES = 3
# Three kinds of berth; which fits better is inferred. Share of ships that begin in each phase: all in the first is
# Erlang-3, coefficient of variation (CV) 0.58; evenly spread means stays that differ much, CV 0.82.
SHAPES: Floats = np.array([[1.0, 0.0, 0.0], [1.0, 0.0, 0.0], [1 / 3, 1 / 3, 1 / 3]])
_MEAN_PHASES: Floats = SHAPES @ np.arange(PHASES, 0, -1)
# Whether ships queue. Where they do, a ship that leaves makes room for one that waits as often as in a queue of one
# server with random arrivals: with the probability that the server is busy.
QUEUES: Floats = np.array([0.0, 1.0, 1.0])
_MOST_BUSY = 0.9

TICK = 0.1  # days: the resolution of time within the chain
MOST_TICKS = 60  # the longest step; longer gaps are cut, so that rates may change within them

# Rate, a day, at which ships come for the berth: from one in eight months to one in six hours.
LEVELS: Floats = np.geomspace(0.004, 4.0, 24)
LEVEL_STEP = float(np.log(LEVELS[1] / LEVELS[0]))

# Starts of visits in one step are counted up to this number less one. Six days hold four mean cycles of the
# shortest stays and rates that make sense together.
_COUNTS = 16


@dataclass(frozen=True)
class StayTables:
    """Transition probabilities for every step length, stay and level.

    N = levels x stays, stays fastest. State 0 is the empty berth, 1..3 the phases of a stay.

    Attributes:
        mean_days, shape: (J,) of each stay; shape is the kind, an index into SHAPES.
        total: (ticks + 1, 4, 4, N) from, to, whatever happened between.
        same: (ticks + 1, 3, 3, N) from phase to phase without leaving.
        spectrum: (ticks + 1, 4, 4, N, 9) transform over the number of visits that began meanwhile, or None.
        stationary: (4, N) long-run distribution.
    """

    mean_days: Floats
    shape: NDArray[np.int64]
    total: Floats
    same: Floats
    spectrum: NDArray[np.complex64] | None
    stationary: Floats

    def part(self, stays: NDArray[np.int64]) -> StayTables:
        """Some of the stays."""
        columns = (np.arange(len(LEVELS))[:, None] * len(self.mean_days) + stays).reshape(-1)
        return StayTables(
            mean_days=self.mean_days[stays],
            shape=self.shape[stays],
            # `take` and not an index: it leaves neighbours in memory neighbours.
            total=self.total.take(columns, axis=-1),
            same=self.same.take(columns, axis=-1),
            spectrum=None if self.spectrum is None else self.spectrum.take(columns, axis=3),
            stationary=self.stationary.take(columns, axis=-1),
        )

    def started(
        self,
        tick: int,
        origin: NDArray[np.int64],
        target: NDArray[np.int64],
        column: NDArray[np.int64],
    ) -> Floats:
        """(d, 16) weights of 0, 1, 2 … starts within a step, given both ends; they sum to `total`.

        By the inverse transform of the chain whose arrivals are marked with roots of unity.
        """
        if self.spectrum is None:
            raise ValueError("these tables were made without counts")
        counts = np.fft.irfft(self.spectrum[tick, origin, target, column], n=_COUNTS, axis=-1)
        return np.clip(counts, 0.0, None)


def stay_tables(
    mean_days: Floats,
    shape: NDArray[np.int64],
    *,
    most_ticks: int = MOST_TICKS,
    counted: bool = False,
    single: bool = False,
) -> StayTables:
    """Tables for stays of the given means (J,) and shapes (J,) at every level; `single` in 32 bits."""
    dtype = np.float32 if single else np.float64
    rate = np.tile(_MEAN_PHASES[shape] / mean_days, len(LEVELS))
    arrival = np.repeat(LEVELS, len(mean_days))
    entry = np.tile(SHAPES[shape].T, len(LEVELS))
    marks: NDArray[Any] = (
        np.exp(-2j * np.pi * np.arange(_COUNTS // 2 + 1) / _COUNTS) if counted else np.ones(1)
    )
    generator = np.zeros((len(marks), len(rate), PHASES + 1, PHASES + 1), dtype=marks.dtype)
    generator[..., 0, 0] = -arrival
    generator[..., 0, 1:] = marks[:, None, None] * (arrival * entry).T
    for phase in range(1, PHASES + 1):
        generator[..., phase, phase] = -rate
        generator[..., phase, (phase + 1) % (PHASES + 1)] = rate
    at_once = np.tile(QUEUES[shape], len(LEVELS)) * np.minimum(
        arrival * np.tile(mean_days, len(LEVELS)), _MOST_BUSY
    )
    generator[..., PHASES, 0] = rate * (1 - at_once)
    generator[..., PHASES, 1:] += marks[:, None, None] * (rate * at_once * entry).T
    whole = _powers(generator, most_ticks)
    staying = np.diag(np.full(PHASES, -1.0)) + np.eye(PHASES, k=1)
    same = _powers(rate[:, None, None] * staying, most_ticks)
    weights = np.concatenate([((1 - at_once) / arrival)[None], np.cumsum(entry, axis=0) / rate])
    return StayTables(
        mean_days=mean_days,
        shape=shape,
        total=np.ascontiguousarray(np.moveaxis(whole[:, 0].real, 1, -1), dtype=dtype),
        same=np.ascontiguousarray(np.moveaxis(same, 1, -1), dtype=dtype),
        spectrum=np.transpose(whole, (0, 3, 4, 2, 1)).astype(np.complex64) if counted else None,
        stationary=weights / weights.sum(axis=0),
    )


def _powers(generator: NDArray[Any], most: int) -> NDArray[Any]:
    """exp(generator x TICK x k) for k = 0..most, stacked in front."""
    step = generator * (TICK / 16)
    identity = np.broadcast_to(np.eye(generator.shape[-1], dtype=generator.dtype), generator.shape)
    one = identity + step
    term = step
    for order in range(2, 9):
        term = term @ step / order
        one = one + term
    for _ in range(4):
        one = one @ one
    powers = np.empty((most + 1, *generator.shape), dtype=generator.dtype)
    powers[0] = identity
    for k in range(1, most + 1):
        powers[k] = powers[k - 1] @ one
    return powers


def survival(days: Floats, mean_days: float, shape: int) -> Floats:
    """Share of stays longer than `days`."""
    x = np.maximum(days, 0.0) * _MEAN_PHASES[shape] / mean_days
    poisson = np.exp(-x)[..., None] * np.stack([np.ones_like(x), x, x * x / 2], axis=-1)
    # A ship that begins in phase e (of 0, 1, 2) stays while fewer than 3 - e phases are over.
    return np.asarray(np.cumsum(poisson, axis=-1)[..., ::-1] @ SHAPES[shape])


def remaining(days: Floats | float, mean_days: Floats, shape: NDArray[np.int64]) -> Floats:
    """Integral of `survival` from `days` to infinity, days; arguments broadcast."""
    x = np.maximum(days, 0.0) * _MEAN_PHASES[shape] / mean_days
    poisson = np.exp(-x)[..., None] * np.stack([np.ones_like(x), x, x * x / 2], axis=-1)
    # Phases that are left on average to a ship that began with n: the sum of (n - k) P(k are over).
    left = np.maximum(np.arange(PHASES, 0, -1)[:, None] - np.arange(PHASES), 0)
    return np.asarray((poisson[..., None, :] * left * SHAPES[shape][..., :, None]).sum(axis=(-1, -2))) * (
        mean_days / _MEAN_PHASES[shape]
    )
