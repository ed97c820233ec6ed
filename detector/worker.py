"""A scene at a worker: another process or machine looks at it and sends back what can be sent."""

from __future__ import annotations

import traceback
import warnings
from dataclasses import dataclass, replace
from typing import Any

from detector import __version__
from detector.errors import BargewatchError, ConfigError, SceneError, WeightsError
from detector.model import Weights, find_weights
from detector.prediction import Job, Looked, SceneResult, look_at, name_of


@dataclass(frozen=True)
class Answer:
    """What a worker sends back: plain enough to be pickled whatever happened."""

    looked: Looked
    warned: tuple[str, ...]


def work(job: Job, version: str, source: Any) -> Answer:
    """One scene at a worker."""
    if version != __version__:
        error = ConfigError(f"a worker has bargewatch {__version__}, not {version}; install the same there")
        return Answer((SceneResult(name_of(source), error=error), None), ())
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        try:
            result, moment = look_at(replace(job, weights=_here(job.weights)), source)
        except BargewatchError as error:
            result, moment = SceneResult(name_of(source), error=error), None
    warned = tuple(str(warning.message) for warning in caught if issubclass(warning.category, UserWarning))
    if result.error is not None:
        result.error = portable(result.error)
    return Answer((result, moment), warned)


def _here(weights: Weights) -> Weights:
    """The same weights where this machine has them: another one may have installed them elsewhere."""
    if weights.path.is_file():
        return weights
    found = find_weights(weights.name)
    if found.sha256 != weights.sha256:
        raise WeightsError(f"a worker has other weights {weights.name!r}; install the same bargewatch there")
    return found


def portable(error: Exception) -> Exception:
    """The error with its traceback as a note, and as plain text where it cannot be pickled."""
    import pickle

    error.add_note("".join(traceback.format_exception(error)))
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:  # noqa: BLE001 - foreign errors fail to be pickled in many ways
        plain = RuntimeError(f"{type(error).__name__}: {error}")
        plain.__notes__ = error.__notes__
        return plain
    return error


def opened(answer: Answer) -> Looked:
    """What an answer says, its warnings given here."""
    for text in answer.warned:
        warnings.warn(text, stacklevel=2)
    return answer.looked


def lost(source: Any, why: str) -> Looked:
    """What is said of a scene whose workers did not answer."""
    return SceneResult(name_of(source), error=SceneError(f"{name_of(source)}: {why}")), None
