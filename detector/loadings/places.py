"""Places: points with a name in a site file, which maps show so that a reader knows where the zones are."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from detector.errors import SiteError


@dataclass(frozen=True)
class Place:
    """A point with a name.

    Attributes:
        lon, lat: degrees WGS84.
        source: where the point is published, or "".
    """

    name: str
    lon: float
    lat: float
    source: str = ""


def read_places(path: Path, document: dict[str, Any]) -> tuple[list[Place], list[SiteError]]:
    """The member `places` of a site file, which may be left out, and an error for each that is none."""
    places: list[Place] = []
    errors: list[SiteError] = []
    listed = document.get("places") or []
    for number, member in enumerate(listed if isinstance(listed, list) else [listed], 1):
        try:
            place = Place(
                str(member["name"]),
                float(member["lon"]),
                float(member["lat"]),
                str(member.get("source") or ""),
            )
            if not (math.isfinite(place.lon) and abs(place.lon) <= 180 and abs(place.lat) <= 90):
                raise ValueError
            places.append(place)
        except (TypeError, KeyError, ValueError, AttributeError):
            errors.append(
                SiteError(
                    f"{path}: place {number} is {member!r}; give a name, and lon and lat in degrees WGS84"
                )
            )
    return places, errors
