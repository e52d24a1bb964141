"""Laws of what a language model's adapter learns by: values written out, and who stands together."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from coldstart.refining import objectives
from coldstart.refining.questions import Question

SCORES, LIKED = torch.tensor([0.3, -1.2, 2.0, 0.5]), torch.tensor([True, False, True, False])


def asked(owner, answers, prompt="p"):
    return [Question(owner, prompt, f"{place}", place, liked) for place, liked in enumerate(answers)]


def test_losses_are_those_of_the_papers():
    yes, no = [0.3, 2.0], [-1.2, 0.5]
    pairs = np.mean([np.log1p(np.exp(-(one - other))) for one in yes for other in no])
    lists = np.mean([-np.log(np.exp(one) / (np.exp(one) + np.exp(no).sum())) for one in yes])
    answers = np.mean([*(np.log1p(np.exp(-one)) for one in yes), *(np.log1p(np.exp(one)) for one in no)])
    found = {name: float(objectives.loss(name)(SCORES, LIKED)) for name in ("answers", "pairs", "lists")}
    assert found == pytest.approx({"answers": answers, "pairs": pairs, "lists": lists}, rel=1e-6)


@pytest.mark.parametrize("objective", ["pairs", "lists"])
def test_order_doesnt_know_the_level(objective):
    loss = objectives.loss(objective)
    assert float(loss(SCORES + 7, LIKED)) == pytest.approx(float(loss(SCORES, LIKED)), rel=1e-5)


def test_answers_of_one_person_who_had_said_the_same_stand_together():
    questions = [*asked("ann", [True, True]), *asked("bob", [True]), *asked("ann", [False], prompt="q")]
    assert objectives.grouped(questions, "answers") == [[0, 1], [2], [3]]
    assert [len(group) for group in objectives.grouped(asked("ann", [True] * 40), "answers")] == [16, 16, 8]


@pytest.mark.parametrize("objective", ["pairs", "lists"])
def test_where_order_is_learned_together_stand_answers_of_one_person_who_had_said_the_same(objective):
    questions = [*asked("ann", [True, False, False]), *asked("bob", [True]), *asked("ann", [False], prompt="q")]
    assert objectives.grouped(questions, objective) == [[0, 1, 2]]


@pytest.mark.parametrize(("yes", "no"), [(1, 40), (40, 1), (20, 21), (16, 16), (8, 8)])
def test_no_group_is_too_long_and_each_has_both(yes, no):
    questions = asked("ann", [True] * yes + [False] * no)
    groups = objectives.grouped(questions, "lists")
    assert groups
    for group in groups:
        assert len(group) <= objectives.LONGEST
        assert {questions[place].liked for place in group} == {True, False}
    assert len({place for group in groups for place in group}) == sum(map(len, groups))


def test_order_is_judged_within_each_person():
    liked = [np.array([True, False]), np.array([True, False, False])]
    scores = [np.array([1.0, 0.0]), np.array([-5.0, -5.0, -6.0])]
    assert objectives.in_order(scores, liked).tolist() == [1.0, 0.75]
