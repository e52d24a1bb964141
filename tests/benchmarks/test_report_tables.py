import doctest
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import curves
import records
import report
import slopes
from coldstart.catalogue import Catalogue, Interactions
from coldstart.entities import Interaction, Item, Profile
from coldstart.errors import EvaluationError
from coldstart.evaluation import Dataset, Judge, Question, ask, run
from provenance import finish, provenance
from records import BASELINES, NDCG, OBSERVED, OURS, WORDS, Run, read

TOYS = [f"t{n:02d}" for n in range(24)]
SEEN, STATED, SHOTS = ("0", "100", "all"), (0, 5), (0, 16)
FILES = ("quality-toys.json", "fewshot-toys.json", "speed.json", "refining-toys.json", "service.json", "scale.json")
ELICITATION = "elicitation-toys.json"
FOR_USERS = ("rankings", "reranking", "growth", "elicitation", "refining", "answers", "lessons")

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def toys():
    """Sixty users who like most of the toys, each with a question and four more for examples."""
    rng = np.random.default_rng(0)
    asked = [
        Question(f"u{user:02d}", str(rng.choice(TOYS)), bool(rng.random() < 0.5), Profile(likes=TOYS[: user % 5]))
        for user in range(60)
        for _ in range(5)
    ]
    return Dataset(
        name="toys",
        catalogue=Catalogue([Item(toy, f"Toy {toy}") for toy in TOYS], kind="toy"),
        interactions=Interactions.from_records(
            Interaction(f"u{user:02d}", toy, timestamp=float(rng.integers(1, 10_000)))
            for user in range(60)
            for toy in rng.permutation(TOYS)[: rng.integers(14, 20)]
        ),
        questions=asked[::5],
        examples=[question for place, question in enumerate(asked) if place % 5],
    )


def talks(observed):
    """Return what elicitation finds of invented answers: ours is far above popular, and level with random after 5."""
    means = {"coldstart": (0.1, 0.3, 0.4), "popular": (0.1, 0.2, 0.2), "random": (0.1, 0.2, 0.4)}
    systems = {
        name: [{"mean": low}, {}, {}, {"mean": three}, {}, {"mean": five}] for name, (low, three, five) in means.items()
    }
    bounds = {
        "no question": ((0.1, 0.3), (0.2, 0.4)),
        "popular": ((0.05, 0.2), (0.1, 0.3)),
        "random": ((0.0, 0.2), (-0.1, 0.1)),
    }
    differences = [
        {"system": "coldstart", "against": name, "measure": f"{NDCG} after {asked}", "low": low, "high": high}
        for name, pairs in bounds.items()
        for asked, (low, high) in zip((3, 5), pairs, strict=True)
    ]
    about = {"protocol": "elicitation(5)", "data": "toys", "seed": 0, "users": 60, "style": "one at a time"}
    return {**about, "observed": observed, "systems": systems, "differences": differences}


