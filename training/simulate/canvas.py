"""A patch of 2 m sub-pixels to draw on, in metres from the upper left corner of the scene."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from training.simulate.noise import Array
from training.simulate.sensor import STEP_M

Bounds = tuple[float, float, float, float]  # x0, y0, x1, y1 in metres


@dataclass
class Canvas:
    """Reflectance (bands, height, width) of sub-pixels; ``x0, y0`` is the upper left corner in metres."""

    data: Array
    x0: float
    y0: float

    def crop(self, bounds: Bounds) -> Canvas | None:
        """The part inside the bounds, sharing memory; None when there is none."""
        height, width = self.data.shape[1:]
        c0 = max(int(np.floor((bounds[0] - self.x0) / STEP_M)), 0)
        r0 = max(int(np.floor((bounds[1] - self.y0) / STEP_M)), 0)
        c1 = min(int(np.ceil((bounds[2] - self.x0) / STEP_M)), width)
        r1 = min(int(np.ceil((bounds[3] - self.y0) / STEP_M)), height)
        if c0 >= c1 or r0 >= r1:
            return None
        return Canvas(self.data[:, r0:r1, c0:c1], self.x0 + c0 * STEP_M, self.y0 + r0 * STEP_M)

    def axes(self) -> tuple[Array, Array]:
        """x (1, width) and y (height, 1) of the sub-pixel centres."""
        height, width = self.data.shape[1:]
        x = self.x0 + (np.arange(width, dtype=np.float32) + 0.5) * np.float32(STEP_M)
        y = self.y0 + (np.arange(height, dtype=np.float32) + 0.5) * np.float32(STEP_M)
        return x[None, :].astype(np.float32), y[:, None].astype(np.float32)

    def frame(self, x: float, y: float, heading_deg: float) -> tuple[Array, Array]:
        """Positions along (u, forward) and across (v, to starboard) for an origin and a grid heading."""
        xs, ys = self.axes()
        s, c = np.float32(np.sin(np.radians(heading_deg))), np.float32(np.cos(np.radians(heading_deg)))
        dx, dy = xs - np.float32(x), ys - np.float32(y)
        return dx * s - dy * c, dx * c + dy * s
