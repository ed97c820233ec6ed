"""The demonstration: paint a port, run the real pipeline on it, and compare with the truth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import linear_sum_assignment

from detector.errors import TableError
from detector.plane import Plane
from training.simulate.product import write_safe
from training.simulate.scene import SceneSpec, paint
from training.simulate.truth import TrueVessel, site_geojson, truth_geojson

REACH_M = 150.0
CLOSE_M = 50.0


@dataclass(frozen=True)
class Match:
    """A one-to-one assignment: pairs (truth index, detection index, distance in metres), and what is left."""

    pairs: tuple[tuple[int, int, float], ...]
    missed: tuple[int, ...]
    false: tuple[int, ...]


@dataclass(frozen=True)
class DemoResult:
    """What the demonstration found and where it wrote it."""

    found: int
    missed: tuple[TrueVessel, ...]
    false: int
    total: int
    close: int  # found within 50 m
    scene: Path
    table: Path
    truth: Path
    picture: Path | None
    site: Path
    looks: Path
    length_error_m: float | None = None  # median of |detected - true|

    def summary(self) -> str:
        """The result in words, several lines."""
        found = f"{self.found} found ({self.close} within {CLOSE_M:.0f} m)"
        lines = [f"{self.total} vessels painted: {found}, {len(self.missed)} missed, {self.false} false."]
        if self.length_error_m is not None:
            lines.append(f"Median error of the length: {self.length_error_m:.0f} m.")
        lines += [
            f"  missed: {v.kind.replace('_', ' ')}, {v.length_m:.0f} m, {v.status}"
            f"{f' at {v.zone}' if v.zone else ''}{'' if v.clear else ', under cloud'}"
            f" ({v.lat:.4f} N, {v.lon:.4f} E)"
            for v in self.missed
        ]
        lines.append(f"Vessels: {self.table}")
        if self.picture is not None:
            lines.append(f"Picture: {self.picture}")
        lines += [f"Looks:   {self.looks}", f"Site:    {self.site}", f"Truth:   {self.truth}"]
        lines.append(
            "The scene is painted; it shows that the pipeline runs, not how well it does on real images."
        )
        return "\n".join(lines)

    def moved(self, old: Path, new: Path) -> DemoResult:
        """The same result after its folder was renamed."""
        files = {name: getattr(self, name) for name in ("scene", "table", "truth", "picture", "site", "looks")}
        return replace(self, **{k: new / f.relative_to(old) for k, f in files.items() if f is not None})

    def to_json(self) -> dict[str, Any]:
        """The result as plain JSON types."""
        counts = {name: getattr(self, name) for name in ("total", "found", "close", "false", "length_error_m")}
        files = {name: str(getattr(self, name)) for name in ("scene", "table", "truth", "picture", "site", "looks")}
        return {**counts, "missed": [vessel.id for vessel in self.missed], **files}


def match_positions(
    lon_a: ArrayLike, lat_a: ArrayLike, lon_b: ArrayLike, lat_b: ArrayLike, reach_m: float
) -> Match:
    """Pair two sets of places one to one: as many as possible within reach, then the nearest (Hungarian)."""
    a = np.c_[np.atleast_1d(np.asarray(lon_a, float)), np.atleast_1d(np.asarray(lat_a, float))]
    b = np.c_[np.atleast_1d(np.asarray(lon_b, float)), np.atleast_1d(np.asarray(lat_b, float))]
    if not len(a) or not len(b):
        return Match((), tuple(range(len(a))), tuple(range(len(b))))
    plane = Plane(*map(float, a.mean(axis=0)))
    (x, y), (u, v) = plane.forward(*a.T), plane.forward(*b.T)
    distance = np.hypot(x[:, None] - u, y[:, None] - v)
    rows, cols = linear_sum_assignment(np.where(distance <= reach_m, distance, 1e7))
    pairs = tuple(
        (int(r), int(c), float(distance[r, c]))
        for r, c in zip(rows, cols, strict=True)
        if distance[r, c] <= reach_m
    )
    missed = tuple(sorted(set(range(len(a))) - {p[0] for p in pairs}))
    false = tuple(sorted(set(range(len(b))) - {p[1] for p in pairs}))
    return Match(pairs, missed, false)


def compare(truth: Sequence[TrueVessel], lon: ArrayLike, lat: ArrayLike) -> Match:
    """Match detections to the truth by their centres, within 150 m."""
    return match_positions([t.lon for t in truth], [t.lat for t in truth], lon, lat, REACH_M)


def demo_spec(seed: int) -> SceneSpec:
    """The port of the demonstration: haze, turbid water, some thirty vessels."""
    return SceneSpec(seed=seed, size=(1200, 1200), haze=0.22, turbidity=0.55, wind=4.0, vessel_count=34)


def run_demo(out: Path | str, *, seed: int = 7, weights: Path | str | None = None) -> DemoResult:
    """Paint a port as a SAFE product under ``out``, detect its vessels, and compare them with the truth."""
    from detector.loadings.looks import write_looks
    from detector.loadings.sites import load_site
    from detector.prediction import run
    from detector.preview import write_preview

    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    painted = paint(demo_spec(seed))
    scene = write_safe(painted, out)
    truth_path, site_path = out / "truth.geojson", out / "site.geojson"
    truth_geojson(painted.truth, truth_path)
    site_geojson(painted.zones, painted.grid, site_path)

    table, looks = out / "vessels.geojson", out / "looks.csv"
    (result,) = run([scene], weights=weights, site=load_site(site_path))
    if result.detections is None:
        raise result.error or TableError(f"{scene} gave no table")
    vessels = result.detections
    vessels.write(table)
    write_looks(looks, result.looks)
    picture = out / "vessels.png"
    write_preview(scene, vessels, picture)

    match = compare(painted.truth, vessels["lon"], vessels["lat"])
    lengths = np.asarray(vessels["length_m"], float)
    errors = [abs(lengths[d] - painted.truth[t].length_m) for t, d, _ in match.pairs]
    return DemoResult(
        found=len(match.pairs),
        missed=tuple(painted.truth[k] for k in match.missed),
        false=len(match.false),
        total=len(painted.truth),
        close=sum(distance <= CLOSE_M for *_, distance in match.pairs),
        scene=scene,
        table=table,
        truth=truth_path,
        picture=picture,
        site=site_path,
        looks=looks,
        length_error_m=float(np.median(errors)) if errors else None,
    )