@pytest.fixture(scope="module")
def made(toys, leaning):
    """Records as the scripts write them, by their files' names, of invented systems on an invented platform."""
    first, ablated, peer = leaning(1.0, WORDS), leaning(0.1, "without appeal"), leaning(0.8, "peer")
    ranked = [run(toys, "system-cold", [first, ablated]), run(toys, "new-item", [first, leaning(1.2, OBSERVED), peer])]
    judges = [Judge(WORDS, lambda asked: np.where(asked.liked, 0.8, 0.3))]
    answered = [ask(toys, "pointwise", judges, shots=shots) for shots in SHOTS]
    grid = [(seen, stated) for seen in SEEN for stated in STATED]
    grown = [
        run(
            toys,
            f"growth({seen}, {stated})",
            [leaning(place / 3, OBSERVED), leaning(0.3, WORDS), peer],
            measures=[NDCG],
        )
        for place, (seen, stated) in enumerate(grid)
    ]
    speed = {
        "encoder": {"texts_per_s": 300.0, "sentence_transformers_texts_per_s": 200.0},
        "language_model": {"titles_per_s": 40.0, "plain_titles_per_s": 5.0},
        "recommend_ms": {"nothing": {"median": 2.0, "p95": 3.0, "requests": 9}},
        "observe_ms": {"one event": {"median": 0.04, "p95": 0.5, "requests": 20}},
    }
    searched = {"recall": 0.9987, "p50_ms": 1.25, "p95_ms": 2.5, "numpy_ms": 9.0, "copied_ms": 3.0}
    asked = {"p50_ms": 12.0, "p95_ms": 20.0, "ratio": 1.5}
    scale = {
        "search": {"1000": {**searched, "resident_mb": 1100, "load_s": 0.01}},
        "requests": {"1000": {**asked, "kinds": {"likes": {**asked, "p50_ms": 1.44}}, "same_ten": 0.98}},
        "index": {
            "100": {"build_s": 9.5, "peak_mb": 2100, "read_by_model": 100, "tokens_an_item": 30.5, "load_s": 0.25}
        },
    }
    halves = {
        "quality": [
            {"protocol": "new-item", "users": 60, "float32": 0.3, "bfloat16": 0.297, "change": -0.01,
             "difference": [-0.003, -0.006, 0.0001]},
        ],
        "speed": {"language_model": {"float32": 350.0, "bfloat16": 1200.0, "ratio": 3.43}},
    }  # fmt: skip
    few = {
        "titles": 1682, "people": 12, "recall": 0.9542, "least_recall": 0.9, "tokens_read": 990, "seconds": 1.206,
        "most_seconds": 2.404, "seconds_of_reading_all": 14.39, "seconds_once_a_catalogue": 10.97,
    }  # fmt: skip
    many = {
        "titles": 100_000, "people": 5, "tokens_read": 480, "seconds": 0.637, "most_seconds": 0.7,
        "seconds_once_a_catalogue": 18.35,
    }  # fmt: skip
    plain = {"mean": 0.7, "change": 0.0, "standard_error": 0.0}
    picked = {"mean": 0.6, "change": -0.1, "standard_error": 0.04}
    picks = {"people": 50, "position_bias": 0.4383, "ndcg": {"as it was": plain, "picks": picked}}
    distilled = {
        "data": "toys", "seed": 0, "users": 60, "promoted": False, "agreement": {"before": 0.11, "after": 0.42},
        "ndcg": {"coldstart": 0.3, "20 read again": 0.29}, "differences": {"20 read again": [-0.01, -0.02, 0.001]},
        "verdict": {"judges": 90, "present_ndcg@10": 0.31, "refined_ndcg@10": 0.3, "p": 0.7},
        "ms": {"coldstart": 2.0, "20 read again": 500.0, "distilled": 2.1},
    }  # fmt: skip
    apart = {"ndcg@10": 0.21, "difference": 0.01, "low": 0.004, "high": 0.016}
    enriched = {
        "protocols": [
            {"protocol": "new-item", "known": "observed", "users": 1200,
             "systems": {"as it is": {"ndcg@10": 0.2}, "summary, mean": apart}},
        ],
        "chosen": {"summary": {"choices": 900, "seconds": 61.2}, "rewrite": {"choices": 40, "seconds": 9.0}},
        "agreement": {"cosine": 0.9123, "top_10": 0.63, "texts": 40},
    }  # fmt: skip
    waited = {"p50_ms": 12.5, "p95_ms": 20.0, "list_p50_ms": 30.0, "list_p95_ms": 41.0, "ready_s": 0.5, "questions": 99}
    both = [leaning(place / 3, name) for place, name in enumerate(OURS)]
    refined = {**run(toys, "new-item", both, measures=[NDCG]).to_json(), "refinement": "not promoted after 9 pairs"}
    trainers = {"ours": (350.0, 4.0), "SentenceTransformerTrainer": (200.0, 4.1)}
    rate = {"data": "toys", "trainers": {n: {"pairs_per_s": p, "held_out": loss} for n, (p, loss) in trainers.items()}}
    about = {"seed": 0, **provenance({}), "commit": "0123456789", "dirty": False}
    return {
        FILES[0]: {
            "benchmark": "quality",
            "runs": [*(found.to_json() for found in (*ranked, *answered)), {**ranked[0].to_json(), "reranked": True}],
            **about,
        },
        FILES[1]: {"benchmark": "fewshot", "runs": [found.to_json() for found in grown], **about},
        FILES[2]: {"benchmark": "speed", "results": speed, **about},
        FILES[3]: {"benchmark": "refining", "runs": [refined], "rate": rate, **about},
        FILES[4]: {"benchmark": "service", "bars": {"p50, ms": ["<=", 20.0], "a second": [">=", 80.0]}, **about,
                   "results": {"p50, ms": 12.34, "a second": 79.0, "rounds": 100}},
        FILES[5]: {"benchmark": "scale", "results": scale, **about},
        "precision.json": {"benchmark": "precision", "data": "ml-100k", "results": halves, **about},
        "naming.json": {"benchmark": "naming", "results": {"dtype": "bfloat16", "few": few, "many": many}, **about},
        "distilling.json": {"benchmark": "distilling", **about, "results": [distilled]},
        "listwise.json": {"benchmark": "listwise", "results": picks, **about},
        "enrichment.json": {"benchmark": "enrichment", "results": {"toys": enriched}, **about},
        "questions.json": {"benchmark": "questions", "results": {"10000": {"observed": waited}}, **about},
        ELICITATION: {"benchmark": "elicitation", "results": [talks(True), talks(False)], **about},
    }  # fmt: skip


