"""bargewatch: vessels at a berth, found and counted in Sentinel-2 images.

    from detector import predict
    vessels = predict("S2A_MSIL2A_….SAFE")
    vessels.write("vessels.gpkg")

    from detector import count_loadings, load_site
    count = count_loadings("vessels.gpkg", "looks.csv", load_site("nampo"))
    count.write("nampo-2020")

Names are loaded when they are first used, so that `import detector` costs next to nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from detector.detections import Detections
    from detector.errors import BargewatchError
    from detector.flags import FlaggedVessels, flag_vessels
    from detector.flags.weekly import WeeklyPicture, weekly_picture
    from detector.loadings.count import LoadingCount, count_loadings
    from detector.loadings.sites import Site, list_sites, load_site
    from detector.prediction import predict
    from detector.preview import write_preview
    from detector.scene import Scene, open_scene
    from detector.store import Store

__version__ = "0.1.0"

__all__ = [
    "BargewatchError",
    "Detections",
    "FlaggedVessels",
    "LoadingCount",
    "Scene",
    "Site",
    "Store",
    "WeeklyPicture",
    "__version__",
    "count_loadings",
    "flag_vessels",
    "list_sites",
    "load_site",
    "open_scene",
    "predict",
    "weekly_picture",
    "write_preview",
]

# Public name -> the module that holds it. No module may share its name with a function listed here: importing
# `detector.x` sets the attribute `x` of this package, and the module would then hide the function.
_HOMES = {
    "BargewatchError": "detector.errors",
    "Detections": "detector.detections",
    "FlaggedVessels": "detector.flags",
    "LoadingCount": "detector.loadings.count",
    "Scene": "detector.scene",
    "Site": "detector.loadings.sites",
    "Store": "detector.store",
    "WeeklyPicture": "detector.flags.weekly",
    "count_loadings": "detector.loadings.count",
    "flag_vessels": "detector.flags",
    "list_sites": "detector.loadings.sites",
    "load_site": "detector.loadings.sites",
    "open_scene": "detector.scene",
    "predict": "detector.prediction",
    "weekly_picture": "detector.flags.weekly",
    "write_preview": "detector.preview",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'detector' has no attribute {name!r}")
    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
