"""The picture of a catalogue that grows: milliseconds a query and a request take, by how many items there are."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from coldstart.errors import EvaluationError
from curves import COLOURS, INK, SHAPES, save
from records import how_many

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SEARCHES: Mapping[str, str] = {
    "p50_ms": "coldstart",
    "numpy_ms": "NumPy, all compared",
    "faiss_ms": "faiss flat",
    "copied_ms": "read once, at the copying rate",
}
"""What is drawn of searches, and what it is called; ours first."""

Results = Mapping[str, Mapping[str, Mapping[str, Any]]]
"""Part to size to what was measured."""


def draw(results: Results, path: Path) -> None:
    """Draw searches and requests beside each other, both axes logarithmic; see :func:`curves.is_drawn` for the mark.

    Raises:
        EvaluationError: matplotlib isn't installed.
    """
    if find_spec("matplotlib") is None:
        raise EvaluationError("the picture needs matplotlib, which isn't installed: pip install 'coldstart[bench]'")
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9.4, 3.9), dpi=130, layout="constrained")
    left, right = figure.subplots(1, 2)
    searches, requests = results.get("search", {}), results.get("requests", {})
    lines = {
        name: {int(n): found[key] for n, found in searches.items() if key in found} for key, name in SEARCHES.items()
    }
    _panel(left, lines, "the 100 nearest vectors")
    kinds = list(dict.fromkeys(kind for found in requests.values() for kind in found["kinds"]))
    by_kind = {kind: {int(n): found["kinds"][kind]["p50_ms"] for n, found in requests.items()} for kind in kinds}
    _panel(right, {"all": {int(n): found["p50_ms"] for n, found in requests.items()}, **by_kind}, "a request")
    save(figure, path, mark=fingerprint(results))


def _panel(panel: Axes, lines: Mapping[str, Mapping[int, float]], title: str) -> None:
    for place, (name, points) in enumerate(lines.items()):
        look: dict[str, Any] = {"color": INK, "marker": "o", "linewidth": 2.4, "zorder": 5}
        if place:
            look = {"color": COLOURS[(place - 1) % len(COLOURS)], "marker": SHAPES[place - 1], "linewidth": 1.3}
        if points:
            panel.plot(list(points), list(points.values()), label=name, markersize=5, **look)
    panel.set_xscale("log")
    panel.set_yscale("log")
    sizes = sorted({size for points in lines.values() for size in points})
    panel.set_xticks(sizes, [how_many(size) for size in sizes], rotation=30)
    panel.minorticks_off()
    panel.set_title(f"{title}: median, ms", fontsize=10)
    panel.set_xlabel("items", fontsize=9)
    panel.tick_params(labelsize=8)
    panel.grid(color="0.9", linewidth=0.6)
    panel.spines[["top", "right"]].set_visible(False)
    panel.legend(fontsize=8, frameon=False)


def fingerprint(results: Results) -> str:
    """Return a mark of the numbers drawn."""
    return hashlib.sha256(json.dumps(results, sort_keys=True).encode()).hexdigest()
