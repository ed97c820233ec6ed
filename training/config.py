"""The settings of a training run: a YAML file with a fixed set of names, so that a typing error is an error."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

import yaml

from detector.errors import ConfigError
from detector.resources import config_path

T = TypeVar("T")

WAYS = ("anchored", "alongside", "double_banked", "end_on", "rafted", "tow", "underway")
"""How a laid vessel can lie; see `training.composites.scene`."""
MOORINGS = ("anchored", "alongside", "double_banked", "end_on", "rafted")
"""How a pasted hull can lie: one with a wake is not cut out of its water."""


@dataclass
class SourceConfig:
    """One source of labels; see `training.datasets.load_source`.

    Attributes:
        format: coco, yolo (a folder of text files) or vector (GeoJSON, GeoPackage).
        labels, images: relative to the data folder.
        obb: for coco, how boxes are written: corners or cxcywha.
        place: the place of all its images; by default each image is a place of its own.
        corrections: a file of corrections in the data folder or in configs/.
        names: for yolo, the name of each class number.
        drop: classes that are background; classes not known to bargewatch become ignore areas.
        stand_ins: for an image's stem, the bands to show in place of missing ones.
        optional: leave the source out, with a warning, where its labels are absent.
    """

    format: str
    labels: str
    images: str = "."
    obb: str = "corners"
    place: str | None = None
    corrections: str | None = None
    names: list[str] = field(default_factory=lambda: ["vessel"])
    drop: list[str] = field(default_factory=list)
    stand_ins: dict[str, dict[str, str]] = field(default_factory=dict)
    optional: bool = False


@dataclass
class PaintedConfig:
    """Painted ports that are trained on beside the real ones; see `training.painted`.

    Attributes:
        scenes: how many; 0 for none.
        size: side of each in pixels of 10 m.
    """

    scenes: int = 0
    size: int = 1000


@dataclass
class LaidConfig:
    """Real ports with painted vessels laid at their quays; see `training.laid`.

    Attributes:
        copies: of each port that has all bands; 0 for none.
        vessels: laid on each copy, fewer where its water is full.
        status: share of each of `WAYS`. Mostly at quays and side by side, which is what few real labels show.
    """

    copies: int = 0
    vessels: int = 40
    status: dict[str, float] = field(
        default_factory=lambda: {"anchored": 0.1, "alongside": 0.6, "rafted": 0.2, "tow": 0.02, "underway": 0.08}
    )


@dataclass
class PastedConfig:
    """Real ports with hulls of other real vessels pasted on; see `training.pasted`.

    Attributes:
        copies: of each port that has all bands; 0 for none.
        vessels: pasted on each copy, fewer where its water is full.
        status: share of each of `MOORINGS`.
    """

    copies: int = 0
    vessels: int = 40
    status: dict[str, float] = field(
        default_factory=lambda: {
            "anchored": 0.15, "alongside": 0.4, "double_banked": 0.1, "end_on": 0.2, "rafted": 0.15
        }
    )  # fmt: skip


@dataclass
class SamplingConfig:
    """How crops are drawn; see `training.sampling.ChipSampler`."""

    size: int = 512
    samples: int = 560
    near_vessel: float = 0.75
    hard: float = 0.0
    scale: list[float] = field(default_factory=lambda: [0.75, 1.35])
    drop_near_infrared: float = 0.3
    strength: float = 1.0
    place_power: float = 0.5


@dataclass
class OptimiseConfig:
    """How the network is fitted."""

    epochs: int = 16
    batch: int = 8
    learning_rate: float = 0.0012
    final_learning_rate: float = 0.02
    weight_decay: float = 0.0005
    warmup_epochs: float = 0.6
    average: float = 0.995
    freeze: int = 0
    threads: int = 2
    workers: int = 1


@dataclass
class TrainConfig:
    """A whole run; `most_places` limits the places that are trained on (0: all), for a learning curve."""

    start: str
    data: list[SourceConfig]
    classes: list[str] = field(default_factory=lambda: ["vessel"])
    seed: int = 1
    folds: str = "folds.yaml"
    most_places: int = 0
    painted: PaintedConfig = field(default_factory=PaintedConfig)
    laid: LaidConfig = field(default_factory=LaidConfig)
    pasted: PastedConfig = field(default_factory=PastedConfig)
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
    if unknown := sorted(str(name) for name in set(given) - known):
        raise ConfigError(f"{where} has the unknown setting {unknown[0]!r}; known are {', '.join(sorted(known))}")
    try:
        return cls(**{name: _value(hints[name], value, f"{where}.{name}") for name, value in given.items()})
    except TypeError as error:
        raise ConfigError(f"{where}: {error}") from error


def _value(hint: Any, value: Any, where: str) -> Any:
    if is_dataclass(hint):
        return _build(hint, value, where)  # type: ignore[arg-type]
    if get_origin(hint) is list:
        (item,) = get_args(hint)
        if not isinstance(value, list):
            raise ConfigError(f"{where} must be a list, not {value!r}")
        return [_value(item, one, f"{where}[{i}]") for i, one in enumerate(value)]
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if hint in (int, float, str, bool) and (not isinstance(value, hint) or isinstance(value, bool) is not (hint is bool)):
        raise ConfigError(f"{where} must be {hint.__name__}, not {value!r}")
    return value


def _check(config: TrainConfig, where: str) -> None:
    """Numbers that could only fail later, in the middle of a run.

    Raises:
        ConfigError: the first that is out of range.
    """
    s, o = config.sampling, config.optimise
    rules = (
        (not config.classes or len(set(config.classes)) < len(config.classes), "classes", "names, each once"),
        (s.size < 64 or s.size % 32, "sampling.size", "a multiple of 32 from 64 on"),
        (s.samples < o.batch, "sampling.samples", "at least one batch"),
        (not 0 <= s.near_vessel < 1, "sampling.near_vessel", "a share from 0 to below 1"),
        (not 0 <= s.hard < 1 - s.near_vessel, "sampling.hard", "a share that leaves some crops at random"),
        (config.most_places < 0, "most_places", "0 or more"),
        (config.painted.scenes < 0, "painted.scenes", "0 or more"),
        (config.painted.size < 400 or config.painted.size % 2, "painted.size", "even and at least 400"),
        (config.laid.copies < 0, "laid.copies", "0 or more"),
        (config.laid.vessels < 1, "laid.vessels", "1 or more"),
        (not _shares(config.laid.status, WAYS), "laid.status", f"shares, 1 in all, of {', '.join(WAYS)}"),
        (config.pasted.copies < 0, "pasted.copies", "0 or more"),
        (config.pasted.vessels < 1, "pasted.vessels", "1 or more"),
        (not _shares(config.pasted.status, MOORINGS), "pasted.status", f"shares, 1 in all, of {', '.join(MOORINGS)}"),
        (not 0 <= s.drop_near_infrared <= 1, "sampling.drop_near_infrared", "a share from 0 to 1"),
        (not 0 <= s.strength <= 1.25, "sampling.strength", "from 0 to 1.25"),
        (len(s.scale) != 2 or not 0 < min(s.scale) or s.scale[0] > s.scale[-1], "sampling.scale", "two factors, low, high"),
        (o.epochs < 1, "optimise.epochs", "at least 1"),
        (o.batch < 1, "optimise.batch", "at least 1"),
        (not o.learning_rate > 0, "optimise.learning_rate", "above 0"),
        (o.threads < 1, "optimise.threads", "at least 1"),
        (o.workers < 0, "optimise.workers", "0 or more"),
    )
    for wrong, name, must in rules:
        if wrong:
            raise ConfigError(f"{where}.{name} must be {must}")


def _shares(table: Any, known: Sequence[str]) -> bool:
    numbers = table.values() if isinstance(table, dict) and set(table) <= set(known) else ["none"]
    sound = all(isinstance(n, int | float) and not isinstance(n, bool) and n >= 0 for n in numbers)
    return sound and abs(sum(numbers) - 1.0) < 1e-8  # as strictly as they are drawn by


def read_config(path: Path) -> TrainConfig:
    """Read and check a training configuration; what it does not say is as in the file that its `base` names.

    Raises:
        ConfigError: not YAML, an unknown or missing setting, or one of the wrong type or range.
    """
    try:
        config = _build(TrainConfig, _with_base(path), path.name)
    except (OSError, ValueError, yaml.YAMLError) as error:
        if isinstance(error, ConfigError):
            raise
        raise ConfigError(f"the configuration {path} cannot be read: {error}") from error
    _check(config, path.name)
    return config


def settings_files(run: Path) -> list[Path]:
    """The settings that a fold's run has kept; several where it is an average of runs (`training.average`)."""
    return [file for file in (run / "train.yaml", *sorted(run.glob("train-*.yaml"))) if file.is_file()]


