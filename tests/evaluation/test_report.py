import numpy as np
import pytest

from coldstart.evaluation import System, run


def leaning(strength, name):
    """Return a system that knows what is right ``strength`` standard deviations above its noise."""

    def scores(cases):
        rng = np.random.default_rng(0)
        for case in cases:
            rows = np.arange(len(cases.catalogue)) if case.candidates is None else case.candidates
            yield rng.normal(size=rows.size) + strength * np.isin(rows, case.relevant)

    return System(name, scores)


@pytest.fixture
def report(films):
    return run(films, "system-cold", [leaning(2.0, "with"), leaning(1.0, "without")])


def test_every_system_is_tested_against_random_the_oracle_and_the_first_against_its_variants(report):
    pairs = {(c.system, c.against) for c in report.comparisons}
    assert pairs == {
        ("with", "random"),
        ("with", "popularity"),
        ("without", "random"),
        ("without", "popularity"),
        ("with", "without"),
    }


def test_differences_are_those_of_the_means_on_the_same_users(report):
    for c in report.comparisons:
        means = [report.intervals[name][c.measure].mean for name in (c.system, c.against)]
        assert c.difference.mean == pytest.approx(means[0] - means[1])
        assert c.difference.low <= c.difference.mean <= c.difference.high


def test_a_clear_gain_is_significant(report):
    (gain,) = [
        c.difference for c in report.comparisons if (c.system, c.against, c.measure) == ("with", "random", "ndcg@10")
    ]
    assert gain.low > 0
    assert gain.p < 0.01


def test_the_best_baseline_is_honest(films, report):
    assert report.best_baseline == "random"
    assert run(films, "candidates").best_baseline == "popularity"


def test_baselines_alone_are_compared_with_nothing(films):
    report = run(films, "candidates")
    assert report.comparisons == ()
    assert len(report.comparison_table()) == 1


def test_tables_have_a_row_a_system_and_mark_oracles(report):
    header, *rows = report.table()
    assert header == ["system", "ndcg@10", "recall@10", "precision@10", "hr@10", "mrr@10", "map@10", "seconds"]
    assert [row[0] for row in rows] == ["with", "without", "random", "popularity (oracle)"]
    assert all(len(row) == len(header) for row in rows)
    mean, low, high = report.intervals["with"]["ndcg@10"]
    assert rows[0][1] == f"{mean:.3f} [{low:.3f}, {high:.3f}]"
    assert [row[:2] for row in report.comparison_table()[1:]] == [
        ["with", "random"],
        ["with", "popularity"],
        ["without", "random"],
        ["without", "popularity"],
        ["with", "without"],
    ]
