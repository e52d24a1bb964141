"""Does the service answer in time, lose nothing, keep to its description and keep tenants apart?

Method: the service runs in a process of its own, with the default encoder on 10,000 items, the shipped wines in several
vintages, or, where the language model is asked, with that as well on the wines as they are, all read. The load comes
from threads of this process, on the same machine. Every request has words of its own.

- recommend: profile only, without the language model: p50 and p99 at 1 client, throughput at 16 clients.
- language: 20 candidates read by the language model: p50; with ``deadline_ms`` 200: the slowest answer, and how many of
  those that were cut short say so.
- fresh: from sending an item to having been given a list that holds it: p50 and the slowest, before any event and with
  20,000.
- weighing: 16 clients ask while the service chooses its weights by 20,000 events, and after: the worst second.
- events: batches of 100 from 4 clients on SQLite: events acknowledged a second.
- kills: start, load, kill -9 at a random moment, again and again, on SQLite and PostgreSQL.
- contract: schemathesis over the whole OpenAPI description, every check.
- tenants: 8 threads of two tenants that share every id: answers that hold what is the other's.
- swaps: 8 threads ask while adapters are swapped: lists that aren't what the adapter they name gives, and errors.
- memory: a mix of all requests; resident memory over its second half, beside what it was at half-time.

Command: ``python benchmarks/service.py [--quick] [--only NAME ...] [--skip NAME ...] [--seed 0] [--data FOLDER] [--out
FILE]``; about 30 minutes, ten less with ``--skip memory``, with --quick 4. Bars are for two cores that do nothing else.
A measurement that fails is told and leaves the others be. With ``--out``, what each gave is written as it ends, beside
what is there from the same commit and machine, so that measurements may be made one by one.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import statistics
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import coldstart as cs
from coldstart.client import Client
from coldstart.demo import wines
from coldstart.models import DEFAULT_ENCODER, DEFAULT_LANGUAGE_MODEL, resolve
from coldstart.service.keys import Keys
from kills import Killed
from processes import Postgres, Running
from provenance import finish, print_table, provenance
from swaps import swapped_under

ITEMS = 10_000
SWAPPED = 200
WORDS = (
    *("bold", "red", "white", "crisp", "fresh", "sweet", "sparkling", "steak", "fish", "dinner", "party", "summer"),
    *("spicy", "dry", "oak", "fruity", "light", "dessert", "cheese", "picnic", "Brazil", "Spain", "France", "Italy"),
    *("Portugal", "birthday", "seafood", "winter", "terrace", "gift", "everyday", "old", "young", "pork", "lamb"),
)

BARS = {
    "recommend p50, ms": ("<=", 20.0),
    "recommend p99, ms": ("<=", 60.0),
    "recommend, 16 clients, requests/s": (">=", 80.0),
    "language p50, ms": ("<=", 500.0),
    "language, deadline 200, slowest, ms": ("<=", 300.0),
    "language, deadline 200, cut short and not flagged": ("<=", 0.0),
    "fresh slowest, ms": ("<=", 200.0),
    "fresh, 20,000 events, slowest, ms": ("<=", 200.0),
    "weighing, 16 clients, worst second, requests/s": (">=", 80.0),
    "events/s": (">=", 3000.0),
    "kills, sqlite, problems": ("<=", 0.0),
    "kills, postgresql, problems": ("<=", 0.0),
    "contract, problems": ("<=", 0.0),
    "tenants, leaks": ("<=", 0.0),
    "swaps, mixed": ("<=", 0.0),
    "swaps, errors": ("<=", 0.0),
    "memory, growth, %": ("<=", 5.0),
    "memory, errors": ("<=", 0.0),
}

EVENTS = 20_000
_START = 900.0  # seconds that ten thousand items have to be encoded
_IDLE = 0.1  # of a core: what a service takes that has nothing to do
_WEIGHING = 120.0  # seconds that weights have to be chosen

Results = dict[str, float]


def main() -> None:
    """Measure, print the table and the record."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a tenth of everything, to see that it works")
    parser.add_argument("--only", action="append", choices=sorted(MEASURES), help="measure only this; may be repeated")
    parser.add_argument("--skip", action="append", choices=sorted(MEASURES), default=[], help="measure all but this")
    parser.add_argument("--seed", type=int, default=0, help="draws words and moments (default: 0)")
    parser.add_argument(
        "--data", type=Path, help="keep the service's folder here, and go on with the one that is there"
    )
    parser.add_argument("--out", type=Path, help="also write the last line, JSON, to this file")
    given = parser.parse_args()
    made = provenance({model.name: model.hash for model in map(resolve, (DEFAULT_ENCODER, DEFAULT_LANGUAGE_MODEL))})
    about = {"seed": given.seed, "quick": given.quick, **made}
    results = earlier(given.out, about)
    with tempfile.TemporaryDirectory() as scratch:
        bench = Bench(given.data or Path(scratch) / "data", scale=0.1 if given.quick else 1.0, seed=given.seed)
        for name in given.only or [name for name in MEASURES if name not in given.skip]:
            start = time.monotonic()
            print(f"measuring {name}", file=sys.stderr)
            results.pop(f"{name}, failed", None)
            try:
                results.update(MEASURES[name](bench))
            except Exception:  # the others are measured all the same
                traceback.print_exc()
                results[f"{name}, failed"] = 1.0
            print(f"{name}: done after {time.monotonic() - start:.0f} s", file=sys.stderr)
            if given.out is not None:
                given.out.write_text(json.dumps(record(about, results)) + "\n", encoding="utf-8")
        bench.close()
    print_table(table(results))
    finish(record(about, results), given.out)
    if any(name.endswith(", failed") for name in results):
        sys.exit(1)


