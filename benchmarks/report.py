"""What do the results say? The README's tables, and the picture of a platform as it grows, from the records on disk.

Method: every ``benchmarks/results/*.json`` of the kinds below, which the scripts' ``--out`` wrote, goes into the README
between two marks: a table for each data set of each benchmark, with its seed, users, commit, hardware and files, and
``growth.png`` and ``scale.png`` beside the records. Nothing is measured here; what papers published stands in tables
of its own. A cell of the growth grid is above its best rival, or below, where the 95 % interval of the paired
difference excludes 0.

Command: ``python benchmarks/report.py [--check] [--results FOLDER] [--readme FILE]``. ``--check`` writes nothing, and
exits 1 naming the first table that isn't what the results give. The pictures need matplotlib.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import curves
import reading
import slopes
from coldstart.errors import ColdstartError, EvaluationError
from coldstart.evaluation.comparisons import counted, value_of
from curves import is_drawn
from records import BASELINES, NDCG, OBSERVED, OURS, WORDS, Run, Runs, favourites, how_many, read

ROOT = Path(__file__).resolve().parent.parent
BEGIN, END = "<!-- results: begin -->", "<!-- results: end -->"
PICTURE, SLOPES = "growth.png", "scale.png"
NO_QUESTION = "no question"
MARKS = {1: "▲", 0: "=", -1: "▼"}

PUBLISHED: Mapping[tuple[str, str], tuple[str, tuple[str, ...], Mapping[str, tuple[float, ...]]]] = {
    ("llmrank-games", "candidates"): (
        "Hou et al. (ECIR 2024): NDCG@10",
        ("candidates",),
        {
            "UniSRec, zero-shot": (0.407,),
            "GPT-3.5, zero-shot": (0.535,),
            "GPT-4, zero-shot, 200 users": (0.629,),
            "SASRec, trained on all interactions": (0.759,),
        },
    ),
    ("tallrec-movie", "pointwise"): (
        "Bao et al. (RecSys 2023): AUC",
        ("16 shots", "64 shots", "256 shots"),
        {"TALLRec 7B": (0.672, 0.675, 0.720)},
    ),
    ("tallrec-book", "pointwise"): (
        "Bao et al. (RecSys 2023): AUC",
        ("16 shots", "64 shots", "256 shots"),
        {"TALLRec 7B": (0.564, 0.604, 0.644)},
    ),
}
"""Data set and protocol to what a paper says of them: where, the columns, and a row for each system."""

LEGENDS: Mapping[str, str] = {
    "rankings": """### Rankings

