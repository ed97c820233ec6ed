"""Draws vessels on a canvas: shadow, hull and what stands on deck."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from training.simulate.canvas import Bounds, Canvas
from training.simulate.decks import Part, fitting
from training.simulate.hulls import KNOT, Vessel, half_width
from training.simulate.noise import Array, hash01
from training.simulate.sensor import BAND_LAG_S
from training.simulate.spectra import BANDS


def freeboard(v: Vessel) -> float:
    """Height of the deck above water; a loaded hull lies deeper."""
    base = {"barge": 2.5, "river_barge": 2.5, "fishing": 2.0, "tug": 2.5}.get(v.kind, 3.0 + 0.03 * v.length)
    return base * (1.3 - 0.8 * v.load)


@dataclass(frozen=True)
class HullDrawing:
    """Draws one vessel: shadow, hull, parts. ``sun`` is (azimuth on the grid, elevation) in degrees."""

    vessel: Vessel
    sun: tuple[float, float]
    parity: int = 1

    @property
    def bounds(self) -> Bounds:
        v = self.vessel
        reach = v.length / 2 + 40.0
        return v.x - reach, v.y - reach, v.x + reach, v.y + reach

    def draw(self, canvas: Canvas) -> None:
        """Paint onto the canvas; a moving vessel is displaced between bands."""
        view = canvas.crop(self.bounds)
        if view is None:
            return
        v = self.vessel
        u, w = view.frame(v.x, v.y, v.heading)
        if v.speed_kn == 0.0:
            self._draw(view.data, slice(None), u, w)
            return
        for k, band in enumerate(BANDS):
            ahead = np.float32(self.parity * v.speed_kn * KNOT * BAND_LAG_S[band])
            self._draw(view.data, slice(k, k + 1), u - ahead, w)

    def _fitting(self) -> tuple[tuple[float, ...], tuple[Part, ...]]:
        """Deck colour and parts."""
        return fitting(self.vessel)

    def _shadow_step(self) -> tuple[float, float]:
        """Displacement of a shadow per metre of height, in the vessel's frame."""
        length = 1.0 / np.tan(np.radians(max(self.sun[1], 12.0)))
        away = np.radians(self.sun[0] + 180.0 - self.vessel.heading)
        return float(length * np.cos(away)), float(length * np.sin(away))

    def _draw(self, data: Array, bands: slice, u: Array, v: Array) -> None:
        ship = self.vessel
        deck, parts = self._fitting()
        su, sv = self._shadow_step()
        hull = np.abs(v) <= half_width(ship.kind, ship.length, ship.width, u)
        shade = np.zeros_like(hull)
        for share in (0.35, 0.7, 1.0):
            h = freeboard(ship) * share
            shade |= np.abs(v - sv * h) <= half_width(ship.kind, ship.length, ship.width, u - su * h)
        for part in parts:
            if part.height > 6.0:
                h = part.height + freeboard(ship)
                shade |= part.inside(u - su * h, v - sv * h)
        target = data[bands]
        target[:, shade & ~hull] *= 0.74
        if not hull.any():
            return
        grain = 0.88 + 0.24 * hash01(
            np.floor(u / 7).astype(np.int64), np.floor(v / 4).astype(np.int64), ship.paint
        )
        colour = np.empty((target.shape[0], *u.shape), np.float32)
        colour[:] = np.array(deck, np.float32)[bands, None, None]
        for part in parts:
            mask = part.inside(u, v)
            colour[:, mask] = np.array(part.colour, np.float32)[bands, None]
        for part in parts:
            if part.height > 4.0:
                fallen = part.inside(u - su * part.height, v - sv * part.height) & ~part.inside(u, v)
                tall = [p for p in parts if p.height >= part.height and p is not part]
                for other in tall:
                    fallen &= ~other.inside(u, v)
                colour[:, fallen] *= 0.6
        target[:, hull] = (colour * grain)[:, hull]
