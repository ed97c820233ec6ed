"""Fit the coal score on composites and real vessels, and test it on others: ``python -m training.composites.fit SHARED``.

Fitted on the family `train` laid on the ports of `FIT_PORTS` and on the real vessels there, which are taken for not coal;
tested on the family `test` and the real vessels of the other ports. The shipped model is the one that was tested. The
features of each port are kept in `--cache` once they are done, and a run that was stopped goes on from there.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detector import coal
from training.composites.families import FAMILIES
from training.composites.samples import Samples, port_samples, read_ports, read_series, real_samples
from training.labels import LabelledScene

#: Folds a and b of configs/folds.yaml fit, folds c and d test; ports that lack a band serve as far as they go.
FIT_PORTS = ("busan", "athens", "honolulu", "klang", "genoa", "cartagena")
TEST_PORTS = ("gdynia", "marseille", "casablanca", "algiers", "valencia")
#: Vessels laid on each port (fewer where its water is full), each scored with two boxes.
_VESSELS = 90
_SEED = 11
#: Prior on the weights (their variance), so that features that say the same share the weight.
_PRIOR = 4.0
#: Most of the real vessels of the fitted ports that the threshold may call coal barges, each scored by a model that has not
#: seen its port; a little less than the 3 % that are allowed elsewhere, for they are few.
_FALSE = 0.025


def fit(samples: Samples, names: Sequence[str]) -> coal.CoalModel:
    """Logistic regression with weights of at least 0, coal and not coal of equal worth; its threshold is still 0.5.

    Real vessels weigh as much as all composites without coal.
    """
    from scipy.optimize import minimize

    x = np.column_stack([samples.values[name] for name in names])
    known = np.isfinite(x).all(axis=1)
    x, y, real = x[known], samples.coal[known], samples.real[known]
    weight = np.where(y, 1.0 / y.sum(), 0.0)
    for group in (real, ~y & ~real):
        if group.any():
            weight[group] = 0.5 / group.sum()
    weight *= len(y) / weight.sum()
    spread = x.std(axis=0)
    middle = x.mean(axis=0)
    z = (x - middle) / spread

    def loss(w: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        total = z @ w[1:] + w[0]
        p = 1.0 / (1.0 + np.exp(-total))
        value = float(
            (weight * (np.logaddexp(0.0, total) - y * total)).sum() + (w[1:] ** 2).sum() / (2 * _PRIOR)
        )
        slope = weight * (p - y)
        return value, np.r_[slope.sum(), z.T @ slope + w[1:] / _PRIOR]

    bounds = [(None, None)] + [(0.0, None)] * len(names)
    found = minimize(loss, np.zeros(len(names) + 1), jac=True, method="L-BFGS-B", bounds=bounds).x
    weights = found[1:] / spread
    intercept = float(found[0] - weights @ middle)
    return coal.CoalModel(tuple(names), tuple(float(w) for w in weights), intercept, 0.5)


def held_out(samples: Samples, names: Sequence[str]) -> NDArray[np.float64]:
    """Scores (n,) of each port's samples by a model fitted on the other ports."""
    port = np.array([row["port"] for row in samples.about])
    found = np.full(len(port), np.nan)
    for one in np.unique(port):
        found[port == one] = score(fit(samples.where(port != one), names), samples.where(port == one))
    return found


def common_threshold(held: Sequence[tuple[NDArray[np.float64], Samples]]) -> float:
    """The score, in hundredths, of best F1 among composites that calls no more real vessels coal barges than `_FALSE`.

    One for all sets of bands, both taken as means over them: a few real vessels decide, and they are the same in
    each set, so three thresholds would follow their chance.

    Args:
        held: scores and samples of each set of bands.
    """
    levels = np.arange(0.50, 0.96, 0.01)
    false, worth = np.zeros(len(levels)), np.zeros(len(levels))
    for value, samples in held:
        sized = coal.barge_sized(samples.length_m, samples.width_m)
        for k, level in enumerate(levels):
            called = np.nan_to_num(value) >= level
            if samples.real.any():
                false[k] += (called & sized)[samples.real].mean() / len(held)
            worth[k] += f1(called[~samples.real], samples.coal[~samples.real])["f1"]
    allowed = false <= _FALSE
    return round(float(levels[np.argmax(np.where(allowed, worth, -1.0))] if allowed.any() else levels[-1]), 2)


def f1(called: NDArray[np.bool_], truth: NDArray[np.bool_]) -> dict[str, float]:
    """Precision, recall and their harmonic mean."""
    hits = int((called & truth).sum())
    precision, recall = hits / max(int(called.sum()), 1), hits / max(int(truth.sum()), 1)
    return {
        "precision": precision,
        "recall": recall,
        "f1": 2 * precision * recall / max(precision + recall, 1e-9),
    }


def score(model: coal.CoalModel, samples: Samples) -> NDArray[np.float64]:
    """Scores by a model, NaN where a feature is unknown."""
    total = model.intercept + sum(
        w * samples.values[n] for n, w in zip(model.features, model.weights, strict=True)
    )
    return np.asarray(1.0 / (1.0 + np.exp(-total)))


