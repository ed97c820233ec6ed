"""Rules that turn facts about a vessel into flags with reasons, in YAML: a user adds one without code."""

from __future__ import annotations

import os
import string
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, TypeVar

from detector.errors import ConfigError
from detector.flags.coverage import Covering
from detector.flags.identity import asked_country, country_name
from detector.flags.match import Matching
from detector.flags.transfers import Transferring
from detector.resources import config_path
from detector.yamlfiles import read_document

# What a rule may ask, and what it means. docs/flags.md says more.
FACTS = {
    "scene_id": "the scene",
    "acquired": "its time",
    "class": "vessel or coal_barge",
    "confidence": "of the detection",
    "coal_score": "how much the hull looks as if it shows coal, 0 to 1",
    "length_m": "seen",
    "width_m": "seen",
    "lon": "degrees",
    "lat": "degrees",
    "site": "name",
    "zone_id": "of the site file",
    "zone_kind": "coal_berth, berth, anchorage, area",
    "zone_name": "of the site file",
    "ais_status": "matched, ambiguous, unmatched, unknown",
    "ais_mmsi": "of the matched ship",
    "ais_mid": "its three leading digits",
    "ais_flag": "two-letter code of the country that the MMSI claims",
    "ais_country": "its name",
    "ais_imo": "as the ship says",
    "ais_name": "as the ship says",
    "ais_type": "as the ship says",
    "ais_length_m": "as the ship says",
    "ais_speed_kn": "at the time of the image",
    "ais_gap_minutes": "from the image to the nearest report",
    "ais_distance_m": "from where AIS puts the ship",
    "match_score": "probability of the match",
    "unmatched_probability": "that no AIS ship explains the hull",
    "coverage_shown": "AIS is shown to have been received there and then",
    "coverage": "what shows it, in words",
    "candidates": "ships it may be, in words",
    "watchlist": "entries found, in words",
    "watchlist_by": "IMO, MMSI or name: the surest way in which one was found",
    "conflicts": "what does not fit together, in words",
    "transfer_probability": "0 to 1",
    "transfer": "what was seen, in words",
}

Test = Callable[[Any, Any], bool]
_TESTS: dict[str, Test] = {
    "is": lambda fact, value: fact == value,
    "is_not": lambda fact, value: fact != value,
    "in": lambda fact, value: fact in value,
    "not_in": lambda fact, value: fact not in value,
    "at_least": lambda fact, value: fact >= value,
    "at_most": lambda fact, value: fact <= value,
    "more_than": lambda fact, value: fact > value,
    "less_than": lambda fact, value: fact < value,
    "known": lambda fact, value: (fact is not None) == value,
}
_OF_UNKNOWN = ("known", "is_not", "not_in")
_NUMBERS = ("at_least", "at_most", "more_than", "less_than")


@dataclass(frozen=True)
class Condition:
    """One line of `when`: a fact, a test and what it is tested against."""

    field: str
    test: str
    value: Any

    def holds(self, facts: Mapping[str, Any]) -> bool:
        fact = facts.get(self.field)
        if fact is None and self.test not in _OF_UNKNOWN:
            return False
        try:
            return bool(_TESTS[self.test](fact, self.value))
        except TypeError:
            raise ConfigError(
                f"rule on {self.field!r}: {fact!r} cannot be compared with {self.value!r}; use a value of its kind"
            ) from None


@dataclass(frozen=True)
class Rule:
    """A flag, when it is given, and the sentence that says why."""

    flag: str
    when: tuple[Condition, ...]
    reason: str

    def apply(self, facts: Mapping[str, Any]) -> str | None:
        """The reason, if every condition holds."""
        if not all(condition.holds(facts) for condition in self.when):
            return None
        return _Words().vformat(self.reason, (), facts).replace(";", ",")


