"""Painted Sentinel-2 scenes with known truth, for tests, the demonstration and benchmarks.

>>> from training.simulate import SceneSpec, paint
>>> scene = paint(SceneSpec(seed=1, size=(128, 128), vessel_count=2))
>>> sorted(scene.bands)
['B02', 'B03', 'B04', 'B08', 'B11']
"""

from training.simulate.demo import DemoResult, run_demo
from training.simulate.hulls import KINDS, Vessel
from training.simulate.product import true_colour, write_geotiff, write_safe
from training.simulate.scene import PaintedScene, Painter, SceneSpec, paint
from training.simulate.tile import paint_tile, tile_spec
from training.simulate.traffic import Traffic, TrueVisit, series
from training.simulate.truth import TrueVessel, site_geojson, truth_geojson

__all__ = [
    "KINDS",
    "DemoResult",
    "PaintedScene",
    "Painter",
    "SceneSpec",
    "Traffic",
    "TrueVessel",
    "TrueVisit",
    "Vessel",
    "paint",
    "paint_tile",
    "run_demo",
    "series",
    "site_geojson",
    "tile_spec",
    "true_colour",
    "truth_geojson",
    "write_geotiff",
    "write_safe",
]
