"""Which detection is which AIS ship: one to one, by probability, and undecided where the evidence is.

Each pair gets a likelihood ratio, "this detection is that ship" against "it is some vessel without AIS, or nothing at
all": the density of the ship's possible places at the detection (tracks.py), times how well length, width and axis
agree, over the density of unmatched detections there, which is estimated from the scene itself. This follows
Kroodsma et al. 2022 (Scientific Reports 12, 21004), who score each pair by the probability density of the ship at the
detection; Paolo et al. 2024 (Nature 625, 85–91), who let the number of expected matches set the threshold; and Global
Fishing Watch's Sentinel-2 detections (2025, technical documentation), whose score also falls with the difference in
length. Two things differ here. Their densities are rasters learnt from AIS of the whole world; ours are the normal
densities of a simple motion model. And pairs are not ranked but weighed against each other: the marginal probability
of each pair, over all one-to-one assignments, is found by belief propagation (Williams & Lau 2014, IEEE Transactions on
Aerospace and Electronic Systems 50(4), 2942–2959).

A moving ship is not where AIS puts it: the image has one nominal time, while its rows and bands were taken over
several seconds. A common time shift of the scene is estimated from the ships under way that match well, and
what remains of it blurs each ship along its course.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from detector.flags.tracks import Targets

_GATE = 6.0  # standard deviations
_FASTEST_SHIFT = 3.0  # m/s: slower ships say nothing of the scene's time


@dataclass(frozen=True)
class Matching:
    """Settings of the match; metres, seconds, shares.

    position_error_m: of a detection's middle, each axis. length_error_m, width_error_m: of its size. time_error_s: of the
    scene's time. unmatched_share: detections without AIS, before looking. accept: least probability of a match; accept_none:
    that no AIS ship explains a detection. Between the two a detection is ambiguous.
    window_minutes: how far from the image AIS reports are used.
    """

    position_error_m: float = 20.0
    length_error_m: float = 12.0
    width_error_m: float = 8.0
    time_error_s: float = 8.0
    unmatched_share: float = 0.3
    accept: float = 0.8
    accept_none: float = 0.5
    window_minutes: float = 60.0

    def __post_init__(self) -> None:
        from detector.errors import ConfigError

        for item in fields(self):
            value = getattr(self, item.name)
            top = 1.0 if item.name in ("unmatched_share", "accept", "accept_none") else 1e5
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= top:
                raise ConfigError(
                    f"matching: {item.name} is {value!r}; use a number above 0 and up to {top:g}"
                )


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
    edges = _Edges(hulls, targets, settings, shift, spread)
    for _ in range(2):
        shift, spread = _time_shift(edges, hulls, targets, settings)
        edges = _Edges(hulls, targets, settings, shift, spread)
    return edges.decide(shift)


def _nothing(count: int) -> Matches:
    none, nan = np.full(count, -1), np.full(count, np.nan)
    return Matches(none, np.zeros(count), np.ones(count), nan, none.copy(), np.zeros(count), 0.0)


class _Edges:
    """Pairs near enough to be considered, with their marginal probabilities."""

    def __init__(
        self, hulls: Hulls, targets: Targets, settings: Matching, shift: float, spread: float
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
        size = _size_ratio(hulls, targets, self.hull, self.target, settings)
        density = _density(hulls)[self.hull]
        seen, share = _chance_seen(targets.length_m), settings.unmatched_share
        within = _among(hulls, self.x, self.y)
        for _ in range(4):
            odds = (seen / (1 - seen))[self.target]
            self.weight = np.clip(odds * place * size / (share * density), 1e-12, 1e9)
            self.probability, self.unmatched = _marginals(self.weight, self.hull, self.target, self.count)
            # The shares of detections without AIS and of ships without detection are the scene's own (cloud, small craft,
            # an idle network), each held by ten imagined cases of the belief before.
            share = (10 * settings.unmatched_share + self.unmatched.sum()) / (10 + len(hulls))
            found = np.bincount(self.target, self.probability, len(targets)).astype(np.float64)
            seen = _scaled(_chance_seen(targets.length_m), found, within)

    def decide(self, shift: float) -> Matches:
        """The most probable one-to-one assignment, with the probability of each of its pairs."""
        result = _nothing(self.count[0])
        result.unmatched, result.shift_s = self.unmatched, shift
        chosen = _assign(self.weight, self.hull, self.target, self.count)
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


def _size_ratio(
    hulls: Hulls, targets: Targets, hull: NDArray[np.int64], target: NDArray[np.int64], settings: Matching
) -> NDArray[np.float64]:
    """How much better length, width and axis fit this ship than any hull of the scene; 1 where one is not known."""
    ratio = np.ones(len(hull))
    for seen, said, error in (
        (hulls.length_m, targets.length_m, settings.length_error_m),
        (hulls.width_m, targets.width_m, settings.width_error_m),
    ):
        scale = np.hypot(error, 0.05 * np.nan_to_num(said))  # sizes in AIS are typed in and rounded
        fit = np.exp(-(((seen[hull] - said[target]) / scale[target]) ** 2) / 2) / scale[target]
        # One in twenty transponders has a wrong size.
        usual = _usual(seen, error)[hull]
        better = (0.95 * fit + 0.05 * usual) / np.maximum(usual, 1e-12)
        ratio *= np.where(np.isfinite(better), np.clip(better, 0.02, 50), 1.0)
    turn = np.radians(2 * (hulls.axis_deg[hull] - targets.axis_deg[target]))
    sharp = np.clip(np.nan_to_num(hulls.length_m[hull]) / 10 - 2, 0, 12)  # a hull of two pixels has no axis
    from scipy.special import i0

    axis = 0.8 * np.exp(sharp * np.cos(turn)) / i0(sharp) + 0.2
    return np.asarray(ratio * np.where(np.isfinite(axis), axis, 1.0))


def _usual(values: NDArray[np.float64], error: float) -> NDArray[np.float64]:
    """Density of each value among all values of the scene (kernel estimate, without the factor of a normal density)."""
    known = values[~np.isnan(values)]
    if not len(known):
        return np.full(len(values), np.nan)
    sample = np.sort(known)[:: max(1, len(known) // 400)]
    width = error * 1.5
    return np.asarray(np.exp(-(((values[:, None] - sample) / width) ** 2) / 2).mean(axis=1) / width)


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


def _marginals(
    weight: NDArray[np.float64], hull: NDArray[np.int64], target: NDArray[np.int64], count: tuple[int, int]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Probability of each pair and of each hull being unmatched, by belief propagation (see the module)."""
    to_target = np.ones(len(weight))
    for _ in range(200):
        at_target = np.bincount(target, weight * to_target, count[1])[target]
        to_hull = weight / (1 + np.maximum(at_target - weight * to_target, 0))
        at_hull = np.bincount(hull, to_hull, count[0])[hull]
        new = 1 / (1 + np.maximum(at_hull - to_hull, 0))
        change = float(np.max(np.abs(new - to_target), initial=0.0))
        to_target = new
        if change < 1e-6:
            break
    total = np.bincount(hull, to_hull, count[0]) if len(weight) else np.zeros(count[0])
    return to_hull / (1 + total[hull]) if len(weight) else weight, 1 / (1 + total)


