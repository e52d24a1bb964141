"""The picture of a platform that grows: NDCG@10 by how many interactions it has seen."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from coldstart.errors import EvaluationError
from records import BASELINES, BOTH, OBSERVED, OURS, REFINED, WORDS, Run, Runs, favourites, how_many

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK = "#D55E00"
REFINED_INK = "#7A3300"
COLOURS = ("#0072B2", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
SHAPES = ("s", "^", "D", "v", "P", "X", "<")
"""The colours of Okabe and Ito (2008), which the colour-blind tell apart, and shapes, one more so that pairs differ."""

HEADROOM = 1.2
"""How much higher than its highest point a panel is: notes stand there."""

NOTE: Mapping[str, Any] = {"textcoords": "offset points", "fontsize": 7.5, "ha": "right", "va": "top"}

Looks = Mapping[str, Mapping[str, Any]]
"""System to how its line looks."""


def draw(growth: Runs, path: Path) -> None:
    """Draw a row of panels a data set and a column a number of favourites, ours with its 95 % band.

    The file holds a mark of the numbers drawn; see :func:`is_drawn`.

    Raises:
        EvaluationError: matplotlib isn't installed.
    """
    if find_spec("matplotlib") is None:
        raise EvaluationError("the picture needs matplotlib, which isn't installed: pip install 'coldstart[bench]'")
    from matplotlib.figure import Figure

    stated = sorted({run.numbers[1] for runs in growth.values() for run in runs})
    figure = Figure(figsize=(3.4 * len(stated) + 0.4, 2.7 * len(growth) + 0.9), dpi=130, layout="constrained")
    panels = figure.subplots(len(growth), len(stated), sharey="row", squeeze=False)
    looks = looks_of(run for runs in growth.values() for run in runs)
    for row, (title, runs) in zip(panels, growth.items(), strict=True):
        row[0].set_ylabel(f"{title}\nNDCG@10", fontsize=9)
        for panel, number in zip(row, stated, strict=True):
            _panel(panel, [run for run in runs if run.numbers[1] == number], looks)
        row[0].set_ylim(0, HEADROOM * row[0].get_ylim()[1])
    for top, bottom, number in zip(panels[0], panels[-1], stated, strict=True):
        top.set_title(f"{favourites(number)} stated", fontsize=10)
        bottom.set_xlabel("interactions the platform has seen", fontsize=9)
    lines = {line.get_label(): line for panel in panels.flat for line in panel.get_lines()}
    handles = [lines[name] for name in looks if name in lines]
    figure.legend(handles=handles, loc="outside lower center", ncols=5, fontsize=9, frameon=False)
    save(figure, path, mark=fingerprint(growth))


def save(figure: Figure, path: Path, *, mark: str) -> None:
    """Write a figure in few colours, which makes it a third as large."""
    from PIL import Image, PngImagePlugin

    drawn, notes = BytesIO(), PngImagePlugin.PngInfo()
    figure.savefig(drawn, format="png")
    notes.add_text("Description", mark)
    few_colours = Image.open(drawn).convert("RGB").quantize(64, dither=Image.Dither.NONE)
    few_colours.save(path, format="png", optimize=True, pnginfo=notes)


def looks_of(runs: Iterable[Run]) -> Looks:
    """Return how each system's line looks, in the legend's order: ours, the peers as entered, the baselines."""
    entered = dict.fromkeys(name for run in runs for name in run.systems)
    peers = [name for name in entered if name not in (*OURS, *BASELINES)]
    return {
        OBSERVED: {"color": INK, "linewidth": 2.4, "marker": "o", "markersize": 5, "zorder": 5},
        WORDS: {"color": INK, "linewidth": 1.6, "linestyle": (0, (4, 2)), "zorder": 4},
        BOTH: {"color": REFINED_INK, "linewidth": 2.0, "marker": "o", "markersize": 4, "zorder": 5},
        REFINED: {"color": REFINED_INK, "linewidth": 1.6, "linestyle": (0, (4, 2)), "zorder": 4},
        **{
            name: {
                "color": COLOURS[place % len(COLOURS)],
                "marker": SHAPES[place % len(SHAPES)],
                "linewidth": 1.3,
                "markersize": 4,
            }
            for place, name in enumerate(peers)
        },
        "popularity": {"color": "0.35", "linewidth": 1.3, "marker": "x", "markersize": 5},
        "random": {"color": "0.6", "linewidth": 1.2, "linestyle": ":"},
    }


def _panel(panel: Axes, runs: Sequence[Run], looks: Looks) -> None:
    """Draw runs of growing platforms, a line a system, and a ring where the lead changes."""
    for name, look in looks.items():
        places = [place for place, run in enumerate(runs) if name in run.systems]
        if places:
            panel.plot(places, [runs[place].value(name).mean for place in places], label=name, **look)
    ours = [run.value(OBSERVED) for run in runs]
    low, high = [one.low for one in ours], [one.high for one in ours]
    panel.fill_between(range(len(ours)), low, high, color=INK, alpha=0.18, linewidth=0)
    for place, leader in overtakings(runs):
        panel.plot(place, ours[place].mean, "o", markersize=11, markerfacecolor="none", markeredgecolor="0.1", zorder=6)
        panel.axvline(place, color="0.1", linewidth=0.7, linestyle=(0, (1, 2)), zorder=1)
        words = "\n".join([*leader.split(), "ahead"])
        panel.annotate(words, (place, 1), (-3, -2), xycoords=panel.get_xaxis_transform(), **NOTE)
    panel.set_xticks(range(len(runs)), [how_many(run.numbers[0]) for run in runs])
    panel.tick_params(labelsize=8)
    panel.grid(axis="y", color="0.9", linewidth=0.6)
    panel.spines[["top", "right"]].set_visible(False)


def overtakings(runs: Sequence[Run]) -> list[tuple[int, str]]:
    """Return where the lead changes, by the means, between ours and the best other system.

    Args:
        runs: Of a platform as it grows.

    Returns:
        The places of the runs, from the second on, and who leads there: "ours" or the other's name.
    """
    leads = [run.value(OBSERVED).mean > run.value(run.rival).mean for run in runs]
    changed = (place for place in range(1, len(runs)) if leads[place] != leads[place - 1])
    return [(place, "ours" if leads[place] else runs[place].rival) for place in changed]


def is_drawn(mark: str, path: Path) -> bool:
    """Return whether a file is the picture with this mark."""
    return path.exists() and mark.encode() in path.read_bytes()


def fingerprint(growth: Runs) -> str:
    """Return a mark of the numbers drawn."""
    drawn = [[title, run.found["protocol"], run.found["systems"]] for title, runs in growth.items() for run in runs]
    return hashlib.sha256(json.dumps(drawn, sort_keys=True).encode()).hexdigest()