NDCG@10, ours with its 95 % bootstrap interval. Bold is the best honest mean; † is an oracle, which has counted the
very likes that are asked for. A cell is empty where a system had nothing to answer from or wasn't run.""",
    "reranking": """### A language model prompted to rank

As people write it today, with the same language model: a yes or no for each of the 20 candidates that semantic search
puts first (or that are given), and a numbered list that is written out and parsed. NDCG@10 on few users, since it takes
half a minute a user on one core. Popularity has counted what others like; the rest, ours too, knows words
alone.""",
    "asking": """### Who asks for something in words

New users say something, and state some of their likes or none: a request in plain words that likes they keep to
themselves meet, most of the title of one of these, or nothing of what they want ("what's good here?"). NDCG@10 of the
likes kept that meet it, and how many of ten items meet the request. Beside ours stand semantic search, TF-IDF, EASE and
popularity, and what semantic search finds for the text in the order of EASE or of popularity.""",
    "growth": f"""### A platform that grows

By how many interactions of other users the platform has seen and how many favourites a new user states: NDCG@10 of
`{OBSERVED}` / of the best other system, which that is, and how they stand. ▲ ours is above, ▼ below, = not told apart:
by whether the 95 % interval of the difference, user by user, excludes 0. In the picture the band is the 95 % interval
of ours, the dashed line ours from words alone, and a ring where the lead changes by the means.

![NDCG@10 by how many interactions a platform has seen]({{folder}}/{PICTURE})""",
    "elicitation": """### The right question

New users answer truthfully from half of what they did; NDCG@10 on the other half after 3 and after 5 questions, of
those that `coldstart` asks and of others. "Any kind" are ablations, which ask about chips as ours does. ▲ ours is
above, ▼ below, = not told apart: by whether the 95 % interval of the difference, person by person, excludes 0; not
corrected for how many are compared.""",
    "refining": """### Refining the encoder

NDCG@10 on the same users from words alone, observed, refined, and both; bold is the best mean. Where the next item is
asked, nobody who could be asked is learned from.""",
    "answers": """### Yes or no

By how many answered examples (shots) there are to learn from, drawn ten times: means over the draws. The floor is the
like ratio: what share of the items they judged a user liked. Bold is best; ours with its 95 % bootstrap interval.""",
    "lessons": """### Yes or no, with adapters on top

Of the same examples arithmetic alone learns, and on top of it an adapter of the bi-encoder, of the language model, or
of both, where its gate lets it through. Means over the draws; bold is best.""",
    "speed": """### Speed

Medians; in brackets what the same model does without our code, and the 95th percentile of requests.
Observed are all of MovieLens-100K's events but some, then a thousand more, then one of one person.""",
    "precision": """### Half precision

The same index of MovieLens-100K in 32-bit floats and in bfloat16, on a processor with matrix units for it.""",
    "naming": """### Naming titles

The language model names the twenty titles that it finds likeliest for a person, token by token in a trie of the
catalogue, set against reading every title.""",
    "distilling": """### Distilling the language model

NDCG@10 of new users with five favourites, from words alone: coldstart's list, with its 20 best read again by the
language model, and with a matrix that learned from the language model, if its own gate let it through; with the 95 %
interval of what each brings. The agreement is Spearman's correlation of the order of items with the language model's,
for people that the matrix wasn't told of: by closeness to likes alone, and as learned.""",
    "listwise": """### Picking from a list

The language model orders ten items by the letters that it picks over all rotations of the list.""",
    "enrichment": """### Richer words

What `coldstart enrich` lets the language model choose, on validation seeds, beside the engine "as it is": summaries
mixed into items' vectors or written behind their texts, a phrase on what likes have in common, requests read in other
frames. The same of all values, of random ones and of those that most likes have needs no model. Differences are paired,
person by person.""",
    "questions": """### The next question

Invented wines: how long a question takes to choose, and a list after an answer, on one thread.""",
    "page": """### The page

The onboarding page of `coldstart serve` with the demo's wines, in Chromium on the same machine: from Enter after a
sentence to the first list.""",
    "scale": f"""### A catalogue that grows

Invented wines. Vectors of 384 numbers are searched for the 100 nearest to a text, exactly up to 20,000 items and by
codes beyond, in a fresh process; NumPy and faiss compare all in memory. Requests are `recommend(k=10)` without the
language model: ratios are to 1,000 items, measured in turn, and the last column says how much of each list is in the
one from scoring everything. `benchmarks/scale.py` says how.

![Milliseconds by how many items there are]({{folder}}/{SLOPES})""",
    "service": """### The service

Measured over HTTP beside the load generator, on the same machine, with what we ask of it: `benchmarks/service.py` says
how.""",
}
"""What stands before a kind's tables."""


def blocks(results: Mapping[str, Runs], *, folder: str) -> dict[str, str]:
    """Return the README's text in Markdown, by what to call each of its parts; nothing without results.

    Args:
        results: Runs by kind and title.
        folder: Where the records are, as seen from the README.
    """
    tables: dict[str, Callable[[Sequence[Run]], str]] = {
        "rankings": _ranked,
        "reranking": _ranked,
        "growth": _grown,
        "elicitation": _elicited,
        "refining": _refined,
        "answers": _answered,
        "lessons": _answered,
        "speed": _timed,
        "precision": partial(_told, reading.halves),
        "naming": partial(_told, reading.names),
        "listwise": partial(_told, reading.picks),
        "distilling": partial(_told, reading.distilled),
        "enrichment": partial(_told, reading.words),
        "questions": partial(_told, reading.questions),
        "page": partial(_told, reading.visits),
        "asking": partial(_told, reading.asked),
        "scale": _scaled,
        "service": _served,
    }
    found = {}
    for kind in (kind for kind in LEGENDS if kind in results):
        found[f"the words on {kind}"] = LEGENDS[kind].replace("{folder}", folder)
        for title, runs in results[kind].items():
            said = [*([_tally(runs)] if kind == "growth" else []), *_origin(runs, folder)]
            parts = [f"**{title}**: {'; '.join(said)}", tables[kind](runs), *_published(runs)]
            found[f"{kind}, {title}"] = "\n\n".join(parts)
    return found


