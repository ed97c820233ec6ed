"""The back-test of docs/tonnes.md: python -m tests.bench.backtest_tonnes [--tonnes 4.1e6] [--payload FILE]

How many cargoes are so many tonnes, if the ships were those that the press measured at Nampo's coal terminal; how long
would the ships be, if it were so many shipments; and what would the visits of one terminal carry.
"""

from __future__ import annotations

import argparse

import numpy as np

from detector.loadings.payload import load_payload
from detector.loadings.tonnage import Fleet

DRAWS, SHIPS = 4000, 200
DAYS = 274  # January to September 2020
# Metres, of ships at the coal terminal of Nampo in the press: March 2018 (cdnk.co.kr), April and May 2019 (spnews.co.kr
# 19412; 170 to 175 in May), two of August 2019 (koreajoongangdaily 2019-08-14), November 2019 (hankyung.com 2019-12-04),
# February 2021 (donga.com 2021-03-10).
NAMPO_M = (170.0, 165.0, 172.5, 110.0, 138.0, 175.0, 150.0)
# Deadweight of the seven ships of OFAC's North Korea list for which it is given, tonnes.
OFAC_T = (10_030.0, 9_038.0, 11_658.0, 13_500.0, 7_067.0, 8_015.0, 5_515.0)


def cargoes(fleet: Fleet, lengths_m: tuple[float, ...], barge: bool, rng: np.random.Generator) -> np.ndarray:
    """Mean tonnes of a visit in each draw, visits that load nothing included; the mix of lengths is drawn too."""
    population = rng.choice(lengths_m, (fleet.draws, len(lengths_m)))
    pick = rng.integers(len(lengths_m), size=(fleet.draws, SHIPS))
    lengths = population[np.arange(fleet.draws)[:, None], pick]
    return fleet.cargo(lengths, np.full(lengths.shape, barge)).mean(axis=1)


def shown(values: np.ndarray, digits: int = 0) -> str:
    low, middle, high = np.quantile(values, [0.05, 0.5, 0.95])
    return f"{middle:,.{digits}f} ({low:,.{digits}f} to {high:,.{digits}f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tonnes", type=float, default=4.1e6)
    parser.add_argument("--payload")
    options = parser.parse_args()
    rng = np.random.default_rng(0)
    payload = load_payload(options.payload)
    fleet = Fleet(payload, DRAWS, rng)

    visit = cargoes(fleet, NAMPO_M, False, rng)
    cargo = visit / fleet.loading
    print(
        f"ships as at Nampo ({len(NAMPO_M)} lengths, mean {np.mean(NAMPO_M):.0f} m): {shown(cargo)} t a cargo"
    )
    print(
        f"  {options.tonnes / 1e6:g} Mt: {shown(options.tonnes / cargo)} cargoes, {shown(options.tonnes / visit)} visits"
    )
    share = fleet.shares.mean(axis=1)
    listed = rng.choice(OFAC_T, (DRAWS, len(OFAC_T))).mean(axis=1) * share
    print(f"ships as on OFAC's list (mean {np.mean(OFAC_T):,.0f} t deadweight): {shown(listed)} t a cargo")
    print(f"  {options.tonnes / 1e6:g} Mt: {shown(options.tonnes / listed)} cargoes")
    for length in (80.0, 100.0, 120.0):
        barge = cargoes(fleet, (length,), True, rng) / fleet.loading
        print(f"barges of {length:.0f} m: {shown(barge)} t a cargo; {shown(options.tonnes / barge)} cargoes")

    print("shipments | tonnes each | length of such ships, m")
    vessel = fleet.curves["vessel"]
    for number in (100, 200, 300, 400, 600, 900):
        each = options.tonnes / number
        level = np.log(each / share / fleet.common)
        length = np.exp(vessel.centre + (level - vessel.level) / vessel.slope)
        print(f"{number} | {each:,.0f} | {shown(length)}")

    visits = 71 * DAYS / 361
    print(
        f"71 visits in 361 days of 2019 (VOA): {visits:.0f} in {DAYS} days, {shown(visit * visits / 1e6, 2)} Mt"
    )
    for stay in (2, 3, 4):
        most = 2 * DAYS / stay
        print(
            f"two berths never empty, {stay} days a stay: {most:.0f} visits, {shown(visit * most / 1e6, 1)} Mt"
        )


if __name__ == "__main__":
    main()
