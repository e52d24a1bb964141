"""Does an index outlive every kill of a refinement, and does training go on where it was?

Method: a process that has loaded the encoder, and not used it, forks a child that refines an index of shipped wines, or
promotes and takes back its adapters in turns, and is killed with SIGKILL at a random moment. After each kill the index
is loaded: its vectors must be those of the adapter that its manifest names, encoded anew, or of none; and a checkpoint
must not stand before the last one of the same training. Between kills trainings are left to end now and then; each
tells from which step it went on.

Command: ``python benchmarks/interrupted.py [--rounds 50] [--seed 0] [--out FILE]``; about five minutes.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from coldstart.catalogue import Catalogue
from coldstart.demo import wines
from coldstart.encoding import Encoder
from coldstart.entities import Interaction
from coldstart.interactions import Interactions
from coldstart.models import DEFAULT_ENCODER, resolve
from coldstart.recommender import Recommender
from coldstart.refining import registry
from coldstart.refining.lora import Shape
from coldstart.refining.schedule import Schedule
from provenance import finish, print_table, provenance

ITEMS, PEOPLE, LIKES = 60, 80, 6
MOST_SECONDS, PATIENCE = 4.0, 60.0
ENDING = 5
"""Every so many rounds a training is left to end."""

CLOSE = 1e-4


@dataclass
class Outcome:
    """What came of the kills."""

    kills: int = 0
    of_promotions: int = 0
    ended: int = 0
    resumed: int = 0
    problems: list[str] = field(default_factory=list)


def main() -> None:
    """Kill, look, and print the record."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=50, help="kills")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="write the record here as well")
    parser.add_argument("--fork", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    torch.set_num_threads(1)
    if given.fork is not None:
        _fork(given.fork)
        return
    model = resolve(DEFAULT_ENCODER)
    with tempfile.TemporaryDirectory() as scratch:
        bench = Bench(Path(scratch), Encoder.load(model), random.Random(given.seed))  # noqa: S311 - no secrets
        while bench.found.kills < given.rounds:
            bench.once()
            print(f"{bench.found.kills} of {given.rounds} kills", file=sys.stderr)
        found = bench.found
        bench.close()
    print("\n".join(found.problems), file=sys.stderr)
    results = {
        "kills": found.kills,
        "kills of promotions": found.of_promotions,
        "trainings that ended": found.ended,
        "of these, gone on after a kill": found.resumed,
        "problems": len(found.problems),
    }
    print_table([["", "measured"], *([name, str(value)] for name, value in results.items())])
    made = provenance({model.name: model.hash})
    finish({"benchmark": "interrupted", "seed": given.seed, **made, "results": results}, given.out)


class Bench:
    """An index, and what is done to it."""

    def __init__(self, folder: Path, encoder: Encoder, rng: random.Random) -> None:
        self.index, self.encoder, self.found = folder / "index", encoder, Outcome()
        self._note, self._rng, self._training = folder / "ended.json", rng, 0
        self.plain = Recommender.build(_catalogue(), encoder=encoder, language_model=None)
        self.plain.save(self.index)
        command = [sys.executable, __file__, "--fork", str(folder)]
        self._forks = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def close(self) -> None:
        """End the process that forks."""
        self._forks.kill()
        self._forks.communicate()

    def once(self) -> None:
        """Fork a child, kill it or let it end, and look at what it leaves."""
        assert self._forks.stdin is not None  # noqa: S101 - it was asked for
        assert self._forks.stdout is not None  # noqa: S101 - likewise
        ends = (self.found.kills + 1) % ENDING == 0
        promoting = not ends and self._rng.random() < 0.4 and bool(registry.listed(self.index))
        before = self._step()
        self._forks.stdin.write(f"{'promote' if promoting else 'refine'} {self._training}\n")
        self._forks.stdin.flush()
        child = int(self._forks.stdout.readline())
        end = time.monotonic() + (PATIENCE if ends else self._rng.uniform(0.1, MOST_SECONDS))
        while time.monotonic() < end and Path(f"/proc/{child}").exists():
            time.sleep(0.005)
        if Path(f"/proc/{child}").exists():
            os.kill(child, signal.SIGKILL)
            self.found.kills += 1
            self.found.of_promotions += promoting
        while Path(f"/proc/{child}").exists():
            time.sleep(0.005)
        if self._note.exists():
            told = json.loads(self._note.read_text(encoding="utf-8"))
            self._note.unlink()
            self.found.ended += 1
            self.found.resumed += told["resumed"] > 0
            self._training += 1
            if told["resumed"] < before:
                self.found.problems.append(f"a training that stood at step {before} went on from {told['resumed']}")
        elif 0 < self._step() < before:
            self.found.problems.append(f"a checkpoint fell from step {before} to {self._step()}")
        self._look()

    def _step(self) -> int:
        """Return at which step the checkpoint stands; 0 for none."""
        path = self.index / registry.FOLDER / "training.pt"
        if not path.exists():
            return 0
        told: dict[str, Any] = json.loads(torch.load(path, weights_only=True)["told"])
        return int(told["step"])

    def _look(self) -> None:
        try:
            loaded = Recommender.load(self.index, encoder=self.encoder)
            version = registry.promoted(self.index)
            adapter = registry.load(self.index, version) if version else None
            expected = self.plain.adapted(adapter).index.vectors
            if np.abs(loaded.index.vectors - expected).max() > CLOSE:
                self.found.problems.append(f"the vectors aren't those of {version or 'the encoder as it came'}")
        except Exception as problem:
            self.found.problems.append(f"the index doesn't load: {problem!r}")


def _catalogue() -> Catalogue:
    return Catalogue(wines().items[:ITEMS], kind="wine")


def _fork(folder: Path) -> None:
    """Fork a child for every line of the input, and print its process id; nothing runs here that threads could hold."""
    import coldstart.refining.training  # noqa: F401 - imported once, for all

    encoder, index = Encoder.load(resolve(DEFAULT_ENCODER)), folder / "index"
    for line in sys.stdin:
        what, number = line.split()
        child = os.fork()
        if child:
            print(child, flush=True)
            threading.Thread(target=os.waitpid, args=(child, 0), daemon=True).start()
            continue
        try:
            if what == "promote":
                _promote(index, encoder)
            else:
                (folder / "ended.json").write_text(json.dumps({"resumed": _refine(index, encoder, int(number))}))
        finally:
            os._exit(0)


def _refine(index: Path, encoder: Encoder, number: int) -> int:
    """Refine an index; return from which step training went on."""
    draw, ids = np.random.default_rng(0), _catalogue().ids
    events = Interactions.from_records(
        Interaction(f"u{who}", ids[row], timestamp=float(when))
        for who in range(PEOPLE)
        for when, row in enumerate(draw.permutation(range(who % 2, ITEMS, 2))[:LIKES].tolist())
    )
    schedule = Schedule(passes=4, batch=64, rate=5e-3, every=2, patience=100, seed=number)
    recommender = Recommender.load(index, encoder=encoder).adapted(None)
    found = recommender.refine(events, path=index, schedule=schedule, shape=Shape(rank=4, upper=0.3))
    return 0 if found.trained is None else found.trained.resumed


def _promote(index: Path, encoder: Encoder) -> None:
    """Promote the adapters of an index, and none, in turns."""
    recommender = Recommender.load(index, encoder=encoder)
    versions = [None, *(entry.version for entry in registry.listed(index))]
    for turn in range(10_000):
        recommender = recommender.promoted(index, versions[turn % len(versions)])


if __name__ == "__main__":
    main()
