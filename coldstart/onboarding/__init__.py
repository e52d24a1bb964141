"""Onboarding: the next best question, what the answers amount to, and the first list.

>>> import coldstart as cs
>>> cs.Dialogue(cs.Profile(text="bold reds")).with_answer("chips:grapes=Malbec|Merlot", ["Malbec"]).answers[0].value
('Malbec',)

An :class:`Onboarding` is made once for a recommender. A :class:`Dialogue` is the whole state of a conversation, from
and to JSON, so that whoever asks may keep it, or send it along with each request::

    asking = cs.Onboarding(recommender)
    dialogue = asking.start(cs.Profile(attributes={"age": 34}))
    while (question := asking.question(dialogue)) is not None:
        dialogue = asking.answered(dialogue, question.id, ...)  # option ids, a text, or None to skip
    asking.ending(dialogue)  # why there is no other question
    asking.suggestions(dialogue)  # shelves
    recommender.recommend(asking.profile(dialogue))  # what the answers amount to, anywhere else
"""

from coldstart.onboarding.dialogue import Dialogue, Option, Question, Reply
from coldstart.onboarding.planner import Onboarding
from coldstart.onboarding.suggestions import Shelf, Suggestion, Suggestions

__all__ = ["Dialogue", "Onboarding", "Option", "Question", "Reply", "Shelf", "Suggestion", "Suggestions"]