@pytest.fixture
def folder(made, tmp_path, capsys):
    """A folder with the records, and a README with marks beside it."""
    for file, record in made.items():
        finish(record, tmp_path / file)
    capsys.readouterr()
    (tmp_path / "README.md").write_text(f"before\n\n{report.BEGIN}\n{report.END}\n\nafter\n", encoding="utf-8")
    return tmp_path


@pytest.fixture
def command(monkeypatch):
    """Run the script on a folder with a README in it, and return its exit code."""

    def run_it(folder, *options):
        given = ["report.py", "--results", str(folder), "--readme", str(folder / "README.md"), *options]
        monkeypatch.setattr(sys, "argv", given)
        return report.main()

    return run_it


def change(path, edit):
    """Edit a record in place."""
    record = json.loads(path.read_text(encoding="utf-8"))
    edit(record)
    path.write_text(json.dumps(record), encoding="utf-8")


def rows(block):
    """Return the rows of a block's first table by their first cell; the header is one."""
    table = next(part for part in block.split("\n\n") if part.startswith("|"))
    found = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()]
    return {row[0]: row[1:] for row in found}


def run_of(means, *, difference=(0.0, 0.0), oracles=()):
    """Return a run with these means, where ours stands to every other at this interval."""
    systems = {name: {NDCG: {"mean": mean, "low": mean, "high": mean}} for name, mean in means.items()}
    for name in oracles:
        systems[name]["oracle"] = True
    bounds = dict(zip(("low", "high"), difference, strict=True))
    differences = [{"system": OBSERVED, "against": name, "measure": NDCG, "mean": 0.0, **bounds} for name in means]
    found = {"protocol": "growth(0, 1)", "data": "toys", "seed": 0, "systems": systems, "differences": differences}
    return Run("made-up.json", {"benchmark": "fewshot"}, found)