def record(about: Mapping[str, Any], results: Results) -> dict[str, Any]:
    """Return what is kept of a run."""
    return {"benchmark": "service", **about, "bars": BARS, "results": results}


def earlier(out: Path | None, about: Mapping[str, Any]) -> Results:
    """Return what a file holds that was measured by the same code with the same models on the same machine."""
    if out is None or not out.is_file():
        return {}
    there = json.loads(out.read_text(encoding="utf-8"))

    def of(told: Mapping[str, Any]) -> dict[str, Any]:
        machine = {name: told["hardware"][name] for name in ("cpu", "cores")}
        return {name: told[name] for name in about if name != "hardware"} | machine

    return dict(there["results"]) if of(there) == of(about) else {}


class Bench:
    """What the measurements share: a service with its items, started when it is first asked for.

    Args:
        folder: Of the service.
        scale: Of durations and counts, 1 for the bars'.
        seed: Of words and moments.
    """

    def __init__(self, folder: Path, *, scale: float, seed: int) -> None:
        self.folder, self.scale, self.seed = folder, scale, seed
        self.rng = random.Random(seed)  # noqa: S311 - no secrets
        self._services: dict[str, Running] = {}

    def many(self, number: int, *, least: int = 1) -> int:
        """Return a count at this scale."""
        return max(least, round(number * self.scale))

    @property
    def running(self) -> Running:
        """The service on ten thousand items, without a language model."""
        return self._service("plain", catalogue(), {"language_model": ""})

    @property
    def learned(self) -> Running:
        """The same in a folder of its own, which events are told to."""
        plain, here = self.folder / "plain" / "indexes", self.folder / "learned" / "indexes"
        if not here.exists():
            _ = self.running
            while not plain.exists():
                time.sleep(0.2)  # it is kept a moment after it was made
            shutil.copytree(plain, here)
        return self._service("learned", catalogue(), {"language_model": ""})

    @property
    def reading(self) -> Running:
        """The service on the wines as they are, all read by the language model."""
        return self._service("reading", wines().items, {})

    def _service(self, name: str, items: Sequence[cs.Item], settings: Mapping[str, Any]) -> Running:
        if name not in self._services:
            limits = {"rate": 1e6, "burst": 10**6}
            made = Running({"data": str(self.folder / name), **limits, **settings}, kind="wine")
            self._services[name] = made
            storage = made.storage()
            if len(storage.items("default")) < len(items):
                storage.put_items("default", items)
            storage.engine.dispose()
            print(f"{name}: starting with {len(items)} items, which are encoded unless they were", file=sys.stderr)
            print(f"{name}: ready after {made.start(patience=_START):.0f} s", file=sys.stderr)
            while not settings and b"coldstart_pending_items 0.0" not in urlopen(f"{made.url}/metrics").read():  # noqa: S310
                time.sleep(1)
            while not settings and made.busy() > _IDLE:  # titles are read ahead
                pass
            with made.client(timeout=300) as client:
                client.recommend(profile(self.rng), language=0 if settings else 20)
        return self._services[name]

    def close(self) -> None:
        """Stop the services."""
        for made in self._services.values():
            made.__exit__()


