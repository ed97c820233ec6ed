"""Every error that a user can cause, as one family.

Each child also inherits the closest built-in, so `except FileNotFoundError` works as people expect.
A message is one sentence that says what was received and what to do about it.
"""

from __future__ import annotations


class BargewatchError(Exception):
    """Root of all errors raised on purpose by bargewatch."""


class SceneError(BargewatchError):
    """A scene cannot be used."""


class SceneNotFoundError(SceneError, FileNotFoundError):
    """The path of a scene does not exist, or holds nothing that is a scene."""


class UnreadableSceneError(SceneError, OSError):
    """The scene is there but cannot be decoded: truncated, corrupt, no permission, not a raster."""


class MissingBandError(SceneError, ValueError):
    """A band that the network needs is absent, or it is not known which band is which."""


class UnknownScaleError(SceneError, ValueError):
    """It is not known how stored numbers become reflectance."""


class GeoreferenceError(SceneError, ValueError):
    """The scene has no usable position: no CRS, no transform, or a rotated grid."""


class EmptySceneError(SceneError, ValueError):
    """The scene holds no usable pixel."""


class WeightsError(BargewatchError, ValueError):
    """A weights file is unknown, damaged or not a bargewatch network."""


class WeightsNotFoundError(WeightsError, FileNotFoundError):
    """No weights file at that path or under that name."""


class SiteError(BargewatchError, ValueError):
    """A site file is missing or does not say what a site file must say."""


class TableError(BargewatchError, ValueError):
    """A table cannot be read or written, or lacks a column."""


class MissingColumnError(TableError):
    """A table lacks columns: `missing` names them all."""

    def __init__(self, message: str, missing: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.missing = missing


class ConfigError(BargewatchError, ValueError):
    """A setting is unknown or out of range."""


class LabelError(BargewatchError, ValueError):
    """A label file cannot be understood."""


class FetchError(BargewatchError, OSError):
    """Imagery cannot be fetched: a catalogue or a service does not answer, or answers nonsense."""


class AccountError(FetchError):
    """An imagery service needs credentials that are missing, or refuses those given."""


class QuotaError(FetchError):
    """The account at an imagery service has used up its allowance."""


class StoreError(BargewatchError, ValueError):
    """A store of a site cannot be used: it is something else, damaged, of a later version, or cannot be written."""


class StoreBusyError(StoreError):
    """Another process is writing the store."""


class MissingDependencyError(BargewatchError, ImportError):
    """An optional package is needed for what was asked."""
