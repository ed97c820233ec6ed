"""How well coal could be told at best on the composites of the test part: ``python -m training.composites.ceiling SHARED``.

The shipped score is fitted on other coal, ports and optics than those it is tested on. Three figures of F1 say what is left
to gain, over several drawings of the test part:

* `shipped`: the shipped score at its threshold;
* `same_features`: its features, with weights fitted on the test part itself;
* `hull_mean`, `hull_middle`: the painted spectra of 12 m sections of the hull as they are, under their haze, without
  water, blur, noise or an error of the box; the mean over the whole beam, as far as 10 m pixels show most hulls, and the
  mean over the middle half of it, which they do not show.

The last three are judged by a logistic regression with squares and products, fitted on all ports but one and asked about
that one, at the threshold that is best in hindsight: an optimistic figure, for no score may see the test part.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detector import coal
from detector.boxes import Floats
from training.composites.cargo import Fitting
from training.composites.families import FAMILIES
from training.composites.fit import TEST_PORTS, f1, score
from training.composites.ports import Port, read_port
from training.composites.samples import Samples, port_samples, read_ports
from training.composites.scene import plans
from training.simulate.hulls import Vessel
from training.simulate.noise import Array
from training.simulate.spectra import BANDS

_SECTION_M = 12.0
#: Points across the beam at which a painted hull is looked up, and those of them in its middle half.
_ACROSS = (np.arange(12) + 0.5) / 12 - 0.5
_MIDDLE = np.abs(_ACROSS) < 0.25
#: Weight of the prior on the weights of the judge.
_RIDGE = 1.0


def painted(vessel: Vessel, fitting: Fitting, path: Array) -> Floats:
    """(bands, sections, points across) reflectance that a hull was painted with, its haze on it."""
    count = max(1, round(vessel.length / _SECTION_M))
    along = ((np.arange(count * 6) + 0.5) / (count * 6) - 0.5) * vessel.length
    u, v = (axis.astype(np.float32) for axis in np.meshgrid(along, _ACROSS * vessel.width, indexing="ij"))
    deck, parts = fitting
    image = np.tile(np.array(deck, float)[:, None, None], (1, *u.shape))
    for part in parts:
        image[:, part.inside(u, v)] = np.array(part.colour)[:, None]
    haze = np.asarray(path, float)[:, None, None]
    image = image * (1.0 - 2.0 * haze) + haze
    return np.asarray(image.reshape(len(image), count, 6, len(_ACROSS)).mean(axis=2))


def spectra(sections: Floats) -> Floats:
    """Logarithms of four spectra that stand for a hull's sections (bands, n): middle, darker half, darkest, brightest."""
    order = np.argsort(sections.mean(axis=0))
    count = len(order)
    chosen = (
        np.median(sections, axis=1),
        sections[:, order[: max(1, count // 2)]].mean(axis=1),
        sections[:, order[0]],
        sections[:, order[-max(1, count // 3) :]].mean(axis=1),
    )
    return np.log(np.maximum(np.concatenate(chosen), 0.005))


def held_out(x: Floats, y: NDArray[np.bool_], group: NDArray[np.str_]) -> Floats:
    """Chance (n,) of `y` by a quadratic logistic regression that has not seen the row's group; 0 where x is unknown."""
    from scipy.optimize import minimize

    known = np.isfinite(x).all(axis=1)
    z = (x - x[known].mean(axis=0)) / x[known].std(axis=0)
    first, second = np.triu_indices(z.shape[1])
    z = np.column_stack([z, z[:, first] * z[:, second]])
    z = np.column_stack([np.ones(len(z)), (z - z[known].mean(axis=0)) / z[known].std(axis=0)])
    chance = np.zeros(len(y))
    for one in np.unique(group):
        seen = known & (group != one)

        def loss(
            w: NDArray[np.float64], a: Floats = z[seen], b: NDArray[np.bool_] = y[seen]
        ) -> tuple[float, NDArray[np.float64]]:
            total = a @ w
            pull = _RIDGE * np.r_[0.0, w[1:]]
            value = float((np.logaddexp(0.0, total) - b * total).sum() + (pull * w).sum() / 2)
            return value, a.T @ (1.0 / (1.0 + np.exp(-total)) - b) + pull

        weights = minimize(loss, np.zeros(z.shape[1]), jac=True, method="L-BFGS-B").x
        asked = known & (group == one)
        chance[asked] = 1.0 / (1.0 + np.exp(-z[asked] @ weights))
    return chance


def best_f1(chance: Floats, y: NDArray[np.bool_]) -> float:
    """F1 at the threshold that is best in hindsight."""
    return max(f1(chance >= t, y)["f1"] for t in np.arange(0.2, 0.81, 0.01))


def painted_hulls(port: Port, vessels: int, seed: int) -> Iterator[dict[str, Any]]:
    """Vessels of the test part on a port, not drawn, with their painted spectra (bands, sections)."""
    for plan in plans(port, FAMILIES["test"], vessels, np.random.default_rng([seed, len(port.name)])):
        for vessel, cargo, fitting in plan.vessels:
            image = painted(vessel, fitting, plan.view.path)
            yield {
                "port": port.name, "coal": cargo.coal,
                "scored": vessel.width >= coal.LEAST_WIDTH_M and vessel.length >= coal.LEAST_LENGTH_M,
                "hull_mean": image.mean(axis=2), "hull_middle": image[:, :, _MIDDLE].mean(axis=2),
            }  # fmt: skip


def of_painted(hulls: Sequence[dict[str, Any]], chosen: str) -> dict[str, float]:
    """F1 of the judge on painted spectra; hulls too small for a score count as not coal."""
    bands = [BANDS.index(band) for band in coal.BAND_SETS[chosen]]
    y = np.array([row["coal"] for row in hulls])
    port = np.array([row["port"] for row in hulls])
    scored = np.array([row["scored"] for row in hulls])
    found = {}
    for name in ("hull_mean", "hull_middle"):
        x = np.array([spectra(row[name][bands]) for row in hulls])
        x[~scored] = np.nan
        found[name] = best_f1(held_out(x, y, port), y)
    return found


def of_scored(draws: Sequence[Samples], chosen: str) -> dict[str, Any]:
    """F1 of the shipped score on each drawing and on all, and of the judge on its features."""
    model = coal.models()[chosen]

    def shipped(samples: Samples) -> float:
        made = ~samples.real
        called = np.nan_to_num(score(model, samples)[made]) >= model.threshold
        return f1(called, samples.coal[made])["f1"]

    both = Samples.concat(draws)
    made = ~both.real
    x = np.column_stack([both.values[name][made] for name in model.features])
    port = np.array([row["port"] for row in both.about])[made]
    return {
        "composites": int(made.sum()),
        "shipped": shipped(both),
        "shipped_by_drawing": [shipped(one) for one in draws],
        "same_features": best_f1(held_out(x, both.coal[made], port), both.coal[made]),
    }


def main() -> None:
    """Draw, judge, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("shared", type=Path, help="folder of the training data (docs/data.md)")
    parser.add_argument("--seeds", type=int, nargs="+", default=[11, 21, 22], help="drawings")
    parser.add_argument("--vessels", type=int, default=90, help="vessels laid on each port")
    parser.add_argument("--cache", type=Path, default=Path(".cache/composites"))
    options = parser.parse_args()
    scenes = read_ports(options.shared)
    scored: dict[str, list[Samples]] = {chosen: [] for chosen in coal.BAND_SETS}
    hulls: list[dict[str, Any]] = []
    for seed in options.seeds:
        parts = [
            port_samples(scenes[p], FAMILIES["test"], options.vessels, seed, options.cache)
            for p in TEST_PORTS
        ]
        for chosen, found in scored.items():
            found.append(Samples.concat([part[chosen] for part in parts if chosen in part]))
    for name in TEST_PORTS:
        if (port := read_port(scenes[name])) is not None:
            for seed in options.seeds:
                hulls += painted_hulls(port, options.vessels, seed)
    result = {
        chosen: of_scored(draws, chosen) | of_painted(hulls, chosen) for chosen, draws in scored.items()
    }
    print(json.dumps({"painted_hulls": len(hulls), **result}, indent=1))


if __name__ == "__main__":
    main()