def catalogue() -> list[cs.Item]:
    """Return the shipped wines in as many vintages as make ten thousand items."""
    found = wines().items
    vintages = -(-ITEMS // len(found))
    return [
        cs.Item(
            f"{wine.id}-{n}", f"{wine.title} {2010 + n}" if n else wine.title, {**wine.attributes, "vintage": 2010 + n}
        )
        for n in range(vintages)
        for wine in found
    ][:ITEMS]


def profile(rng: random.Random) -> cs.Profile:
    """Return someone who says something that nobody has said."""
    return cs.Profile(text=" ".join(rng.sample(WORDS, 8)), attributes={"age": rng.randint(18, 80)})


def load(
    running: Running, seconds: float, clients: int, act: Callable[[Client, random.Random], Any], *, seed: int
) -> tuple[list[float], float]:
    """Let clients act, one request after the other; return their seconds, rising, and how many were done a second."""
    times: list[float] = []
    end, start = time.perf_counter() + seconds, time.perf_counter()

    def run(number: int) -> None:
        rng = random.Random(f"{seed} {number}")  # noqa: S311 - no secrets
        with running.client(timeout=60, retries=0) as client:
            while time.perf_counter() < end:
                begun = time.perf_counter()
                act(client, rng)
                times.append(time.perf_counter() - begun)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sorted(times), len(times) / (time.perf_counter() - start)


def share(times: Sequence[float], part: float) -> float:
    """Return the time, in milliseconds, that a part of all don't exceed."""
    return 1000 * times[min(len(times) - 1, int(part * len(times)))]


def recommend(bench: Bench) -> Results:
    """Lists without the language model."""

    def ask(client: Client, rng: random.Random) -> None:
        client.recommend(profile(rng))

    load(bench.running, 2, 2, ask, seed=-1)
    alone, _ = load(bench.running, 60 * bench.scale, 1, ask, seed=bench.seed)
    together, rate = load(bench.running, 60 * bench.scale, 16, ask, seed=bench.seed + 1)
    return {
        "recommend p50, ms": share(alone, 0.5),
        "recommend p99, ms": share(alone, 0.99),
        "recommend, 16 clients, requests/s": rate,
        "recommend, 16 clients, p50, ms": share(together, 0.5),
    }


def language(bench: Bench) -> Results:
    """Lists with the language model, with and without a deadline."""
    with bench.reading.client(timeout=60) as client:
        times, cut, unflagged = [], [], 0
        for _ in range(bench.many(60, least=8)):
            begun = time.perf_counter()
            client.recommend(profile(bench.rng), language=20)
            times.append(time.perf_counter() - begun)
        for _ in range(bench.many(60, least=8)):
            begun = time.perf_counter()
            found = client.recommend(profile(bench.rng), language=20, deadline_ms=200, explain=True)
            cut.append(time.perf_counter() - begun)
            read = any(part.scorer == "language" for one in found for part in one.parts)
            unflagged += not read and not found.degraded
    return {
        "language p50, ms": 1000 * statistics.median(times),
        "language, deadline 200, p50, ms": 1000 * statistics.median(cut),
        "language, deadline 200, slowest, ms": 1000 * max(cut),
        "language, deadline 200, cut short and not flagged": unflagged,
    }


def fresh(bench: Bench) -> Results:
    """From an item's posting to the first list that holds it, before any event and with many."""
    before = _freshness(bench, bench.running)
    tell_all(bench)
    after = _freshness(bench, bench.learned)
    return {
        "fresh p50, ms": 1000 * statistics.median(before),
        "fresh slowest, ms": 1000 * max(before),
        "fresh, 20,000 events, p50, ms": 1000 * statistics.median(after),
        "fresh, 20,000 events, slowest, ms": 1000 * max(after),
    }


def _freshness(bench: Bench, running: Running) -> list[float]:
    times = []
    with running.client(timeout=60) as client:
        for number in range(bench.many(50, least=6)):
            item = cs.Item(f"fresh-{number}", f"Quinta Nova {number} {' '.join(bench.rng.sample(WORDS, 4))}")
            begun = time.perf_counter()
            client.put_items([item])
            found = client.recommend(candidates=[item.id])
            times.append(time.perf_counter() - begun)
            if [one.id for one in found] != [item.id]:
                raise RuntimeError(f"{item.id} was acknowledged, and isn't in the list: {found}")
        for number in range(bench.many(50, least=6)):
            client.delete_item(f"fresh-{number}")
    return times


def tell_all(bench: Bench) -> None:
    """Tell the service that learns twenty thousand events, each once however often this is called."""
    ids, rng = [item.id for item in catalogue()], random.Random(bench.seed)  # noqa: S311 - no secrets
    with bench.learned.client(timeout=60) as client:
        for number in range(0, EVENTS, 100):
            told = [cs.Interaction(f"u{rng.randrange(5000)}", rng.choice(ids), "like") for _ in range(100)]
            client.tell(told, ids=[f"told-{number + place}" for place in range(100)])


def weighing(bench: Bench) -> Results:
    """Lists while weights are chosen, and after."""
    running = bench.learned
    running.stop()
    for kept in (running.folder / "indexes").glob("*.weights.json"):
        kept.unlink()
    running.start(patience=_START)
    tell_all(bench)
    done: list[tuple[float, float]] = []
    chosen: list[Path] = []
    stop = threading.Event()

    def ask(number: int) -> None:
        rng = random.Random(f"{bench.seed} {number}")  # noqa: S311 - no secrets
        with running.client(timeout=60, retries=0) as client:
            while not stop.is_set():
                begun = time.perf_counter()
                client.recommend(profile(rng))
                done.append((time.perf_counter(), time.perf_counter() - begun))

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(16)]
    start = time.perf_counter()
    for thread in threads:
        thread.start()
    while not chosen and time.perf_counter() - start < _WEIGHING:
        time.sleep(0.1)
        chosen = list((running.folder / "indexes").glob("*.weights.json"))
    weighed = time.perf_counter()
    time.sleep(15)
    stop.set()
    for thread in threads:
        thread.join()
    if not chosen:
        raise RuntimeError(f"no weights were chosen within {_WEIGHING:.0f} s")
    during, after = (
        [one for one in done if begin <= one[0] < end] for begin, end in ((start + 1, weighed), (weighed, weighed + 14))
    )
    return {
        "weighing, seconds until it was done": weighed - start,
        "weighing, 16 clients, worst second, requests/s": _worst_second(during),
        "weighing, 16 clients, slowest, ms": 1000 * max(seconds for _, seconds in during),
        "weighing, 16 clients, worst second after, requests/s": _worst_second(after),
        "weighing, 16 clients, slowest after, ms": 1000 * max(seconds for _, seconds in after),
    }