class TestRecords:
    def test_runs_are_found_by_what_they_are_about_and_by_data(self, folder):
        found = read(folder)
        titles = {kind: {title: len(runs) for title, runs in by_title.items()} for kind, by_title in found.items()}
        assert titles == {
            "rankings": {"toys, seed 0": 2},
            "reranking": {"toys, seed 0": 1},
            "answers": {"toys, pointwise, seed 0": len(SHOTS)},
            "growth": {"toys, seed 0": len(SEEN) * len(STATED)},
            "elicitation": {"toys, seed 0": 2},
            "refining": {"toys, seed 0": 1},
            "speed": {"speed.json, seed 0": 1},
            "precision": {"ml-100k, seed 0": 1},
            "naming": {"naming.json, seed 0": 1},
            "distilling": {"toys, seed 0": 1},
            "listwise": {"listwise.json, seed 0": 1},
            "enrichment": {"enrichment.json, seed 0": 1},
            "questions": {"questions.json, seed 0": 1},
            "scale": {"scale.json, seed 0": 1},
            "service": {"service.json, seed 0": 1},
        }

    def test_runs_spread_over_files_make_one_table(self, folder):
        whole = read(folder)["growth"]["toys, seed 0"]
        record = json.loads((folder / FILES[1]).read_text(encoding="utf-8"))
        for part, runs in (("a", record["runs"][4:]), ("b", record["runs"][:4])):
            (folder / f"fewshot-{part}.json").write_text(json.dumps({**record, "runs": runs}), encoding="utf-8")
        (folder / FILES[1]).unlink()
        parts = read(folder)["growth"]["toys, seed 0"]
        assert [part.found for part in parts] == [one.found for one in whole]

    def test_two_runs_of_the_same_are_refused(self, folder):
        (folder / "quality-again.json").write_bytes((folder / FILES[0]).read_bytes())
        with pytest.raises(EvaluationError, match=r"quality-again\.json and quality-toys\.json both hold"):
            read(folder)

    @pytest.mark.parametrize("text", ["{", "[]", '{"benchmark": "quality", "runs": []}'])
    def test_a_file_that_is_no_record_of_its_benchmark_is_refused(self, tmp_path, text):
        (tmp_path / "fewshot.json").write_text(text, encoding="utf-8")
        with pytest.raises(EvaluationError, match=r"fewshot\.py"):
            read(tmp_path)

    def test_a_folder_that_is_missing_is_not_taken_for_no_results(self, tmp_path):
        with pytest.raises(EvaluationError, match="nowhere is no folder"):
            read(tmp_path / "nowhere")

    def test_the_rival_is_neither_ours_nor_an_oracle(self):
        found = run_of({OBSERVED: 0.9, WORDS: 0.8, "seer": 0.7, "peer": 0.2, "random": 0.1}, oracles=["seer"])
        assert found.rival == "peer"

    @pytest.mark.parametrize(
        ("difference", "standing"),
        [((0.01, 0.03), 1), ((-0.03, -0.01), -1), ((-0.01, 0.03), 0), ((0.0, 0.03), 0), ((None, None), 0)],
    )
    def test_ours_stands_above_or_below_where_the_paired_interval_excludes_zero(self, difference, standing):
        assert run_of({OBSERVED: 0.5, "peer": 0.4}, difference=difference).standing == standing

    def test_a_rival_that_was_not_compared_is_an_error(self):
        found = run_of({OBSERVED: 0.5, "peer": 0.4})
        found.found["differences"].clear()
        with pytest.raises(EvaluationError, match="enter coldstart observed first"):
            _ = found.standing

    def test_examples_in_the_documentation_hold(self):
        assert doctest.testmod(records).attempted
        assert doctest.testmod(records).failed == 0


