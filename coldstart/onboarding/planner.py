"""Onboarding: which question to ask a person next, what their answers amount to, and what to show them."""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from coldstart.blas import undivided
from coldstart.entities import Context, Profile, Recommendation
from coldstart.errors import DialogueError
from coldstart.learning.companions import NOISE
from coldstart.onboarding.asking import ExpectedGain, Offer, Policy
from coldstart.onboarding.belief import Belief, Ground, Observation, Worth
from coldstart.onboarding.dialogue import Asked, Choice, Dialogue, Kind, Option, Question, Reply
from coldstart.onboarding.facets import Chip, Facet, distinct_labels, facets_of
from coldstart.onboarding.suggestions import Suggestions, suggested
from coldstart.wording import plural, tidy_title

if TYPE_CHECKING:
    from coldstart.learning.platform import Platform
    from coldstart.ranking import Scores
    from coldstart.recommender import Recommender
    from coldstart.scoring import Query

KINDS: tuple[Kind, ...] = ("chips", "items", "text")
"""What is asked unless told otherwise: several chips or items at once, and a sentence at the end."""

MOST_QUESTIONS = 8
LEAST_GAIN = 0.01
"""A question has to raise the chances of the first list's items by this share to be worth a person's time."""

FAINT, FAINTER = 5.0, 50.0
"""How many times the noise if an item isn't chosen: what one doesn't know yet may be just right. The second holds while
nothing was observed, and only words tell what else that speaks against."""

CHIP_NOISE = 0.3
"""How much a chosen chip says beyond taste: less than a like, since it sums up many; see ``companions.NOISE``."""

REALISED: Mapping[str, tuple[float, float]] = {"chips": (0.6, 2.2), "items": (0.1, 0.5)}
"""How much of the expected gain answers bring, before a platform is observed and after, by what is asked about.

By NDCG@10 on MovieLens-100K and X-Wines, seeds 11 to 13: what chips sum up says more than a belief from single likes
expects, and items that people know are those that the list shows anyway."""

ANSWERS = "answers"
"""The name of the part that answers have in a score."""

ZERO_SHOT = 1.0
"""The weight of that part without a platform, on the logarithm of a chance: what says little moves little."""

FULLY_KNOWN = 1.5
"""The weight of the appeal prior in a catalogue that the language model knows well: see ``scoring.appeal``."""

_OF_ITEMS = ("items", "item", "pair")
_FEWEST, _MOST_ITEMS = 40, 150
_MAYBE = 0.5


@dataclass(frozen=True, eq=False)
class _State:
    """What is worked out once for a catalogue and what its platform has seen."""

    likes: Any
    ground: Ground
    anybody: Belief