def report(model: coal.CoalModel, samples: Samples) -> dict[str, Any]:
    """How a model does on samples; an unknown score counts as not coal.

    `coal`: coal against other by score. `real_*`: share of real vessels by score, and with the size of a barge too.
    """
    value = score(model, samples)
    called = np.nan_to_num(value) >= model.threshold
    made = ~samples.real
    barge = called & coal.barge_sized(samples.length_m, samples.width_m)
    labels = np.array([row["label"] == "coal_barge" for row in samples.about])
    out: dict[str, Any] = {
        "composites": int(made.sum()), "with_coal": int(samples.coal.sum()),
    }  # fmt: skip
    if made.any():
        out |= {
            "coal": f1(called[made], samples.coal[made]), "coal_barge": f1(barge[made], labels[made]),
            "unknown": float(np.isnan(value[made]).mean()), "auc": _auc(value[made], samples.coal[made]),
        }  # fmt: skip
    if samples.real.any():
        out |= {"real": int(samples.real.sum()), "real_unknown": float(np.isnan(value[samples.real]).mean()),
                "real_called": float(called[samples.real].mean()),
                "real_coal_barge": float(barge[samples.real].mean())}  # fmt: skip
    return out


def _auc(value: NDArray[np.float64], truth: NDArray[np.bool_]) -> float:
    """Chance that a vessel with coal scores above one without (ties half)."""
    from scipy.stats import rankdata

    known = np.isfinite(value)
    ranks, y = rankdata(value[known]), truth[known]
    return float((ranks[y].sum() - y.sum() * (y.sum() + 1) / 2) / max(int(y.sum()) * int((~y).sum()), 1))


def slices(model: coal.CoalModel, samples: Samples) -> Iterator[tuple[str, str, int, float]]:
    """(by, slice, vessels, share called coal) of the composites."""
    called = np.nan_to_num(score(model, samples)) >= model.threshold
    made = np.flatnonzero(~samples.real)
    keys = {
        "cargo": [samples.about[i]["cargo"] for i in made],
        "coal, hull": [samples.about[i]["kind"] if samples.coal[i] else None for i in made],
        "coal, load": [
            _band(samples.about[i]["load"], (0.5, 0.9)) if samples.coal[i] else None for i in made
        ],
        "coal, beam m": [
            _band(samples.about[i]["width"], (10, 13, 17, 22)) if samples.coal[i] else None for i in made
        ],
        "coal, status": [samples.about[i]["status"] if samples.coal[i] else None for i in made],
        "coal, port": [samples.about[i]["port"] if samples.coal[i] else None for i in made],
        "other, port": [samples.about[i]["port"] if not samples.coal[i] else None for i in made],
    }
    for by, names in keys.items():
        for name in sorted({name for name in names if name is not None}):
            which = made[[one == name for one in names]]
            yield by, str(name), len(which), float(called[which].mean())


def _band(value: float, edges: Sequence[float]) -> str:
    edge = int(np.searchsorted(edges, value))
    low = "0" if edge == 0 else f"{edges[edge - 1]:g}"
    return f"{low}-{edges[edge]:g}" if edge < len(edges) else f"{low}+"


def write_model(fitted: dict[str, coal.CoalModel], path: Path) -> None:
    """Write the table that `detector.coal` reads."""
    rows = {
        name: {
            "weights": {f: round(w, 4) for f, w in zip(model.features, model.weights, strict=True)},
            "intercept": round(model.intercept, 4),
            "threshold": model.threshold,
        }
        for name, model in fitted.items()
    }
    path.write_text(
        json.dumps({"made_by": "python -m training.composites.fit", "models": rows}, indent=2) + "\n"
    )


def gather(
    scenes: dict[str, LabelledScene], vessels: int, cache: Path | None
) -> dict[str, dict[str, Samples]]:
    """Samples by part (`train`, `test`) and band set; says on standard error how far it is."""
    out: dict[str, dict[str, Samples]] = {}
    for part, ports in (("train", FIT_PORTS), ("test", TEST_PORTS)):
        found = []
        for name in (name for name in ports if name in scenes):
            begun = time.perf_counter()
            found.append(port_samples(scenes[name], FAMILIES[part], vessels, _SEED, cache))
            print(f"{part} {name}: {time.perf_counter() - begun:.0f} s", file=sys.stderr, flush=True)
        out[part] = {
            chosen: Samples.concat([one[chosen] for one in found if chosen in one])
            for chosen in coal.BAND_SETS
        }
    return out


def run(sets: dict[str, dict[str, Samples]], out: Path | None) -> dict[str, Any]:
    """Fit every band set on the part `train`, report on both parts, and write the models."""
    train = sets["train"]
    level = common_threshold(
        [(held_out(train[one], names), train[one]) for one, names in coal.FEATURES.items()]
    )
    fitted: dict[str, coal.CoalModel] = {}
    result: dict[str, Any] = {}
    for chosen, names in coal.FEATURES.items():
        fitted[chosen] = replace(fit(train[chosen], names), threshold=level)
        result[chosen] = {
            "threshold": fitted[chosen].threshold,
            **{part: report(fitted[chosen], samples[chosen]) for part, samples in sets.items()},
            "slices": [list(row) for row in slices(fitted[chosen], sets["test"][chosen])],
        }
    if out is not None:
        write_model(fitted, out)
        coal.models.cache_clear()
    return result


def main() -> None:
    """Fit, test, print, and write the model."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("shared", type=Path, help="folder of the training data (docs/data.md)")
    parser.add_argument("--out", type=Path, default=Path(coal.__file__).with_name("coal.json"))
    parser.add_argument("--vessels", type=int, default=_VESSELS, help="vessels laid on each port")
    parser.add_argument(
        "--cache", type=Path, default=Path(".cache/composites"), help="where each port's features are kept"
    )
    options = parser.parse_args()
    result = run(gather(read_ports(options.shared), options.vessels, options.cache), options.out)
    if series := [
        s for scene in read_series(options.shared) if (s := real_samples(scene, "colour")) is not None
    ]:
        result["houston"] = report(coal.models()["colour"], Samples.concat(series))
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