def _worst_second(done: Sequence[tuple[float, float]]) -> int:
    """Return how many requests ended in the second in which the fewest did, of all whole seconds since the first."""
    start, last = min(end for end, _ in done), max(end for end, _ in done)
    counts = [0] * int(last - start)
    for end, _ in done:
        if int(end - start) < len(counts):
            counts[int(end - start)] += 1
    return min(counts)


def events(bench: Bench) -> Results:
    """Events acknowledged a second, told by four clients in batches of a hundred."""
    ids = [item.id for item in catalogue()]

    def tell(client: Client, rng: random.Random) -> None:
        client.tell(cs.Interaction(f"u{rng.randrange(5000)}", rng.choice(ids), "like") for _ in range(100))

    _, rate = load(bench.learned, 30 * bench.scale, 4, tell, seed=bench.seed)
    return {"events/s": rate * 100}


@contextmanager
def small(database: str | None, **more: Any) -> Iterator[Running]:
    """Run a service without items, and without a language model, so that its starts are its own."""
    with tempfile.TemporaryDirectory() as folder:
        settings = {
            "data": folder,
            "language_model": "",
            **({} if database is None else {"database": database}),
            **more,
        }
        with Running(settings) as running:
            yield running


def kills(bench: Bench) -> Results:
    """Kill -9 under load on both databases."""
    results: Results = {}
    with Postgres() as server:
        for name, database in (("sqlite", None), ("postgresql", server.fresh("kills"))):
            with small(database) as running:
                killed = Killed(running, seed=bench.seed)
                for number in range(bench.many(100)):
                    killed.once()
                    if number % 10 == 9:
                        print(f"{name}: {number + 1} kills", file=sys.stderr)
                problems = killed.problems()
                print("\n".join(problems), file=sys.stderr)
                results[f"kills, {name}, rounds"] = bench.many(100)
                results[f"kills, {name}, events acknowledged"] = killed.acknowledged
                results[f"kills, {name}, problems"] = len(problems)
                results[f"kills, {name}, slowest start, s"] = max(killed.starts)
    return results


def contract(bench: Bench) -> Results:
    """Make requests of every operation, proper and improper ones."""
    from coldstart.service.app import application
    from coldstart.service.running import Service
    from coldstart.service.serving import engine_of
    from coldstart.service.settings import Settings
    from coldstart.service.storage import open_storage
    from contract import cases_of

    with tempfile.TemporaryDirectory() as folder:
        settings = Settings.read(data=Path(folder), language_model="", rate=1e6, burst=10**6)
        storage = open_storage(settings.url)
        storage.create_tenant("default", kind="wine")
        storage.put_items("default", wines().items[:50])
        service = Service(settings, storage, engine_of(settings))
        key = service.keys.create("default", scopes=["read", "write", "admin"])[1]
        found = cases_of(application(service), key, most=bench.many(150, least=10), seed=bench.seed)
    print("\n".join(found.problems[:10]), file=sys.stderr)
    return {"contract, cases": found.cases, "contract, problems": len(found.problems)}


