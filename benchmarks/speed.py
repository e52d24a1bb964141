"""How fast is coldstart on this machine, and how much of what the machine can do does it use?

Method: MovieLens-100K's 1,682 items (fetched once), the default models, torch's own number of threads, 32-bit floats or
what ``--dtype`` says; what is set beside ours is of 32-bit floats in any case.
Every round does each measurement once, so that what slows the machine for a while slows all of them alike; reported
are medians over the rounds, and for requests the median and the 95th percentile over all of them.

- Encoder: texts a second over all item documents, beside ``SentenceTransformer.encode`` on the same texts.
- Language model: titles a second after one prompt, beside one plain forward a title (of fewer titles).
- Useful GFLOP/s: 2 x the weights of all linear layers, the output's included, x tokens that aren't padding, a second;
  as a share of a 2048 x 2048 matrix product, and of the model's own linear layers on random numbers, 512 rows at
  a time: a forward pass that has nothing else to do. Attention itself isn't counted as useful.
- Candidates: the names of 50 candidates after one new person's description, as a request reads them (without the
  year), beside one plain forward each (of fewer).
- Requests: ``recommend(k=10)`` without the language stage, and with it on 20 candidates; no two share a text or a set
  of likes. What a name's likelihood for nobody is, is known before, as it is once the item was among the best.
- Observing: a thousand of MovieLens-100K's events, where all the others are known; then, event by event, one more of
  someone's likes and the list after it, for the same person. Every hundredth part of new events counts all anew.
- Memory: of this process after ``--mixed`` requests of all kinds, one in a hundred with the language stage on five
  candidates, over that before them. As many of the same kinds come before, until what is remembered, which is bounded,
  has filled: the last of that is what the language model read first, after some 8,000 requests.
- Starts: a fresh process imports the package, opens an index and answers a first request; the disk's cache is warm.

Command: ``python benchmarks/speed.py [--repeats 5] [--seed 0] [--dtype float32] [--mixed 0] [--index FOLDER]
[--out FILE]``, four minutes, and ten more with ``--mixed 10000``; memory alone with ``--repeats 0 --mixed 10000``.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

import coldstart as cs
from coldstart.encoding import Encoder
from coldstart.evaluation.datasets import load
from coldstart.generation import LanguageModel, model_hashes
from coldstart.models import DEFAULT_ENCODER, DEFAULT_LANGUAGE_MODEL, resolve
from coldstart.prompting import Library, render
from coldstart.recommender import Recommender
from provenance import finish, print_table, provenance

TITLES = 400
PLAIN_TITLES = 20
CANDIDATES = 50
PLAIN_CANDIDATES = 8
REQUESTS = 40
REREAD = 20
REREADINGS = 4
EVENTS, CLICKS = 1000, 20
SQUARE = 2048
ROWS = 512

OBSERVED = ("all the others", f"{EVENTS:,} events", "one event", "the list after it")

Times = dict[str, list[float]]
"""What was measured to its seconds, one a round or one a request."""


def main() -> None:
    """Measure, print the table and the record."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--repeats", type=int, default=5, help="rounds (default: 5); 0 for memory alone")
    parser.add_argument("--seed", type=int, default=0, help="draws titles and profiles (default: 0)")
    parser.add_argument("--dtype", default="float32", help="what ours multiplies: float32, bfloat16 or auto")
    parser.add_argument("--mixed", type=int, default=0, help="requests after which memory is measured (default: 0)")
    parser.add_argument("--index", type=Path, help="an index of ml-100k to ask; built without a language model if none")
    parser.add_argument("--out", type=Path, help="also write the last line, JSON, to this file")
    given = parser.parse_args()
    encoder = Encoder.load(resolve(DEFAULT_ENCODER), dtype=given.dtype)
    model = LanguageModel.load(resolve(DEFAULT_LANGUAGE_MODEL), dtype=given.dtype)
    made = provenance(model_hashes(encoder, model))
    with tempfile.TemporaryDirectory() as scratch:
        folder = given.index or Path(scratch) / "index"
        if given.index is None:
            Recommender.build(load("ml-100k").catalogue, encoder=encoder, language_model=None, path=folder)
        bench = Bench(encoder, model, folder, seed=given.seed)
        bench.warm_up()
        for number in range(given.repeats):
            print(f"round {number + 1} of {given.repeats}", file=sys.stderr)
            bench.round(number)
        results = bench.results() if given.repeats else {}
        if given.mixed:
            results["memory"] = bench.mixed(given.mixed)
    if given.repeats:
        print_table(table(results))
    about = {"seed": given.seed, "repeats": given.repeats, "dtype": model.dtype}
    finish({"benchmark": "speed", **about, **made, "results": results}, given.out)