class Onboarding:
    """Plans onboarding on a recommender's catalogue: any thread may ask, and nothing is kept of who answers.

    ``start`` a dialogue, then ``question`` and ``answered`` in turn until there is no question; ``suggestions`` at any
    time. What a recommender observes meanwhile counts from the next question on.

    Args:
        recommender: What ranks.
        seed: Fixes groups of items and what is drawn for exploration.
        kinds: Which kinds of questions are asked.
        policy: What a question is worth; by default what its answer is expected to add to the list.
    """

    def __init__(
        self,
        recommender: Recommender,
        *,
        seed: int = 0,
        kinds: Collection[Kind] = KINDS,
        policy: Policy | None = None,
    ) -> None:
        self.recommender, self.seed, self._kinds = recommender, seed, frozenset(kinds)
        self.policy: Policy = policy or ExpectedGain()
        index, library = recommender.index, recommender.library
        self.facets: tuple[Facet, ...] = facets_of(
            index.catalogue, library.fields, index.centred, index.documents, seed=seed
        )
        self.chips: tuple[Chip, ...] = tuple(chip for facet in self.facets for chip in facet.chips)
        self._facet = {facet.name: facet for facet in self.facets}
        self._place = {(chip.facet, chip.value): place for place, chip in enumerate(self.chips)}
        self._labels = distinct_labels(index.catalogue, library.fields)
        self._offer = Offer(self._kind, self.facets, self.chips, index.catalogue.ids, self._label, self._kinds)
        self._lock = threading.Lock()
        self._state: _State | None = None
        self._bare: Platform | None = None

    # The dialogue -------------------------------------------------------------------------------------------

    def start(self, profile: Profile | None = None) -> Dialogue:
        """Return a dialogue with a person of whom this much is known, which may be nothing.

        Raises:
            UnknownItem: The profile names an item that the catalogue doesn't hold.
        """
        dialogue = Dialogue(profile or Profile())
        self._read(dialogue)
        return dialogue

    def answered(self, dialogue: Dialogue, question_id: str, value: Any) -> Dialogue:
        """Return the dialogue with an answer; None skips, and an answer given again takes the earlier one's place.

        Raises:
            DialogueError: The question or the answer is none, or it is about something that the catalogue lacks.
        """
        asked = Asked.parse(question_id)
        for name in asked.about:
            known = (asked.attribute, name) in self._place if asked.attribute else name in self.recommender.catalogue
            if not known:
                what = f"{asked.attribute} {name!r}" if asked.attribute else f"the {self._kind} {name!r}"
                raise DialogueError(f"{question_id!r} asks about {what}, which isn't on offer: ask for a question anew")
        return dialogue.with_answer(question_id, value)

    def profile(self, dialogue: Dialogue, *, chips: bool = True) -> Profile:
        """Return what a dialogue amounts to as a profile: chosen chips are likes in words, and items likes by id.

        Args:
            dialogue: Whose answers.
            chips: Whether chosen chips are among them.
        """
        who = dialogue.profile
        likes, dislikes, text = list(who.likes), list(who.dislikes), [who.text]
        for asked, value in self._replies(dialogue):
            if asked.kind == "text":
                text.append(str(value))
            elif asked.attribute:
                facet = self._facet[asked.attribute]
                chosen = asked.about if value == "yes" else () if isinstance(value, str) else value
                likes += [facet.phrase.format(chip) for chip in chosen] if chips else []
            elif asked.kind == "item":
                likes += asked.about if value == "like" else ()
                dislikes += asked.about if value == "dislike" else ()
            elif asked.kind == "pair":
                likes += asked.about if value == "both" else [value] if value in asked.about else ()
            else:
                likes += value
        unliked = [one for one in dict.fromkeys(dislikes) if one not in likes]
        return replace(who, text=" ".join(filter(None, text)), likes=list(dict.fromkeys(likes)), dislikes=unliked)

    def _replies(self, dialogue: Dialogue) -> Iterator[tuple[Asked, Any]]:
        """Yield the answers that say something, without what has left the catalogue since."""
        for reply in dialogue.answers:
            asked = Asked.parse(reply.question_id)
            if reply.value is None:
                continue
            if asked.kind == "text" or asked.kind == "pair":
                if all(id_ in self.recommender.catalogue for id_ in asked.about):
                    yield asked, reply.value
                continue
            if asked.attribute:
                kept = tuple(name for name in asked.about if (asked.attribute, name) in self._place)
            else:
                kept = tuple(name for name in asked.about if name in self.recommender.catalogue)
            if kept:
                many = isinstance(reply.value, tuple)
                yield replace(asked, about=kept), tuple(v for v in reply.value if v in kept) if many else reply.value

    # What is believed ---------------------------------------------------------------------------------------

    @property
    def _kind(self) -> str:
        return self.recommender.catalogue.kind

    def _platform(self) -> Platform:
        """Return what the recommender has learned; what words alone let expect if it hasn't learned anything."""
        if self.recommender.platform is not None:
            return self.recommender.platform
        if self._bare is None:
            bare = self.recommender.unlearned()
            bare.observe([], now=0.0)
            self._bare = bare.platform
        assert self._bare is not None  # noqa: S101 -- observing makes one
        return self._bare

    @property
    def _faint(self) -> float:
        return FAINT if self._platform().likes.events else FAINTER

    def _prepared(self) -> _State:
        with self._lock:
            platform = self._platform()
            if self._state is None or self._state.likes is not platform.likes:
                ground = Ground.of(platform, self.chips)
                count = int(np.clip(ground.items // 5, _FEWEST, _MOST_ITEMS))
                items = np.argsort(-ground.mean[: ground.items], kind="stable")[:count]
                askable = np.concatenate([items, np.arange(ground.items, len(ground.mean))]).astype(np.int64)
                columns = ground.columns(askable)
                anybody = Belief(ground.mean, askable, columns, ground.variance[askable], ground.items)
                self._state = _State(platform.likes, ground, anybody)
            return self._state

    def warm(self) -> None:
        """Work out what the first question would have to."""
        self.recommender.warm()
        self._prepared()

    def _believed(self, state: _State, observed: Sequence[Observation]) -> Belief:
        """Return what is believed after some observations."""
        if not observed:
            return state.anybody
        ground, anybody = state.ground, state.anybody
        variables = np.array(sorted({one for each in observed for one in each.variables}), np.int64)
        place_of = {int(variable): place for place, variable in enumerate(anybody.askable)}
        known = np.array([int(one) in place_of for one in variables])
        columns = np.empty((len(ground.mean), len(variables)), np.float32)
        columns[:, known] = anybody.columns[:, [place_of[int(one)] for one in variables[known]]]
        if not known.all():
            columns[:, ~known] = ground.columns(variables[~known])
        column_of = {int(variable): place for place, variable in enumerate(variables)}
        sums = np.zeros((len(variables), len(observed)), np.float32)
        for place, one in enumerate(observed):
            sums[[column_of[variable] for variable in one.variables], place] = one.signs
        seen = columns @ sums
        inner = sums.T.astype(np.float64) @ seen[variables]
        noise = np.array([one.noise for one in observed]) * np.diag(inner) + 1e-9
        return anybody.after(observed, seen, inner + np.diag(noise), sums.T @ ground.mean[variables])

    def _observed(self, dialogue: Dialogue, query: Query) -> tuple[list[Observation], list[Observation]]:
        """Return what was known at the start, and what answers say."""
        row, items = self.recommender.catalogue.row, len(self.recommender.catalogue)
        answers: list[Observation] = []
        for asked, value in self._replies(dialogue):
            if asked.attribute:
                places = [items + self._place[asked.attribute, name] for name in asked.about]
                chosen = asked.about if value == "yes" else () if value == "no" else value
                marks = [float(name in chosen) for name in asked.about]
                answers += [_one(place, mark, CHIP_NOISE) for place, mark in zip(places, marks, strict=True)]
            elif asked.kind == "pair":
                pair = tuple(row(id_) for id_ in asked.about)
                if value in asked.about:
                    answers.append(Observation(pair, (1.0, -1.0), 1.0 if value == asked.about[0] else -1.0, NOISE))
                else:
                    mark = float(value == "both")
                    answers += [_one(each, mark, NOISE if mark else self._faint * NOISE) for each in pair]
            elif asked.kind in ("item", "items"):
                liked = asked.about if value == "like" else () if isinstance(value, str) else value
                for name in asked.about:
                    sure = name in liked or value == "dislike"
                    answers.append(_one(row(name), float(name in liked), NOISE if sure else self._faint * NOISE))
        told = {variable for one in answers for variable in one.variables}
        before = [
            _one(int(each), 1.0 if weight == 1.0 else _MAYBE, NOISE)
            for each, weight in zip(query.liked, query.liked_weights, strict=True)
        ]
        before += [_one(int(each), 0.0, NOISE) for each in query.disliked]
        return [one for one in before if one.variables[0] not in told], answers

    # What to ask --------------------------------------------------------------------------------------------

    def question(self, dialogue: Dialogue) -> Question | None:
        """Return what to ask next: what raises the chances of the first list most; None if nothing is worth it.

        It is never what was asked before. :meth:`ending` says why there is none.
        """
        return self._next(dialogue)[0]

    def ending(self, dialogue: Dialogue) -> str:
        """Return why no other question is asked, in words; empty if one is."""
        return self._next(dialogue)[1]

    def _next(self, dialogue: Dialogue) -> tuple[Question | None, str]:
        if len(dialogue.answers) >= MOST_QUESTIONS:
            return None, f"{MOST_QUESTIONS} questions were asked: more would tire"
        best = max(self.offered(dialogue), key=lambda question: question.gain, default=None)
        if best is not None and best.gain >= LEAST_GAIN:
            return best, ""
        unsaid = not dialogue.profile.text and all(one.question_id != "text" for one in dialogue.answers)
        if "text" in self._kinds and unsaid:
            return Question(
                "text", "text", f"In your own words: what {plural(self._kind)} are you after?", (), np.nan
            ), ""
        if best is None:
            return None, "there is nothing left to ask about"
        return None, f"another question would raise the list's chances by {best.gain:.1%} only"

    @undivided()
    def offered(self, dialogue: Dialogue) -> list[Question]:
        """Return one question of each sort that could be asked next, each with what it is worth; but for a text."""
        state = self._prepared()
        query = self._read(dialogue)
        before, answers = self._observed(dialogue, query)
        belief = self._believed(state, [*before, *answers])
        hidden = np.zeros(belief.items, np.bool_)
        hidden[query.liked] = hidden[query.disliked] = True
        hidden[[one.variables[0] for one in answers if one.variables[0] < belief.items and one.value > 0]] = True
        noise = np.where(belief.askable < belief.items, NOISE, CHIP_NOISE)
        worth = Worth(belief, state.ground.mean[belief.askable], hidden, noise=noise, faint=self._faint)
        found = list(self._offer.questions(belief, worth, dialogue.answers, hidden, self.policy))
        if not isinstance(self.policy, ExpectedGain):
            return found
        counts, least = self._realised(), max(worth.now, 1e-9)
        about = ["items" if one.kind in _OF_ITEMS else "chips" for one in found]
        return [replace(one, gain=one.gain * counts[what] / least) for one, what in zip(found, about, strict=True)]

    def _realised(self) -> Mapping[str, float]:
        """Return what share of the expected gain answers about chips and items bring.

        Nobody can tell of what they don't recognise.
        """
        seen = bool(self._platform().likes.events)
        counts = {what: shares[seen] for what, shares in REALISED.items()}
        return {**counts, "items": counts["items"] * self._recognised()}

    def _read(self, dialogue: Dialogue) -> Query:
        """Return what was known at the start, in rows."""
        return self.recommender.query(dialogue.profile)

    def _label(self, row: int) -> Option:
        item = self.recommender.catalogue[row]
        return Option(item.id, self._labels.get(row) or tidy_title(item.title) or item.id)

    def _recognised(self) -> float:
        """Return how far people can be expected to know the items that are asked about, 0 to 1.

        It is known once people were seen to like them; before that, as far as the language model knows the catalogue.
        """
        seen = float(self._platform().likes.table.nnz)
        before = min(self.recommender.weights["appeal"] / FULLY_KNOWN, 1.0)
        return before + (1.0 - before) * seen / (seen + len(self.recommender.catalogue))

    # What to show -------------------------------------------------------------------------------------------

    @undivided()
    def weighed(self, dialogue: Dialogue, *, without: Sequence[str] = ()) -> tuple[Query, Scores]:
        """Return what each scorer gives the whole catalogue after a dialogue, answers among them (:data:`ANSWERS`).

        The part is the logarithm of what answers did to the chance of liking each item, beyond the likes by id that
        the collaborative scorer knows of; no part without answers.

        Args:
            dialogue: What was asked and answered.
            without: Scorers that have no part; answers count as they do beside them.
        """
        query, scores = self.recommender.weighed(self.profile(dialogue, chips=False))
        learned = scores.weights.get("collaborative", 0.0) if "collaborative" in scores.parts else 0.0
        if without:
            scores = self.recommender.ranker.without(without).score(query, scores.rows, self.recommender.platform)
        state = self._prepared()
        before, answers = self._observed(dialogue, query)
        if not answers:
            return query, scores
        popularity = state.ground.mean[: state.ground.items]
        everything = self._believed(state, [*before, *answers]).chances(popularity)
        stated = [one for one in (*before, *answers) if one.variables[0] < state.ground.items and one.value > 0]
        base = self._believed(state, stated if learned else []).chances(popularity)
        raw = np.log(everything / base)
        spread = float(raw.std())
        if spread < 1e-6:
            return query, scores
        scale = learned / max(float(np.log(base).std()), 1e-6) if learned else ZERO_SHOT
        weight, standardised = scale * spread, (raw - raw.mean()) / spread
        fused = scores.fused + weight * standardised
        parts = {**scores.parts, ANSWERS: (raw, standardised)}
        return query, replace(scores, parts=parts, fused=fused, weights={**scores.weights, ANSWERS: weight})

    def chosen(self, dialogue: Dialogue) -> Iterator[tuple[str, str]]:
        """Yield the chips that a person chose, as attribute and value, in the order of their answers."""
        for asked, value in self._replies(dialogue):
            if asked.attribute:
                names = asked.about if value == "yes" else () if isinstance(value, str) else value
                yield from ((asked.attribute, name) for name in names)

    def phrase(self, facet: str, value: str) -> str:
        """Return how a liked chip reads: "Comedy movies", "wines whose grapes include Malbec"."""
        return self._facet[facet].phrase.format(value)

    def rows_of(self, facet: str, value: str) -> NDArray[np.int64]:
        """Return the rows of the items that have a chip, rising."""
        return self.chips[self._place[facet, value]].rows

    def doubt(self) -> NDArray[np.float64]:
        """Return how uncertain each item's popularity is: its deviation in units of its mean. Shape: ``(items,)``."""
        popularity = self._platform().popularity
        return np.asarray(popularity.deviation / popularity.mean)

    def score(self, dialogue: Dialogue, rows: NDArray[np.int64] | None = None) -> NDArray[np.float64]:
        """Return the scores of some rows of the catalogue, or of all, after a dialogue. Shape: ``(rows,)``."""
        fused = self.weighed(dialogue)[1].fused
        return fused if rows is None else fused[rows]

    def explained(self, dialogue: Dialogue, found: Sequence[Recommendation]) -> tuple[Recommendation, ...]:
        """Return recommendations that a dialogue led to with their reasons, each put to the test on that very ranking.

        To take a chosen chip or item away is to have never asked about it.

        Raises:
            UnknownItem: An id that the catalogue doesn't hold.
        """
        whole = self.profile(dialogue)

        def scored(profile: Profile, context: Context | None, without: Sequence[str]) -> Scores:  # noqa: ARG001 -- none
            left = dialogue if profile == whole else self._without(dialogue, profile)
            return self.weighed(left, without=without)[1]

        return self.recommender.explained(found, whole, scored=scored)

    def _without(self, dialogue: Dialogue, left: Profile) -> Dialogue:
        """Return a dialogue that amounts to what is left of its profile: the rest was never said or asked about."""
        who = dialogue.profile
        answers: dict[str, Choice] = {}
        for asked, value in self._replies(dialogue):
            if asked.kind == "text":
                continue  # stands in the text that is left
            facet = self._facet[asked.attribute] if asked.attribute else None
            told = {name: facet.phrase.format(name) if facet else name for name in asked.about}
            said = [name for name in asked.about if _states(value, name)]
            gone = {name for name in said if told[name] not in (*left.likes, *left.dislikes)}
            about = tuple(name for name in asked.about if name not in gone)
            if asked.kind == "pair":
                if not gone:
                    answers[asked.id] = value
                elif value == "both" and about:
                    answers.setdefault(Asked("item", "", about).id, "like")
            elif about:
                kept = tuple(name for name in value if name in about) if isinstance(value, tuple) else value
                answers.setdefault(replace(asked, about=about).id, kept)
        profile = replace(
            left,
            likes=[like for like in who.likes if like in left.likes],
            dislikes=[one for one in who.dislikes if one in left.dislikes],
        )
        return Dialogue(profile, tuple(Reply(*answer) for answer in answers.items()))

    @undivided()
    def suggestions(self, dialogue: Dialogue, *, k: int = 20) -> Suggestions:
        """Return the first list for a person: at most ``k`` items on shelves, some of them to explore.

        What the person likes or dislikes already isn't shown; what they were asked about and don't know may be.

        Raises:
            DialogueError: ``k`` is no whole number of at least 1.
        """
        query, scores = self.weighed(dialogue)
        return suggested(self, dialogue, query, scores, k=k)


def _states(value: Choice, name: str) -> bool:
    """Whether an answer makes one of the things it is about a like or a dislike."""
    return name in value if isinstance(value, tuple) else value in ("yes", "like", "dislike", "both", name)


def _one(variable: int, value: float, noise: float) -> Observation:
    return Observation((variable,), (1.0,), value, noise)