def tenants(bench: Bench) -> Results:
    """Let two tenants use the same ids at the same time, and look for each other's words in their answers."""
    leaks, rounds = [], bench.many(100, least=5)
    with small(None) as running:
        storage, given = running.storage(), {}
        for name in ("red", "blue"):
            storage.create_tenant(name, kind="wine")
            given[name] = Keys(storage).create(name)[1]
        storage.engine.dispose()
        running.start()

        def act(seed: int) -> None:
            name, other = ("red", "blue") if seed % 2 else ("blue", "red")
            rng = random.Random(seed)  # noqa: S311 - no secrets
            with Client(running.url, given[name], timeout=60) as client:
                for number in range(rounds):
                    id_ = f"shared-{seed // 2}-{rng.randrange(3)}"
                    client.put_items([cs.Item(id_, f"{name} wine {number}")])
                    client.put_user(id_, cs.Profile(text=f"{name} words", likes=[id_]))
                    client.tell([cs.Interaction(id_, id_, "view")], ids=[f"{seed}-{number}"])
                    found = client.recommend(user=id_, k=20, refine="background")
                    page = client.page(found.recommendation_id)
                    answers = f"{found.items} {page.items} {client.item(id_)} {client.user(id_)}"
                    if f"{other} wine" in answers or f"{other} words" in answers:
                        leaks.append(answers)

        threads = [threading.Thread(target=act, args=(seed,)) for seed in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    return {"tenants, rounds": 8 * rounds, "tenants, leaks": len(leaks)}


def swaps(bench: Bench) -> Results:
    """Swap adapters while 8 threads ask ten thousand times."""
    with small(None, rate=1e6, burst=10**6) as running:
        found = swapped_under(running, list(wines().items[:SWAPPED]), asked=bench.many(10_000), seed=bench.seed)
    print("\n".join(found.problems[:10]), file=sys.stderr)
    return {
        "swaps, requests": found.asked,
        "swaps": found.swaps,
        "swaps, adapters seen in answers": found.seen,
        "swaps, mixed": found.mixed,
        "swaps, errors": len(found.problems),
    }


def memory(bench: Bench) -> Results:
    """Mix all requests for ten minutes; the items stay as many as they were."""
    errors, seconds = [0], 600 * bench.scale
    ids = [item.id for item in catalogue()]

    def act(client: Client, rng: random.Random) -> None:
        number, user = rng.random(), f"m{rng.randrange(500)}"
        try:
            if number < 0.6:
                client.recommend(profile(rng), user=user)
            elif number < 0.8:
                client.tell([cs.Interaction(user, rng.choice(ids), "view") for _ in range(5)])
            elif number < 0.9:
                client.put_items([cs.Item(f"fresh-{rng.randrange(20)}", f"Wine {rng.random()}")])
            elif number < 0.95:
                client.erase_user(user)
            else:
                client.rerank(" ".join(rng.sample(WORDS, 4)), rng.sample(WORDS, 5))
        except cs.ColdstartError as problem:
            print(problem, file=sys.stderr)
            errors[0] += 1

    running = bench.learned
    load(running, seconds / 2, 4, act, seed=bench.seed)
    half = running.memory()
    load(running, seconds / 2, 4, act, seed=bench.seed + 1)
    end = running.memory()
    return {
        "memory, half-time, MiB": half,
        "memory, growth, %": 100 * (end / half - 1),
        "memory, errors": errors[0],
    }


MEASURES: Mapping[str, Callable[[Bench], Results]] = {
    "recommend": recommend,
    "language": language,
    "fresh": fresh,
    "weighing": weighing,
    "events": events,
    "kills": kills,
    "contract": contract,
    "tenants": tenants,
    "swaps": swaps,
    "memory": memory,
}


def table(results: Mapping[str, float]) -> list[list[str]]:
    """Return the results beside their bars."""
    rows = [["", "measured", "bar", ""]]
    for name, value in results.items():
        sign, bar = BARS.get(name, ("", 0.0))
        met = "" if not sign else "met" if (value <= bar if sign == "<=" else value >= bar) else "missed"
        rows.append([name, f"{value:,.1f}", f"{sign} {bar:,.0f}" if sign else "", met])
    return rows


if __name__ == "__main__":
    main()
