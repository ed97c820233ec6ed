"""What ships carry: tonnes by length and class, from a table of ships whose figures are public.

ln(tonnes) is taken as linear in ln(length), with normal scatter, and fitted by least squares. How unsure the fit is comes
from its posterior under the usual flat prior (Gelman et al., Bayesian Data Analysis, 3rd ed., section 14.2): the variance
is scaled inverse chi-squared, the coefficients are normal given it. So a table with few ships or much scatter gives wide
intervals by itself.
"""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detector.errors import ConfigError
from detector.loadings.beliefs import NORMAL_95
from detector.resources import config_path
from detector.wording import counted
from detector.yamlfiles import read_yaml

Floats = NDArray[np.float64]

CLASSES = ("vessel", "coal_barge")
_KEYS = ("classes", "fleet_spread", "share_loaded", "loads_coal")
_LEAST_SHIPS = 4


@dataclass(frozen=True)
class Capacity:
    """Tonnes against length of one class of ship.

    Attributes:
        is_cargo: the tonnes are cargo already, not deadweight.
        lengths_m, tonnes: (n,) the ships of the table.
    """

    is_cargo: bool
    lengths_m: Floats
    tonnes: Floats

    def __post_init__(self) -> None:
        if len(self.lengths_m) < _LEAST_SHIPS or np.ptp(self.lengths_m) <= 0:
            raise ConfigError(
                f"{counted(len(self.lengths_m), 'ship')}; at least {_LEAST_SHIPS} of different lengths are needed"
            )

    @property
    def _centre(self) -> float:
        return float(np.log(self.lengths_m).mean())

    def fit(self) -> tuple[Floats, Floats, float]:
        """Coefficients (2,) of 1 and ln(length) - its mean, their covariance over the variance (2, 2), and the variance."""
        x = np.column_stack([np.ones(len(self.tonnes)), np.log(self.lengths_m) - self._centre])
        covariance = np.linalg.inv(x.T @ x)
        coefficients = covariance @ x.T @ np.log(self.tonnes)
        rest = np.log(self.tonnes) - x @ coefficients
        return coefficients, covariance, float(rest @ rest) / (len(rest) - 2)

    def curves(self, draws: int, rng: np.random.Generator) -> Curves:
        """Joint draws of the two coefficients and the scatter."""
        coefficients, covariance, variance = self.fit()
        freedom = len(self.tonnes) - 2
        scatter = np.sqrt(variance * freedom / rng.chisquare(freedom, draws))
        root = np.linalg.cholesky(covariance)
        lines = coefficients + scatter[:, None] * (rng.standard_normal((draws, 2)) @ root.T)
        return Curves(lines[:, 0], lines[:, 1], scatter, self._centre)


@dataclass(frozen=True)
class Curves:
    """Draws of ln(tonnes) = level + slope (ln(length) - centre) + scatter z; each (draws,)."""

    level: Floats
    slope: Floats
    scatter: Floats
    centre: float

    def tonnes(self, length_m: Floats, z: Floats) -> Floats:
        """Tonnes (draws, n) of ships of length_m (draws, n), each z standard deviations off the line."""
        line = self.level[:, None] + self.slope[:, None] * (np.log(length_m) - self.centre)
        return np.asarray(np.exp(line + self.scatter[:, None] * z))


@dataclass(frozen=True)
class Payload:
    """What turns a visit into tonnes.

    Attributes:
        capacity: of each of CLASSES.
        fleet_spread: standard deviation of ln(tonnes) that all ships of a site have in common against the table.
        shares: (n,) cargo against deadweight of ships that were reported with both.
        loads_coal: 90 % belief about the share of visits that take coal.
    """

    capacity: dict[str, Capacity]
    fleet_spread: float
    shares: Floats
    loads_coal: tuple[float, float]

    def loading(self, draws: int, rng: np.random.Generator) -> Floats:
        """Draws of the share of visits that take coal: normal on the logit scale, with the belief as its 90 % interval."""
        low, high = (math.log(share / (1 - share)) for share in self.loads_coal)
        middle, spread = (low + high) / 2, (high - low) / (2 * NORMAL_95)
        return np.asarray(1 / (1 + np.exp(-(middle + spread * rng.standard_normal(draws)))))