class TestTables:
    @pytest.fixture
    def blocks(self, folder):
        return report.blocks(read(folder), folder="results")

    def test_rankings_hold_every_system_but_the_ablations(self, blocks):
        found = rows(blocks["rankings, toys, seed 0"])
        assert list(found)[2:] == [OBSERVED, WORDS, "peer", *BASELINES]
        assert found[OBSERVED][0] == found["peer"][0] == ""

    def test_the_best_honest_mean_is_bold_and_no_other(self, folder, blocks):
        found = rows(blocks["rankings, toys, seed 0"])
        for column, one in enumerate(read(folder)["rankings"]["toys, seed 0"]):
            bold = [name for name, cells in found.items() if cells[column].startswith("**")]
            assert bold == [max(one.honest(), key=lambda name: one.value(name).mean)]

    def test_an_oracle_is_marked_and_never_bold_even_if_it_is_best(self, folder):
        def crown(record):
            record["runs"][0]["systems"]["popularity"][NDCG] = {"mean": 0.99, "low": 0.98, "high": 1.0}

        change(folder / FILES[0], crown)
        found = rows(report.blocks(read(folder), folder="")["rankings, toys, seed 0"])
        assert found["popularity"][0] == "0.990 †"
        assert any(cells[0].startswith("**") for cells in found.values())

    def test_ours_alone_has_intervals(self, blocks):
        found = rows(blocks["rankings, toys, seed 0"])
        assert {name for name, cells in found.items() if any("[" in cell for cell in cells)} == {OBSERVED, WORDS}

    def test_questions_are_set_beside_others_after_three_and_five(self, blocks):
        found = rows(blocks["elicitation, toys, seed 0"])
        assert found["NDCG@10 after 3 / 5 questions"] == [
            "the others' interactions, one at a time",
            "no interactions, one at a time",
        ]
        assert found["coldstart"][0] == "0.300 / 0.400"
        assert found["popular"][0] == "0.200 ▲ / 0.200 ▲"
        assert found["random"][1] == "0.200 = / 0.400 ="
        assert found["no question"][0] == "0.100 ▲ / 0.100 ▲"

    def test_questions_that_were_not_compared_are_an_error(self, folder):
        change(folder / ELICITATION, lambda record: record["results"][0]["differences"].clear())
        with pytest.raises(EvaluationError, match="doesn't compare coldstart with popular after 3 questions"):
            report.blocks(read(folder), folder="")

    def test_refining_is_shown_beside_what_it_began_from_with_what_came_of_it(self, blocks):
        block = blocks["refining, toys, seed 0"]
        assert [name for name in rows(block) if name not in ("NDCG@10", "---")] == [*OURS, *BASELINES]
        assert "- new-item: not promoted after 9 pairs." in block
        assert "350 pairs a second; sentence-transformers' trainer with PEFT, 200" in block

    def test_a_rate_that_was_left_out_isnt_shown_and_one_measured_apart_says_so(self, folder):
        (run,) = read(folder)["refining"]["toys, seed 0"]
        without = report._refined([run._replace(record={**run.record, "rate": None})])
        assert "pairs a second" not in without
        apart = {**run.record, "rate": {**run.record["rate"], "commit": "0123456789", "cpu": "Z80"}}
        assert "toys by commit 0123456 on Z80, 350 pairs" in report._refined([run._replace(record=apart)])

    def test_the_growth_grid_has_a_row_for_what_was_seen_and_a_column_for_favourites(self, blocks):
        found = rows(blocks["growth, toys, seed 0"])
        assert found.pop("interactions seen") == ["no favourites", "5 favourites"]
        assert list(found)[1:] == list(SEEN)
        assert all(len(cells) == len(STATED) for cells in found.values())

    def test_a_cell_says_ours_the_best_other_and_how_they_stand(self, folder, blocks):
        grid = {one.numbers: one for one in read(folder)["growth"]["toys, seed 0"]}
        one = grid[100, 5]
        ours, best = one.value(OBSERVED).mean, one.value(one.rival).mean
        cell = rows(blocks["growth, toys, seed 0"])["100"][1]
        assert cell == f"{ours:.3f} / {best:.3f} {one.rival} {report.MARKS[one.standing]}"

    def test_the_tally_counts_the_marks(self, blocks):
        block = blocks["growth, toys, seed 0"]
        above, cells, below, level = map(
            int, re.search(r"above in (\d+) of (\d+) cells, below in (\d+), not told apart in (\d+)", block).groups()
        )
        assert [above, below, level] == [block.count(report.MARKS[standing]) for standing in (1, -1, 0)]
        assert above + below + level == cells
        assert above * below > 0

    def test_answers_are_shown_by_shots_beside_the_floor(self, blocks):
        found = rows(blocks["answers, toys, pointwise, seed 0"])
        assert found[""] == ["0 shots, 60 questions", "16 shots, 60 questions"]
        assert {"AUC, coldstart", "AUC, like ratio", "ECE, coldstart", "ECE, like ratio"} < set(found)
        assert all(cell.startswith("**1.000") for cell in found["AUC, coldstart"])

    def test_a_measure_that_is_defined_nowhere_has_no_row(self, blocks):
        assert not [name for name in rows(blocks["answers, toys, pointwise, seed 0"]) if name.startswith("GAUC")]

    def test_the_smallest_calibration_error_is_best(self, blocks):
        found = rows(blocks["answers, toys, pointwise, seed 0"])
        values = {name: float(cells[0].strip("*")[:5]) for name, cells in found.items() if name.startswith("ECE")}
        assert [name for name in values if found[name][0].startswith("**")] == [min(values, key=values.get)]

    def test_every_table_says_where_it_comes_from(self, folder, blocks):
        cpu = json.loads((folder / FILES[0]).read_text(encoding="utf-8"))["hardware"]["cpu"]
        for name, block in blocks.items():
            if not name.startswith("the words"):
                line = block.splitlines()[0]
                for said in ("seed 0", "commit 0123456,", cpu, ".json](results/"):
                    assert said in line
                assert "users" in line or name.partition(",")[0] not in FOR_USERS

    def test_what_a_service_misses_of_what_is_asked_is_said(self, blocks):
        found = rows(blocks["service, service.json, seed 0"])
        assert found["p50, ms"] == ["12.3", "<= 20"]
        assert found["a second"] == ["79", ">= 80 (missed)"]
        assert found["rounds"] == ["100", ""]

    def test_what_was_timed_is_shown_with_what_is_late(self, blocks):
        table = blocks["speed, speed.json, seed 0"]
        assert "| request with nothing, ms | 2.0 (95 %: 3.0) |" in table
        assert "| observing one event, ms | 0.04 (95 %: 0.50) |" in table

    @pytest.mark.parametrize(
        ("commit", "dirty", "said"),
        [("0123456789", True, "commit 0123456 with changes,"), (None, None, "commit unknown,")],
    )
    def test_a_commit_that_is_not_the_whole_truth_says_so(self, folder, commit, dirty, said):
        change(folder / FILES[2], lambda record: record.update(commit=commit, dirty=dirty))
        assert said in report.blocks(read(folder), folder="")["speed, speed.json, seed 0"]

    def test_what_papers_published_is_shown_apart_and_only_beside_its_data(self, folder, blocks):
        assert not any("published" in block for block in blocks.values())
        (data, protocol), (_, columns, systems) = next(
            (key, found) for key, found in report.PUBLISHED.items() if key[1] == "pointwise"
        )

        def rename(record):
            for found in record["runs"]:
                found["data"] = data

        change(folder / FILES[0], rename)
        block = report.blocks(read(folder), folder="")[f"answers, {data}, {protocol}, seed 0"]
        measured, published = (part for part in block.split("\n\n") if part.startswith("|"))
        assert not any(name in measured for name in systems)
        assert rows(published) == {
            f"published: {report.PUBLISHED[data, protocol][0]}": list(columns),
            "---": ["---"] * len(columns),
            **{f"{name} (published)": [f"{value:.3f}" for value in values] for name, values in systems.items()},
        }

    def test_growth_has_a_table_for_searches_requests_and_indexing(self, folder):
        block = report.blocks(read(folder), folder=".")["scale, scale.json, seed 0"]
        assert rows(block)["1,000"] == ["0.9987", "1.25 (2.50)", "9.00", "", "1,100", "0.010"]
        assert "| 1,000 | 12.0 (20.0) | 1.50 | 1.4 (1.50) | 0.980 |" in block
        assert "| 100 | 9.5 | 2,100 | 100 | 30.5 | 0.25 |" in block

    def test_half_precision_is_shown_by_protocol_with_the_interval_of_the_difference(self, folder):
        block = report.blocks(read(folder), folder=".")["precision, ml-100k, seed 0"]
        told = rows(block)["new-item, 60 users"]
        assert told == ["0.3000", "0.2970", "-1.0%", "-0.0030 [-0.0060, +0.0001]"]
        assert "| language model | 350 | 1,200 | 3.43 |" in block

    def test_naming_says_what_was_not_measured(self, folder):
        found = rows(report.blocks(read(folder), folder=".")["naming, naming.json, seed 0"])
        assert found["1,682"] == ["12", "0.954 (least 0.90)", "990", "1.21 (slowest 2.40)", "11.0", "14.4"]
        assert found["100,000"][1:] == ["not measured", "480", "0.64 (slowest 0.70)", "18.4", "not measured"]

    def test_picking_is_shown_with_standard_errors_and_its_bias(self, folder):
        found = rows(report.blocks(read(folder), folder=".")["listwise, listwise.json, seed 0"])
        assert found["as it was"] == ["0.7000", ""]
        assert found["picks"] == ["0.6000", "-0.1000 (0.0400)"]
        assert found["share of a pick that goes by the place"][0] == "0.44"

    def test_distilling_says_what_the_gate_found_where_it_let_nothing_through(self, folder):
        found = rows(report.blocks(read(folder), folder=".")["distilling, toys, seed 0"])
        assert found["coldstart"] == ["0.3000", "", "2.0"]
        assert found["20 read again"] == ["0.2900", "-0.0100 [-0.0200, +0.0010]", "500.0"]
        assert "distilled" not in found
        assert found["agreement with the language model"][0] == "0.110 to 0.420"
        assert found["the gate, 90 people"][:2] == ["0.3100 to 0.3000, p 0.700", "not let through"]

    def test_words_are_shown_beside_the_engine_as_it_is_and_with_what_they_took(self, folder):
        block = report.blocks(read(folder), folder=".")["enrichment, enrichment.json, seed 0"]
        found, about = rows(block), "toys, new-item, observed, 1,200 people"
        assert found[f"{about}: as it is"] == ["0.2000", "", ""]
        assert found[f"{about}: summary, mean"] == ["0.2100", "+0.0100", "[+0.0040, +0.0160]"]
        assert "| toys, summary | 900 | 61 |  |  |" in block
        assert "| toys, rewrite | 40 | 9 | 0.912 | 0.630 |" in block

    def test_questions_are_shown_by_size_and_by_what_was_observed(self, folder):
        found = rows(report.blocks(read(folder), folder=".")["questions, questions.json, seed 0"])
        assert found["10,000"] == ["observed", "12.5 (20.0)", "30.0 (41.0)", "0.50"]

    def test_nothing_comes_of_no_results(self, tmp_path):
        assert report.blocks(read(tmp_path), folder="") == {}