class _Words(string.Formatter):
    """Fills facts into a sentence: names alone, no attributes or indices; what is not known becomes "unknown"."""

    def get_field(self, field_name: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> tuple[Any, str]:
        if field_name not in FACTS:
            raise ConfigError(f"a reason asks for {field_name!r}; the facts are {', '.join(FACTS)}")
        return kwargs.get(field_name), field_name

    def format_field(self, value: Any, format_spec: str) -> str:
        return "unknown" if value is None else str(format(value, format_spec))


@dataclass(frozen=True)
class Settings:
    """Everything that a file of rules can say."""

    matching: Matching
    coverage: Covering
    transfer: Transferring
    rules: tuple[Rule, ...]

    def asking_for(self, flag_states: Sequence[str]) -> Settings:
        """The same with a rule for each flag state (code, name or MID) that is asked for.

        Raises:
            ConfigError: an unknown flag state.
        """
        added = []
        for text in flag_states:
            mid, code = asked_country(text)
            when = Condition("ais_mid", "is", mid) if mid else Condition("ais_flag", "is", code)
            reason = f"MMSI {{ais_mmsi}} begins with {{ais_mid}}, digits of {country_name(code)}: the ship claims this flag"
            added.append(Rule(f"flag-{code}", (when,), reason))
        names = {rule.flag for rule in added}
        kept = [rule for rule in self.rules if rule.flag not in names]
        return replace(self, rules=(*kept, *added))


def load_settings(path: str | os.PathLike[str] | None = None) -> Settings:
    """The shipped settings and rules, with those of a file of your own on top.

    Raises:
        ConfigError: a file that is no YAML, an unknown name, or a value of the wrong kind.
    """
    shipped = _read(config_path("flags.yaml"))
    own = {} if path is None else _read(Path(path))
    rules = {rule.flag: rule for rule in map(_rule, shipped["rules"])}
    for rule in map(_rule, own.get("rules") or []):
        rules[rule.flag] = rule
    for name in own.get("disable") or []:
        if name not in rules:
            raise ConfigError(f"{path}: disable names {name!r}; the rules are {', '.join(rules)}")
        del rules[name]
    return Settings(
        matching=_section(Matching, "matching", shipped, own),
        coverage=_section(Covering, "coverage", shipped, own),
        transfer=_section(Transferring, "transfer", shipped, own),
        rules=tuple(rules.values()),
    )


def _read(path: Path) -> dict[str, Any]:
    document = read_document(path, "flags.yaml") or {}
    known = ("matching", "coverage", "transfer", "rules", "disable")
    if not isinstance(document, dict) or (unknown := [key for key in document if key not in known]):
        what = f"unknown part {unknown[0]!r}" if isinstance(document, dict) else "not a mapping"
        raise ConfigError(f"{path}: {what}; a file of rules has {', '.join(known)}")
    for key in ("rules", "disable"):
        if not isinstance(document.get(key) or [], list):
            raise ConfigError(f"{path}: {key!r} must be a list; see configs/flags.yaml")
    return document


_T = TypeVar("_T", Matching, Covering, Transferring)


def _section(kind: type[_T], name: str, *documents: Mapping[str, Any]) -> _T:
    values: dict[str, Any] = {}
    for document in documents:
        part = document.get(name) or {}
        allowed = [item.name for item in fields(kind)]
        if not isinstance(part, dict) or (unknown := [key for key in part if key not in allowed]):
            what = f"unknown setting {unknown[0]!r}" if isinstance(part, dict) else "not a mapping"
            raise ConfigError(f"{name}: {what}; use {', '.join(allowed)}")
        values |= part
    return kind(**values)


def _rule(entry: Any) -> Rule:
    if not isinstance(entry, dict) or set(entry) != {"flag", "when", "reason"}:
        raise ConfigError(f"a rule has flag, when and reason; received {entry!r:.200}")
    flag, when, reason = entry["flag"], entry["when"], entry["reason"]
    if not isinstance(flag, str) or not flag or ";" in flag or not isinstance(reason, str):
        raise ConfigError(f"rule {flag!r}: flag and reason are texts, the flag without ';'")
    if not isinstance(when, list) or not when:
        raise ConfigError(
            f"rule {flag!r}: when is a list of conditions such as {{field: length_m, more_than: 100}}"
        )
    try:
        rule = Rule(flag, tuple(_condition(line) for line in when), reason)
        for _, name, _, _ in string.Formatter().parse(reason):
            if name is not None:
                _Words().get_field(name, (), {})
    except (ConfigError, ValueError) as error:
        raise ConfigError(f"rule {flag!r}: {error}") from None
    return rule


def _condition(line: Any) -> Condition:
    tests = [key for key in line if key != "field"] if isinstance(line, dict) else []
    if len(tests) != 1 or tests[0] not in _TESTS or "field" not in line:
        raise ConfigError(f"{line!r:.100} is no condition; name a field and one of {', '.join(_TESTS)}")
    field, test, value = line["field"], tests[0], line[tests[0]]
    if field not in FACTS:
        raise ConfigError(f"unknown fact {field!r}; the facts are {', '.join(FACTS)}")
    if test in ("in", "not_in") and not isinstance(value, list):
        raise ConfigError(f"{field}: {test} needs a list, received {value!r}")
    if test in _NUMBERS and (isinstance(value, bool) or not isinstance(value, int | float)):
        raise ConfigError(f"{field}: {test} needs a number, received {value!r}")
    if test == "known" and not isinstance(value, bool):
        raise ConfigError(f"{field}: known is true or false, received {value!r}")
    return Condition(field, test, value)
