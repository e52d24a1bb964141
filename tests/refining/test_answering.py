"""Laws of tutoring the language model: it starts where zero-shot stands, and learns the answer that ranks."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from coldstart.entities import Answer, Interaction, Profile
from coldstart.errors import AdapterError, CatalogueError
from coldstart.interactions import Interactions
from coldstart.recommender import Recommender
from coldstart.refining import answering, lora, objectives, questions, registry
from coldstart.refining.lora import Shape
from coldstart.refining.schedule import Schedule
from coldstart.scoring.language import Language

pytestmark = pytest.mark.slow  # PEFT takes seconds to import, and each trains

SHAPE = Shape(rank=8, upper=1.0)
QUICK = Schedule(passes=12, batch=16, rate=2e-2, every=6, patience=50)
WHO = Profile(likes=["t01", "t07"], dislikes=["t03"])


def answers(count=96, *, by_chance=False, seed=0):
    """Return answers by the item's number, as if all liked every other tea, or by chance."""
    rng = np.random.default_rng(seed)
    for _ in range(count):
        known, item = rng.permutation(30)[:3].tolist(), int(rng.integers(30))
        profile = Profile(likes=[f"t{row:02d}" for row in known])
        yield Answer(profile, f"t{item:02d}", bool(rng.integers(2)) if by_chance else item % 2 == 0)


@pytest.fixture(scope="module")
def tutored(recommender, tmp_path_factory):
    """An index's folder with an adapter of its language model, and what came of tutoring."""
    folder = tmp_path_factory.mktemp("tutored") / "index"
    recommender.save(folder)
    return folder, recommender.refine_language(answers(), path=folder, schedule=QUICK, shape=SHAPE)


def said(recommender, profile=WHO):
    query, _ = recommender._reader.read(profile, None)
    return recommender._answers(recommender.language_model).score(query, np.arange(30))


def put(recommender, told):
    from coldstart import tutoring

    language = Language(recommender.language_model, recommender.catalogue, recommender.library)
    return tutoring.questions(tutoring.of_answers(told, recommender.index, recommender._reader), language)


def test_an_adapter_that_has_learned_nothing_leaves_every_score(recommender):
    model = recommender.language_model
    wrapped = lora.attached_to(model.model, Shape(), seed=0)
    fresh = type(model)(wrapped, model.tokenizer, name="fresh")
    language = Language(model, recommender.catalogue, recommender.library, fresh)
    query, _ = recommender._reader.read(WHO, None)
    assert language.score(query, np.arange(30)) == pytest.approx(said(recommender), abs=1e-5)


def test_what_is_trained_is_the_score_that_ranks(recommender):
    asked = put(recommender, [Answer(WHO, f"t{row:02d}", True) for row in range(30)])
    module = tutor(recommender)
    apart = [groups(recommender, [one]) for one in asked]
    together = groups(recommender, asked[:16]), groups(recommender, asked[16:])
    assert module.try_together(together)
    found = np.concatenate(answering.scored(module, apart)), np.concatenate(answering.scored(module, together))
    assert found[0] == pytest.approx(said(recommender), abs=1e-4)
    assert found[1] == pytest.approx(said(recommender), abs=1e-4)


def test_a_model_that_doesnt_answer_as_it_would_is_asked_one_by_one(recommender, monkeypatch):
    asked = put(recommender, [Answer(WHO, f"t{row:02d}", True) for row in range(12)])
    module = tutor(recommender)
    monkeypatch.setattr(module, "_joined", lambda groups: torch.zeros(sum(map(len, groups))))
    together = [groups(recommender, asked)]
    assert not module.try_together(together)
    assert np.concatenate(answering.scored(module, together)) == pytest.approx(said(recommender)[:12], abs=1e-4)


def test_a_prompt_that_is_shared_is_read_once(recommender):
    asked = put(recommender, [Answer(WHO, f"t{row:02d}", True) for row in range(12)])
    module, read = tutor(recommender), []
    forward = module.model.forward
    module.model.forward = lambda *given, **named: read.append(named["input_ids"].numel()) or forward(*given, **named)
    try:
        answering.scored(module, [groups(recommender, asked)])
    finally:
        del module.model.forward
    group = groups(recommender, asked)
    assert sum(read) == len(group.prompt) + sum(map(len, group.endings))


def tutor(recommender):
    return answering.Answering(
        recommender.language_model.model, yes=_first(recommender, "Yes"), no=_first(recommender, "No")
    )


def groups(recommender, asked):
    language = Language(recommender.language_model, recommender.catalogue, recommender.library)
    return answering.asked(recommender.language_model, asked, language.for_nobody)


def _first(recommender, word):
    return recommender.language_model.tokenizer(word, add_special_tokens=False)["input_ids"][0]


def test_what_tells_answers_better_apart_is_let_through(recommender, tutored):
    before = said(recommender)
    found = tutored[1]
    assert found.promoted
    assert found.verdict.measure == "AUC"
    assert found.verdict.refined > found.verdict.present + 0.1
    assert "answers of" in str(found)
    people = [answer.profile for answer in answers(12, seed=1)]  # whom it never saw
    after = np.mean([said(found.recommender, who) for who in people], axis=0)
    assert after[::2].mean() > after[1::2].mean()
    assert (said(recommender) == before).all()


def test_answers_by_chance_change_nothing(recommender):
    found = recommender.refine_language(answers(by_chance=True), schedule=replace(QUICK, passes=3), shape=SHAPE)
    assert not found.promoted
    assert found.recommender is recommender
    assert "The ranking stays as it is" in str(found)