def load_payload(source: Payload | str | os.PathLike[str] | None = None) -> Payload:
    """The shipped table (configs/payload.yaml), or one of the same form.

    Raises:
        ConfigError: a file that is missing, no YAML or not of that form; the message names the entry.
    """
    if isinstance(source, Payload):
        return source
    path = config_path("payload.yaml") if source is None else Path(source)
    document = read_yaml(path, _KEYS, "payload.yaml")
    try:
        classes = document["classes"]
        if not isinstance(classes, dict) or set(classes) != set(CLASSES):
            raise ConfigError(f"classes: give {' and '.join(CLASSES)}, received {_shown(classes)}")
        return Payload(
            capacity={name: _capacity(name, entry) for name, entry in classes.items()},
            fleet_spread=_number("fleet_spread", document["fleet_spread"], 0.0, 2.0),
            shares=_shares(document["share_loaded"]),
            loads_coal=_belief(document["loads_coal"]),
        )
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}; see configs/payload.yaml") from None


def _capacity(name: str, entry: Any) -> Capacity:
    if not isinstance(entry, dict) or set(entry) != {"figures", "ships"}:
        raise ConfigError(f"{name}: give figures and ships, received {_shown(entry)}")
    if entry["figures"] not in ("deadweight", "cargo"):
        raise ConfigError(f"{name}: figures is {_shown(entry['figures'])}, use deadweight or cargo")
    rows = _rows(f"{name}: ships", entry["ships"], ("length_m", "tonnes"))
    lengths = [_number(f"{where}: length_m", row["length_m"], 5, 500) for where, row in rows]
    tonnes = [_number(f"{where}: tonnes", row["tonnes"], 10, 1e6) for where, row in rows]
    try:
        return Capacity(entry["figures"] == "cargo", np.array(lengths), np.array(tonnes))
    except ConfigError as error:
        raise ConfigError(f"{name}: {error}") from None


def _shares(entries: Any) -> Floats:
    shares = []
    for where, row in _rows("share_loaded", entries, ("cargo_t", "deadweight_t")):
        cargo, deadweight = (_number(f"{where}: {k}", row[k], 1, 1e6) for k in ("cargo_t", "deadweight_t"))
        if cargo > deadweight:
            raise ConfigError(f"{where}: {cargo:g} t of cargo in {deadweight:g} t of deadweight")
        shares.append(cargo / deadweight)
    return np.array(shares)


def _rows(name: str, entries: Any, keys: tuple[str, ...]) -> list[tuple[str, dict[str, Any]]]:
    """Rows with what to call each in a message; every row says where its figures stand."""
    if not isinstance(entries, list) or not entries:
        raise ConfigError(f"{name}: give a list of rows, received {_shown(entries)}")
    rows = []
    for number, row in enumerate(entries, 1):
        if not isinstance(row, dict) or set(row) != {"name", "source", *keys}:
            raise ConfigError(
                f"{name}, row {number}: give name, {', '.join(keys)} and source, received {_shown(row)}"
            )
        if not isinstance(row["source"], str) or not row["source"].strip():
            raise ConfigError(f"{name}, row {number}: say in source where the figures stand")
        rows.append((f"{name}, row {number} ({row['name']})", row))
    return rows


def _belief(value: Any) -> tuple[float, float]:
    if not isinstance(value, list) or len(value) != 2:
        raise ConfigError(f"loads_coal: give [low, high], received {_shown(value)}")
    low, high = (_number("loads_coal", end, 0.001, 0.999) for end in value)
    if low > high:
        raise ConfigError(f"loads_coal: {low:g} is above {high:g}; give [low, high]")
    return low, high


def _number(name: str, value: Any, least: float, most: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
        raise ConfigError(f"{name} is {_shown(value)}, use a number from {least:g} to {most:g}")
    return float(value)


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."
