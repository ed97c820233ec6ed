"""Pictures of a count: a timeline of each zone and the loadings of each period, as PNG and SVG.

matplotlib is imported when a picture is drawn (`pip install bargewatch[plots]`). Colours are those of Okabe and
Ito and the map cividis, which people with any colour vision tell apart; nothing is told by colour alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from detector.atomic import replacing
from detector.errors import MissingDependencyError, TableError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from detector.loadings.count import LoadingCount
    from detector.loadings.tables import ZoneLooks

BLUE, ORANGE, GREY, DARK = "#0072B2", "#E69F00", "#999999", "#333333"
_COAL_MAP = "cividis_r"  # dark is coal
_PANEL_DAYS = 184  # half a year a panel: a visit of three days stays visible
_MOST_LANES = 12  # more ships at once are drawn as numbers


def has_matplotlib() -> bool:
    """Whether pictures can be drawn."""
    try:
        import matplotlib.figure  # noqa: F401
    except ImportError:
        return False
    return True


def check_matplotlib(otherwise: str = "") -> None:
    """Raises MissingDependencyError where matplotlib is not installed; `otherwise` says what else can be done."""
    if not has_matplotlib():
        raise MissingDependencyError(f"pictures need matplotlib: pip install 'bargewatch[plots]'{otherwise}")


def write_plots(count: LoadingCount, folder: str | Path) -> list[Path]:
    """Draw a count into a folder: loadings.png and .svg, and timeline-ZONE-YEAR.png and .svg for each zone and year.

    Returns:
        The files, in the order drawn.

    Raises:
        MissingDependencyError: matplotlib is not installed.
        TableError: the folder cannot be made or written.
    """
    check_matplotlib()
    from detector.loadings.loadingsplot import loadings_figure

    place = Path(folder)
    try:
        place.mkdir(exist_ok=True)
    except OSError as error:
        raise TableError(f"cannot make the folder {folder}: {error.strerror or error}") from error
    files = save(loadings_figure(count), place / "loadings")
    for at in count.tables.zones:
        for year in sorted({_day(time).year for time in at.times.tolist()}):
            name = "".join(c if c.isalnum() or c in "-_" else "_" for c in at.zone.id)
            files += save(timeline_figure(count, at.zone.id, year), place / f"timeline-{name}-{year}")
    return files


def save(figure: Figure, stem: Path) -> list[Path]:
    """Write a figure as PNG and SVG; the same figure gives the same bytes."""
    import matplotlib

    files = []
    for suffix in (".png", ".svg"):
        path = stem.with_name(stem.name + suffix)
        # The same count gives the same bytes: no date, and ids that do not depend on the run.
        metadata = {"Date": None} if suffix == ".svg" else {"Software": None}
        with replacing(path) as draft, matplotlib.rc_context({"svg.hashsalt": "bargewatch"}):
            figure.savefig(draft, dpi=130, metadata=metadata)
        files.append(path)
    return files


def _day(days: float) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(days=days)


def _number(text: str | None, otherwise: float = math.nan) -> float:
    """Days since 1970-01-01 UTC, which is also how matplotlib counts dates."""
    return otherwise if text is None else datetime.fromisoformat(text).timestamp() / 86400


def plain(text: str) -> str:
    """A name that is not taken for a formula."""
    return text.replace("$", r"\$")


# ---- timeline


def timeline_figure(count: LoadingCount, zone_id: str, year: int) -> Figure:
    """One year of a zone, half a year a panel: looks, clouds and visits with the intervals of their ends."""
    from matplotlib.figure import Figure

    at = next(at for at in count.tables.zones if at.zone.id == zone_id)
    visits = [visit for visit in count.visit_rows if visit["zone_id"] == zone_id]
    first, last = count.tables.start, count.tables.end
    start = max(first, datetime(year, 1, 1, tzinfo=UTC).timestamp() / 86400)
    end = min(last, datetime(year + 1, 1, 1, tzinfo=UTC).timestamp() / 86400)
    panels = max(1, math.ceil((end - start) / _PANEL_DAYS))
    lanes = _lanes(visits, first, last)
    rows = max(lanes, default=0) + 1
    crowded = rows > _MOST_LANES
    height = 1.6 + panels * (3.0 if crowded else 1.3 + 0.32 * rows)
    figure = Figure(figsize=(12, height), layout="constrained")
    axes = figure.subplots(panels, 1, squeeze=False)[:, 0]
    step = (end - start) / panels
    for number, axis in enumerate(axes):
        span = (start + number * step, start + (number + 1) * step)
        if crowded:
            _draw_numbers(axis, at)
        else:
            _draw_visits(axis, visits, lanes, first, last)
            axis.set_ylim(-1.5, rows - 0.3)
            axis.set_yticks([-0.9], ["looks"])
            _draw_looks(axis, at, -0.9)
        _dress(axis, span)
    title = f"{count.tables.site.name}, {at.zone.name} ({at.zone.kind.replace('_', ' ')}), {year}"
    figure.suptitle(plain(title), x=0.01, ha="left", fontsize=13)
    _timeline_legend(figure, crowded)
    return figure


def _lanes(visits: Sequence[Mapping[str, Any]], first: float, last: float) -> list[int]:
    """A row for each visit, so that visits whose intervals overlap do not overlap in the picture."""
    free: list[float] = []
    lanes = []
    for visit in visits:
        begin, end = _number(visit["arrived_after"], first), _number(visit["left_before"], last)
        lane = next((i for i, until in enumerate(free) if until <= begin), len(free))
        free[lane : lane + 1] = [end]
        lanes.append(lane)
    return lanes


def _draw_visits(
    axis: Axes,
    visits: Sequence[Mapping[str, Any]],
    lanes: Sequence[int],
    first: float,
    last: float,
) -> None:
    from matplotlib import colormaps

    colours: Callable[[float], Any] = colormaps[_COAL_MAP]
    for visit, lane in zip(visits, lanes, strict=True):
        seen = [_number(visit[name]) for name in ("first_seen", "last_seen")]
        after, before = _number(visit["arrived_after"], first), _number(visit["left_before"], last)
        for (begin, end), where in (((after, seen[0]), 0.12), ((seen[1], before), -0.12)):
            axis.plot([begin, end], [lane + where] * 2, color=ORANGE, lw=1.4, solid_capstyle="butt", zorder=2)
            tip = begin if where > 0 else end
            axis.plot(tip, lane + where, marker="|", ms=6, color=ORANGE, zorder=2)
        axis.plot(seen, [lane] * 2, color=BLUE, lw=7, solid_capstyle="butt", zorder=3)
        for when, name in zip(seen, ("coal_score_first", "coal_score_last"), strict=True):
            score = visit[name]
            known = math.isfinite(score)
            axis.plot(when, lane, marker="o" if known else "X", ms=8, mec=BLUE, mew=1.4,
                      mfc=colours(score) if known else "white", zorder=4)  # fmt: skip


def _draw_numbers(axis: Axes, at: ZoneLooks) -> None:
    import numpy as np

    seen = np.bincount(at.look, minlength=len(at.times))
    days, good = at.times, at.usable
    axis.vlines(days[good], 0, seen[good], color=BLUE, lw=2.5, zorder=3)
    axis.plot(days[good], seen[good], "o", color=BLUE, ms=4, zorder=3)
    axis.plot(days[~good & (seen > 0)], seen[~good & (seen > 0)], "o", mfc="white", mec=BLUE, ms=4, zorder=3)
    most = max(int(seen.max(initial=0)), 1)
    axis.set_ylim(-0.16 * most, 1.1 * most)
    axis.set_yticks([number for number in axis.get_yticks() if 0 <= number <= most])
    axis.set_ylabel("vessels seen")
    _draw_looks(axis, at, -0.09 * most)


def _draw_looks(axis: Axes, at: ZoneLooks, height: float) -> None:
    """Every look: a full mark where it could show the zone to be empty, a hollow one where cloud hid it."""
    for time, usable in zip(at.times.tolist(), at.usable.tolist(), strict=True):
        colour = DARK if usable else GREY
        face = colour if usable else "white"
        axis.plot(time, height, marker="o", ms=4.5, mec=colour, mfc=face, mew=0.9, zorder=5)
        if usable:
            axis.axvline(time, color=GREY, lw=0.5, alpha=0.35, zorder=0)


def _dress(axis: Axes, span: tuple[float, float]) -> None:
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

    axis.set_xlim(span[0] - 1, span[1] + 1)
    axis.xaxis_date()
    locator = AutoDateLocator(minticks=5, maxticks=13)  # type: ignore[no-untyped-call]
    axis.xaxis.set_major_locator(locator)
    axis.xaxis.set_major_formatter(ConciseDateFormatter(locator, show_offset=False))  # type: ignore[no-untyped-call]
    axis.tick_params(axis="y", length=0)
    for side in ("top", "right", "left"):
        axis.spines[side].set_visible(False)


def _timeline_legend(figure: Figure, crowded: bool) -> None:
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize
    from matplotlib.lines import Line2D

    looks = [
        Line2D([], [], marker="o", ls="", ms=4.5, color=DARK, label="look, zone clear"),
        Line2D([], [], marker="o", ls="", ms=4.5, mec=GREY, mfc="white", label="look, hidden by cloud"),
    ]
    visits = [
        Line2D([], [], color=BLUE, lw=5, solid_capstyle="butt", label="visit, first to last sighting"),
        Line2D([], [], color=ORANGE, lw=1.4, marker="|", label="arrived or left some time in this"),
        Line2D([], [], marker="X", ls="", ms=8, mec=BLUE, mfc="white", label="sighting, coal score unknown"),
    ]
    seen = [Line2D([], [], color=BLUE, marker="o", ms=4, lw=2.5, label="vessels seen in a look")]
    figure.legend(handles=(seen if crowded else visits) + looks, loc="outside lower left", ncols=5, frameon=False,
                  fontsize=8, columnspacing=1.4)  # fmt: skip
    if not crowded:
        scale = ScalarMappable(Normalize(0, 1), cmap=_COAL_MAP)
        bar = figure.colorbar(scale, ax=figure.axes, shrink=0.8, aspect=18, pad=0.01)
        bar.set_label("coal score at first and last sighting", fontsize=8)
        bar.ax.tick_params(labelsize=8)