def test_what_was_promoted_is_what_loads_and_is_taken_back(recommender, tutored, encoder, language_model):
    folder, found = tutored
    loaded = Recommender.load(folder, encoder=encoder, language_model=language_model)
    assert said(loaded) == pytest.approx(said(found.recommender), abs=1e-5)
    assert [entry.promoted for entry in registry.listed(folder)] == [True]
    with pytest.raises(AdapterError, match="is in use"):
        registry.remove(folder, "1")
    assert registry.hush(folder) == ""
    back = Recommender.load(folder, encoder=encoder, language_model=language_model)
    assert said(back) == pytest.approx(said(recommender), abs=1e-5)
    registry.speak(folder, found.version)


def test_lists_stay_as_they_are(recommender, tutored):
    one, other = (each.recommend(WHO, k=30, language=5) for each in (recommender, tutored[1].recommender))
    assert [item.score for item in one] == [item.score for item in other]


def test_answers_that_taught_it_are_no_evidence_for_it(tutored, recommender):
    refined = tutored[1].recommender
    told = list(answers())
    learned = refined.calibrated(told, language=True)
    column = learned._calibration.taught.examples.pairs.features[:, 4]
    marks = {one.mark for one in questions.parted(put(recommender, told), seed=0)[0]}
    taught = np.array([one.mark in marks for one in put(recommender, told)])
    assert (column[taught] == 0).all()
    assert (column[~taught] != 0).all()
    assert np.isfinite(learned.probability(WHO, ["t00", "t01"])).all()


def test_unless_it_is_asked_probabilities_are_those_of_learning_alone(recommender, tutored):
    told = list(answers(20))
    items = [f"t{row:02d}" for row in range(30)]
    one, other = (each.calibrated(told).probability(WHO, items) for each in (recommender, tutored[1].recommender))
    assert (one == other).all()


def test_of_interactions_each_question_is_of_what_came_before(catalogue):
    events = Interactions.from_records(
        [Interaction("ann", f"t{row:02d}", value=5.0 if row % 3 else 1.0, timestamp=float(row)) for row in range(12)]
    )
    asked = list(questions.of_interactions(events, catalogue.ids, profiles={}, seed=0))
    assert {one.liked for one in asked} == {True, False}
    for one in asked:
        id_ = catalogue.ids[one.row]
        assert one.liked == bool(one.row % 3)
        assert id_ not in {*one.profile.likes, *one.profile.dislikes}
        if one.liked:
            assert all(known < id_ for known in one.profile.likes)


@pytest.mark.parametrize(("count", "liked"), [(3, None), (10, True), (10, False)])
def test_too_few_answers_or_all_the_same_are_refused(recommender, count, liked):
    told = [Answer(WHO, f"t{row:02d}", bool(row % 2) if liked is None else liked) for row in range(count)]
    with pytest.raises(CatalogueError, match="at least 4, with yes and no"):
        recommender.refine_language(told, schedule=QUICK)


def test_without_a_language_model_it_says_so(catalogue, encoder):
    plain = Recommender.build(catalogue, encoder=encoder, language_model=None)
    with pytest.raises(AdapterError, match="no language model"):
        plain.refine_language(answers(8))


def lists(people=100, *, seed=0):
    """Return what people who said the same answer of several items; every other tea is liked."""
    rng = np.random.default_rng(seed)
    for _ in range(people):
        rows = rng.permutation(30)[:7].tolist()
        who = Profile(likes=[f"t{row:02d}" for row in rows[:2]])
        for item in rows[2:]:
            yield Answer(who, f"t{item:02d}", item % 2 == 0)


@pytest.mark.parametrize("objective", ["pairs", "lists"])
def test_the_order_of_one_persons_answers_is_learned(recommender, objective):
    slower = replace(QUICK, passes=8, rate=5e-3)
    found = recommender.refine_language(lists(), objective=objective, schedule=slower, shape=SHAPE)
    assert found.promoted
    assert found.verdict.measure == "GAUC"
    assert found.verdict.refined > found.verdict.present + 0.1
    assert "people's questions held out" in str(found)
    assert found.told["objective"] == objective


@pytest.mark.parametrize("objective", ["pairs", "lists"])
def test_order_cant_be_learned_from_people_who_say_nothing_but_yes_or_no(recommender, objective):
    told = [Answer(Profile(likes=[f"t{row:02d}"]), "t29", row % 2 == 0) for row in range(28)]
    taught, judges = questions.parted(put(recommender, told), seed=0)
    assert not objectives.grouped(judges, objective)
    with pytest.raises(CatalogueError, match="nobody said both yes and no"):
        answering.taught(recommender.language_model, taught, judges, alone=np.zeros_like, objective=objective)
    assert "fewer than 8 can't tell" in str(recommender.refine_language(told, objective=objective))


def test_an_objective_that_is_none_is_refused(recommender):
    with pytest.raises(AdapterError, match="'ranks': expected one of answers, pairs, lists"):
        recommender.refine_language(answers(8), objective="ranks")


def test_of_interactions_lists_are_asked_of(catalogue):
    events = Interactions.from_records(
        [Interaction("ann" if row < 12 else "bob", f"t{row:02d}", value=5.0, timestamp=float(row)) for row in range(30)]
    )
    drawn = questions.of_interactions(events, catalogue.ids, profiles={}, seed=0, others=5)
    asked = [one for one in drawn if one.owner == "ann"]
    assert [one.liked for one in asked] == [True, *[False] * 5] * 2
    assert len({one.row for one in asked[:6]}) == 6
    assert all(int(catalogue.ids[one.row][1:]) >= 12 for one in asked if not one.liked)
