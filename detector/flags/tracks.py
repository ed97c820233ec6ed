"""Where each AIS ship was when the image was taken, and how far that may be off.

Between two positions a ship is put on the cubic through both positions and velocities; before the first or after
the last it is carried on at its speed. Its acceleration is taken as white noise, so the error grows as an integrated
Wiener process: variance q·t³/3 when carried on for t seconds, q·T³·s³·(1−s)³/3 at the share s of a gap of T seconds
(the same process, conditioned on both ends; Bar-Shalom, Li & Kirubarajan, Estimation with Applications to Tracking
and Navigation, 2001, § 6.2, for the process).

What is matched is the middle of the hull, while AIS reports the antenna: it is moved by the transponder's own
distances to bow, stern and sides where those and the heading are known, and blurred along the hull where not.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detector.flags.aisdata import AisData, Particulars
from detector.plane import Plane

KNOT = 0.514444  # metres a second
_ACCELERATION_NOISE = 0.01  # q, m²/s³: after ten minutes the speed has changed by some 2.4 m/s
_GNSS_ERROR_M = 10.0
_SWING_M = 15.0  # of a ship at anchor or on its lines
_DRIFT = 0.02  # m/s: how fast a ship that was lying still may have begun to be elsewhere
_STILL_KN = 0.5
_COURSE_IS_AXIS_KN = 2.0  # below this speed the course over ground says little of where the bow points
_CURVED_S = 1200.0  # longer gaps are bridged straight: velocities at their ends say little of the middle
_UNKNOWN_ANTENNA = 0.25  # standard deviation of the antenna's place along the hull, in lengths
_USUAL_LENGTH_M = 20.0  # where AIS gives none: most such are small class B craft
_IMPOSSIBLE_KN, _IMPOSSIBLE_M = 60.0, 2000.0  # a jump faster and longer than this is two transmitters


@dataclass
class Targets:
    """AIS ships at one time, as columns of equal length.

    mmsi; x, y metres in the scene's plane; vx, vy m/s (0 where unknown); covariance (n, 2, 2) m², without the error of
    the image; axis_deg 0 to 180 from north or NaN; length_m, width_m or NaN; gap_s to the nearest report;
    elsewhere_km: how far away the same MMSI reports at once, 0 where it does not.
    """

    mmsi: NDArray[np.int64]
    x: NDArray[np.float64]
    y: NDArray[np.float64]
    vx: NDArray[np.float64]
    vy: NDArray[np.float64]
    covariance: NDArray[np.float64]
    axis_deg: NDArray[np.float64]
    length_m: NDArray[np.float64]
    width_m: NDArray[np.float64]
    gap_s: NDArray[np.float64]
    elsewhere_km: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.mmsi)

    @property
    def speed(self) -> NDArray[np.float64]:
        """Metres a second."""
        return np.hypot(self.vx, self.vy)


def targets_at(data: AisData, time: float, plane: Plane, window_s: float) -> Targets:
    """The ships of `data` at `time` (seconds since 1970) that reported within `window_s` seconds of it."""
    near = np.flatnonzero(np.abs(data["time"] - time) <= window_s)
    fix = {name: column[near] for name, column in data.columns.items()}
    x, y = plane.forward(fix["lon"], fix["lat"])
    key, elsewhere = _branches(fix["mmsi"], fix["time"], x, y)
    order = np.lexsort((fix["time"], key))
    fix = {name: column[order] for name, column in fix.items()}
    x, y, key = x[order], y[order], key[order]
    vx, vy = _velocities(fix, key, x, y)

    ships, first = np.unique(key, return_index=True)
    last = np.append(first[1:], len(key)) - 1
    earlier = np.bincount(np.searchsorted(ships, key), weights=fix["time"] <= time, minlength=len(ships))
    before = (
        first + earlier.astype(int) - 1
    )  # the last report not after the image; first - 1 if there is none
    after = before + 1
    has_before, has_after = before >= first, after <= last
    before, after = np.where(has_before, before, after), np.where(has_after, after, before)

    where = _between(fix["time"], x, y, vx, vy, before, after, time)
    px, py, ux, uy, variance = where
    still = _is_still(fix, before, vx, vy) & _is_still(fix, after, vx, vy)
    nearest = np.where(np.abs(fix["time"][before] - time) <= np.abs(fix["time"][after] - time), before, after)
    gap = np.abs(fix["time"][nearest] - time)
    px, py = np.where(still, x[nearest], px), np.where(still, y[nearest], py)
    ux, uy = np.where(still, 0.0, ux), np.where(still, 0.0, uy)
    variance = np.where(still, _SWING_M**2 * (gap > 0) + (_DRIFT * gap) ** 2, variance)
    covariance = (variance + _GNSS_ERROR_M**2)[:, None, None] * np.eye(2)

    speed = np.hypot(ux, uy)
    course = np.degrees(np.arctan2(ux, uy)) % 360.0
    heading = fix["heading"][nearest]
    pointed = np.where(
        ~np.isnan(heading), heading, np.where(speed >= _COURSE_IS_AXIS_KN * KNOT, course, np.nan)
    )
    mmsi = fix["mmsi"][first]
    ships_data = [data.particulars.get(int(m)) or Particulars() for m in mmsi]
    size = _sizes(ships_data)
    shift, blur = _antenna(size, pointed)
    return Targets(
        mmsi=mmsi,
        x=px + shift[:, 0],
        y=py + shift[:, 1],
        vx=ux,
        vy=uy,
        covariance=covariance + blur,
        axis_deg=pointed % 180.0,
        length_m=size[:, 0],
        width_m=size[:, 1],
        gap_s=gap,
        elsewhere_km=elsewhere[order][first] / 1000.0,
    )


def _branches(
    mmsi: NDArray[np.int64], time: NDArray[Any], x: NDArray[Any], y: NDArray[Any]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """A track key for each report, and how far (m) another track of the same MMSI is at once (0: none).

    One MMSI that jumps to and fro between places is two transmitters: each gets a track of its own. A single stray
    report is an error of position, and is left in a track of its own that counts as no second place.
    """
    key = mmsi * 16
    elsewhere = np.zeros(len(mmsi))
    distance = np.hypot(np.diff(x), np.diff(y))
    seconds = np.diff(time)
    jump = (np.diff(mmsi) == 0) & (distance > _IMPOSSIBLE_M) & (distance > _IMPOSSIBLE_KN * KNOT * seconds)
    for ship in np.unique(mmsi[1:][jump]):
        rows = np.flatnonzero(mmsi == ship).tolist()
        ends: list[int] = []  # the last report of each branch
        members: list[list[int]] = []
        for row in rows:
            for branch, end in enumerate(ends):
                far = float(np.hypot(x[row] - x[end], y[row] - y[end]))
                if far <= max(_IMPOSSIBLE_M, _IMPOSSIBLE_KN * KNOT * (time[row] - time[end])):
                    ends[branch] = row
                    members[branch].append(row)
                    break
            else:
                ends.append(row)
                members.append([row])
        members.sort(key=len, reverse=True)
        for branch, mine in enumerate(members):
            key[mine] = ship * 16 + min(branch, 15)
        if len(members) > 1 and len(members[1]) >= 2:
            one, other = members[0], members[1]
            overlap = time[one].min() <= time[other].max() and time[other].min() <= time[one].max()
            if overlap:
                far = float(np.hypot(x[one].mean() - x[other].mean(), y[one].mean() - y[other].mean()))
                elsewhere[one + other] = far
    return key, elsewhere


def _velocities(
    fix: dict[str, NDArray[Any]], key: NDArray[np.int64], x: NDArray[Any], y: NDArray[Any]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """East and north m/s: as reported, else from the next report of the track, else NaN."""
    speed, course = fix["sog"] * KNOT, np.radians(fix["cog"])
    course = np.where(np.isnan(course) & (fix["sog"] < _STILL_KN), 0.0, course)
    vx, vy = speed * np.sin(course), speed * np.cos(course)
    if len(x) > 1:
        seconds = np.diff(fix["time"])
        step = np.where((np.diff(key) == 0) & (seconds > 0), seconds, np.nan)
        dx, dy = np.append(np.diff(x) / step, np.nan), np.append(np.diff(y) / step, np.nan)
        back_x, back_y = np.append(np.nan, dx[:-1]), np.append(np.nan, dy[:-1])
        dx, dy = np.where(np.isnan(dx), back_x, dx), np.where(np.isnan(dy), back_y, dy)
        vx, vy = np.where(np.isnan(vx), dx, vx), np.where(np.isnan(vy), dy, vy)
    return vx, vy


def _is_still(
    fix: dict[str, NDArray[Any]], rows: NDArray[Any], vx: NDArray[Any], vy: NDArray[Any]
) -> NDArray[np.bool_]:
    slow = np.hypot(vx[rows], vy[rows]) < _STILL_KN * KNOT
    # A forgotten status is common: "moored" counts only where the speed does not speak against it.
    return np.asarray(slow | (fix["moored"][rows] & np.isnan(vx[rows])))


def _between(
    times: NDArray[Any], x: NDArray[Any], y: NDArray[Any], vx: NDArray[Any], vy: NDArray[Any],
    before: NDArray[Any], after: NDArray[Any], time: float,
) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any], NDArray[Any], NDArray[Any]]:  # fmt: skip
    """Position, velocity and variance (m² on each axis) at `time`; before == after: carried on from one report."""
    vx, vy = np.nan_to_num(vx), np.nan_to_num(vy)
    span = times[after] - times[before]
    bridged = (before != after) & (span > 0)
    total = np.where(bridged, span, 1.0)
    s = np.where(bridged, (time - times[before]) / total, 0.0)
    on = time - times[before]

    def cubic(p: NDArray[Any], v: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
        p0, p1, v0, v1 = p[before], p[after], v[before] * total, v[after] * total
        straight, slope = p0 + s * (p1 - p0), (p1 - p0) / total
        curve = (
            (1 + 2 * s) * (1 - s) ** 2 * p0
            + s * (1 - s) ** 2 * v0
            + s**2 * (3 - 2 * s) * p1
            - s**2 * (1 - s) * v1
        )
        curved = bridged & (span <= _CURVED_S)
        at = np.where(curved, curve, np.where(bridged, straight, p0 + v[before] * on))
        # A velocity of nothing at both ends is "not known", so the way between the reports tells it.
        moving = np.where(curved, (1 - s) * v[before] + s * v[after], np.where(bridged, slope, v[before]))
        return at, moving

    px, ux = cubic(x, vx)
    py, uy = cubic(y, vy)
    bridge = total**3 * np.where(span <= _CURVED_S, (s * (1 - s)) ** 3, (s * (1 - s)) ** 2)
    variance = _ACCELERATION_NOISE / 3 * np.where(bridged, bridge, np.abs(on) ** 3)
    return px, py, ux, uy, variance


def _sizes(ships: list[Particulars]) -> NDArray[np.float64]:
    """Length, width, and how far the hull's middle lies ahead and to starboard of the antenna; NaN: unknown."""
    rows = []
    for ship in ships:
        length = ship.a + ship.b if ship.a + ship.b > 0 else ship.length
        width = ship.c + ship.d if ship.c + ship.d > 0 else ship.width
        # A and C both zero: the size is known but not where in it the antenna is (ITU-R M.1371).
        known = ship.a + ship.b > 0 and ship.c + ship.d > 0 and ship.a + ship.c > 0
        ahead, aside = ((ship.a - ship.b) / 2, (ship.d - ship.c) / 2) if known else (np.nan, np.nan)
        rows.append((length or np.nan, width or np.nan, ahead, aside))
    return np.asarray(rows, np.float64).reshape(-1, 4)


def _antenna(
    size: NDArray[np.float64], pointed: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """From the antenna to the middle of the hull: a shift (n, 2) in metres east and north, and its covariance."""
    length = np.where(np.isnan(size[:, 0]), _USUAL_LENGTH_M, size[:, 0])
    ahead, aside = size[:, 2], size[:, 3]
    angle = np.radians(pointed)
    along = np.column_stack([np.sin(angle), np.cos(angle)])
    across = np.column_stack([np.cos(angle), -np.sin(angle)])
    exact = ~np.isnan(ahead) & ~np.isnan(pointed)
    shift = np.where(exact[:, None], ahead[:, None] * along + aside[:, None] * across, 0.0)
    spread = np.where(np.isnan(ahead), _UNKNOWN_ANTENNA * length, np.hypot(ahead, aside)) ** 2
    on_axis = spread[:, None, None] * along[:, :, None] * along[:, None, :]
    anywhere = spread[:, None, None] / 2 * np.eye(2)
    blur = np.where(np.isnan(pointed)[:, None, None], anywhere, on_axis)
    return shift, np.where(exact[:, None, None], 0.0, blur)