class TestPicture:
    def test_the_lead_changes_where_the_best_other_gets_ahead_or_falls_behind(self):
        ours, peer, other = [0.5, 0.4, 0.3, 0.6, 0.7], [0.1, 0.2, 0.4, 0.5, 0.6], [0.1, 0.2, 0.5, 0.4, 0.8]
        names = (OBSERVED, "peer", "other")
        runs = [run_of(dict(zip(names, means, strict=True))) for means in zip(ours, peer, other, strict=True)]
        assert curves.overtakings(runs) == [(2, "other"), (3, "ours"), (4, "other")]

    def test_who_never_loses_the_lead_is_never_marked(self):
        assert curves.overtakings([run_of({OBSERVED: 0.5, "peer": mean}) for mean in (0.1, 0.2, 0.4)]) == []

    def test_no_two_systems_look_alike(self):
        looks = curves.looks_of([run_of(dict.fromkeys((*OURS, *(f"peer {n}" for n in range(13)), *BASELINES), 0.1))])
        assert len({json.dumps(look) for look in looks.values()}) == len(looks) == len(OURS) + 13 + len(BASELINES)

    def test_it_is_small_and_knows_its_numbers(self, folder):
        pytest.importorskip("matplotlib")
        growth, path = read(folder)["growth"], folder / report.PICTURE
        many = dict.fromkeys(("toys", "more toys", "most toys"), growth["toys, seed 0"])
        curves.draw(many, path)
        assert path.stat().st_size < 150_000
        assert curves.is_drawn(curves.fingerprint(many), path)
        assert not curves.is_drawn(curves.fingerprint(growth), path)

    def test_without_matplotlib_the_error_says_how_to_get_it(self, folder, monkeypatch):
        monkeypatch.setattr(curves, "find_spec", lambda _: None)
        with pytest.raises(EvaluationError, match="coldstart\\[bench\\]"):
            curves.draw(read(folder)["growth"], folder / report.PICTURE)

    def test_growth_of_the_catalogue_is_drawn_and_knows_its_numbers(self, folder):
        pytest.importorskip("matplotlib")
        results, path = read(folder)["scale"]["scale.json, seed 0"][0].found["results"], folder / report.SLOPES
        slopes.draw(results, path)
        assert path.stat().st_size < 150_000
        assert curves.is_drawn(slopes.fingerprint(results), path)
        assert not curves.is_drawn(slopes.fingerprint({**results, "index": {}}), path)


