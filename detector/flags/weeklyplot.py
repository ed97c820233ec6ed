"""The weekly picture drawn: vessels, flags and effort of a site, week by week.

matplotlib is imported when a picture is drawn (`pip install bargewatch[plots]`). Colours are those of Okabe and Ito.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from detector.flags.weekly import WEEK, WeeklyPicture, when
from detector.loadings.plots import BLUE, DARK, GREY, ORANGE, plain, save

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

GREEN = "#009E73"
_BAR, _CELL = 3.0, 0.94 * WEEK  # days
_MOST_FLAGS = 8
_MOST_NUMBERS = 40  # weeks; more have no room for a number each


def write_weekly_plot(picture: WeeklyPicture, folder: str | Path) -> list[Path]:
    """Draw the whole site into weekly.png and weekly.svg.

    Raises:
        MissingDependencyError: matplotlib is not installed.
    """
    from detector.loadings.plots import check_matplotlib

    check_matplotlib()
    return save(weekly_figure(picture), Path(folder) / "weekly")


def weekly_figure(picture: WeeklyPicture) -> Figure:
    """Vessels by class with AIS beside them, flags, and effort; a column a week."""
    from matplotlib.figure import Figure

    site = [row for row in picture.rows if row["zone_id"] is None]
    groups = {
        name: [row for row in site if row["group"] == name]
        for name in dict.fromkeys(r["group"] for r in site)
    }
    flags = [name for name in groups if name.startswith("flag:")][:_MOST_FLAGS]
    weeks = [_days(row["week_start"]) for row in groups["all"]]
    heights = [3.2, *([0.3 + 0.28 * len(flags)] if flags else []), 1.3]
    figure = Figure(
        figsize=(min(max(7.5, 2.5 + 0.28 * len(weeks)), 17.0), sum(heights) + 1.3), layout="constrained"
    )
    axes = figure.subplots(
        len(heights), 1, sharex=True, gridspec_kw={"height_ratios": heights}, squeeze=False
    )[:, 0]
    middle = [week + WEEK / 2 for week in weeks]
    _draw_vessels(axes[0], middle, groups)
    if flags:
        _draw_flags(axes[1], middle, [groups[name] for name in flags])
    _draw_effort(axes[-1], middle, groups["all"])
    _dress(list(axes), weeks)
    figure.align_ylabels(axes)
    figure.suptitle(plain(f"{picture.site}: different vessels a week"), x=0.01, ha="left", fontsize=13)
    figure.legend(
        handles=_handles(groups["all"]),
        loc="outside lower left",
        ncols=4,
        frameon=False,
        fontsize=8,
        columnspacing=1.4,
    )
    return figure


def _draw_vessels(axis: Axes, middle: Sequence[float], groups: dict[str, list[dict[str, Any]]]) -> None:
    from matplotlib.ticker import MaxNLocator

    # Bars stand under each other in all panels; AIS has the gap to their right, where neither hides the other.
    vessels, barges = ([row["seen"] for row in groups[f"class:{c}"]] for c in ("vessel", "coal_barge"))
    axis.bar(middle, vessels, width=_BAR, color=BLUE, zorder=2)
    axis.bar(
        middle,
        barges,
        bottom=vessels,
        width=_BAR,
        color=ORANGE,
        hatch="///",
        edgecolor="white",
        lw=0,
        zorder=2,
    )
    highest = 1.0
    for x, row in zip(middle, groups["all"], strict=True):
        if math.isfinite(row["present"]):
            axis.plot([x, x], [row["present_low"], row["present_high"]], color=DARK, lw=1.3, zorder=3)
            axis.plot(x, row["present"], marker="_", ms=7, color=DARK, mew=1.6, zorder=3)
            highest = max(highest, row["present_high"])
        else:
            axis.plot(x, 0, marker="x", color=GREY, ms=5, clip_on=False, zorder=4)
        highest = max(highest, row["seen"], row["ais_seen"] or 0)
    axis.yaxis.set_major_locator(MaxNLocator(8, integer=True))
    heard = [
        (x + 0.75 * _BAR, row["ais_seen"])
        for x, row in zip(middle, groups["all"], strict=True)
        if row["ais_seen"] is not None
    ]
    if heard:
        axis.plot(
            *zip(*heard, strict=True), "D", ms=5, mfc="white", mec=GREEN, mew=1.5, zorder=4, clip_on=False
        )
    axis.set_ylim(0, 1.06 * highest)
    axis.set_ylabel("vessels")
    axis.grid(axis="y", color=GREY, alpha=0.3, lw=0.5)
    axis.set_axisbelow(True)


def _draw_flags(axis: Axes, middle: Sequence[float], flags: Sequence[list[dict[str, Any]]]) -> None:
    """A row a flag, a cell a week; the darker the more, and the number in it where there is room."""
    most = max((row["seen"] for rows in flags for row in rows), default=0) or 1
    for y, rows in enumerate(flags):
        for x, row in zip(middle, rows, strict=True):
            if not row["seen"]:
                continue
            share = row["seen"] / most
            axis.bar(x, 0.86, width=_CELL, bottom=y - 0.43, color=BLUE, alpha=0.15 + 0.75 * share, lw=0)
            if len(middle) <= _MOST_NUMBERS:
                colour = "white" if share > 0.45 else DARK
                axis.text(x, y, str(row["seen"]), ha="center", va="center", fontsize=7.5, color=colour)
    axis.set_yticks(
        range(len(flags)), [plain(rows[0]["group"].removeprefix("flag:")) for rows in flags], fontsize=8
    )
    axis.set_ylim(len(flags) - 0.4, -0.6)
    if len(middle) > _MOST_NUMBERS:
        axis.set_title(f"darkest: {most}", loc="right", fontsize=8, pad=2)
    axis.set_ylabel("flags")


def _draw_effort(axis: Axes, middle: Sequence[float], rows: Sequence[dict[str, Any]]) -> None:
    from matplotlib.ticker import MaxNLocator

    usable = [row["usable_looks"] for row in rows]
    cloudy = [row["looks"] - row["usable_looks"] for row in rows]
    axis.bar(middle, usable, width=_BAR, color=DARK, zorder=2)
    axis.bar(middle, cloudy, bottom=usable, width=_BAR, color="white", edgecolor=GREY, lw=0.9, zorder=2)
    axis.set_ylabel("looks")
    axis.set_ylim(0, max([row["looks"] for row in rows] + [1]) * 1.15)
    axis.yaxis.set_major_locator(MaxNLocator(4, integer=True))
    share = axis.twinx()
    share.plot(
        middle, [100 * row["observed_share"] for row in rows], color=ORANGE, marker="o", ms=3.5, lw=1.2
    )
    if any(row["ais_hours"] is not None for row in rows):
        hours = [100 * (row["ais_hours"] or 0) / 168 for row in rows]
        share.plot(middle, hours, color=GREEN, marker="D", ms=3.5, mfc="white", lw=1.2)
    share.set_ylim(0, 105)
    share.set_yticks([0, 50, 100], ["0 %", "50 %", "100 %"], fontsize=8)
    for side in ("top", "left"):
        share.spines[side].set_visible(False)


def _dress(axes: Sequence[Axes], weeks: Sequence[float]) -> None:
    for axis in axes:
        for side in ("top", "right"):
            axis.spines[side].set_visible(False)
        axis.tick_params(axis="x", length=0)
    every = max(1, math.ceil(len(weeks) / 26))
    ticks = weeks[::every]
    axes[-1].set_xticks([week + WEEK / 2 for week in ticks], _names(ticks), fontsize=8)
    axes[-1].set_xlim(weeks[0] - 0.5, weeks[-1] + WEEK + 0.5)


def _names(weeks: Sequence[float]) -> list[str]:
    """Mondays; the month where it changes, and the year where that does."""
    names, before = [], None
    for week in weeks:
        day = when(week)
        new_month = before is None or day.month != before.month
        new_year = before is None or day.year != before.year
        names.append(
            f"{day.day}" + (f"\n{day:%b}" if new_month else "") + (f"\n{day:%Y}" if new_year else "")
        )
        before = day
    return names


def _handles(rows: Sequence[dict[str, Any]]) -> list[Any]:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    handles: list[Any] = [
        Patch(color=BLUE, label="seen: vessel"),
        Patch(facecolor=ORANGE, hatch="///", edgecolor="white", lw=0, label="seen: coal barge"),
        Line2D([], [], color=DARK, marker="_", ms=7, lw=1.3, label="all that were there, 90 % interval"),
        Line2D([], [], color=GREY, marker="x", ls="", label="no estimate"),
        Patch(color=DARK, label="looks, usable"),
        Patch(facecolor="white", edgecolor=GREY, label="looks, hidden by cloud"),
        Line2D([], [], color=ORANGE, marker="o", ms=3.5, lw=1.2, label="share of time observed"),
    ]
    if any(row["ais_hours"] is not None for row in rows):
        handles.insert(
            2, Line2D([], [], marker="D", ms=5, ls="", mfc="white", mec=GREEN, mew=1.5, label="heard by AIS")
        )
        handles.append(
            Line2D([], [], color=GREEN, marker="D", ms=3.5, mfc="white", lw=1.2, label="hours with AIS")
        )
    return handles


def _days(text: str) -> float:
    return datetime.fromisoformat(text).timestamp() / 86400
