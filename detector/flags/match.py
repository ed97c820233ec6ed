"""Which detection is which AIS ship: one to one, by probability, and undecided where the evidence is.

Each pair gets a likelihood ratio, "this detection is that ship" against "it is some vessel without AIS, or nothing at
all": the density of the ship's possible places at the detection (tracks.py), times how well length, width and axis
agree, over the density of unmatched detections there, which is estimated from the scene itself. This follows
Kroodsma et al. 2022 (Scientific Reports 12, 21004), who score each pair by the probability density of the ship at the
detection; Paolo et al. 2024 (Nature 625, 85–91), who let the number of expected matches set the threshold; and Global
Fishing Watch's Sentinel-2 detections (2025, technical documentation), whose score also falls with the difference in
length. Two things differ here. Their densities are rasters learnt from AIS of the whole world; ours are the normal
densities of a simple motion model. And pairs are not ranked but weighed against each other, by the marginal probability
of each pair over all one-to-one assignments (detector/assignment.py).

A moving ship is not where AIS puts it: the image has one nominal time, while its rows and bands were taken over
several seconds. A common time shift of the scene is estimated from the ships under way that match well, and
what remains of it blurs each ship along its course.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from detector.assignment import Candidates, best, marginals
from detector.flags.limits import check_limits
from detector.flags.shape import axis_ratio, believed_sharpness, fitted_sharpness, size_ratio
from detector.flags.tracks import Targets

_GATE = 6.0  # standard deviations
_FASTEST_SHIFT = 3.0  # m/s: slower ships say nothing of the scene's time


@dataclass(frozen=True)
class Matching:
    """Settings of the match; metres, seconds, shares.

    position_error_m: of a detection's middle, each axis, before looking. length_error_m, width_error_m: of its size.
    time_error_s: of the scene's time. unmatched_share: detections without AIS, before looking. accept: least probability
    of a match; accept_none: that no AIS ship explains a detection. Between the two a detection is ambiguous.
    window_minutes: how far from the image AIS reports are used.
    """

    position_error_m: float = 20.0
    length_error_m: float = 12.0
    width_error_m: float = 8.0
    time_error_s: float = 8.0
    unmatched_share: float = 0.3
    accept: float = 0.7
    accept_none: float = 0.35
    window_minutes: float = 60.0

    def __post_init__(self) -> None:
        check_limits(self, "matching", most=1e5, shares=("unmatched_share", "accept", "accept_none"))


@dataclass
class Hulls:
    """Detections of one scene in its plane: x, y metres; length_m, width_m (NaN: unknown); axis_deg 0 to 180 or NaN."""

    x: NDArray[np.float64]
    y: NDArray[np.float64]
    length_m: NDArray[np.float64]
    width_m: NDArray[np.float64]
    axis_deg: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.x)


@dataclass
class Matches:
    """For each detection: target (index, -1: none likely), probability of that target, probability that no target
    explains the detection, distance to the target in metres, and the next best target (-1: none) with its probability.
    """

    target: NDArray[np.int64]
    probability: NDArray[np.float64]
    unmatched: NDArray[np.float64]
    distance_m: NDArray[np.float64]
    second: NDArray[np.int64]
    second_probability: NDArray[np.float64]
    shift_s: float


def match(hulls: Hulls, targets: Targets, settings: Matching) -> Matches:
    """Match detections with AIS ships; see the module for the model."""
    if not len(hulls) or not len(targets):
        return _nothing(len(hulls))
    shift, spread = 0.0, settings.time_error_s
    edges = _Edges(hulls, targets, settings, shift, spread, believed_sharpness(hulls))
    for _ in range(2):
        shift, spread = _time_shift(edges, hulls, targets, settings)
        fitted = replace(settings, position_error_m=_position_error(edges, targets, settings))
        sharpness = fitted_sharpness(hulls, edges.hull, edges.turn_deg, edges.probability)
        edges = _Edges(hulls, targets, fitted, shift, spread, sharpness)
    return edges.decide(shift)


def _nothing(count: int) -> Matches:
    none, nan = np.full(count, -1), np.full(count, np.nan)
    return Matches(none, np.zeros(count), np.ones(count), nan, none.copy(), np.zeros(count), 0.0)


class _Edges:
    """Pairs near enough to be considered, with their marginal probabilities."""

    def __init__(
        self,
        hulls: Hulls,
        targets: Targets,
        settings: Matching,
        shift: float,
        spread: float,
        sharpness: NDArray[np.float64],
    ) -> None:
        self.count = len(hulls), len(targets)
        covariance = targets.covariance + settings.position_error_m**2 * np.eye(2)
        velocity = np.column_stack([targets.vx, targets.vy])
        covariance = covariance + spread**2 * velocity[:, :, None] * velocity[:, None, :]
        self.x, self.y = targets.x + shift * targets.vx, targets.y + shift * targets.vy
        reach = _GATE * np.sqrt(np.linalg.eigvalsh(covariance)[:, 1])
        self.hull, self.target = _near(hulls, self.x, self.y, reach)
        dx, dy = hulls.x[self.hull] - self.x[self.target], hulls.y[self.hull] - self.y[self.target]
        self.distance = np.hypot(dx, dy)
        place = _normal_2d(dx, dy, covariance[self.target])
        shape = size_ratio(hulls, targets, self.hull, self.target, settings)
        turn = hulls.axis_deg[self.hull] - targets.axis_deg[self.target]
        self.turn_deg = np.abs((turn + 90.0) % 180.0 - 90.0)
        shape *= axis_ratio(self.turn_deg, sharpness[self.hull])
        density = _density(hulls)[self.hull]
        seen, share = _chance_seen(targets.length_m), settings.unmatched_share
        within = _among(hulls, self.x, self.y)
        for _ in range(4):
            odds = (seen / (1 - seen))[self.target]
            weight = np.clip(odds * place * shape / (share * density), 1e-12, 1e9)
            self.pairs = Candidates(self.hull, self.target, np.log(weight), self.count)
            found = marginals(self.pairs)
            self.probability, self.unmatched = found.pair, found.row_alone
            # The shares of detections without AIS and of ships without detection are the scene's own (cloud, small craft,
            # an idle network), each held by ten imagined cases of the belief before.
            share = (10 * settings.unmatched_share + self.unmatched.sum()) / (10 + len(hulls))
            seen = _scaled(_chance_seen(targets.length_m), 1 - found.column_alone, within)

    def decide(self, shift: float) -> Matches:
        """The most probable one-to-one assignment, with the probability of each of its pairs."""
        result = _nothing(self.count[0])
        result.unmatched, result.shift_s = self.unmatched, shift
        chosen = best(self.pairs)
        rows = self.hull[chosen]
        result.target[rows] = self.target[chosen]
        result.probability[rows] = self.probability[chosen]
        result.distance_m[rows] = self.distance[chosen]
        rest = np.ones(len(self.hull), bool)
        rest[chosen] = False
        order = np.flatnonzero(rest)[np.argsort(self.probability[rest])]
        result.second[self.hull[order]] = self.target[order]  # the last written, the most probable, stays
        result.second_probability[self.hull[order]] = self.probability[order]
        return result


def _near(
    hulls: Hulls, x: NDArray[np.float64], y: NDArray[np.float64], reach: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Pairs (hull, target) within each target's reach."""
    from scipy.spatial import cKDTree

    tree = cKDTree(np.column_stack([hulls.x, hulls.y]))
    found = tree.query_ball_point(np.column_stack([x, y]), reach)
    target = np.repeat(np.arange(len(x)), [len(rows) for rows in found])
    hull = np.concatenate([np.asarray(rows, np.int64) for rows in found])
    return hull, target


