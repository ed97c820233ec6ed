"""Wakes: bow wave, foam behind the stern, the long turbulent scar and the Kelvin arms.

Kelvin's pattern in deep water: arms at 19.47 degrees on either side, wavelength 2 pi U^2 / g along the track
(Thomson
1887; Newman, Marine Hydrodynamics, 1977, sec. 6.10). Foam and scar lengths were matched by eye to wakes at
Klang, Casablanca and Houston.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from training.simulate.canvas import Bounds, Canvas
from training.simulate.hulls import KNOT, Vessel
from training.simulate.noise import Array, hash01
from training.simulate.sensor import BAND_LAG_S
from training.simulate.spectra import BANDS, spectrum

_KELVIN = np.tan(np.radians(19.47))
_GRAVITY = 9.81


@dataclass(frozen=True)
class WakeDrawing:
    """Draws the wake of one moving vessel. ``murk`` (0 to 1): stirred-up sediment makes the scar bright."""

    vessel: Vessel
    murk: float
    wind: float
    parity: int = 1

    @property
    def reach(self) -> float:
        """Length of the visible wake behind the bow, m."""
        v = self.vessel
        return float(
            np.clip(v.speed_kn * (26.0 + 0.55 * v.length), 60.0, 2200.0) * (1.0 if self.wind < 6 else 0.6)
        )

    @property
    def bounds(self) -> Bounds:
        v = self.vessel
        s, c = np.sin(np.radians(v.heading)), np.cos(np.radians(v.heading))
        aft, half = self.reach, self.reach * _KELVIN + 30.0
        corners = [(v.length / 2 + 20, -40.0), (v.length / 2 + 20, 40.0), (-aft, -half), (-aft, half)]
        xs = [v.x + u * s + w * c for u, w in corners]
        ys = [v.y - u * c + w * s for u, w in corners]
        return min(xs), min(ys), max(xs), max(ys)

    def draw(self, canvas: Canvas) -> None:
        view = canvas.crop(self.bounds)
        if view is None:
            return
        v = self.vessel
        u, w = view.frame(v.x, v.y, v.heading)
        speed = v.speed_kn * KNOT
        xs, ys = view.axes()
        speckle = hash01(np.floor(xs / 5).astype(np.int64), np.floor(ys / 5).astype(np.int64), v.paint)
        foam = spectrum("foam")
        for k, band in enumerate(BANDS):
            ahead = np.float32(self.parity * speed * BAND_LAG_S[band])
            white, lift = self._pattern(u - ahead, w, speed, speckle)
            plane = view.data[k]
            plane += lift * np.float32((1.0, 1.0, 1.0, 0.7, 0.3)[k])
            plane += white * (foam[k] - plane)
            np.maximum(plane, 0.0005, out=plane)

    def _pattern(self, u: Array, v: Array, speed: float, speckle: Array) -> tuple[Array, Array]:
        """Foam cover (0 to 1) and change of reflectance."""
        ship = self.vessel
        behind_bow = ship.length / 2 - u
        aft = np.maximum(-u - ship.length / 2, 0.0)
        astern = u < -ship.length / 2 + 2
        fade = np.clip((self.reach - behind_bow) / (0.35 * self.reach), 0.0, 1.0)
        # Foam grows with the Froude number: a fast boat breaks more water than a slow large ship.
        power = float(np.clip(speed / np.sqrt(_GRAVITY * ship.length) / 0.28, 0.15, 1.5))

        width = 0.30 * ship.width + 0.8 + 0.35 * np.sqrt(aft * ship.width) * 0.5
        across = np.exp(-((v / width) ** 2))
        run = 22.0 + 0.9 * ship.length * power
        white = astern * across * power * 0.75 * np.exp(-aft / run) * (0.55 + 0.6 * speckle)
        bow = np.abs(np.abs(v) - (0.10 * ship.width + 0.42 * behind_bow))
        white = (
            white
            + (behind_bow > 0)
            * (behind_bow < 1.4 * ship.width + 8)
            * np.exp(-((bow / 1.8) ** 2))
            * 0.40
            * power
        )

        scar = astern * np.exp(-((v / (0.75 * width)) ** 2)) * np.exp(-aft / (0.55 * self.reach)) * fade
        edges = (
            astern
            * np.exp(-(((np.abs(v) - 1.15 * width) / (0.35 * width)) ** 2))
            * np.exp(-aft / (0.3 * self.reach))
        )
        lift = scar * (0.020 * self.murk - 0.006 * (1 - self.murk)) + 0.006 * edges * fade

        wavelength = 2.0 * np.pi * speed**2 / _GRAVITY
        arm = np.abs(v) - _KELVIN * behind_bow
        thick = 3.0 + 0.020 * behind_bow
        crest = np.cos(2.0 * np.pi * (behind_bow * 0.82 + np.abs(v) * 0.58) / max(0.67 * wavelength, 6.0))
        strength = 0.020 * min(power, 1.2) * np.exp(-np.maximum(behind_bow, 0) / (0.45 * self.reach)) * fade
        lift = lift + (behind_bow > 0) * strength * np.exp(-((arm / thick) ** 2)) * (0.55 + 0.45 * crest)
        return np.clip(white, 0.0, 0.95).astype(np.float32), lift.astype(np.float32)
