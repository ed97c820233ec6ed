"""Paint a Sentinel-2 scene of a port, block by block, with the truth known.

A block is painted at 10 m where nothing is built or afloat, and from 2 m sub-pixels where something is; both
ways go through the same blur, so no seam shows. Blocks depend only on the specification and on their place.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from shapely import STRtree, box

from detector.geometry import Grid, Window
from training.simulate.atmosphere import RAYLEIGH, Atmosphere, classify
from training.simulate.canvas import Canvas
from training.simulate.drawing import HullDrawing
from training.simulate.fleet import FleetBuilder, Waters
from training.simulate.hulls import Vessel
from training.simulate.land import Land
from training.simulate.noise import Array
from training.simulate.port import ALL_TRADES, TRADES, Facilities, Zone, anchorages, build
from training.simulate.relief import Relief, Shore
from training.simulate.sensor import PIXEL_M, SUB, NoiseModel, blur_pixels, fine_to_pixels, quantise
from training.simulate.spectra import BANDS
from training.simulate.structures import StructureDrawing
from training.simulate.sun import sun_position
from training.simulate.textures import GroundTextures
from training.simulate.truth import TrueVessel, true_vessel
from training.simulate.wakes import WakeDrawing
from training.simulate.water import Water

_HALO = 3
_BLOCK = 512
_PATCH = 64


@dataclass(frozen=True)
class SceneSpec:
    """What to paint. Every random choice comes from ``seed`` (the date) and ``port_seed`` (what stays).

    ``size`` is (height, width) in 10 m pixels, even numbers. ``haze``, ``cloud_fraction`` and ``turbidity``
    go from 0
    to 1; ``wind`` is in m/s; ``glint`` is a reflectance. ``vessels`` None draws about ``vessel_count`` of
    them. ``parity`` is the order of the bands in time (+1 or -1, it changes between detector modules).
    """

    seed: int = 0
    size: tuple[int, int] = (1200, 1200)
    lon: float = 125.40
    lat: float = 38.72
    epsg: int = 32651
    origin: tuple[float, float] | None = None  # upper left corner in the CRS; default: lon, lat in the middle
    acquired: datetime = datetime(2020, 3, 1, 2, 21, 9, tzinfo=UTC)
    level: str = "L2A"
    haze: float = 0.15
    cloud_fraction: float = 0.0
    wind: float = 4.0
    turbidity: float = 0.6
    glint: float = 0.012
    port_seed: int | None = None
    harbours: int = 1
    trades: tuple[str, ...] = TRADES  # terminals along each front, in this order, as many as fit
    estuary: bool = True
    vessels: tuple[Vessel, ...] | None = None
    vessel_count: int = 30
    rafting: float = 0.0  # share of the moored vessels that have another outside them
    noise: bool = True
    parity: int | None = None

    def __post_init__(self) -> None:
        if min(self.size) < 64 or self.size[0] % 2 or self.size[1] % 2:
            raise ValueError(f"size {self.size} must be even and at least 64 pixels a side")
        if unknown := set(self.trades) - set(ALL_TRADES):
            raise ValueError(f"trades {sorted(unknown)} are unknown; known are {', '.join(ALL_TRADES)}")
        if self.level not in ("L1C", "L2A"):
            raise ValueError(f"level {self.level!r} must be 'L1C' or 'L2A'")
        if self.acquired.tzinfo is None:
            raise ValueError(f"acquired {self.acquired} must carry a time zone")


@dataclass
class PaintedScene:
    """A painted scene: stored numbers by band (uint16, all on the 10 m grid), SCL, grid and truth."""

    spec: SceneSpec
    bands: dict[str, NDArray[np.uint16]]
    scl: NDArray[np.uint8]
    grid: Grid
    truth: list[TrueVessel]
    zones: list[Zone] = field(default_factory=list)

    @property
    def id(self) -> str:
        """Name of the product, as Sentinel-2 would call it."""
        return product_name(self.spec)

    def reflectance(self, bands: Sequence[str] = BANDS) -> Array:
        """(bands, h, w) float32 reflectance."""
        stack = np.stack([self.bands[b] for b in bands]).astype(np.float32)
        return np.asarray((stack - 1000.0) / 10000.0, np.float32)


def product_name(spec: SceneSpec) -> str:
    """``S2A_MSIL2A_<sensing>_N0400_R003_T51SYC_<made>``; seconds in the last field tell seeds apart."""
    sensed = spec.acquired.astimezone(UTC).strftime("%Y%m%dT%H%M%S")
    made = spec.acquired.astimezone(UTC) + timedelta(days=1, seconds=spec.seed % 86400)
    return f"S2A_MSI{spec.level}_{sensed}_N0400_R003_{tile_name(spec)}_{made:%Y%m%dT%H%M%S}"


def tile_name(spec: SceneSpec) -> str:
    """MGRS tile of the scene; scenes elsewhere than Nampo get the zone and a made-up square."""
    return "T51SYC" if spec.epsg == 32651 else f"T{spec.epsg % 100:02d}SAA"


def scene_grid(spec: SceneSpec) -> Grid:
    """The 10 m grid of a scene, on whole multiples of 10 m as real tiles are."""
    from affine import Affine
    from pyproj import Transformer
    from rasterio.crs import CRS

    if spec.origin is None:
        x, y = Transformer.from_crs(4326, spec.epsg, always_xy=True).transform(spec.lon, spec.lat)
        left = round((x - spec.size[1] * 5) / 20) * 20
        top = round((y + spec.size[0] * 5) / 20) * 20
    else:
        left, top = spec.origin
    return Grid(
        CRS.from_epsg(spec.epsg), Affine(PIXEL_M, 0, left, 0, -PIXEL_M, top), spec.size[1], spec.size[0]
    )


@lru_cache(maxsize=2)
def _relief(size: tuple[int, int], shore: Shore, seed: int, harbours: int, half_m: float) -> Relief:
    return Relief(size, shore, seed, harbours, half_m)


@lru_cache(maxsize=2)
def _textures(seed: int, month: int) -> GroundTextures:
    return GroundTextures(seed, month)


class Painter:
    """Everything that is fixed for one scene; :meth:`block` paints any rectangle of it."""

    def __init__(self, spec: SceneSpec) -> None:
        self.spec, self.grid = spec, scene_grid(spec)
        port_seed = spec.seed if spec.port_seed is None else spec.port_seed
        short = min(spec.size) * PIXEL_M
        half = min(1450.0, 0.36 * spec.size[1] * PIXEL_M)
        shore = Shore(spec.estuary, 0.012 * short if spec.estuary else 0.035 * short)
        self.relief = _relief(spec.size, shore, port_seed, spec.harbours, half)
        self.facilities: list[Facilities] = [build(h, spec.trades) for h in self.relief.harbours]
        self.zones = [z for f in self.facilities for z in f.zones]
        self.zones += [z for h in self.relief.harbours for z in anchorages(h, spec.size)]
        centre = self.grid.to_lonlat([spec.size[1] / 2], [spec.size[0] / 2])
        self.sun = sun_position(float(centre[0][0]), float(centre[1][0]), spec.acquired)
        self.land = Land(self.relief, _textures(port_seed, spec.acquired.month), port_seed, self.sun[0])
        self.parity = spec.parity or (1 if np.random.default_rng([spec.seed, 29]).random() < 0.5 else -1)
        self.water = Water(
            self.relief,
            spec.seed,
            turbidity=spec.turbidity,
            wind=spec.wind,
            glint=spec.glint,
            parity=self.parity,
        )
        self.air = Atmosphere(spec.seed, spec.haze, spec.cloud_fraction, self.sun)
        self.noise = NoiseModel.of(self.sun[1])
        self.vessels = list(spec.vessels) if spec.vessels is not None else self._crew()
        self._drawings = self._order()
        self._tree = STRtree([box(*d.bounds) for d in self._drawings])

    def waters(self) -> Waters:
        """The free water of the port, with no vessel in it."""
        solid = [s.outline for f in self.facilities for s in f.structures if s.height_m < 20]
        return Waters(self.relief, solid, self.zones)

    def _crew(self) -> list[Vessel]:
        rng = np.random.default_rng([self.spec.seed, 31])
        return FleetBuilder(self.waters(), self.facilities, rng, self.spec.rafting).fill(self.spec.vessel_count)

    def _order(self) -> list[StructureDrawing | WakeDrawing | HullDrawing]:
        """Bottom to top: ground works, wakes, hulls, and cranes that reach over ships."""
        murk = float(np.clip(self.spec.turbidity * 1.4 - 0.2, 0, 1))
        built = [s for f in self.facilities for s in f.structures]
        low = [StructureDrawing(s, self.sun) for s in built if s.height_m < 20]
        high = [StructureDrawing(s, self.sun) for s in built if s.height_m >= 20]
        wakes = [WakeDrawing(v, murk, self.spec.wind, self.parity) for v in self.vessels if v.speed_kn > 0.5]
        hulls = [HullDrawing(v, self.sun, self.parity) for v in self.vessels]
        return [*low, *wakes, *hulls, *high]

    def block(self, window: Window) -> tuple[NDArray[np.uint16], NDArray[np.uint8]]:
        """Stored numbers (bands, h, w) and SCL (h, w) of a window on even pixels."""
        rows = np.arange(window.row - _HALO, window.row + window.height + _HALO)
        cols = np.arange(window.col - _HALO, window.col + window.width + _HALO)
        base = self._base(rows, cols)
        inner = (slice(None), slice(_HALO, -_HALO), slice(_HALO, -_HALO))
        surface = blur_pixels(base)[inner]
        for patch in _patches(window):
            self._detail(patch, window, base, surface)
        rows, cols = rows[_HALO:-_HALO], cols[_HALO:-_HALO]
        hazy, cloud, shadow = self.air.apply(surface, rows, cols)
        scl = _coarse_scl(classify(surface, cloud, shadow))
        if self.spec.level == "L1C":
            hazy = hazy * (1.0 - RAYLEIGH[:, None, None]) + RAYLEIGH[:, None, None]
        if self.spec.noise:
            hazy = self._noisy(hazy, window)
        hazy[4] = _coarsen(hazy[4])
        return quantise(hazy), scl

    def _base(self, rows: NDArray[np.int64], cols: NDArray[np.int64]) -> Array:
        """Land and water at 10 m, before the optics."""
        dry = np.clip(self.relief.height(rows, cols) / 10.0 + 0.5, 0.0, 1.0)
        if not dry.any():
            return self.water.reflectance(rows, cols)
        land = self.land.reflectance(rows, cols)
        if dry.all():
            return land
        return np.asarray(land * dry + self.water.reflectance(rows, cols) * (1.0 - dry), np.float32)

    def _detail(self, patch: Window, window: Window, base: Array, surface: Array) -> None:
        """Repaint a patch of ``surface`` from sub-pixels if anything is drawn on it."""
        x0, y0 = (patch.col - _HALO) * PIXEL_M, (patch.row - _HALO) * PIXEL_M
        x1, y1 = x0 + (patch.width + 2 * _HALO) * PIXEL_M, y0 + (patch.height + 2 * _HALO) * PIXEL_M
        hits = self._tree.query(box(x0, y0, x1, y1))
        if not hits.size:
            return
        r, c = patch.row - window.row, patch.col - window.col
        part = base[:, r : r + patch.height + 2 * _HALO, c : c + patch.width + 2 * _HALO]
        canvas = Canvas(np.repeat(np.repeat(part, SUB, axis=1), SUB, axis=2), x0, y0)
        for k in np.sort(hits):
            self._drawings[k].draw(canvas)
        pixels = fine_to_pixels(canvas.data)[:, _HALO:-_HALO, _HALO:-_HALO]
        surface[:, r : r + patch.height, c : c + patch.width] = pixels

    def _noisy(self, reflectance: Array, window: Window) -> Array:
        rng = np.random.default_rng([self.spec.seed, 37, window.row, window.col])
        lift = 0.0 if self.spec.level == "L1C" else RAYLEIGH[:, None, None]
        noisy = self.noise.add(reflectance + lift, rng) - lift
        # B11 is averaged over 2 × 2 afterwards: twice the noise a pixel leaves the noise of one 20 m pixel.
        noisy[4] = 2.0 * noisy[4] - reflectance[4]
        return np.asarray(noisy, np.float32)

    def truth(self) -> list[TrueVessel]:
        """Truth of all vessels, and whether each is free of cloud."""
        return [
            true_vessel(v, self.grid, self.air.cover_at(v.y / PIXEL_M - 0.5, v.x / PIXEL_M - 0.5) < 0.35)
            for v in self.vessels
        ]


def _patches(window: Window) -> Iterator[Window]:
    for row in range(window.row, window.row + window.height, _PATCH):
        for col in range(window.col, window.col + window.width, _PATCH):
            height = min(_PATCH, window.row + window.height - row)
            width = min(_PATCH, window.col + window.width - col)
            yield Window(col, row, width, height)


def blocks(size: tuple[int, int], side: int = _BLOCK) -> Iterator[Window]:
    """The blocks of a scene; noise is seeded by block, so the side must not change between runs."""
    for row in range(0, size[0], side):
        for col in range(0, size[1], side):
            yield Window(col, row, min(side, size[1] - col), min(side, size[0] - row))


def _coarsen(plane: Array) -> Array:
    """A band of 20 m on the 10 m grid: means of 2 × 2, repeated."""
    h, w = plane.shape
    mean = plane.reshape(h // 2, 2, w // 2, 2).mean(axis=(1, 3))
    return np.asarray(np.repeat(np.repeat(mean, 2, axis=0), 2, axis=1), np.float32)


def _coarse_scl(scl: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.repeat(np.repeat(scl[::2, ::2], 2, axis=0), 2, axis=1)


def paint(spec: SceneSpec) -> PaintedScene:
    """Paint a whole scene in memory (use :func:`training.simulate.tile.paint_tile` for a full tile)."""
    return paint_with(Painter(spec))


def paint_with(painter: Painter) -> PaintedScene:
    """Paint the scene of a painter that was set up before."""
    spec = painter.spec
    stack = np.zeros((len(BANDS), *spec.size), np.uint16)
    scl = np.zeros(spec.size, np.uint8)
    for window in blocks(spec.size):
        at = (slice(window.row, window.row + window.height), slice(window.col, window.col + window.width))
        stack[:, at[0], at[1]], scl[at] = painter.block(window)
    bands = {band: stack[k] for k, band in enumerate(BANDS)}
    return PaintedScene(spec, bands, scl, painter.grid, painter.truth(), painter.zones)