class TestCheck:
    @pytest.fixture
    def written(self, folder, command):
        pytest.importorskip("matplotlib")
        assert command(folder) == 0
        return folder

    def test_what_was_just_written_passes_and_the_rest_of_the_readme_stays(self, written, command):
        text = (written / "README.md").read_text(encoding="utf-8")
        assert text.startswith("before\n\n<!--")
        assert text.endswith("-->\n\nafter\n")
        assert command(written, "--check") == 0

    def test_writing_again_changes_nothing(self, written, command):
        once = (written / "README.md").read_bytes()
        assert command(written) == 0
        assert (written / "README.md").read_bytes() == once

    def test_the_table_that_was_touched_is_named(self, written, command, capsys):
        text = (written / "README.md").read_text(encoding="utf-8")
        for name, block in report.blocks(read(written), folder=".").items():
            touched = block[::-1].replace(block[-1], "?", 1)[::-1]
            (written / "README.md").write_text(text.replace(block, touched), encoding="utf-8")
            assert command(written, "--check") == 1
            assert capsys.readouterr().err == f"stale: {name}; run python benchmarks/report.py\n"

    def test_new_numbers_make_a_table_stale_and_checking_writes_nothing(self, written, command, capsys):
        def improve(record):
            record["results"]["encoder"]["texts_per_s"] = 999

        change(written / FILES[2], improve)
        before = {path.name: path.read_bytes() for path in written.iterdir()}
        assert command(written, "--check") == 1
        assert "stale: speed, speed.json" in capsys.readouterr().err
        assert {path.name: path.read_bytes() for path in written.iterdir()} == before

    def test_a_picture_of_other_numbers_is_stale(self, written, command, capsys):
        def widen(record):  # no table shows these
            record["runs"][0]["systems"][OBSERVED][NDCG]["high"] += 0.01

        change(written / FILES[1], widen)
        assert command(written, "--check") == 1
        assert f"stale: {report.PICTURE}" in capsys.readouterr().err

    def test_a_table_whose_record_is_gone_is_stale(self, written, command, capsys):
        (written / FILES[2]).unlink()
        assert command(written, "--check") == 1
        assert "stale: what no record gives" in capsys.readouterr().err

    def test_without_results_there_is_nothing_to_be_stale(self, tmp_path, command):
        (tmp_path / "README.md").write_text(f"{report.BEGIN}\n\n{report.END}\n", encoding="utf-8")
        assert command(tmp_path, "--check") == 0

    @pytest.mark.parametrize("text", ["", report.BEGIN, f"{report.END}\n{report.BEGIN}"])
    def test_a_readme_without_both_marks_in_order_is_refused(self, tmp_path, command, text):
        with pytest.raises(EvaluationError, match="lacks <!-- results: begin -->"):
            command(tmp_path)
        (tmp_path / "README.md").write_text(text, encoding="utf-8")
        with pytest.raises(EvaluationError, match="lacks <!-- results: begin -->"):
            command(tmp_path)

    def test_this_readme_says_what_these_results_give(self):
        script = Path(report.__file__)
        done = subprocess.run([sys.executable, str(script), "--check"], capture_output=True, text=True)
        assert (done.returncode, done.stderr) == (0, "")