class Bench:
    """The measurements, and the seconds they took so far."""

    def __init__(self, encoder: Encoder, model: LanguageModel, folder: Path, *, seed: int) -> None:
        self.encoder, self.model, self.folder = encoder, model, folder
        loaded = Recommender.load(folder, encoder=encoder)
        self.recommender = Recommender(loaded.index, encoder=encoder, language_model=model)
        self.rng = random.Random(seed)  # noqa: S311 - no secrets
        catalogue, library = self.recommender.catalogue, Library.load()
        self.titles, self.names = (
            [
                f" {text}"
                for i in catalogue.items
                if (text := library.describe_item(i, kind=catalogue.kind, template=template).text)
            ]
            for template in ("item-title", "item-name")
        )
        self.documents = self.recommender.index.documents
        self.titles = self.rng.sample(sorted({*self.titles}), TITLES)
        self.prompt = render(library.of("appeal")[0], {"kind": catalogue.kind}).text
        self.layers = {name: linear_layers(m) for name, m in (("encoder", encoder.model), ("lm", model.model))}
        self.square = torch.randn(SQUARE, SQUARE)
        self.events = load("ml-100k").interactions
        self.times: Times = defaultdict(list)
        self.difference = {"encoder": 0.0, "lm": 0.0, "candidates": 0.0}

    def warm_up(self) -> None:
        """Do a little of everything, so that the first round finds what the others find."""
        self.encoder.encode(self.documents[:64])
        self.model.likelihoods(self.prompt, self.titles[:32])
        plain_forwards(self.model, self.prompt, self.titles[:2])
        for profile in (cs.Profile(text="a warm-up"), cs.Profile(likes=self.recommender.catalogue.ids[:5])):
            self.recommender.recommend(profile)

    def round(self, number: int) -> None:
        """Do each measurement once."""
        timed(self.times, "square", lambda: self.square @ self.square)
        for name, layers in self.layers.items():
            inputs = {width: torch.randn(ROWS, width) for width in {layer.in_features for layer in layers}}
            timed(self.times, f"{name} layers", partial(run_layers, layers, inputs))
        self._encode(list(self.documents))
        self._score(self.titles[:PLAIN_TITLES])
        for kind, profile in self._profiles(number):
            timed(self.times, kind, partial(self.recommender.recommend, profile))
        self._candidates(number)
        for request in range(REREADINGS):
            person = self._person(number * REREADINGS + request)
            best = [one.id for one in self.recommender.recommend(person, k=REREAD)]
            self.recommender.recommend(cs.Profile(text="a warm-up"), candidates=best, language=REREAD)
            timed(self.times, "language", partial(self.recommender.recommend, person, language=REREAD))
        self._observe(number)
        for name, seconds in fresh_process(self.folder).items():
            self.times[name].append(seconds)

    def _observe(self, number: int) -> None:
        """Observe events that nobody observed before, many at once and one by one, and ask for the list after each."""
        learner, drawn = self.recommender.unlearned(), np.random.default_rng(number).permutation(len(self.events))
        parts = np.split(drawn, [EVENTS, EVENTS + CLICKS])
        some, clicks, rest = (self.events.take(np.isin(np.arange(len(drawn)), part)) for part in parts)
        timed(self.times, "all the others", partial(learner.observe, rest))
        learner.recommend(cs.Profile())
        timed(self.times, f"{EVENTS:,} events", partial(learner.observe, some))
        for place in range(CLICKS):
            one = clicks.take(np.arange(len(clicks)) == place)
            item, user = one.item_ids[one.items[0]], one.user_ids[one.users[0]]
            timed(self.times, "one event", partial(learner.observe, one))
            mine = rest.take(rest.users == rest.user_ids.index(user)) if user in rest.user_ids else one
            history = [mine.item_ids[row] for row in mine.items[-10:].tolist()]
            timed(self.times, "the list after it", partial(learner.recommend, cs.Profile(history=[*history, item])))

    def _encode(self, texts: list[str]) -> None:
        ours = timed(self.times, "encoder", lambda: self.encoder.encode(texts))
        plain = timed(self.times, "encoder plain", lambda: sentence_transformers(self.encoder, texts))
        self.difference["encoder"] = max(self.difference["encoder"], float(np.abs(ours - plain).max()))

    def _score(self, few: list[str]) -> None:
        ours = timed(self.times, "lm", lambda: self.model.likelihoods(self.prompt, self.titles)).total[: len(few)]
        plain = timed(self.times, "lm plain", lambda: plain_forwards(self.model, self.prompt, few))
        self.difference["lm"] = max(self.difference["lm"], float(np.abs(ours - plain).max()))

    def _candidates(self, number: int) -> None:
        values = {"kind": self.recommender.catalogue.kind, "description": self._description(1000 + number)}
        prompt = render(Library.load().of("naming")[0], values).text
        names = self.rng.sample(sorted({*self.names}), CANDIDATES)  # as a request's best are read again
        few = names[:PLAIN_CANDIDATES]
        ours = timed(self.times, "candidates", lambda: self.model.likelihoods(prompt, names)).total[: len(few)]
        plain = timed(self.times, "candidates plain", lambda: plain_forwards(self.model, prompt, few))
        self.difference["candidates"] = max(self.difference["candidates"], float(np.abs(ours - plain).max()))

    def _description(self, number: int) -> str:
        return self.recommender.recommend(self._person(number), k=1).description

    def _person(self, number: int) -> cs.Profile:
        """Return what someone new says at sign-up; nobody else says the same."""
        likes = self.rng.sample(self.recommender.catalogue.ids, 3)
        words = f"something slow and dark for evening {number}"
        return cs.Profile(text=words, likes=likes, attributes={"age": 18 + number % 60, "occupation": "technician"})

    def mixed(self, requests: int) -> dict[str, float]:
        """Answer as many requests of all kinds twice, and return the memory held at first and after each, in MB."""
        held = [resident()]
        for number in range(2 * requests):
            if number == requests:
                held.append(resident())
            language = 5 if number % 100 == 0 else 0
            kind = number % 3
            likes = cs.Profile(likes=self.rng.sample(self.recommender.catalogue.ids, 5))
            profile = self._person(10_000 + number) if kind == 0 or language else likes if kind == 1 else cs.Profile()
            self.recommender.recommend(profile, language=language)
        held.append(resident())
        first, warm, late = held
        return {
            "requests": requests,
            "first_mb": round(first),
            "warm_mb": round(warm),
            "late_mb": round(late),
            "late_over_warm": round(late / warm, 4),
        }

    def _profiles(self, number: int) -> Iterator[tuple[str, cs.Profile]]:
        """Yield kinds of request and profiles in turn, no two of them alike but the empty ones."""
        ids = self.recommender.catalogue.ids
        for request in range(REQUESTS):
            first, second = self.rng.sample(self.titles, 2)
            text = f"Something between{first} and{second}, for evening {number * REQUESTS + request} of the year"
            yield "text", cs.Profile(text=text)
            yield "5 likes", cs.Profile(likes=self.rng.sample(ids, 5))
            yield "nothing", cs.Profile()

    def results(self) -> dict[str, Any]:
        """Return what was found, as ``json.dumps`` takes it."""
        middle = {name: statistics.median(seconds) for name, seconds in self.times.items()}
        square = 2 * SQUARE**3 / middle["square"] / 1e9
        title_tokens = [len(ids) for ids in self._ids(self.titles)]
        # A title's last token is asked for, not read.
        tokens = {"encoder": self._document_tokens(), "lm": sum(max(0, count - 1) for count in title_tokens)}

        def use(name: str) -> dict[str, float]:
            weights = sum(layer.weight.numel() for layer in self.layers[name])
            useful = 2 * weights * tokens[name] / middle[name] / 1e9
            own = 2 * weights * ROWS / middle[f"{name} layers"] / 1e9
            found = {"useful_gflops": useful, "share_of_square": useful / square, "share_of_own_layers": useful / own}
            return {"tokens_per_s": round(tokens[name] / middle[name], 1), **{k: round(v, 3) for k, v in found.items()}}

        ours, plain = TITLES / middle["lm"], PLAIN_TITLES / middle["lm plain"]
        return {
            "sgemm_gflops": round(square, 1),
            "encoder": {
                "texts_per_s": round(len(self.documents) / middle["encoder"], 1),
                "sentence_transformers_texts_per_s": round(len(self.documents) / middle["encoder plain"], 1),
                "speed_up": round(middle["encoder plain"] / middle["encoder"], 3),
                "largest_difference": self.difference["encoder"],
                **use("encoder"),
            },
            "language_model": {
                "titles_per_s": round(ours, 2),
                "plain_titles_per_s": round(plain, 2),
                "speed_up": round(ours / plain, 3),
                "largest_difference_nats": self.difference["lm"],
                "read_by": self.model.way,
                **use("lm"),
            },
            "candidates": {
                "count": CANDIDATES,
                "ms": round(1000 * middle["candidates"], 1),
                "plain_ms_each": round(1000 * middle["candidates plain"] / PLAIN_CANDIDATES, 1),
                "speed_up": round(middle["candidates plain"] / PLAIN_CANDIDATES * CANDIDATES / middle["candidates"], 2),
                "largest_difference_nats": self.difference["candidates"],
            },
            "recommend_ms": {kind: self._percentiles(kind) for kind in ("text", "5 likes", "nothing", "language")},
            "observe_ms": {kind: self._percentiles(kind) for kind in OBSERVED},
            "fresh_process_s": {name: round(middle[name], 3) for name in ("import", "load", "first recommend")},
        }

    def _percentiles(self, kind: str) -> dict[str, float]:
        median, late = 1000 * np.percentile(self.times[kind], [50, 95])
        return {"median": round(float(median), 2), "p95": round(float(late), 2), "requests": len(self.times[kind])}

    def _document_tokens(self) -> int:
        return sum(min(self.encoder.count_tokens(text), self.encoder.max_tokens) for text in {*self.documents})

    def _ids(self, texts: list[str]) -> list[list[int]]:
        ids: list[list[int]] = self.model.tokenizer(texts, add_special_tokens=False)["input_ids"]
        return ids


