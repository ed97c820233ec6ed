"""Maps of sites: what is on them, that numbers do not cover each other, and that they stay small."""

from __future__ import annotations

import math
import sys
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import pytest
import shapely
from pyproj import Geod

import detector.cli
from detector.errors import TableError
from detector.loadings import sitemap
from detector.loadings.places import Place
from detector.loadings.sites import Site, Zone, list_sites, load_site

pytest.importorskip("matplotlib")
ROOT = Path(__file__).parents[2]


def zone(id: str, kind: str, *bounds: float) -> Zone:
    return Zone(id, kind, id, 1, "test", 1.0, None, shapely.box(*bounds))


def texts(axis):
    return {text.get_text(): text for text in axis.texts}


@pytest.mark.parametrize("name", list_sites())
def test_every_zone_is_numbered_once_and_no_number_covers_another(name):
    site = load_site(name)
    figure = sitemap.site_figure(site, {})
    figure.canvas.draw()
    seen = []
    for axis in figure.axes:
        frame = axis.get_window_extent()
        numbers = [text for text in axis.texts if text.get_text().isdigit()]
        seen += [int(text.get_text()) for text in numbers]
        centres = [axis.transData.transform(text.get_position()) for text in numbers]
        radius = 0.11 * figure.dpi  # of the circle behind a number
        assert all(math.dist(one, other) > 2 * radius for one, other in combinations(centres, 2))
        assert all(frame.padded(-radius).contains(*centre) for centre in centres)
    assert sorted(seen) == list(range(1, len(site.zones) + 1))
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    assert [line.split()[0] for line in legend] == [str(n) for n in sorted(seen)]


def test_small_zones_get_a_panel_of_their_own():
    fine = zone("a", "berth", 10, 50, 10.02, 50.02), zone("b", "berth", 10.03, 50, 10.05, 50.02)
    assert len(sitemap.site_figure(Site("s", fine), {}).axes) == 1
    whole = zone("all", "area", 9.5, 49.8, 10.5, 50.3)
    assert len(sitemap.site_figure(Site("s", (*fine, whole)), {}).axes) == 2
    assert len(sitemap.site_figure(Site("s", (fine[0], whole)), {}).axes) == 1


def test_the_scale_bar_is_as_long_as_it_says():
    figure = sitemap.site_figure(Site("s", (zone("a", "berth", 10, 60, 10.5, 60.2),)), {})
    [axis] = figure.axes
    [label] = [text for text in texts(axis) if text.endswith(" km")]
    halves = [patch for patch in axis.patches if type(patch).__name__ == "Rectangle"]
    # On the ellipsoid; a sphere of the mean radius is 0.3 % off here.
    km_per_degree = Geod(ellps="WGS84").line_length([10, 11], [60.1, 60.1]) / 1000
    length_km = sum(patch.get_width() for patch in halves) * km_per_degree
    assert length_km == pytest.approx(float(label.split()[0]), rel=1e-4)
    assert "N" in texts(axis)


@pytest.mark.parametrize(
    ("low", "high", "signs", "first"),
    [(125.15, 125.55, "EW", "125°10′ E"), (-0.01, 0.01, "NS", "0°00.5′ S"), (-74.3, -73.9, "EW", "74°15′ W")],
)
def test_ticks_are_round_minutes(low, high, signs, first):
    ticks, labels = sitemap._ticks(low, high, signs)
    assert 2 <= len(ticks) <= 6
    assert labels[0] == first
    assert all(low <= tick <= high for tick in ticks)


def legend(figure):
    return [text.get_text() for text in figure.legends[0].get_texts()]


