"""The settings of a training run: a YAML file with a fixed set of names, so that a typing error is an error."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

import yaml

from detector.errors import ConfigError
from detector.resources import config_path

T = TypeVar("T")


@dataclass
class SourceConfig:
    """One source of labels."""

    format: str
    labels: str
    images: str = "."
    obb: str = "corners"
    place: str | None = None
    corrections: str | None = None
    drop: list[str] = field(default_factory=list)
    stand_ins: dict[str, dict[str, str]] = field(default_factory=dict)


@dataclass
class SamplingConfig:
    """How crops are drawn; see `training.sampling.ChipSampler`."""

    size: int = 512
    samples: int = 560
    near_vessel: float = 0.75
    scale: list[float] = field(default_factory=lambda: [0.75, 1.35])
    drop_near_infrared: float = 0.3
    strength: float = 1.0
    place_power: float = 0.5


@dataclass
class OptimiseConfig:
    """How the network is fitted."""

    epochs: int = 14
    batch: int = 8
    learning_rate: float = 0.0012
    final_learning_rate: float = 0.02
    weight_decay: float = 0.0005
    warmup_epochs: float = 0.6
    freeze: int = 0
    threads: int = 2
    workers: int = 1


@dataclass
class TrainConfig:
    """A whole run."""

    start: str
    data: list[SourceConfig]
    classes: list[str] = field(default_factory=lambda: ["vessel"])
    seed: int = 1
    folds: str = "folds.yaml"
    sampling: SamplingConfig = field(default_factory=SamplingConfig)
    optimise: OptimiseConfig = field(default_factory=OptimiseConfig)

    def to_yaml(self) -> str:
        """The settings as YAML that `read_config` reads back."""
        return str(yaml.safe_dump(asdict(self), sort_keys=False))


def _build(cls: type[T], given: Any, where: str) -> T:
    if not isinstance(given, dict):
        raise ConfigError(f"{where} must be a table of settings, not {given!r}")
    hints = get_type_hints(cls)
    known = {f.name for f in fields(cls)}  # type: ignore[arg-type]
    if unknown := sorted(set(given) - known):
        raise ConfigError(f"{where} has the unknown setting {unknown[0]!r}; known are {', '.join(sorted(known))}")
    values: dict[str, Any] = {}
    for name, value in given.items():
        hint = hints[name]
        if hint == list[SourceConfig]:
            values[name] = [_build(SourceConfig, v, f"{where}.{name}[{i}]") for i, v in enumerate(value)]
        elif is_dataclass(hint):
            values[name] = _build(hint, value, f"{where}.{name}")  # type: ignore[arg-type]
        elif hint is float and isinstance(value, int):
            values[name] = float(value)
        elif hint in (int, float, str) and not isinstance(value, hint):
            raise ConfigError(f"{where}.{name} must be {hint.__name__}, not {value!r}")
        else:
            values[name] = value
    try:
        return cls(**values)
    except TypeError as error:
        raise ConfigError(f"{where}: {error}") from error


def read_config(path: Path) -> TrainConfig:
    """Read and check a training configuration.

    Raises:
        ConfigError: not YAML, an unknown or missing setting, or one of the wrong type.
    """
    try:
        return _build(TrainConfig, yaml.safe_load(path.read_text()), path.name)
    except (OSError, yaml.YAMLError) as error:
        raise ConfigError(f"the configuration {path} cannot be read: {error}") from error


def read_folds(name: str = "folds.yaml") -> tuple[dict[str, list[str]], list[str]]:
    """The places that each fold leaves out, and the test places that nothing may train on."""
    path = Path(name) if Path(name).is_file() else config_path(name)
    try:
        table = yaml.safe_load(path.read_text())
        return {k: list(v) for k, v in table["folds"].items()}, list(table.get("test", []))
    except (OSError, yaml.YAMLError, KeyError, TypeError, AttributeError) as error:
        raise ConfigError(f"{path} is not a table of folds: {error}") from error