def _origin(runs: Sequence[Run], folder: str) -> list[str]:
    """Return how many were asked, and by which commits, on what machines, the numbers of which files were made."""
    asked = sorted({run.found["users"] for run in runs if "users" in run.found})
    made: dict[str, dict[str, None]] = {}
    for run in runs:
        commit, machine = (run.record["commit"] or "unknown")[:7], run.record["hardware"]
        changed = " with changes" if run.record["dirty"] else ""
        how = f"commit {commit}{changed}, {machine['cpu']}, {counted(machine['cores'], 'core')}"
        made.setdefault(how, {})[f"[{run.file}]({folder}/{run.file})"] = None
    users = [counted(asked[-1], "user") if len(asked) == 1 else f"{asked[0]:,} to {asked[-1]:,} users"] if asked else []
    return [*users, *(f"{how}: {', '.join(files)}" for how, files in made.items())]


def _table(rows: Sequence[Sequence[str]]) -> str:
    """Return a header and rows as Markdown."""
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join([lines[0], "|---" * len(rows[0]) + "|", *lines[1:]])


def _ranked(runs: Sequence[Run]) -> str:
    entered = list(dict.fromkeys(name for run in runs for name in run.systems))
    peers = [name for name in entered if name not in (*OURS, *BASELINES)]
    shown = [name for name in (*OURS, *peers, *BASELINES) if name in entered]
    header = ["NDCG@10", *(f"{run.found['protocol']}, {counted(run.found['users'], 'user')}" for run in runs)]
    return _table([header, *([name, *(_rank_cell(run, name) for run in runs)] for name in shown)])


def _refined(runs: Sequence[Run]) -> str:
    """Return the rankings, then what came of each run, and how fast it trained, if that was measured."""
    said = [f"- {run.found['protocol']}: {run.found['refinement']}." for run in runs]
    if (rate := runs[0].record["rate"]) is not None:
        ours, theirs = rate["trainers"].values()
        apart = "commit" in rate  # measured before the rest
        of = f" by commit {rate['commit'][:7]} on {rate['cpu']}" if apart else ""
        said.append(
            f"- Training on {rate['data']}{of}, {ours['pairs_per_s']:.0f} pairs a second; sentence-transformers' "
            f"trainer with PEFT, {theirs['pairs_per_s']:.0f}; held-out loss {ours['held_out']:.3f} and "
            f"{theirs['held_out']:.3f}."
        )
    return "\n\n".join([_ranked(runs), "\n".join(said)])


def _rank_cell(run: Run, name: str) -> str:
    if name not in run.systems:
        return ""
    text, honest = value_of(run.value(name), whole=name in OURS), run.honest()
    if name not in honest:
        return f"{text} †"
    return f"**{text}**" if run.value(name).mean == max(run.value(other).mean for other in honest) else text


def _tally(runs: Sequence[Run]) -> str:
    found = [run.standing for run in runs]
    above, below = (f"{word} in {found.count(sign)}" for word, sign in (("above", 1), ("below", -1)))
    return f"{above} of {counted(len(found), 'cell')}, {below}, not told apart in {found.count(0)}"


def _grown(runs: Sequence[Run]) -> str:
    grid = {run.numbers: run for run in runs}
    stated = sorted({number for _, number in grid})
    header = ["interactions seen", *map(favourites, stated)]
    seen = sorted({number for number, _ in grid})
    return _table([header, *([how_many(n), *(_growth_cell(grid.get((n, k))) for k in stated)] for n in seen)])


def _growth_cell(run: Run | None) -> str:
    if run is None:
        return ""
    ours, rival = run.value(OBSERVED).mean, run.value(run.rival).mean
    return f"{ours:.3f} / {rival:.3f} {run.rival} {MARKS[run.standing]}"


def _answered(runs: Sequence[Run]) -> str:
    asked = [(counted(run.found["shots"], "shot"), counted(run.found["questions"], "question")) for run in runs]
    rows = [["", *map(", ".join, asked)]]
    judges = [name for name in dict.fromkeys(name for run in runs for name in run.systems) if name != "random"]
    for measure, judge in product(("auc", "gauc", "ece"), judges):
        cells = [_answer_cell(run, judge, measure) for run in runs]
        if any(cell not in ("", "-") for cell in cells):
            rows.append([f"{measure.upper()}, {judge}", *cells])
    return _table(rows)


