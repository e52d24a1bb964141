from dataclasses import replace

import numpy as np
import pytest

from coldstart.entities import Profile
from coldstart.errors import EvaluationError
from coldstart.evaluation import System, run


@pytest.fixture(scope="module")
def report(films, leaning):
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


def reported(films, *systems, protocol="new-user", **options):
    return run(films, protocol, systems, measures=["ndcg@10"], **options)


def test_lists_beyond_accuracy_are_told_of_every_system(films, leaning):
    report = reported(films, leaning(2.0, "with"))
    assert list(report.beyond) == ["with", "random", "popularity"]
    told = report.to_json()
    assert told["beyond"]["with"] == pytest.approx(report.beyond["with"]._asdict(), abs=1e-6)
    assert told["beyond_basis"] == {"k": 10, "users": report.known.users, "oracle": False}
    header, *rows = report.beyond_table()
    assert all(len(row) == len(header) for row in rows)
    assert rows[0] == ["with", *(f"{value:.3f}" for value in report.beyond["with"][:4]), *rows[0][5:]]


def test_popularity_is_less_novel_and_less_varied_between_users_than_random(films):
    beyond = reported(films).beyond
    assert beyond["popularity"].novelty < beyond["random"].novelty
    assert beyond["popularity"].inter_user_diversity < beyond["random"].inter_user_diversity


def test_tables_say_what_goes_by_an_oracle_and_dash_what_nobody_knows(films):
    header, *_ = reported(films, protocol="system-cold").beyond_table()
    assert header == [
        "top 10 (* by oracle)",
        "coverage",
        "gini",
        "diversity",
        "between users",
        "novelty*",
        "popularity*",
    ]
    nothing = reported(films, protocol="growth:0:0")
    assert all(row[-2:] == ["-", "-"] for row in nothing.beyond_table()[1:])
    assert nothing.to_json()["beyond"]["random"]["novelty"] is None


def with_attribute(films, value_of):
    """Return the films with one attribute a user."""
    profiles = {
        user: Profile(attributes={"sort": value_of(place)}) for place, user in enumerate(sorted(films.profiles))
    }
    return replace(films, profiles=profiles)


def test_groups_part_the_users_asked_and_average_to_the_whole(films, leaning):
    report = reported(
        with_attribute(films, lambda place: "ab"[place % 3 == 0]), leaning(1.0, "with"), protocol="system-cold"
    )
    groups = report.by_group("sort")
    assert list(groups) == list(report.values)
    for system, found in groups.items():
        assert {name: group.size for name, group in found.items()} == {"a": 40, "b": 20}
        mean = sum(group.mean * group.size for group in found.values()) / len(report.users)
        assert mean == pytest.approx(report.values[system]["ndcg@10"].mean())
    header, first, second = report.group_table("sort")
    assert header == ["ndcg@10 by sort", "users", "with", "random", "popularity (oracle)"]
    assert (first[:2], second[:2]) == (["a", "40"], ["b", "20"])


@pytest.mark.parametrize("value_of", [lambda place: 20 + place, lambda place: str(20 + place)], ids=["numbers", "text"])
def test_numbers_are_parted_into_as_many_quantiles_as_are_large_enough(films, value_of):
    report = reported(with_attribute(films, value_of), protocol="system-cold")
    assert {name: group.size for name, group in report.by_group("sort")["random"].items()} == {
        "20 to 39": 20,
        "40 to 59": 20,
        "60 to 79": 20,
    }


def test_groups_are_in_json_if_asked_for(films):
    report = reported(films)
    assert "groups" not in report.to_json()
    groups = report.to_json(by=["age"])["groups"]
    assert sum(group["users"] for group in groups["age"]["random"].values()) == len(report.users)


def test_an_attribute_that_nobody_has_names_those_there_are(films):
    with pytest.raises(EvaluationError, match=r"'agee': expected one of theirs \(age\)"):
        reported(films).by_group("agee")


def test_words_say_what_the_paired_test_found(films, leaning):
    report = reported(films, leaning(2.0, "sage"), leaning(0.0, "fool"), protocol="system-cold")
    better, oracle = report.comparisons[:2]
    assert report.summary.startswith(
        "Without any interactions to learn from, sage ranks better than random: ndcg@10 is higher by "
        f"{better.difference.mean:.3f} [{better.difference.low:.3f}, {better.difference.high:.3f}] "
    )
    assert (
        "corrected for 5 comparisons, 60 users). Beside an oracle, which has counted the very likes " in report.summary
    )
    assert f" sage ranks better than popularity: ndcg@10 is higher by {oracle.difference.mean:.3f} " in report.summary
    assert "use " not in report.summary
    assert report.to_json()["summary"] == report.summary


def test_words_send_who_loses_to_the_baseline_and_say_what_could_be_learned_from(films, leaning):
    report = reported(films, leaning(-9.0, "contrary"))
    assert (len(report.cases.training), len(report.users)) == (944, 10)
    assert report.summary.startswith("With 944 interactions to learn from, contrary ranks worse than popularity: ")
    assert "Use popularity instead, or tell contrary more" in report.summary
    assert "Only 10 users were asked" in report.summary


@pytest.mark.parametrize(
    "scores", [lambda cases: [None] * len(cases), lambda cases: [np.full(30, np.nan)] * len(cases)]
)
def test_words_say_where_a_system_told_no_items_apart(films, scores):
    report = reported(films, System("mute", scores), protocol="system-cold")
    assert "mute can't be told apart from random" in report.summary or "mute ranks worse" in report.summary
    assert "For 60 of 60 users mute told no items apart" in report.summary
    assert report.to_json()["systems"]["mute"]["undecided"] == 60


def test_words_say_when_all_users_were_shown_the_same(films, leaning):
    same = System("same", lambda cases: [np.arange(30.0)] * len(cases))
    assert "All users were shown the same items by same." in reported(films, same, protocol="system-cold").summary
    assert "shown the same" not in reported(films, leaning(1.0, "own"), protocol="system-cold").summary


def test_baselines_alone_have_nothing_to_be_compared_with(films):
    assert reported(films).summary == "Only baselines were run: there is nothing to compare with them."