def _with_base(path: Path, most: int = 4) -> Any:
    """The tables of a file and, below them, those of the file beside it that it names as `base`."""
    given = yaml.safe_load(path.read_text())
    if not isinstance(given, dict) or "base" not in given:
        return given
    if not most:
        raise ConfigError(f"{path} and its base name each other, or more files than four")
    below = _with_base(path.parent / str(given.pop("base")), most - 1)
    return _over(below, given)


def _over(below: Any, given: dict[str, Any]) -> Any:
    """A table of settings over another: section by section, and in a section setting by setting, each as a whole."""
    if not isinstance(below, dict):
        return given
    sections = {
        name: {**below[name], **value} if isinstance(value, dict) and isinstance(below.get(name), dict) else value
        for name, value in given.items()
    }
    return {**below, **sections}


def read_folds(name: str = "folds.yaml") -> tuple[dict[str, list[str]], list[str]]:
    """The places that each fold leaves out, and the test places that nothing may train on."""
    path = Path(name) if Path(name).is_file() else config_path(name)
    try:
        table = yaml.safe_load(path.read_text())
        return {k: list(v) for k, v in table["folds"].items()}, list(table.get("test", []))
    except (OSError, yaml.YAMLError, KeyError, TypeError, AttributeError) as error:
        raise ConfigError(f"{path} is not a table of folds: {error}") from error
