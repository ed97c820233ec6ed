"""Where the sun is."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np


def sun_position(lon: float, lat: float, when: datetime) -> tuple[float, float]:
    """(azimuth clockwise from north, elevation) in degrees, good to about half a degree.

    Spencer's series for declination and equation of time (Iqbal, An Introduction to Solar Radiation, 1983,
    1.3.1, 1.4.1).
    """
    t = when.astimezone(UTC)
    hour = t.hour + t.minute / 60 + t.second / 3600
    g = 2 * np.pi * (t.timetuple().tm_yday - 1 + (hour - 12) / 24) / 365
    decl = (
        0.006918
        - 0.399912 * np.cos(g)
        + 0.070257 * np.sin(g)
        - 0.006758 * np.cos(2 * g)
        + 0.000907 * np.sin(2 * g)
    )
    equation = 229.18 * (
        0.000075
        + 0.001868 * np.cos(g)
        - 0.032077 * np.sin(g)
        - 0.014615 * np.cos(2 * g)
        - 0.04089 * np.sin(2 * g)
    )
    solar = hour * 60 + equation + 4 * lon
    angle = np.radians(solar / 4 - 180)
    phi = np.radians(lat)
    sin_el = np.sin(phi) * np.sin(decl) + np.cos(phi) * np.cos(decl) * np.cos(angle)
    elevation = np.arcsin(np.clip(sin_el, -1, 1))
    east = -np.cos(decl) * np.sin(angle)
    north = np.sin(decl) * np.cos(phi) - np.cos(decl) * np.sin(phi) * np.cos(angle)
    return float(np.degrees(np.arctan2(east, north)) % 360), float(np.degrees(elevation))
