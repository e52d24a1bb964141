"""How long does a person who signs up on the onboarding page wait for their first list?

Method: ``coldstart serve`` with the demo's wines and the default models, as it comes, on this machine; Chromium without
a window opens the page anew for each of some visitors, who say what they are after in a sentence that nobody said
before and press Enter. Reported is the time from there until the list stands, in milliseconds, beside what the browser
logged and what axe finds of serious or critical barriers before and after. The bars: the median within 300 ms, nothing
logged, nothing found. It needs Chromium (``apt install chromium``).

    python benchmarks/page.py --out benchmarks/results/page.json
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from coldstart import demo
from coldstart.models import DEFAULT_ENCODER, DEFAULT_LANGUAGE_MODEL, resolve
from processes import Running
from provenance import finish, print_table, provenance

BAR = 300.0
"""Milliseconds that the median visitor may wait."""

SAYS = (
    "a white wine for evening {} by the sea",
    "a bold red for {} people who grill",
    "bubbles to celebrate {} years",
    "something sweet after course {}",
)
WARMED, PATIENCE = 2, 600.0


def visited(address: str, visitors: int) -> dict[str, Any]:
    """Return how long each visitor waited, in milliseconds, what was logged, and which barriers axe found."""
    from axe_playwright_python.sync_playwright import Axe
    from playwright.sync_api import sync_playwright

    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if program is None:
        raise SystemExit("no Chromium was found: install it (on Debian: apt install chromium)")
    waited, told, barriers = list[float](), list[str](), set[str]()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-gpu"])
        for visitor in range(WARMED + visitors):
            context = browser.new_context()
            page = context.new_page()
            page.on("console", lambda message: told.append(message.text))
            page.on("pageerror", lambda error: told.append(str(error)))
            page.goto(address)
            page.fill("#sentence", SAYS[visitor % len(SAYS)].format(visitor + 3))
            looked = visitor >= WARMED + visitors - 1  # axe takes its time, and what it adds to a page is its own
            violations = Axe().run(page).response["violations"] if looked else []
            start = time.perf_counter()
            page.keyboard.press("Enter")
            page.wait_for_selector("#list[aria-busy=false] .card")
            waited.append(1000.0 * (time.perf_counter() - start))
            violations += Axe().run(page).response["violations"] if looked else []
            barriers |= {one["id"] for one in violations if one["impact"] in ("serious", "critical")}
            context.close()
        browser.close()
    return {"waited": waited[WARMED:], "logged": told, "barriers": sorted(barriers)}


def main() -> None:
    """Measure, print the table and the record."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--visitors", type=int, default=30, help="how many sign up (default: 30)")
    parser.add_argument("--out", type=Path, help="also write the last line, JSON, to this file")
    given = parser.parse_args()
    catalogue = demo.wines()
    with (
        tempfile.TemporaryDirectory() as folder,
        Running({"data": folder, "rate": 1e6, "burst": 10**6}, kind=catalogue.kind) as running,
    ):
        storage = running.storage()
        storage.put_items("default", list(catalogue))
        storage.engine.dispose()
        running.start(patience=PATIENCE)
        while running.busy() > 0.1:  # what the language model reads ahead isn't what a visitor waits for
            pass
        found = visited(f"{running.url}/", given.visitors)
    waited = np.array(found["waited"])
    results = {
        "items": len(catalogue),
        "visitors": given.visitors,
        "first_list_p50_ms": round(float(np.median(waited)), 1),
        "first_list_p95_ms": round(float(np.quantile(waited, 0.95)), 1),
        "logged": len(found["logged"]),
        "barriers": found["barriers"],
    }
    print_table([list(results), [str(value) for value in results.values()]])
    print(f"the median visitor waits {results['first_list_p50_ms']} ms: the bar is {BAR:g}")
    models = {one.name: one.hash for one in map(resolve, (DEFAULT_ENCODER, DEFAULT_LANGUAGE_MODEL))}
    finish({"benchmark": "page", "seed": 0, "bar_ms": BAR, **provenance(models), "results": results}, given.out)


if __name__ == "__main__":
    main()
