"""YAML files that users may replace by their own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from detector.errors import ConfigError


def read_document(path: Path, example: str) -> Any:
    """Whatever the file holds; None where it is empty.

    Args:
        example: the shipped file of this form, for the message.

    Raises:
        ConfigError: no such file, or not YAML.
    """
    import yaml

    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror or error}); check the path") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ConfigError(
            f"{path}: not YAML ({' '.join(str(error).split())}); see configs/{example}"
        ) from error


def read_yaml(path: Path, keys: tuple[str, ...], example: str) -> dict[str, Any]:
    """The document, a mapping with exactly `keys`.

    Raises:
        ConfigError: as `read_document`, or other keys.
    """
    document = read_document(path, example)
    if not isinstance(document, dict):
        raise ConfigError(f"{path}: not a mapping; see configs/{example}")
    if wrong := [str(key) for key in document if key not in keys] or [k for k in keys if k not in document]:
        what = "is missing" if wrong[0] in keys else "is not known"
        raise ConfigError(
            f"{path}: {wrong[0]!r} {what}; the file has {', '.join(keys)}, see configs/{example}"
        )
    return document
