"""Who answers after lessons: only an adapter that was let through has a part, and it learns from the examples alone."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from coldstart.entities import Profile
from coldstart.errors import CatalogueError
from coldstart.evaluation.questions import Question, Questions
from lessons import BOTH, ENCODER, LANGUAGE_MODEL, LEARNED, Lessons, liked


class Engine:
    """Stands in for a recommender: answers with its name's number, and notes what it was taught."""

    def __init__(self, answer=0.1, *, promoted=True, refused=False, language_model=True):
        self.answer, self.promoted, self.refused = answer, promoted, refused
        self.language_model = object() if language_model else None
        self.taught: list[object] = []

    def _refined(self, answer, what):
        if self.refused:
            raise CatalogueError("too few")
        self.taught.append(what)
        made = Engine(answer) if self.promoted else self
        return SimpleNamespace(recommender=made, promoted=self.promoted)

    def refine(self, events, *, schedule):
        return self._refined(self.answer + 0.2, (list(events), schedule.minutes))

    def refine_language(self, answers, *, schedule):
        return self._refined(self.answer + 0.4, (list(answers), schedule.minutes))

    def calibrated(self, answers, *, language=False):
        assert len(list(answers)) == 4
        return Engine(self.answer + (0.05 if language else 0.0))

    def probability(self, _profile, items, **_):
        return np.full(len(items), self.answer)


@pytest.fixture
def questions(stage):
    examples = tuple(
        Question(f"u{number}", "dame", number % 2 == 0, Profile(likes=["alley", "cigar"])) for number in range(4)
    )
    return Questions("pointwise", stage, (Question("ann", "wig", True), Question("bob", "zany", False)), examples, 2, 0)


def answers(engine, questions):
    lessons = Lessons(engine, 2.0)
    return {judge.name: judge.answers(questions)[0] for judge in lessons.judges()}, lessons


def test_adapters_that_are_let_through_answer_and_the_language_model_only_then(questions):
    found, lessons = answers(engine := Engine(), questions)
    assert found == pytest.approx({LEARNED: 0.1, ENCODER: 0.3, LANGUAGE_MODEL: 0.55, BOTH: 0.75})
    assert len(lessons.said) == 4
    assert all(minutes == 2.0 for _, minutes in engine.taught)


@pytest.mark.parametrize("how", [{"promoted": False}, {"refused": True}])
def test_what_is_not_let_through_leaves_the_answers_as_they_are(questions, how):
    found, _ = answers(Engine(**how), questions)
    assert set(found.values()) == {0.1}


def test_without_a_language_model_only_the_encoder_is_refined(questions):
    assert set(answers(Engine(language_model=False), questions)[0]) == {LEARNED, ENCODER}


def test_likes_are_told_in_their_order_and_a_no_is_none(questions):
    events = [(event.user, event.item, event.timestamp) for event in liked(questions.examples[:2])]
    assert events == [
        ("u0", "alley", 0.0),
        ("u0", "cigar", 1.0),
        ("u0", "dame", 2.0),
        ("u1", "alley", 0.0),
        ("u1", "cigar", 1.0),
    ]
