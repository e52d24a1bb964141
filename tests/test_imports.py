"""Laws of starting up: what needs no model loads no torch."""

from __future__ import annotations

import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow

HEAVY = {"torch", "transformers", "sentence_transformers"}

HELP = """
import contextlib, io, runpy, sys
sys.argv = ["coldstart", "--help"]
with contextlib.redirect_stdout(io.StringIO()) as shown, contextlib.suppress(SystemExit):
    runpy.run_module("coldstart", run_name="__main__")
assert "Usage" in shown.getvalue(), shown.getvalue()
"""


def loaded(code: str) -> set[str]:
    """Return the modules that a fresh Python holds after some code."""
    code = f"{code}\nimport sys\nprint(' '.join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


@pytest.mark.parametrize(
    "code",
    [
        "import coldstart as cs; cs.Profile(text='x'); cs.Catalogue([cs.Item('1', 'Tea')])",
        "import coldstart.prompting, coldstart.fusion, coldstart.evaluation.metrics, coldstart.recommender",
    ],
)
def test_importing_loads_no_torch(code):
    assert not HEAVY & loaded(code)


def test_the_help_of_the_command_line_loads_no_torch():
    assert not HEAVY & loaded(HELP)
