"""Who answers yes or no after lessons: by arithmetic alone, or with an adapter of one of the models on top, or of both.

Each adapter learns from the very examples that arithmetic learns from: the bi-encoder's from what the people in them
like, the language model's from their answers. One that its gate doesn't let through leaves the answers as they are.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

from coldstart.entities import Answer, Interaction
from coldstart.errors import CatalogueError
from coldstart.evaluation.judges import Estimator, Judge, Probabilities, engine_judge
from coldstart.evaluation.questions import Question, Questions
from coldstart.recommender import Recommender
from coldstart.refining.schedule import LANGUAGE, Schedule

LEARNED, ENCODER, LANGUAGE_MODEL, BOTH = "learned", "encoder refined", "language model refined", "both refined"


@dataclass
class Lessons:
    """What can be made of a recommender by examples.

    Attributes:
        recommender: As it is before.
        minutes: How long each adapter may take.
        seed: Of training.
        said: What came of each adapter, by its judge's name.
    """

    recommender: Recommender
    minutes: float
    seed: int = 0
    said: dict[str, str] = field(default_factory=dict)

    def judges(self) -> list[Judge]:
        """Return those who answer; without a language model, those who need none."""
        names = [LEARNED, ENCODER]
        if self.recommender.language_model is not None:
            names += [LANGUAGE_MODEL, BOTH]
        return [Judge(name, partial(self._answers, name)) for name in names]

    def _answers(self, name: str, questions: Questions) -> Probabilities:
        ready, by_language = self.recommender, False
        if name in (ENCODER, BOTH):
            ready = self._of_likes(ready, questions.examples, name)
        if name in (LANGUAGE_MODEL, BOTH):
            ready, by_language = self._of_answers(ready, questions.examples, name)
        estimator: Estimator = _Speaking(ready) if by_language else ready
        return engine_judge(estimator).answers(questions)

    def _of_likes(self, before: Recommender, examples: Sequence[Question], name: str) -> Recommender:
        try:
            found = before.refine(liked(examples), schedule=Schedule(minutes=self.minutes, seed=self.seed))
        except CatalogueError as problem:
            self.said[f"{name}, encoder"] = f"not refined: {problem}"
            return before
        self.said[f"{name}, encoder"] = str(found)
        refined: Recommender = found.recommender
        return refined

    def _of_answers(self, before: Recommender, examples: Sequence[Question], name: str) -> tuple[Recommender, bool]:
        schedule = replace(LANGUAGE, minutes=self.minutes, seed=self.seed)
        try:
            found = before.refine_language([_answer(one) for one in examples], schedule=schedule)
        except CatalogueError as problem:
            self.said[f"{name}, language model"] = f"not refined: {problem}"
            return before, False
        self.said[f"{name}, language model"] = str(found)
        return found.recommender, found.promoted


class _Speaking:
    """A recommender whose probabilities the language model has a part in."""

    def __init__(self, recommender: Recommender) -> None:
        self._recommender: Recommender = recommender
        self.probability = recommender.probability

    def calibrated(self, answers: Iterable[Answer]) -> Recommender:
        """Learn from examples, and let the language model read them."""
        return self._recommender.calibrated(answers, language=True)


def liked(examples: Sequence[Question]) -> Iterator[Interaction]:
    """Yield what the people of examples like, in the order in which they say it, and what they then said yes to."""
    for one in examples:
        wanted = [*one.profile.likes, *([one.item] if one.liked else [])]
        for moment, item in enumerate(dict.fromkeys(wanted)):
            yield Interaction(one.user, item, timestamp=float(moment))


def _answer(question: Question) -> Answer:
    return Answer(question.profile, question.item, question.liked, question.context)