def _normal_2d(
    dx: NDArray[np.float64], dy: NDArray[np.float64], covariance: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Normal densities, 1/m²."""
    a, b, d = covariance[:, 0, 0], covariance[:, 0, 1], covariance[:, 1, 1]
    determinant = a * d - b * b
    squared = (d * dx * dx - 2 * b * dx * dy + a * dy * dy) / determinant
    # One in fifty lies three times further out: wakes, cut boxes and wrong positions make tails that a normal lacks.
    narrow = np.exp(-squared / 2)
    wide = np.exp(-squared / 18) / 9
    return np.asarray((0.98 * narrow + 0.02 * wide) / (2 * np.pi * np.sqrt(determinant)))


def _chance_seen(length: NDArray[np.float64]) -> NDArray[np.float64]:
    """Chance that a ship of some length is detected at 10 m; a rough belief, its use is to weigh rivals."""
    known = np.where(np.isnan(length), 20.0, length)
    return np.interp(known, [5, 20, 50, 100], [0.4, 0.7, 0.9, 0.95])


def _scaled(
    seen: NDArray[np.float64], found: NDArray[np.float64], within: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Chances of being seen, their odds scaled so that as many ships within the scene are expected as were found."""
    if not within.any():
        return seen
    before = (10 * float(seen[within].mean()) + found[within].sum()) / (10 + within.sum())
    odds = seen / (1 - seen)
    factor = 1.0
    for _ in range(20):  # a fixed point: the mean chance becomes `before`
        mean = float((factor * odds / (1 + factor * odds))[within].mean())
        factor *= before / (1 - before) / (mean / (1 - mean))
    return np.clip(factor * odds / (1 + factor * odds), 0.02, 0.98)


def _among(hulls: Hulls, x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which positions lie in the box of the detections: the outline of the scene itself is not known here."""
    return np.asarray(
        (x >= hulls.x.min()) & (x <= hulls.x.max()) & (y >= hulls.y.min()) & (y <= hulls.y.max())
    )


def _density(hulls: Hulls) -> NDArray[np.float64]:
    """Detections for each m² around each detection, from its fifth neighbour."""
    from scipy.spatial import cKDTree

    points = np.column_stack([hulls.x, hulls.y])
    box = np.ptp(points, axis=0) + 1000.0
    overall = len(points) / float(box[0] * box[1])
    k = min(5, len(points) - 1)
    if k < 1:
        return np.full(len(points), overall)
    distance = cKDTree(points).query(points, k=k + 1)[0][:, -1]
    return np.asarray(np.maximum(k / (np.pi * np.maximum(distance, 50.0) ** 2), overall))


def _position_error(edges: _Edges, targets: Targets, settings: Matching) -> float:
    """Error of a detection's middle on each axis, metres, from the good matches of ships whose own place is well known.

    The belief before counts as ten matches. Squared distances of a normal error have their median at 2 ln 2 variances;
    a median, because a few wrong matches lie far away.
    """
    own = np.trace(targets.covariance, axis1=1, axis2=2)[edges.target] / 2
    still = targets.speed[edges.target] <= _FASTEST_SHIFT
    sure = (edges.probability > 0.9) & still & (own < settings.position_error_m**2)
    if not sure.any():
        return settings.position_error_m
    seen = float(np.median(edges.distance[sure] ** 2 / (2 * np.log(2)) - own[sure]))
    before, count = settings.position_error_m**2, int(sure.sum())
    return float(np.sqrt((10 * before + count * np.clip(seen, before / 9, before * 9)) / (10 + count)))


def _time_shift(edges: _Edges, hulls: Hulls, targets: Targets, settings: Matching) -> tuple[float, float]:
    """Seconds by which the ships under way are ahead of AIS in common, and the standard deviation of what remains.

    A normal belief of mean 0 and time_error_s is updated with each good match of a ship under way, its distance
    along its course over its speed; far ones are left out as mismatches.
    """
    speed = targets.speed[edges.target]
    sure = (edges.probability > 0.9) & (speed > _FASTEST_SHIFT)
    hull, target, speed = edges.hull[sure], edges.target[sure], speed[sure]
    if not len(hull):
        return 0.0, settings.time_error_s
    along = (
        (hulls.x[hull] - targets.x[target]) * targets.vx[target]
        + (hulls.y[hull] - targets.y[target]) * targets.vy[target]
    ) / speed**2
    variance = settings.position_error_m**2 + np.trace(targets.covariance[target], axis1=1, axis2=2) / 2
    error = np.sqrt(variance) / speed
    middle = float(np.median(along))
    kept = np.abs(along - middle) < 3 * np.hypot(error, 2.0)
    # Two seconds stay in any case: bands and detectors see a place at different times.
    precision = 1 / settings.time_error_s**2 + np.sum(1 / (error[kept] ** 2 + 4.0))
    return float(np.sum(along[kept] / (error[kept] ** 2 + 4.0)) / precision), float(
        np.sqrt(1 / precision + 4.0)
    )