def _answer_cell(run: Run, judge: str, measure: str) -> str:
    if judge not in run.systems:
        return ""
    best, found = min if measure == "ece" else max, run.value(judge, measure)
    text = value_of(found, whole=judge in OURS)
    return f"**{text}**" if found.mean == best(run.value(name, measure).mean for name in run.systems) else text


def _published(runs: Sequence[Run]) -> list[str]:
    """Return a table a protocol of what papers published on the same data."""
    keys = dict.fromkeys((run.found.get("data", ""), run.found.get("protocol", "")) for run in runs)
    tables = []
    for where, columns, systems in (PUBLISHED[key] for key in keys if key in PUBLISHED):
        rows = [[f"{name} (published)", *(f"{value:.3f}" for value in values)] for name, values in systems.items()]
        tables.append(_table([[f"published: {where}", *columns], *rows]))
    return tables


def _timed(runs: Sequence[Run]) -> str:
    ((found, dtype),) = ((run.found["results"], run.record.get("dtype", "float32")) for run in runs)
    encoder, model = found["encoder"], found["language_model"]
    texts = f"{encoder['texts_per_s']:.0f} (sentence-transformers: {encoder['sentence_transformers_texts_per_s']:.0f})"
    titles = f"{model['titles_per_s']:.0f} (one forward a title: {model['plain_titles_per_s']:.0f})"
    requests, observed = found["recommend_ms"].items(), found.get("observe_ms", {}).items()
    return _table(
        [
            ["", f"coldstart, {dtype}"],
            ["encoder, texts a second", texts],
            ["language model, titles a second after one prompt", titles],
            *([f"request with {kind}, ms", f"{ms['median']:.1f} (95 %: {ms['p95']:.1f})"] for kind, ms in requests),
            *([f"observing {kind}, ms", f"{ms['median']:.2f} (95 %: {ms['p95']:.2f})"] for kind, ms in observed),
        ]
    )


def _told(rows: Callable[[Mapping[str, Any]], Sequence[reading.Rows]], runs: Sequence[Run]) -> str:
    (found,) = (run.found.get("results", run.found) for run in runs)
    return "\n\n".join(map(_table, rows(found)))


def _scaled(runs: Sequence[Run]) -> str:
    """Return searches, requests and indexing, a table each."""
    (found,) = (run.found["results"] for run in runs)
    parts = []
    if "search" in found:
        rows = [["search, items", "recall", "ms (95 %)", "NumPy, ms", "faiss flat, ms", "held, MB", "opened in, s"]]
        for size, told in found["search"].items():
            times = [f"{told['p50_ms']:.2f} ({told['p95_ms']:.2f})"]
            times += [f"{told[name]:.2f}" if name in told else "" for name in ("numpy_ms", "faiss_ms")]
            recall, held, opened = (told[name] for name in ("recall", "resident_mb", "load_s"))
            rows.append([f"{int(size):,}", f"{recall:.4f}", *times, f"{held:,}", f"{opened:.3f}"])
        parts.append(_table(rows))
    if "requests" in found:
        kinds = list(dict.fromkeys(kind for told in found["requests"].values() for kind in told["kinds"]))
        rows = [["requests, items", "all, ms (95 %)", "ratio", *(f"{kind}, ms (ratio)" for kind in kinds), "same ten"]]
        for size, told in found["requests"].items():
            of_kind = [f"{told['kinds'][kind]['p50_ms']:.1f} ({told['kinds'][kind]['ratio']:.2f})" for kind in kinds]
            whole = f"{told['p50_ms']:.1f} ({told['p95_ms']:.1f})"
            rows.append([f"{int(size):,}", whole, f"{told['ratio']:.2f}", *of_kind, f"{told['same_ten']:.3f}"])
        parts.append(_table(rows))
    if "index" in found:
        rows = [["index, items", "built in, s", "peak, MB", "titles read", "tokens an item", "opened in, s"]]
        for size, told in found["index"].items():
            names = ("build_s", "peak_mb", "read_by_model", "tokens_an_item", "load_s")
            rows.append([f"{int(size):,}", *(f"{told[name]:,}" for name in names)])
        parts.append(_table(rows))
    return "\n\n".join(parts)


