"""Land as it is seen at 10 m: covers chosen by relief, distance to the shore and to the harbours."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from training.simulate.noise import Array, axis_lookup, fractal_tile, lookup, smoothstep
from training.simulate.relief import Relief
from training.simulate.spectra import spectrum
from training.simulate.textures import GroundTextures


class Land:
    """Reflectance of the ground, water apart."""

    def __init__(self, relief: Relief, textures: GroundTextures, seed: int, sun_azimuth_deg: float) -> None:
        rng = np.random.default_rng([seed, 13])
        self._relief = relief
        self._textures = textures
        self._settled = fractal_tile(rng, 512, 2.6, longest=60)
        self._sun = np.radians(sun_azimuth_deg)

    def reflectance(self, rows: NDArray[np.int64], cols: NDArray[np.int64]) -> Array:
        """(bands, rows, cols) reflectance as if everything were land."""
        relief, textures = self._relief, self._textures
        height = relief.height(rows, cols)
        hill = relief.hill(rows, cols)
        near = relief.field(relief.near_harbour, rows, cols)
        settled = axis_lookup(self._settled, rows / 8.0, cols / 8.0)
        ragged = 0.12 * lookup(textures.grain, rows, cols) + 0.25 * lookup(textures.patches, rows, cols)

        town = settled + 1.7 * smoothstep(near, 4200, 700) - 0.8 * np.maximum(hill, 0) + 0.3 * ragged > 1.15
        industry = (near < 430 + 330 * settled + 160 * ragged) & (hill < 1.3) & (height > 4)
        forest = (hill + 0.5 * ragged > 0.45) & (height > 60)
        bare = lookup(textures.patches, rows + 300, cols + 150) > 1.75

        out = textures.tile("fields", rows, cols)
        for mask, name in ((town, "town"), (industry, "industry")):
            if mask.any():
                out = np.where(mask, textures.tile(name, rows, cols), out)
        wild = forest & ~town & ~industry
        if wild.any():
            out = np.where(wild, textures.forest(rows, cols, self._light(rows, cols)), out)
        open_ground = bare & ~town | (height < 14) & ~industry
        if open_ground.any():
            out = np.where(open_ground, textures.bare(rows, cols), out)
        # a line of rock and sand along natural shores
        beach = smoothstep(np.abs(height - 6.0), 16.0, 3.0) * (~industry)
        tone = 0.75 + 0.25 * lookup(textures.patches, rows + 50, cols + 450)
        shore = spectrum("sand")[:, None, None] * np.clip(tone, 0.35, 1.2)
        return np.asarray(out * (1 - 0.7 * beach) + shore * 0.7 * beach, np.float32)

    def _light(self, rows: NDArray[np.int64], cols: NDArray[np.int64]) -> Array:
        """Relative illumination of slopes, about 1."""
        pad_r = np.r_[rows[0] - 1, rows, rows[-1] + 1]
        pad_c = np.r_[cols[0] - 1, cols, cols[-1] + 1]
        h = self._relief.hill(pad_r, pad_c) + 0.05 * axis_lookup(self._settled, pad_r / 3.0, pad_c / 3.0)
        gy, gx = (h[2:, 1:-1] - h[:-2, 1:-1]) / 2, (h[1:-1, 2:] - h[1:-1, :-2]) / 2
        slope = -(gx * np.sin(self._sun) - gy * np.cos(self._sun))
        return np.asarray(np.clip(1.0 + 7.0 * slope, 0.55, 1.4), np.float32)
