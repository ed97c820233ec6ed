"""Opening images: whatever holds Sentinel-2 bands becomes a Scene."""

from __future__ import annotations

from detector.scene.core import Scene
from detector.scene.opening import open_scene

__all__ = ["Scene", "open_scene"]