def test_land_of_one_coastline_alone_is_hatched():
    land = {"GSHHG": shapely.box(9, 49, 10.2, 51), "OpenStreetMap": shapely.box(9, 49, 10.1, 51)}
    figure = sitemap.site_figure(Site("s", (zone("a", "berth", 10, 50, 10.5, 50.2),)), land)
    assert legend(figure)[1:] == ["land by GSHHG and OpenStreetMap", "land by GSHHG alone"]
    both, one = figure.axes[0].patches[:2]
    assert not both.get_hatch() and one.get_hatch()
    assert both.get_extents().width > one.get_extents().width > 0
    single = sitemap.site_figure(
        Site("s", (zone("a", "berth", 10, 50, 10.5, 50.2),)), {"GSHHG": land["GSHHG"]}
    )
    assert legend(single)[1:] == ["land by GSHHG"]


def test_a_berth_whose_water_no_coastline_has_is_explained():
    inland, ashore = shapely.box(0, 0, 90, 90), shapely.box(0, 0, 10.2, 90)
    zones = zone("a", "berth", 10, 50, 10.5, 50.2), zone("yard", "stockpile", 10, 50.3, 10.1, 50.4)
    river = {"GSHHG": inland, "OpenStreetMap": inland}
    note = "1: the water there is in neither coastline, so it looks like land"
    assert legend(sitemap.site_figure(Site("s", zones), river))[-1] == note
    assert note not in legend(sitemap.site_figure(Site("s", zones), river | {"OpenStreetMap": ashore}))


def test_a_zone_less_sure_than_it_is_long_says_so():
    box = zone("box", "area", 10, 50, 10.01, 50.01)
    for accuracy_m, said in (
        (1000.0, "good to 1 km"),
        (100_000.0, "uncertain by 100 km, more than its size"),
    ):
        figure = sitemap.site_figure(Site("s", (replace(box, accuracy_m=accuracy_m),)), {})
        assert legend(figure) == [f"1  box (area), {said}"]
        figure.canvas.draw()
        assert figure.legends[0].get_window_extent().x1 <= figure.bbox.x1


def test_places_are_named_where_the_map_shows_them():
    places = Place("Town $1", 10.1, 50.1), Place("Elsewhere", 12.0, 50.1)
    figure = sitemap.site_figure(Site("s", (zone("a", "berth", 10, 50, 10.5, 50.2),), places=places), {})
    assert r"Town \$1" in texts(figure.axes[0])
    assert "Elsewhere" not in texts(figure.axes[0])


def test_the_command_writes_the_same_small_picture_twice(tmp_path, capsys):
    out = tmp_path / "nampo.png"
    for _ in range(2):
        assert detector.cli.run(["sites", "map", "nampo", "--out", str(out), "--no-coast"]) == 0
    first = out.read_bytes()
    assert detector.cli.run(["sites", "map", "nampo", "--out", str(tmp_path / "x.svg"), "--no-coast"]) == 0
    assert detector.cli.run(["sites", "map", "nampo", "--out", str(out), "--no-coast"]) == 0
    assert out.read_bytes() == first
    assert len(first) < 150_000
    assert first.startswith(b"\x89PNG")
    assert detector.cli.run(["sites", "map", "nampo", "--out", str(tmp_path / "x.jpg")]) == 2
    assert "a map is a .png or .svg file" in capsys.readouterr().err


def test_without_matplotlib_or_coastline_it_says_what_to_install(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(sitemap, "has_coast", lambda: False)
    assert detector.cli.run(["sites", "map", "taean", "--out", str(tmp_path / "x.png")]) == 0
    assert "pip install 'bargewatch[land]'" in capsys.readouterr().err
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    assert detector.cli.run(["sites", "map", "taean", "--out", str(tmp_path / "y.png")]) == 2
    assert "pip install 'bargewatch[plots]'" in capsys.readouterr().err
    with pytest.raises(TableError, match="does not exist"):
        monkeypatch.undo()
        sitemap.write_site_map(load_site("taean"), tmp_path / "no" / "x.png", coast=False)


def test_the_maps_of_the_documentation_are_there():
    for name in list_sites():
        picture = ROOT / "docs" / "sites" / f"{name}.png"
        assert 5_000 < picture.stat().st_size < 150_000
        assert f"sites/{name}.png" in (ROOT / "docs" / "sites.md").read_text(encoding="utf-8")
