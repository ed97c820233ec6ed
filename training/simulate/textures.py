"""Ground textures at 10 m made once and repeated: fields, towns, industry, forest and bare ground.

Parcels and roofs come from lattices whose direction changes from district to district; each is integrated
from sub-pixels, so that roofs are as mixed and as sharp as a 10 m pixel makes them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from training.simulate.noise import Array, fractal_tile, hash01, lookup
from training.simulate.spectra import BANDS, spectrum


@dataclass(frozen=True)
class Lattice:
    """How one kind of built or farmed ground looks: lot sides in metres, lanes, colours with weights."""

    lot_m: tuple[float, float]
    depth_m: tuple[float, float]
    lane_m: float
    lane: str
    block: int  # a wider street every so many lots
    street_m: float
    shadow_m: float
    colours: tuple[tuple[str, float], ...]
    contrast: float
    joined: float


TOWN = Lattice(
    (13, 24),
    (11, 20),
    3.0,
    "asphalt",
    7,
    9.0,
    2.5,
    (
        ("roof_grey", 30),
        ("roof_red", 13),
        ("roof_light", 7),
        ("roof_blue", 3),
        ("roof_green", 4),
        ("old_concrete", 14),
        ("bare", 12),
        ("grass", 16),
        ("forest", 6),
        ("asphalt", 6),
        ("white_paint", 1),
    ),
    0.25,
    0.35,
)
INDUSTRY = Lattice(
    (35, 90),
    (45, 140),
    14.0,
    "old_concrete",
    4,
    18.0,
    4.0,
    (
        ("roof_light", 9),
        ("roof_grey", 26),
        ("roof_blue", 5),
        ("old_concrete", 24),
        ("bare", 18),
        ("asphalt", 10),
        ("roof_red", 5),
        ("grass", 4),
        ("forest", 2),
        ("white_paint", 2),
        ("ballast", 14),
    ),
    0.22,
    0.45,
)


def _fields(summer: float) -> Lattice:
    green = 10 + 45 * summer
    return Lattice(
        (45, 130),
        (110, 320),
        3.0,
        "bare",
        6,
        8.0,
        0.0,
        (
            ("crop", green),
            ("paddy", 28),
            ("stubble", 40 * (1.2 - summer)),
            ("soil", 25 * (1.2 - summer)),
            ("grass", 14),
            ("bare", 6),
        ),
        0.12,
        0.4,
    )


def _districts(rng: np.random.Generator, size: int, count: int) -> NDArray[np.int64]:
    """A periodic map (size, size) of the nearest of ``count`` random centres."""
    tree = cKDTree(rng.random((count, 2)) * size, boxsize=size)
    rows, cols = np.mgrid[0:size, 0:size]
    return np.asarray(tree.query(np.c_[rows.ravel(), cols.ravel()])[1]).reshape(size, size)


def lattice_tile(rng: np.random.Generator, style: Lattice, size: int, sub: int, district_m: float) -> Array:
    """A periodic (bands, size, size) reflectance tile of lots, integrated from sub² sub-pixels a pixel."""
    count = max(4, round((size * 10 / district_m) ** 2))
    coarse = 2
    district = _districts(rng, size // coarse, count)
    angle = rng.uniform(0, np.pi, count).astype(np.float32)
    lot = rng.uniform(*style.lot_m, count).astype(np.float32)
    depth = rng.uniform(*style.depth_m, count).astype(np.float32)
    salt = int(rng.integers(1 << 30))
    palette = np.stack([spectrum(name) for name, _ in style.colours])
    edges = np.cumsum([w for _, w in style.colours])
    edges = edges / edges[-1]
    lane = spectrum(style.lane)
    out = np.empty((len(BANDS), size, size), np.float32)
    strip = 32
    for r0 in range(0, size, strip):
        n = min(strip, size - r0)
        y = (r0 * sub + np.arange(n * sub, dtype=np.float32) + 0.5)[:, None] * np.float32(10.0 / sub)
        x = (np.arange(size * sub, dtype=np.float32) + 0.5)[None, :] * np.float32(10.0 / sub)
        d = district[(y[:, 0] / (10 * coarse)).astype(int)][:, (x[0] / (10 * coarse)).astype(int)]
        c, s = np.cos(angle)[d], np.sin(angle)[d]
        u, v = x * c + y * s, y * c - x * s
        iu, iv = np.floor(u / lot[d]), np.floor(v / depth[d])
        fu, fv = u - iu * lot[d], v - iv * depth[d]
        i, j = iu.astype(np.int64) + 7919 * d, iv.astype(np.int64)
        # Some neighbours are one lot, so that sizes vary: pairs are joined at random, without the lane
        # between.
        joined = hash01(i // 2, j, salt + 3) < style.joined
        second = joined & (np.mod(i, 2) == 1)
        i = np.where(joined, i // 2 * 2, i)
        pick = np.searchsorted(edges, hash01(i, j, salt), side="right")
        shade = 1.0 + style.contrast * (2.0 * hash01(i, j, salt + 1) - 1.0)
        gap = np.where(np.mod(iu, style.block) == 0, style.street_m, style.lane_m)
        deep = style.lane_m * (0.6 + 1.6 * hash01(i, j, salt + 4) ** 2)
        on_lane = ((fu < gap) & ~second) | (fv < deep)
        if style.shadow_m:
            dark = ~on_lane & (fu < gap + style.shadow_m) & ~second
            shade = np.where(dark, 0.35 * shade, shade)
        for k in range(len(BANDS)):
            value = np.where(on_lane, lane[k], palette[np.minimum(pick, len(edges) - 1), k] * shade)
            out[k, r0 : r0 + n] = value.reshape(n, sub, size, sub).mean(axis=(1, 3))
    return out


class GroundTextures:
    """All land textures of one port: reflectance by cover for any window of pixels."""

    def __init__(self, seed: int, month: int) -> None:
        rng = np.random.default_rng([seed, 11])
        summer = float(np.clip(1.0 - abs(month - 7.5) / 3.5, 0.0, 1.0))
        self.fields = lattice_tile(rng, _fields(summer), 512, 2, 700.0)
        self.town = lattice_tile(rng, TOWN, 320, 5, 420.0)
        self.industry = lattice_tile(rng, INDUSTRY, 320, 4, 900.0)
        self.grain = fractal_tile(rng, 512, 1.3, 24)
        self.patches = fractal_tile(rng, 512, 2.4, 160)
        self._forest = spectrum("forest") * summer + spectrum("winter_forest") * (1.0 - summer)
        self._grass = spectrum("grass") * (0.4 + 0.6 * summer) + spectrum("stubble") * 0.6 * (1.0 - summer)

    def forest(self, rows: NDArray[np.int64], cols: NDArray[np.int64], light: Array) -> Array:
        """Canopy with its grain and clearings, lit by ``light`` (1 = flat ground)."""
        grain = 1.0 + 0.10 * lookup(self.grain, rows, cols)
        clear = np.clip(lookup(self.patches, rows + 97, cols + 31) - 1.2, 0.0, 1.0)
        tone = (light * np.clip(grain, 0.6, 1.5)).astype(np.float32)
        return np.asarray(
            self._forest[:, None, None] * tone * (1 - clear) + self._grass[:, None, None] * tone * clear,
            np.float32,
        )

    def bare(self, rows: NDArray[np.int64], cols: NDArray[np.int64]) -> Array:
        """Bare and reclaimed ground with worn patches."""
        mix = np.clip(0.5 + 0.35 * lookup(self.patches, rows + 211, cols + 5), 0, 1)
        grain = 1.0 + 0.07 * lookup(self.grain, rows + 13, cols + 77)
        return np.asarray(
            (spectrum("bare")[:, None, None] * mix + self._grass[:, None, None] * (1 - mix)) * grain,
            np.float32,
        )

    def tile(self, name: str, rows: NDArray[np.int64], cols: NDArray[np.int64]) -> Array:
        """One of the lattice tiles: ``fields``, ``town`` or ``industry``."""
        stack: Array = getattr(self, name)
        n = stack.shape[1]
        return np.asarray(stack[:, rows % n][:, :, cols % n])