def timed(times: Times, name: str, work: Callable[[], Any]) -> Any:
    """Do some work, note how long it took, and return its outcome."""
    start = time.perf_counter()
    found = work()
    times[name].append(time.perf_counter() - start)
    return found


def linear_layers(model: torch.nn.Module) -> list[torch.nn.Linear]:
    """Return a model's linear layers; a tied output layer is one of them, the embedding it is tied to isn't."""
    return [module for module in model.modules() if isinstance(module, torch.nn.Linear)]


def run_layers(layers: list[torch.nn.Linear], inputs: dict[int, torch.Tensor]) -> None:
    """Put each layer once to the input of its width. Shape of each: ``(rows, width)``."""
    with torch.inference_mode():
        for layer in layers:
            layer(inputs[layer.in_features])


def sentence_transformers(encoder: Encoder, texts: list[str]) -> NDArray[np.float32]:
    """Return what sentence-transformers makes of the texts by itself. Shape: ``(texts, dimension)``."""
    return np.asarray(
        encoder.model.encode(texts, batch_size=32, normalize_embeddings=True, show_progress_bar=False), np.float32
    )


def plain_forwards(model: LanguageModel, prompt: str, titles: list[str]) -> NDArray[np.float64]:
    """Return the titles' log-probabilities by one forward each, prompt included. Shape: ``(titles,)``."""
    start = model.tokenizer(prompt)["input_ids"]
    found = []
    for title in titles:
        ids = torch.tensor([start + model.tokenizer(title, add_special_tokens=False)["input_ids"]])
        with torch.inference_mode():
            surprise = torch.log_softmax(model.model(ids).logits[0, len(start) - 1 : -1].float(), -1)
        found.append(float(surprise.gather(1, ids[0, len(start) :, None]).double().sum()))
    return np.array(found)