def _elicited(runs: Sequence[Run]) -> str:
    """Return a row for each way to choose questions, and a column for each way to ask and what is known."""
    names = list(dict.fromkeys(name for run in runs for name in run.systems))
    known = {True: "the others' interactions", False: "no interactions"}
    rows = [
        ["NDCG@10 after 3 / 5 questions", *(f"{known[run.found['observed']]}, {run.found['style']}" for run in runs)]
    ]
    rows += [
        [name, *(" / ".join(_elicited_cell(run, name, asked) for asked in (3, 5)) for run in runs)]
        for name in (*names, NO_QUESTION)
    ]
    return _table(rows)


def _elicited_cell(run: Run, name: str, asked: int) -> str:
    systems = run.found["systems"]
    if name not in (*systems, NO_QUESTION):
        return ""
    value = systems[WORDS][0]["mean"] if name == NO_QUESTION else systems[name][asked]["mean"]
    if name == WORDS:
        return f"{value:.3f}"
    for d in run.found["differences"]:
        if (d["system"], d["against"], d["measure"]) == (WORDS, name, f"{NDCG} after {asked}"):
            return f"{value:.3f} {MARKS[(d['low'] > 0) - (d['high'] < 0)]}"
    raise EvaluationError(f"{run.file} doesn't compare {WORDS} with {name} after {asked} questions: measure anew")


def _served(runs: Sequence[Run]) -> str:
    (run,) = runs
    bars: Mapping[str, tuple[str, float]] = run.record["bars"]
    rows = [["", "measured", "asked"]]
    for name, value in run.found["results"].items():
        sign, bar = bars.get(name, ("", 0.0))
        missed = bool(sign) and not (value <= bar if sign == "<=" else value >= bar)
        asked = f"{sign} {bar:,.0f}{' (missed)' if missed else ''}" if sign else ""
        rows.append([name, f"{value:,.1f}".removesuffix(".0"), asked])
    return _table(rows)


def stale(results: Mapping[str, Runs], folder: Path, readme: Path) -> str:
    """Return what is first found not to be as the results give it, table or picture; empty if all is."""
    parts, (_, inside, _) = blocks(results, folder=_seen_from(readme, folder)), _parted(readme)
    if inside.strip() != "\n\n".join(parts.values()):
        return next((name for name, text in parts.items() if text not in inside), "what no record gives")
    return next((name for name, mark, _ in _pictures(results) if not is_drawn(mark, folder / name)), "")


def _pictures(results: Mapping[str, Runs]) -> list[tuple[str, str, Callable[[Path], None]]]:
    """Return the name and the mark of each picture that the results give, and what draws it to a file."""
    found: list[tuple[str, str, Callable[[Path], None]]] = []
    if growth := results.get("growth"):
        found.append((PICTURE, curves.fingerprint(growth), partial(curves.draw, growth)))
    measured: dict[str, Any] = {}
    for run in (run for runs in results.get("scale", {}).values() for run in runs):
        measured |= run.found["results"]
    if measured:
        found.append((SLOPES, slopes.fingerprint(measured), partial(slopes.draw, measured)))
    return found


def _parted(readme: Path) -> tuple[str, str, str]:
    """Return a README's text up to the first mark, between the two, and from the second one on."""
    text = readme.read_text(encoding="utf-8") if readme.is_file() else ""
    before, begin, rest = text.partition(BEGIN)
    inside, end, after = rest.partition(END)
    if not (begin and end):
        raise EvaluationError(f"{readme} lacks {BEGIN} or {END} after it: put them where the tables should stand")
    return before + begin, inside, end + after


def _seen_from(readme: Path, folder: Path) -> str:
    return Path(os.path.relpath(folder, readme.parent)).as_posix()


def main() -> int:
    """Write the tables and the picture, or check them."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if something is stale")
    parser.add_argument("--results", type=Path, default=ROOT / "benchmarks" / "results", help="the records' folder")
    parser.add_argument("--readme", type=Path, default=ROOT / "README.md", help="where the tables stand")
    given = parser.parse_args()
    results = read(given.results)
    if given.check:
        if found := stale(results, given.results, given.readme):
            print(f"stale: {found}; run python benchmarks/report.py", file=sys.stderr)
        return int(bool(found))
    before, _, after = _parted(given.readme)
    parts = blocks(results, folder=_seen_from(given.readme, given.results)).values()
    for name, _, draw in _pictures(results):
        draw(given.results / name)
    given.readme.write_text("\n\n".join([before, *parts, after]), encoding="utf-8")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except ColdstartError as error:
        sys.exit(f"Error: {error}")
