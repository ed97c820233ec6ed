"""Water: suspended matter with fronts and plumes, tidal flats, swell and glint, slicks."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from training.simulate.noise import (
    Array,
    axis_lookup,
    fractal_tile,
    lookup,
    smooth_lookup,
    smoothstep,
    swell_tile,
)
from training.simulate.relief import Relief
from training.simulate.sensor import BAND_LAG_S, PIXEL_M
from training.simulate.spectra import BANDS, spectrum, water_spectrum

# Glint is nearly grey, a little stronger in the short waves once the atmosphere is taken off.
_GLINT = np.array([1.0, 0.98, 0.96, 0.93, 0.85], np.float32)


class Water:
    """Reflectance of the water surface; ``turbidity`` 0 (clear) to 1 (brown estuary), ``wind`` in m/s."""

    def __init__(
        self, relief: Relief, seed: int, *, turbidity: float, wind: float, glint: float, parity: int
    ) -> None:
        rng = np.random.default_rng([seed, 17])
        self._relief = relief
        self._turbidity, self._wind, self._parity = turbidity, wind, parity
        self._glint = glint
        self._mass = fractal_tile(rng, 512, 3.4, longest=300)
        self._front = fractal_tile(rng, 512, 3.7, longest=200)
        self._warp = fractal_tile(rng, 512, 3.2, longest=120)
        self._slick = fractal_tile(rng, 512, 3.0, longest=140)
        self._gust = fractal_tile(rng, 512, 2.8, longest=90)
        self.swell_heading = float(rng.uniform(0, 360))
        self._swell = swell_tile(rng, 1024, self.swell_heading, float(rng.uniform(3.2, 7.0)), 0.5)
        self._mottle = fractal_tile(rng, 512, 1.5, longest=30)
        self._offset = rng.integers(0, 512, 8)

    def matter(self, rows: NDArray[np.int64], cols: NDArray[np.int64]) -> Array:
        """Suspended matter, g/m3."""
        a, b = self._offset[:2]
        y, x = np.meshgrid(rows / 7.0, cols / 7.0, indexing="ij")
        bend = 9.0 * axis_lookup(self._warp, (rows + a) / 9.0, (cols + b) / 9.0)
        mass = smooth_lookup(self._mass, (y + a + bend) / 2, (x + b - bend) / 2)
        # A front: the same water mass with a steep step, sharp on one side as where a plume overruns the sea.
        front = smooth_lookup(self._front, (y + b + 0.9 * bend) / 1.3, (x + a + 0.7 * bend) / 2.1)
        sharp = smoothstep(axis_lookup(self._gust, (rows + a) / 17.0, (cols + b) / 17.0), -1.2, 1.0)
        step = sharp * smoothstep(front, 0.25, 0.36) + (1 - sharp) * smoothstep(front, -0.3, 0.9)
        step = step - 0.6 * smoothstep(front, 0.36, 1.8)
        shallow = smoothstep(self._relief.field(self._relief.natural, rows, cols), -700.0, -10.0)
        upstream = np.clip(cols / max(self._relief.size[1], 1), 0, 1)[None, :]
        level = self._turbidity * (0.50 + 0.25 * mass + 0.34 * step + 0.30 * shallow + 0.35 * upstream)
        return np.asarray(1.5 + 95.0 * np.clip(level, 0.0, 2.2) ** 1.6, np.float32)

    def slicks(self, rows: NDArray[np.int64], cols: NDArray[np.int64]) -> Array:
        """0 to 1: films and convergence lines that flatten the small waves (Busan shows many)."""
        a, b = self._offset[2:4]
        y, x = np.meshgrid((rows + a) / 6.0, (cols + b) / 6.0, indexing="ij")
        bend = 10.0 * axis_lookup(self._warp, (rows + b) / 14.0, (cols + a) / 14.0)
        line = smooth_lookup(self._slick, (y + bend) / 2.2, (x - 0.6 * bend) / 2.2)
        thin = np.exp(-((line / 0.055) ** 2))
        broken = smoothstep(axis_lookup(self._gust, (rows + a) / 11.0, (cols + b) / 11.0), -0.2, 0.8)
        return np.asarray(thin * broken, np.float32)

    def reflectance(self, rows: NDArray[np.int64], cols: NDArray[np.int64]) -> Array:
        """(bands, rows, cols) reflectance as if everything were water, tidal flats included."""
        height = self._relief.height(rows, cols)
        out = water_spectrum(self.matter(rows, cols))
        a, b = self._offset[4:6]
        rough = 0.35 + 0.10 * self._wind
        gust = 1.0 + 0.16 * axis_lookup(self._gust, (rows + b) / 13.0, (cols + a) / 13.0)
        slick = self.slicks(rows, cols)
        mottle = 1.0 + 0.010 * lookup(self._mottle, rows + a, cols + b)
        speed = 7.0  # m/s, phase speed of the waves that carry the texture
        s, c = np.sin(np.radians(self.swell_heading)), np.cos(np.radians(self.swell_heading))
        for k, band in enumerate(BANDS):
            # The texture moves with the waves while the bands look one after the other.
            shift = self._parity * BAND_LAG_S[band] * speed / PIXEL_M
            wave = axis_lookup(self._swell, rows + 7 * a + shift * c, cols + 3 * b - shift * s)
            level = self._glint * _GLINT[k] * gust * (1.0 - 0.55 * slick)
            ripple = (0.0006 + 0.055 * self._glint * _GLINT[k] * rough) * (1.0 - 0.7 * slick)
            out[k] = (out[k] * mottle + level + ripple * wave) * (1.0 - 0.05 * slick)
        return np.asarray(np.maximum(self._flats(out, rows, cols, height), 0.0005), np.float32)

    def _flats(self, out: Array, rows: NDArray[np.int64], cols: NDArray[np.int64], height: Array) -> Array:
        """Wet mud that the tide has left, cut by creeks, on natural shores only."""
        relief = self._relief
        natural = 1.0 - smoothstep(relief.field(relief.calm, rows, cols), 0.0, 0.3)
        creek = np.abs(lookup(relief.detail, rows * 2 + 300, cols * 2 + 200))
        wide = 60.0 + 130.0 * np.clip(relief.hill(rows + 999, cols + 333), -0.4, 1.5)
        mud = smoothstep(height + wide, -25.0, 10.0) * natural * (0.55 + 0.45 * smoothstep(creek, 0.1, 0.35))
        mud = mud * smoothstep(relief.field(relief.near_harbour, rows, cols), 500, 1500)
        wet = 0.75 + 0.25 * smoothstep(height, -120.0, 0.0)
        return np.asarray(out * (1 - mud) + spectrum("mud")[:, None, None] * wet * mud, np.float32)
