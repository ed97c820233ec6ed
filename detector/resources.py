"""Where the files that ship with bargewatch are: configurations, sites and weights.

In a checkout they are the folders `configs/` and `weights/` beside the package; in an installed wheel
they lie inside it.
"""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def _folder(name: str) -> Path:
    installed = _PACKAGE / name
    return installed if installed.is_dir() else _PACKAGE.parent / name


def config_path(name: str) -> Path:
    """Path of a shipped configuration, e.g. ``config_path("sites/nampo.geojson")``; it may not exist."""
    return _folder("configs") / name


def weights_path(name: str) -> Path:
    """Path of a shipped file of `weights/`, e.g. ``weights_path("registry.json")``; it may not exist."""
    return _folder("weights") / name