def resident() -> float:
    """Return the memory that this process holds, in MB."""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return next(int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith("VmRSS:"))


def fresh_process(folder: Path) -> dict[str, float]:
    """Return the seconds that a new process needs to import the package, open an index and answer once."""
    program = """
import json, sys, time
times = [time.perf_counter()]
import coldstart
times.append(time.perf_counter())
recommender = coldstart.Recommender.load(sys.argv[1])
times.append(time.perf_counter())
recommender.recommend(coldstart.Profile(text="a slow western"))
times.append(time.perf_counter())
print(json.dumps([after - before for before, after in zip(times, times[1:])]))
"""
    command = [sys.executable, "-c", program, str(folder)]
    said = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
    return dict(zip(("import", "load", "first recommend"), json.loads(said.splitlines()[-1]), strict=True))


def table(results: dict[str, Any]) -> list[list[str]]:
    """Return the header and the rows of what was found, as text."""
    encoder, model = results["encoder"], results["language_model"]
    rows = [["", "coldstart", "plain", "ratio", "of sgemm", "of own layers"]]
    for name, part, ours, plain in (
        ("encoder, texts/s", encoder, "texts_per_s", "sentence_transformers_texts_per_s"),
        ("language model, titles/s", model, "titles_per_s", "plain_titles_per_s"),
    ):
        shares = [f"{part['share_of_square']:.0%}", f"{part['share_of_own_layers']:.0%}"]
        rows.append([name, f"{part[ours]:.1f}", f"{part[plain]:.1f}", f"{part['speed_up']:.2f}", *shares])
        rows.append([name.split(",")[0] + ", tokens/s", f"{part['tokens_per_s']:.0f}", "", "", "", ""])
    asked = results["candidates"]
    ours, plain = f"{asked['ms']:.0f}", f"{asked['plain_ms_each'] * asked['count']:.0f}"
    rows.append([f"{asked['count']} candidates, ms", ours, plain, f"{asked['speed_up']:.1f}", "", ""])
    rows.append(["matrix product, GFLOP/s", f"{results['sgemm_gflops']:.0f}", "", "", "", ""])
    for kind, found in results["recommend_ms"].items():
        rows.append([f"recommend with {kind}, ms", f"{found['median']:.1f}", f"p95 {found['p95']:.1f}", "", "", ""])
    for kind, found in results["observe_ms"].items():
        rows.append([f"observing {kind}, ms", f"{found['median']:.1f}", f"p95 {found['p95']:.1f}", "", "", ""])
    for name, seconds in results["fresh_process_s"].items():
        rows.append([f"new process: {name}, s", f"{seconds:.2f}", "", "", "", ""])
    return rows


if __name__ == "__main__":
    main()
