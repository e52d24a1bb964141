"""What a benchmark's last line says of its making: the commit, the models, the templates, the machine, the versions."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from coldstart.prompting import Library

PACKAGES = ("coldstart", "torch", "transformers", "sentence-transformers", "numpy", "scikit-learn")


def provenance(models: Mapping[str, str]) -> dict[str, Any]:
    """Return where numbers come from, as ``json.dumps`` takes it.

    Args:
        models: Name to content hash.
    """
    import torch

    return {
        **_commit(),
        "models": dict(models),
        "templates": Library.load().hash(),
        "hardware": {
            "cpu": _cpu(),
            "cores": os.cpu_count(),
            "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
            "torch_threads": torch.get_num_threads(),
            "load_average": round(os.getloadavg()[0], 2),
        },
        "versions": {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}},
    }


def print_table(rows: Sequence[Sequence[str]]) -> None:
    """Print a header and rows, the first column to the left and the others to the right."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        cells = [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
        print("  ".join(cells).rstrip())


def finish(record: Mapping[str, Any], out: Path | None) -> None:
    """Print a record as the run's last line, and write the same line to a file if one is given."""
    line = json.dumps(record)
    if out is not None:
        out.write_text(line + "\n", encoding="utf-8")
    print(line, flush=True)


def _commit() -> dict[str, Any]:
    """Return the commit and whether files differ from it; both None outside a repository."""

    def git(*arguments: str) -> str:
        command = ["git", "--no-optional-locks", "-C", str(Path(__file__).parent), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    try:
        return {"commit": git("rev-parse", "HEAD"), "dirty": bool(git("status", "--porcelain"))}
    except (OSError, subprocess.CalledProcessError):
        return {"commit": None, "dirty": None}


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())
