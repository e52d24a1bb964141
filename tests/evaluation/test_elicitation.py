"""Laws of elicitation: answers are true, what is told is never what is right, and all strategies rank the same."""

from __future__ import annotations

import json

import numpy as np
import pytest

from coldstart.catalogue import Interactions
from coldstart.entities import Interaction
from coldstart.errors import EvaluationError
from coldstart.evaluation.datasets import Dataset
from coldstart.evaluation.elicitation import ANY_KIND, STRATEGIES, elicit, people_of, truth
from coldstart.onboarding import Onboarding

pytestmark = pytest.mark.slow  # what they share takes six seconds


@pytest.fixture(scope="module")
def tasted(catalogue) -> Dataset:
    """Forty people, of whom each likes two sorts of tea."""
    rng = np.random.default_rng(3)
    events = [
        Interaction(f"u{user}", item.id, value=5.0 if (place + user) % 5 < 2 else 1.0)
        for user in range(40)
        for place, item in enumerate(catalogue)
        if rng.random() < 0.9
    ]
    return Dataset("teas", catalogue, Interactions.from_records(events))


def test_what_is_told_is_never_what_is_right(tasted):
    people = people_of(tasted)
    assert people.people
    for one in people.people:
        assert not np.intersect1d(one.relevant, np.concatenate([one.liked, one.disliked])).size
        assert np.isin(one.relevant, one.ranked).all()
        assert not np.isin(one.liked, one.ranked).any()


def test_answers_are_true(tasted, recommender):
    onboarding, people = Onboarding(recommender), people_of(tasted)
    names = tasted.catalogue.ids
    for one in people.people:
        liked, right = names[one.liked[0]], names[one.relevant[0]]
        assert truth(onboarding, one, f"item:{liked}", people.everyone) == "like"
        assert truth(onboarding, one, f"item:{right}", people.everyone) == "unknown"
        assert truth(onboarding, one, f"item:{names[one.disliked[0]]}", people.everyone) == "dislike"
        assert truth(onboarding, one, f"items:{right}|{liked}", people.everyone) == [liked]
        assert truth(onboarding, one, f"pair:{right}|{liked}", people.everyone) == liked
        sort = str(tasted.catalogue[int(one.liked[0])].attributes["sort"])
        assert sort in truth(onboarding, one, "chips:sort=green|black|white|oolong|smoked", people.everyone)


@pytest.mark.slow
@pytest.mark.parametrize("observed", [True, False])
def test_all_strategies_begin_with_the_same_list(tasted, recommender, observed):
    found = elicit(tasted, recommender, questions=2, observed=observed, max_users=5)
    starts = [table[:, 0] for table in found.values.values()]
    assert list(found.values) == [one.name for one in STRATEGIES]
    assert all((one == starts[0]).all() for one in starts)
    assert json.loads(json.dumps(found.to_json()))["users"] == found.users == 5
    assert found.summary
    assert len(found.table()) == 1 + len(STRATEGIES)


def test_each_fifth_is_new_in_turn(tasted, recommender):
    found = elicit(tasted, recommender, questions=1, strategies=STRATEGIES[:2], folds=5)
    asked = [{one.user for one in each.people} for each in found.folds]
    assert sum(map(len, asked)) == len(set.union(*asked)) == found.users > 30
    for each, new in zip(found.folds, asked, strict=True):
        assert not new & {event.user for event in each.training}
    assert all(table.shape == (found.users, 2) for table in found.values.values())
    (alone,) = elicit(tasted, recommender, questions=1, strategies=STRATEGIES[:1]).values.values()
    np.testing.assert_array_equal(found.values["coldstart"][: len(alone)], alone)


def test_whoever_something_was_chosen_on_is_not_asked(tasted):
    everyone = people_of(tasted)
    known = {one.user for one in everyone.people[:2]}
    others = people_of(tasted, but=known)
    assert [one.user for one in others.people] == [one.user for one in everyone.people[2:]]
    assert len(others.training) == len(everyone.training)


def test_baselines_ask_about_items_and_ablations_about_what_ours_asks():
    kinds = {one.name: one.kinds for one in STRATEGIES}
    assert {kinds[name] for name in ("popular", "entropy", "random")} == {("items",)}
    assert {kinds[name] for name in ANY_KIND} == {kinds["coldstart"]}


def test_too_little_to_ask_about_is_refused(tasted, catalogue, recommender):
    few = Dataset("few", catalogue, Interactions.from_records([Interaction("u", "t00", value=5.0)]))
    with pytest.raises(EvaluationError):
        elicit(few, recommender)
    with pytest.raises(EvaluationError):
        elicit(few, recommender, questions=0)
    for folds in (0, 6):
        with pytest.raises(EvaluationError):
            elicit(tasted, recommender, folds=folds)


@pytest.mark.slow
def test_the_command_line_shows_it_with_and_without_what_others_did(tasted, recommender, capsys):
    from coldstart.evaluating import Asked, _elicited

    found = _elicited(tasted, Asked.parse("elicitation", most=2), recommender, 0)
    assert found["observed"]["observed"]
    assert not found["zero_shot"]["observed"]
    assert "no interactions are known" in capsys.readouterr().out.replace("\n", " ")
    with pytest.raises(EvaluationError):
        Asked.parse("elicitation", shots=3)