def _assign(
    weight: NDArray[np.float64], hull: NDArray[np.int64], target: NDArray[np.int64], count: tuple[int, int]
) -> NDArray[np.int64]:
    """Pairs of the assignment with the largest product of weights; leaving a hull alone has weight 1."""
    from scipy.optimize import linear_sum_assignment
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    likely = np.flatnonzero(weight > 1e-3)
    if not len(likely):
        return likely
    total = sum(count)
    graph = coo_array((np.ones(len(likely)), (hull[likely], target[likely] + count[0])), shape=(total, total))
    label = connected_components(graph, directed=False)[1][hull[likely]]
    chosen = []
    order = np.argsort(label, kind="stable")
    for group in np.split(likely[order], np.flatnonzero(np.diff(label[order])) + 1):
        rows, row = np.unique(hull[group], return_inverse=True)
        columns, column = np.unique(target[group], return_inverse=True)
        cost = np.full((len(rows), len(columns) + len(rows)), 1e6)
        cost[np.arange(len(rows)), len(columns) + np.arange(len(rows))] = 0.0
        cost[row, column] = -np.log(weight[group])
        pick = np.full((len(rows), len(columns)), -1)
        pick[row, column] = group
        taken_rows, taken = linear_sum_assignment(cost)
        real = taken < len(columns)
        chosen.append(pick[taken_rows[real], taken[real]])
    pairs = np.concatenate(chosen)
    return pairs[pairs >= 0]


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
