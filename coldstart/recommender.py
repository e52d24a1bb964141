"""The composer: a profile becomes a query, scorers score it, fusion ranks, filters and exclusions hold."""

from __future__ import annotations

import copy
import os
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from coldstart import building, enriching, judging, loading, observing, pairs, ranking, simulating, tutoring
from coldstart.blas import undivided
from coldstart.catalogue import Catalogue
from coldstart.encoding import Encoder
from coldstart.entities import (
    Answer,
    Context,
    Interaction,
    Item,
    Profile,
    Recommendation,
    Recommendations,
    Suitability,
)
from coldstart.errors import AdapterError, ProfileError
from coldstart.generation import LanguageModel
from coldstart.index import Index
from coldstart.interactions import Interactions
from coldstart.learning import calibration
from coldstart.learning.experience import Observed
from coldstart.learning.likability import Likability, Verdicts
from coldstart.learning.meanings import Meanings
from coldstart.learning.platform import Platform
from coldstart.learning.weighing import Weighing
from coldstart.models import DEFAULT_ENCODER, DEFAULT_LANGUAGE_MODEL
from coldstart.observing import AFTERWARDS
from coldstart.prompting import Library
from coldstart.querying import Reader, count
from coldstart.ranking import Ranker
from coldstart.reasons import Reasons, Scored, Traits
from coldstart.refining import gate, lora, questions, refinement, registry, searching, segments, watching
from coldstart.refining.balance import Shares
from coldstart.refining.examples import PARTED_FROM, Lesson
from coldstart.refining.lora import Adapter, Shape
from coldstart.refining.refinement import Refinement
from coldstart.refining.schedule import LANGUAGE, Schedule, Trained
from coldstart.refining.segments import Segment
from coldstart.rows import key, precision
from coldstart.scoring import Query
from coldstart.scoring.following import Follows
from coldstart.scoring.generating import Generating
from coldstart.scoring.language import Language
from coldstart.scoring.listwise import Listwise
from coldstart.scoring.naming import Naming

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from coldstart.rows import Progress
    from coldstart.scoring import Query

__all__ = ["Recommender", "Suitability"]

UNMET, FOLDS = 5, 3
"""A fifth of the items at a time, so many times, and of the time a fifth in all, say how much what was learned counts
for items that it wasn't learned of."""

NAMING_READS = 1500
"""Tokens that the language model reads to name items, at most."""


class Recommender:
    """Ranks a catalogue for people of whom little or nothing is known.

    Requests share the models and keep no state of the user. Models load when a request first needs them.
    """

    def __init__(
        self,
        index: Index,
        *,
        encoder: Encoder | Callable[[], Encoder],
        language_model: LanguageModel | Callable[[], LanguageModel] | None = None,
        library: Library | None = None,
        weights: Mapping[str, float] | None = None,
        platform: Platform | None = None,
        adapter: Adapter | None = None,
    ) -> None:
        self.index = index
        self.library = library or Library.load()
        self.platform = platform
        self._models = loading.Pair(encoder, language_model)
        self._reader = Reader(index, self.library, self._models.encode)
        self._ranker = Ranker(index, weights or {}, follows=_follows(adapter or getattr(encoder, "adapter", None)))
        self._language: Naming | None = None
        self._generating: Generating | None = None
        self._answering: Language | None = None
        self._spoken: Adapter | None = None
        self._segments: tuple[Segment, ...] = ()
        self._by_segment: dict[int, Recommender] = {}
        self._by_language = False
        self._calibration = calibration.Calibration()
        self._told = Verdicts.none()
        self._likability: tuple[Verdicts, Ranker, Likability] | None = None

    @classmethod
    def build(
        cls,
        catalogue: Catalogue,
        *,
        encoder: str | Encoder = DEFAULT_ENCODER,
        language_model: str | LanguageModel | None = DEFAULT_LANGUAGE_MODEL,
        prompts: Sequence[Path | str] = (),
        weights: Mapping[str, float] | None = None,
        path: str | os.PathLike[str] | None = None,
        device: str = "cpu",
        dtype: str = "float32",
        progress: Progress | None = None,
    ) -> Recommender:
        """Index a catalogue: no interactions are needed, nor used.

        Args:
            encoder: A model's name (see ``coldstart models list``), a folder, a hub id, or one that is loaded.
            language_model: The same; None does without the appeal prior and the language scorer.
            prompts: Folders of templates that override the built-in ones.
            weights: Of scorers, by name, over the defaults; "appeal" overrides the earned weight.
            path: A folder to save to. What an interrupted build computed, and what is unchanged since the last
                build there, is not computed again; an adapter that was promoted there stays in use.
            device: A torch device.
            dtype: What the models multiply: "float32", the same everywhere up to rounding; "bfloat16", on processors
                with matrix units for it several times faster, with lists that hardly differ; "auto" for the one or
                the other by a measurement, unless an index at ``path`` has settled it. The manifest says which it was.
            progress: Called as the work goes on.

        Raises:
            ModelError: A model can't be had.
            TemplateError: A template can't be used.
            BadIndex: The path holds something else.
        """
        library = Library.load(prompts)
        models: dict[str, Any] = {"encoder": encoder, "language_model": language_model}
        hashes = [loading.hash_of(model) for model in models.values()] if path is not None else []
        refined = None if path is None else registry.in_use(Path(path), hashes[0])
        if refined is not None:
            hashes[0] = refined[1]
        dtypes = loading.dtypes_of(path, models, dtype=dtype)
        if path is not None and building.is_current(path, catalogue, library, hashes, dtypes):
            current = cls.load(path, prompts=prompts, weights=weights, device=device, **models)
            if current.catalogue.ids == catalogue.ids:  # the order of rows is the caller's
                return current
        models["encoder"] = loading.encoder(encoder, device=device, dtype=dtypes[0] or dtype)
        if refined is not None:
            models["encoder"] = lora.adapted(models["encoder"], refined[0])
        models["language_model"] = loading.language_model(language_model, device=device, dtype=dtypes[1] or dtype)
        built = building.build(catalogue, library=library, path=path, progress=progress, **models)
        made = cls(built, library=library, weights=weights, **models)
        return made if path is None else made._recall(path)

    @classmethod
    def load(
        cls,
        path: str | os.PathLike[str],
        *,
        encoder: str | Encoder | None = None,
        language_model: str | LanguageModel | None = None,
        prompts: Sequence[Path | str] = (),
        weights: Mapping[str, float] | None = None,
        device: str = "cpu",
        dtype: str | None = None,
    ) -> Recommender:
        """Open an index that :meth:`build` or :meth:`save` wrote; its models load when first needed.

        Args:
            encoder: The model it was built with, if it goes by another name here; None for the manifest's.
            language_model: The same.
            device: A torch device.
            dtype: What the models multiply for requests, as for :meth:`build`; None for what they did for the index.
                Items that are added are read as the others were, whatever it is.

        Raises:
            BadIndex: No index is there, or it is damaged.
            IndexMismatch: It was built with another model or other templates.
            ModelError: A model can't be had.
        """
        library = Library.load(prompts)
        built = Index.load(path, library=library)
        models = loading.models_of(
            built, path, encoder=encoder, language_model=language_model, device=device, dtype=dtype
        )
        version = built.manifest["encoder"].get("adapter")
        adapter = registry.load(Path(path), version) if version else None
        return cls(built, library=library, weights=weights, adapter=adapter, **models)._recall(path)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the index to a folder, and what was learned beside it, each in one step."""
        index, provenance = self.index, self.index.manifest["encoder"]
        if "base" in provenance:
            kept = registry.keep(Path(path), self.encoder.adapter)
            index = replace(index, manifest={**index.manifest, "encoder": {**provenance, "adapter": kept.version}})
        index.save(path)
        for segment in self._segments:
            segments.assign(Path(path), registry.keep(Path(path), segment.adapter).version, segment.where)
        if self._spoken is not None:
            kept = registry.keep(Path(path), self._spoken)
            if registry.language(Path(path)) != kept.version:
                registry.speak(Path(path), kept.version)
        self.remember(path)

    def add(
        self,
        items: Iterable[Item],
        *,
        path: str | os.PathLike[str] | None = None,
        appeal: Literal["now", "later"] = "now",
        progress: Progress | None = None,
    ) -> Recommender:
        """Return a recommender whose catalogue also holds these items; only their texts are computed.

        An item with a known id replaces the one there. With a path, the new index is kept there, as by :meth:`build`.

        Args:
            appeal: "later" doesn't wait for the language model: the items' appeal is estimated from that of items with
                like vectors until :meth:`complete`.
        """
        if appeal == "later":
            items = list(items)
            grown = self._with(
                building.extended(self.index, items, encoder=self._as_built(self.encoder), library=self.library),
                self._ranker.given,
            )
            if path is not None:
                grown.save(path)
            return grown
        catalogue = self.index.catalogue.with_items(items)
        models = [self.index.manifest[role] for role in ("encoder", "language_model")]
        hashes = [model and model["hash"] for model in models]
        if path is not None and building.is_current(path, catalogue, self.library, hashes):
            built = Index.load(path, library=self.library)
        else:
            built = building.build(
                catalogue,
                encoder=self._as_built(self.encoder),
                language_model=self._as_built(self.language_model) if self.index.appeal is not None else None,
                library=self.library,
                previous=self.index,
                path=path,
                progress=progress,
            )
        grown = self._with(built, self._ranker.given)
        if path is None:
            return grown
        if grown.platform is None:
            return grown._recall(path)
        grown.remember(path)
        return grown

    def _as_built(self, model: Any) -> Any:
        """Return a model in the precision in which the index has its items; itself where it has none of its."""
        told = self.index.manifest["encoder" if isinstance(model, Encoder) else "language_model"]
        return model if model is None or told is None else model.at(precision(told))

    def remove(self, ids: Iterable[str]) -> Recommender:
        """Return a recommender whose catalogue no longer holds these items; no model is asked.

        Raises:
            UnknownItem: An id that the catalogue doesn't hold.
            CatalogueError: No item would be left.
        """
        return self._with(building.reduced(self.index, ids), self._ranker.given)

    def enrich(
        self,
        path: str | os.PathLike[str] | None,
        *,
        profiles: Iterable[Profile] = (),
        texts: Iterable[str] = (),
        uses: Collection[enriching.Purpose] = enriching.PURPOSES,
        progress: Progress | None = None,
    ) -> enriching.Words:
        """Let the language model choose words about items and people, offline; an interrupted run goes on.

        Args:
            path: The index's folder, where they are kept as they come; None for nowhere.
            profiles: People whose likes are summed up, and whose words and fields are said in other ways.
            texts: Further requests to say in other ways.
            uses: What to choose: "summary", "profile", "rewrite".
            progress: Called as the work goes on.

        Raises:
            BadIndex: The index has no language model.
        """
        kind, known = self.catalogue.kind, list(profiles)
        words = enriching.Words.open(path, model=self.index.manifest["language_model"], library=self.library)
        asked: list[enriching.Choice | None] = []
        if "summary" in uses:
            asked += [enriching.summary_of(item, kind=kind, library=self.library) for item in self.catalogue.items]
        if "profile" in uses:
            asked += [
                enriching.profile_of(one, catalogue=self.catalogue, find=self._reader.find, library=self.library)
                for one in known
            ]
        if "rewrite" in uses:
            said = [text for one in (*known, *map(Profile, texts)) for text in self._reader.said(one)]
            asked += [enriching.rewrite_of(text, kind=kind, library=self.library) for text in dict.fromkeys(said)]
        choices = [choice for choice in asked if choice is not None]
        if any(words.of(choice) is None for choice in choices):
            words.choose(choices, self._as_built(self.language_model), progress=progress)
        return words

    def enriched(
        self,
        words: enriching.Words | str | os.PathLike[str],
        *,
        uses: Collection[enriching.Purpose] = enriching.PURPOSES,
    ) -> Recommender:
        """Return a recommender that also reads what :meth:`enrich` chose; no language model is asked.

        What nothing was chosen for is read as before. The summaries there are encoded now. It is for answering: items
        are added to, and saved with, the recommender that it was made from.

        Args:
            words: From :meth:`enrich`, or the folder in which they are kept.
            uses: What counts of it.

        Raises:
            BadIndex: The index has no language model.
        """
        self.index.check_plain()
        if not isinstance(words, enriching.Words):
            words = enriching.Words.open(words, model=self.index.manifest["language_model"], library=self.library)
        enrichment = enriching.Enrichment(words, self.library, frozenset(uses))
        index = enriching.mixed(self.index, enrichment.summaries(self.catalogue), self._models.encode)
        made = self._with(index, self._ranker.given)
        made._reader = Reader(index, self.library, made._models.encode, enrichment=enrichment)
        return made

    @property
    def pending(self) -> int:
        """How many items have an estimated appeal, since the language model hasn't read them yet."""
        return int(self.index.manifest.get("pending", 0))

    def complete(
        self,
        *,
        encoder: Encoder | None = None,
        language_model: LanguageModel | None = None,
        path: str | os.PathLike[str] | None = None,
        progress: Progress | None = None,
    ) -> Recommender:
        """Return a recommender for which the language model has read every item.

        Args:
            encoder: What encodes texts meanwhile, in place of the recommender's own; the same model.
            language_model: What reads titles meanwhile; the same model. An index without a language model gets its
                appeal prior.
            path: A folder to keep the new index in, as by :meth:`build`.
            progress: Called as the work goes on.
        """
        built = building.build(
            self.catalogue,
            encoder=self._as_built(encoder or self.encoder),
            language_model=self._as_built(language_model or self.language_model),
            library=self.library,
            previous=self.index,
            path=path,
            progress=progress,
        )
        return self._with(built, self._ranker.given)

    def reindexed(self, index: Index, encoder: Encoder | None = None) -> Recommender:
        """Return a recommender of another index by the same models, with what this one learned.

        Args:
            encoder: What made that index's vectors, if it isn't the same bi-encoder.
        """
        return self._with(index, self._ranker.given, encoder)

    def reweighted(self, weights: Mapping[str, float]) -> Recommender:
        """Return a recommender of the same index with these weights over its own; 0 leaves a scorer out.

        Raises:
            ProfileError: No scorer has that name, or a weight isn't a number >= 0.
        """
        return self._with(self.index, {**self._ranker.given, **weights})

    def _with(self, index: Index, weights: Mapping[str, float], encoder: Encoder | None = None) -> Recommender:
        made = copy.copy(self)
        if encoder is not None:
            made._models = self._models.with_encoder(encoder)
        same = self._ranker if encoder is None else None
        follows = self._ranker.follows if encoder is None else _follows(encoder.adapter)
        made.index, made._ranker = index, Ranker(index, weights, same, follows=follows)
        made._segments, made._by_segment = self._segments_of(index), {}
        if index is not self.index:
            made._language = None if self._language is None else self._language.of(index.catalogue)
            made._generating = None if self._generating is None else self._generating.of(index.catalogue)
            made._answering = None if self._answering is None else self._answering.of(index.catalogue)
            previous = self._reader if encoder is None else None  # what another encoder made of texts is void
            made._reader = Reader(index, self.library, made._models.encode, previous, self._reader.enrichment)
            made._calibration, made._told = calibration.Calibration(), Verdicts.none()
            made.__dict__.pop("_traits", None)
            if self.platform is not None:
                made.platform = made._ground().carried(self.platform, self.catalogue, now=time.time())
        return made

    def _segments_of(self, index: Index) -> tuple[Segment, ...]:
        """Return the segments for another index; what their adapters have read stays known."""
        if index is self.index:
            return self._segments
        keys = [key(text) for text in self.index.documents]
        found = list(self._segments)
        for place, one in list(self._by_segment.items()):
            known = {**found[place].known, **dict(zip(keys, one.index.vectors, strict=True))}
            found[place] = replace(found[place], known=known)
        return tuple(found)

    def segmented(self, where: Mapping[str, Any], adapter: Adapter) -> Recommender:
        """Return a recommender in which an adapter answers requests of some segment, such as people of one country.

        :meth:`recommend`, :meth:`score` and :meth:`explained` ask the rules in order, and the first that holds
        decides; what was observed is shared by all. Probabilities and onboarding stay with the index's own encoder.

        Args:
            where: Conditions on the fields of the profile and of the context, which come first where both have one; as
                for :meth:`Catalogue.select`. The same rule again takes the place of the one before.
            adapter: Of the bi-encoder.

        Raises:
            ProfileError: The rule is none.
            AdapterError: The adapter was made for another encoder.
        """
        rule, made = segments.checked(where), copy.copy(self)
        lora.adapted(self.encoder.base, adapter)
        others = [each for each in self._segments if each.where != rule]
        made._segments, made._by_segment = (*others, Segment(rule, adapter, {})), {}
        return made

    def answering(self, profile: Profile, context: Context | None = None) -> Recommender:
        """Return what answers someone's requests: this recommender, or the same with the adapter of their segment."""
        if not self._segments:
            return self
        values = {**profile.attributes, **(context.attributes if context is not None else {})}
        place = next((place for place, one in enumerate(self._segments) if one.holds(values)), None)
        if place is None:
            return self
        if place not in self._by_segment:
            segment, plain = self._segments[place], copy.copy(self)
            plain._segments, plain._by_segment, plain.platform = (), {}, None
            self._by_segment[place] = plain.adapted(segment.adapter, known=segment.known or None)
        one = self._by_segment[place]
        made = copy.copy(self)
        made.index, made._ranker, made._reader = one.index, one._ranker, one._reader
        made._models, made._segments = self._models.with_encoder(one.encoder), ()
        made.platform = None if self.platform is None else self.platform.read_by(one.index.centred)
        return made

    def _ground(self) -> observing.Ground:
        appeal = self._ranker.appeal
        prior = None if appeal is None else appeal.prior
        return observing.Ground(self.index, prior, weight=self.weights["appeal"])

    def _recall(self, path: str | os.PathLike[str]) -> Recommender:
        """Take up what was learned in an index's folder, if anything was."""
        self.platform = self._ground().recalled(path, now=time.time())
        provenance = self.index.manifest["encoder"]
        self._segments = segments.of(Path(path), base=provenance.get("base", provenance["hash"]))
        version = registry.language(Path(path))
        self._spoken = registry.load(Path(path), version) if version and self.index.manifest["language_model"] else None
        return self

    @property
    def catalogue(self) -> Catalogue:
        """What is ranked."""
        return self.index.catalogue

    @property
    def weights(self) -> Mapping[str, float]:
        """Of scorers, by name, before a request is known."""
        return self._ranker.weights

    @property
    def encoder(self) -> Encoder:
        """The bi-encoder, loaded now if it wasn't."""
        return self._models.encoder

    @property
    def language_model(self) -> LanguageModel | None:
        """The language model, loaded now if it wasn't; None for an index without one."""
        return self._models.language_model

    # Learning from interactions -----------------------------------------------------------------------------

    def observe(
        self,
        interactions: Interactions | Iterable[Interaction],
        *,
        half_life: float | None = None,
        arrivals: Mapping[str, float] | None = None,
        meanings: Mapping[str, str | float] | None = None,
        profiles: Mapping[str, Profile] | None = None,
        now: float | None = None,
    ) -> Observed:
        """Learn from what people did: arithmetic on counts, in seconds; the models and the index stay as they are.

        From then on the ``collaborative`` scorer takes the place of ``appeal``, and starts from it. The same event told
        again changes nothing, nor does the order in which events are told, but that the last hundredth of them may not
        be counted yet; :meth:`save` counts all and keeps them with the index. A recommender made by :meth:`reweighted`
        shares what this one observes. Which values say "liked" is read off all of them, see
        :class:`coldstart.learning.scale.Scale`: values that are all the same say so.

        Args:
            half_life: After how many days a like counts half for popularity; None for what held before (at first,
                never).
            arrivals: When items arrived, in seconds since 1970, by id, so that a new one isn't taken for one that
                nobody likes. Items that :meth:`add` brings arrive when it is called; others were always there.
            meanings: What types of events say, those observed before included: "like", "dislike", "rating" (by its
                value), "shown" (and not taken up), "ignore", or a weight of interest above 0 and at most 1. Usual
                types such as "purchase", "view", "hide" and "impression" are understood without; one that isn't known
                counts as interest, and is reported.
            profiles: What people said of themselves at sign-up, by user id: their attributes, of which :meth:`weigh`
                finds out what they tell of taste. What one said before is replaced; :meth:`forget` takes it back.
            now: Seconds since 1970; the clock's if None.

        Returns:
            How many events were new, how they were read by type, and what was odd about them. Events with items that
            the catalogue doesn't hold are kept and count once it does.

        Raises:
            CatalogueError: An event without a user or an item, or with a value that isn't a number.
            ProfileError: A half-life, an arrival or a meaning that can't be used.
        """
        said = Meanings(meanings)
        half_life, arrivals = observing.checked_half_life(half_life), observing.checked_arrivals(arrivals or {})
        events = interactions if isinstance(interactions, Interactions) else Interactions.from_records(interactions)
        moment = time.time() if now is None else now
        if self.platform is None:
            told: dict[str, Any] = {"half_life": half_life, "arrivals": arrivals, "meanings": said}
            self.platform = self._ground().platform(now=moment, **told)
        elif half_life is not None or arrivals or said.told:
            self.platform.half_life = half_life or self.platform.half_life
            self.platform.arrivals.update(arrivals)
            self.platform.meanings = self.platform.meanings.over(said.told)
            self.platform.refresh(now=moment)
        self.platform.describe({user: profile.attributes for user, profile in (profiles or {}).items()})
        return self.platform.observe(events, now=moment)

    def weigh(
        self,
        *,
        people: int = simulating.PEOPLE,
        seed: int = 0,
        force: bool = False,
        pause: Callable[[], None] | None = None,
    ) -> Weighing:
        """Choose how much each kind of evidence counts, by simulated cold start on the platform's own people: seconds.

        People who were observed are taken as if they had just come, with 1, 5 and 15 of their likes known; the weights
        go as far from the shipped ones as it makes their lists better (:mod:`coldstart.learning.weighing`). They are
        kept with what was observed, and stand in :attr:`learned`. Nothing is done until there are twice the likes, or
        twice the people described, that weights were last chosen with.

        Args:
            people: How many are simulated at most for each number of likes.
            seed: Of the draw of people and likes; the same seed and events choose the same.
            force: Choose anew in any case.
            pause: Called after each slice of the work, so that other threads can be given way to.

        Returns:
            What was chosen; nothing is, while fewer than 20 people can be simulated.
        """
        if self.platform is None:
            return Weighing()
        if force or self.platform.unweighed:
            told: dict[str, Any] = {"people": people, "seed": seed, "pause": pause}
            self.platform.weigh(simulating.weighed(self._ranker, self.platform, **told))
        return self.platform.weighing

    def remember(self, path: str | os.PathLike[str]) -> None:
        """Keep what was learned in the folder of an index, in one step; the index there stays as it is."""
        observing.remember(path, self.platform, now=time.time())

    @property
    def learned(self) -> Mapping[str, Any]:
        """What it observed: how many events, people and likes, and how likes fade; empty before any."""
        return {} if self.platform is None else self.platform.state()

    def forget(self, user: str, *, now: float | None = None) -> int:
        """Take back all that a user did, as if they had never come; return how many events that was."""
        if self.platform is None:
            return 0
        return self.platform.forget(user, now=time.time() if now is None else now)

    @property
    def _meanings(self) -> Meanings:
        return Meanings() if self.platform is None else self.platform.meanings

    def unlearned(self) -> Recommender:
        """Return a recommender of the same index that has observed nothing."""
        made = copy.copy(self)
        made.platform = None
        return made

    # Refining ------------------------------------------------------------------------------------------------

    def refine(
        self,
        interactions: Interactions | Iterable[Interaction],
        *,
        profiles: Mapping[str, Profile] | None = None,
        path: str | os.PathLike[str] | None = None,
        schedule: Schedule | None = None,
        shape: Shape | None = None,
        search: int = 0,
        segment: Mapping[str, Any] | None = None,
        hold: bool = False,
        tensorboard: str | os.PathLike[str] | None = None,
        progress: Progress | None = None,
    ) -> Refinement:
        """Train an adapter of the bi-encoder on what people liked, in minutes, and keep it if it ranks better.

        Two kinds are tried: matrices behind the encoder, which take seconds and tell what follows likes, and changes of
        its upper blocks (LoRA), by which all vectors change. Of items that nobody liked yet matrices may tell less, and
        even mislead: how much they count there is found out on items that are taken for new.
        Some users are held out. The adapter is let through if they, after a few of their likes, are shown more of what
        they liked later than this recommender would show them, by a paired test; otherwise the ranking stays as it is.
        What was observed counts on both sides, but for what the users held out did. This recommender isn't changed:
        go on with :attr:`Refinement.recommender`.

        Args:
            interactions: Who liked what, in any order; with times, what was liked later is learned from what came
                before.
            profiles: Who the users said they were, by user id, so that this is learned from too.
            path: The index's folder: an adapter that is let through is kept and promoted there, and a run that was
                killed goes on where it was.
            schedule: How long and how fast; a quarter of an hour at most if None.
            shape: What learns; rank 16 in the upper half of the blocks if None.
            search: How many settings around these are tried, each for the schedule's minutes; those who are held out
                and don't judge choose. A search that was killed goes on where it was. Needs the extra ``search``.
            segment: Conditions on the fields of profiles: only people of whom they hold teach and judge, and only they
                are then answered with the adapter, see :meth:`segmented`.
            hold: Keep an adapter that is let through with the index, but let the index there stay without it: for the
                index of a service that runs, which promotes it when it is told to.
            tensorboard: A folder for the curves of training, which TensorBoard shows; no curves if None.
            progress: Called as the work goes on.

        Raises:
            CatalogueError: Fewer than four pairs of items that one user likes.
            AdapterError: The encoder can't be refined, or the loss isn't finite.
        """
        from coldstart.refining import head

        schedule, shape, search = schedule or Schedule(), shape or Shape(), count(search, "search", least=0)
        events = interactions if isinstance(interactions, Interactions) else Interactions.from_records(interactions)
        if (rule := None if segment is None else segments.checked(segment)) is not None:
            events = segments.of_those(events, rule, profiles or {})
        kind, rows = self.catalogue.kind, {id_: row for row, id_ in enumerate(self.catalogue.ids)}
        said = {user: self.library.describe_profile(who, kind=kind).text for user, who in (profiles or {}).items()}
        lesson = refinement.lesson(events, rows, said=said, seed=schedule.seed)
        told: dict[str, Any] = refinement.manifest(lesson, shape, schedule, self.library.hash())
        if len(lesson.judges) < gate.FEWEST:
            return Refinement(self, False, "", gate.unasked(lesson.judges), None, told)
        base, vectors = self.encoder.base, self._plain_vectors()
        out = {user.id for user in lesson.judges}
        adapted = (present := self._without(out))._adapting(plain=vectors, progress=progress)
        folder = None if path is None else Path(path) / registry.FOLDER
        scales = [refinement.shrunk(scale, len(lesson.taught)) for scale in refinement.SCALES]
        with watching.board(tensorboard) as board:
            watch: dict[str, Any] = {"progress": progress, "board": board}
            turned = head.learned(
                vectors,
                lesson,
                schedule,
                base=base.hash,
                checkpoint=folder and folder / "head.pt",
                told=watching.Watch("head", head.EVERY, **watch),
            )

            def train(trial: int, shape: Shape, schedule: Schedule) -> tuple[Adapter | None, Trained]:
                return refinement.trained(
                    self.index,
                    base,
                    lesson,
                    shape=shape,
                    schedule=replace(schedule, minutes=(1.0 - head.SHARE) * schedule.minutes),
                    checkpoint=folder and folder / "training.pt",
                    told=watching.Watch(f"training {trial}" if trial else "training", schedule.every, **watch),
                )

            def tried(trial: int, shape: Shape, schedule: Schedule) -> tuple[tuple[Adapter | None, Trained], float]:
                adapter, done = train(trial, shape, schedule)
                ranks = present if adapter is None else adapted(replace(adapter, scale=scales[0]))
                return (adapter, done), judging.quality(ranks, lesson)

            if search:
                found = searching.searched(
                    tried,
                    trials=search,
                    shape=shape,
                    schedule=schedule,
                    path=folder and folder / "search.json",
                    key=f"{base.hash} {lesson.hash}",
                )
                (adapter, done), shape, schedule = found.found, found.shape, found.schedule
                told |= refinement.manifest(lesson, shape, schedule, self.library.hash()) | {"search": found.told}
            else:
                adapter, done = train(0, shape, schedule)
        if folder is not None:
            (folder / "head.pt").unlink(missing_ok=True)
        met = [key(self.index.documents[row]) for row in np.flatnonzero(lesson.taught.counts).tolist()]
        both = [each.having_met(met) for each in (turned, adapter) if each is not None]
        if not both:
            return Refinement(self, False, "", gate.unasked(lesson.judges), done, told)
        taught = lesson.without_judges(events)
        refined, verdict = judging.judged(
            present,
            [replace(each, scale=scale) for each in both for scale in scales],
            lesson,
            adapted=adapted,
            observing=lambda one: one._having_observed(taught),
            seed=schedule.seed,
        )
        if verdict.better and (follows := refined.ranker.follows) is not None and follows.matrix is not None:
            alone, beside = self._of_unmet(adapted, refined.encoder.adapter, lesson, taught, vectors, schedule)
            balance = replace(follows.balance, unmet=alone, unmet_beside=beside)
            refined = adapted(refined.encoder.adapter.balanced(balance))
        return self._kept(refined, verdict, done, told, path=path, rule=rule, hold=hold)

    def _of_unmet(
        self,
        adapted: Callable[[Adapter], Recommender],
        adapter: Adapter,
        lesson: Lesson,
        taught: Interactions,
        vectors: NDArray[np.float32],
        schedule: Schedule,
    ) -> tuple[Shares, Shares]:
        """Return how much a head should count for items that it never learned of, alone and beside what was observed.

        Others are learned as if a fifth of the items didn't exist yet, and those who were held out say how much these
        should count for them.

        Args:
            adapted: From an adapter to a recommender with it.
            adapter: The head.
            lesson: What it learned, and who is held out.
            taught: What may be observed.
            vectors: The catalogue's, by the encoder without an adapter. Shape: ``(items, dimension)``.
            schedule: With which it was learned.
        """
        from coldstart.refining import head

        if len(lesson.judges) < PARTED_FROM:
            return Shares(), Shares()
        met = np.flatnonzero(lesson.taught.counts)
        order = np.random.default_rng([schedule.seed, 31]).permutation(met)
        found: tuple[list[NDArray[np.float64]], list[NDArray[np.float64]]] = [], []
        for rows in (np.sort(part) for part in np.array_split(order, UNMET)[:FOLDS]):
            less, again = lesson.without_items(rows), replace(schedule, minutes=schedule.minutes / (UNMET * FOLDS))
            other = head.learned(vectors, less, again, base=adapter.base) if less.teaches else None
            if other is not None:
                keys = (key(self.index.documents[row]) for row in np.flatnonzero(less.taught.counts).tolist())
                other = replace(other, scale=adapter.scale).having_met(keys).balanced(judging.WHOLE)
                new = {self.catalogue.ids[row] for row in rows.tolist()}
                known = taught.take(np.array([item not in new for item in taught.item_ids], np.bool_)[taught.items])
                made = adapted(other)._having_observed(known, arrivals=dict.fromkeys(new, AFTERWARDS), now=AFTERWARDS)
                for qualities, platform in zip(found, (None, made.platform), strict=True):
                    qualities.append(judging.unmet(made.ranker, platform, lesson.judges, rows))
        alone, beside = map(judging.of_unmet, found)
        return alone, beside

    def _kept(
        self,
        refined: Recommender,
        verdict: gate.Verdict,
        done: Trained,
        told: dict[str, Any],
        *,
        path: str | os.PathLike[str] | None,
        rule: Mapping[str, Any] | None = None,
        hold: bool = False,
    ) -> Refinement:
        """Return what came of a refinement; an adapter that the gate lets through is kept and put to use."""
        if not verdict.better:
            return Refinement(self, False, "", verdict, done, told)
        index, encoder = refined.index, refined.encoder
        told |= {} if rule is None else {"segment": rule}
        encoder.adapter = kept = replace(encoder.adapter, told={**told, **verdict.told()})
        if path is None and rule is not None:
            return Refinement(self.segmented(rule, kept), True, "", verdict, done, told)
        if path is None:
            return Refinement(self._with(index, self._ranker.given, encoder), True, "", verdict, done, told)
        if not (Path(path) / "manifest.json").exists():
            self.save(path)
        version = registry.keep(Path(path), kept).version
        registry.keep_vectors(Path(path), version, index.documents, index.vectors)
        if rule is not None:
            if not hold:
                segments.assign(Path(path), version, rule)
            return Refinement(self.segmented(rule, replace(kept, version=version)), True, version, verdict, done, told)
        if hold:
            return Refinement(self._with(index, self._ranker.given, encoder), True, version, verdict, done, told)
        return Refinement(self.promoted(path, version), True, version, verdict, done, told)

    def distil(
        self,
        interactions: Interactions | Iterable[Interaction],
        *,
        people: int = 200,
        path: str | os.PathLike[str] | None = None,
        schedule: Schedule | None = None,
        hold: bool = False,
        progress: Progress | None = None,
    ) -> Refinement:
        """Learn what the language model makes of people, as a matrix behind the encoder, for requests without it.

        For some people, each known by a few of their likes, it reads some dozens of titles and tells how much readier
        it is to name each than for nobody, as with ``recommend(language=...)``. A matrix of low rank learns that order,
        and then scores whole catalogues without the language model, as ``following``. As with :meth:`refine` it is let
        through only if people who are held out are shown more of what they liked later than this recommender would
        show them; how much it counts, others of them choose. See :mod:`coldstart.refining.distilling`.

        Args:
            interactions: Who liked what.
            people: How many people the language model reads titles for, at most; a quarter as many say when to stop.
            path: The index's folder: what is let through is kept and promoted there.
            schedule: How long learning may take, without the reading, and its seed.
            hold: Keep it, but let the index there stay without it.
            progress: Called as the work goes on.

        Raises:
            AdapterError: The index has no language model.
            CatalogueError: Fewer than four pairs of items that one user likes.
            ProfileError: ``people`` isn't a whole number >= 4.
        """
        from coldstart.refining import distilling

        model, people = self.language_model, count(people, "people", least=4)
        if model is None:
            raise AdapterError("the index has no language model to learn from: build it with one, or refine")
        schedule = schedule or Schedule()
        events = interactions if isinstance(interactions, Interactions) else Interactions.from_records(interactions)
        lesson = refinement.lesson(events, {id_: row for row, id_ in enumerate(self.catalogue.ids)}, seed=schedule.seed)
        told = {**refinement.source(lesson, self.library.hash()), "teacher": model.provenance, "pairs": 0, "users": 0}
        if len(lesson.judges) < gate.FEWEST:
            return Refinement(self, False, "", gate.unasked(lesson.judges), None, told)
        everyone = [user for user in lesson.taught.users if len(user.likes) > 1]
        order = np.random.default_rng([schedule.seed, 29]).permutation(len(everyone))
        asked = [everyone[at] for at in order[:people]], lesson.choosing[: max(people // 4, 4)]
        present, namer = self._without({user.id for user in lesson.judges}), self._rereading(model)

        def ranked(likes: tuple[int, ...]) -> NDArray[np.int64]:
            query, _ = self._reader.read(self._liking(likes), None, describe=False)
            allowed = np.ones(len(self.catalogue), np.bool_)
            allowed[list(likes)] = False
            scores = present.ranker.shortlisted(query, allowed, present.platform, wanted=distilling.BEST)
            return scores.rows[np.argsort(-scores.fused, kind="stable")]

        def read(likes: tuple[int, ...], rows: NDArray[np.int64]) -> NDArray[np.float64]:
            return namer.score(self._reader.read(self._liking(likes), None)[0], rows)

        def tell(done: int) -> None:
            if progress is not None:
                progress("people the language model reads for", done, sum(map(len, asked)))

        taught, checks = (
            distilling.readings(users, ranked=ranked, read=read, seed=schedule.seed, progress=tell) for users in asked
        )
        if not taught or not checks:
            return Refinement(self, False, "", gate.unasked(()), None, told)
        vectors, watch = self._plain_vectors(), watching.Watch("distilling", distilling.EVERY, progress=progress)
        how: dict[str, Any] = {"base": self.encoder.base.hash, "told": watch}
        adapter, done, agreement = distilling.learned(vectors, taught, checks, schedule, **how)
        told |= {"pairs": sum(len(one.rows) for one in taught), "users": len(taught), "agreement": asdict(agreement)}
        if adapter is None:
            return Refinement(self, False, "", gate.unasked(lesson.judges), done, told)
        observed = lesson.without_judges(events)
        refined, verdict = judging.judged(
            present,
            [adapter],
            lesson,
            adapted=present._adapting(plain=vectors, progress=progress),
            observing=lambda one: one._having_observed(observed),
            seed=schedule.seed,
        )
        return self._kept(refined, verdict, done, told, path=path, hold=hold)

    def _plain_vectors(self) -> NDArray[np.float32]:
        """Return the catalogue's vectors by the encoder without an adapter. Shape: ``(items, dimension)``."""
        base = self.encoder.base
        return np.asarray(self.index.vectors if base is self.encoder else base.encode(self.index.documents))

    def _liking(self, rows: Iterable[int]) -> Profile:
        return Profile(likes=[self.catalogue.ids[row] for row in rows])

    def refine_language(
        self,
        answers: Iterable[Answer] = (),
        *,
        interactions: Interactions | Iterable[Interaction] = (),
        profiles: Mapping[str, Profile] | None = None,
        path: str | os.PathLike[str] | None = None,
        objective: str = "answers",
        schedule: Schedule | None = None,
        shape: Shape | None = None,
        hold: bool = False,
        tensorboard: str | os.PathLike[str] | None = None,
        progress: Progress | None = None,
    ) -> Refinement:
        """Train an adapter of the language model on yes and no, in minutes, and keep it if it tells them better apart.

        It is asked in its own words whether a person would enjoy an item, and learns from the answer alone, by the very
        score that ranks; in half precision where it reads in that. Questions of some people are held out, and judge:
        the adapter is let through if they are better told apart than by the model as it came (AUC, or GAUC where order
        is learned; paired test). Then :meth:`calibrated` with ``language=True`` takes its answers into probabilities;
        lists stay as they are.

        Args:
            answers: Answered examples; those that are told here aren't held for evidence again by :meth:`calibrated`.
            interactions: Who liked what: it is asked of a user's last likes, and of items they don't like.
            profiles: Who those users said they were, by id.
            objective: By what it learns: "answers" each by itself, or the order of one person's, by "pairs" of a yes
                and a no or by whole "lists", which leaves it to :meth:`calibrated` how likely a yes is.
            path: The index's folder: an adapter that is let through is kept and put to use there, and a run that was
                killed goes on where it was.
            schedule: How long and how fast; three passes in a quarter of an hour at most if None.
            shape: What learns; rank 8 in the upper half of the blocks if None.
            hold: Keep an adapter that is let through, but let the index there stay without it.
            tensorboard: As :meth:`refine` takes it.
            progress: Called as the work goes on.

        Raises:
            CatalogueError: Fewer than four questions, answers that are all the same, or where order is to be learned
                nobody who said both yes and no.
            AdapterError: The index has no language model, the objective isn't known, the model can't be refined, or the
                loss isn't finite.
        """
        from coldstart.refining import answering, objectives

        learned_by = objectives.checked(objective)
        schedule, shape = schedule or LANGUAGE, shape or answering.SHAPE
        model = self.language_model
        if model is None:
            raise AdapterError("the index has no language model: build it with one, or refine the bi-encoder")
        events = interactions if isinstance(interactions, Interactions) else Interactions.from_records(interactions)
        asked = tutoring.of_answers(answers, self.index, self._reader)
        drawn = questions.of_interactions(
            events,
            self.catalogue.ids,
            profiles=profiles or {},
            seed=schedule.seed,
            others=objectives.OTHERS[learned_by],
        )
        asked += tutoring.described(drawn, self._reader)
        language = Language(model, self.catalogue, self.library)
        put = tutoring.questions(asked, language)
        taught, judges = questions.parted(put, seed=schedule.seed)
        told = tutoring.manifest(taught, judges, shape, schedule, self.library.hash(), learned_by)
        asking = len(judges) if learned_by == "answers" else len(objectives.grouped(judges, learned_by))
        if asking < gate.FEWEST or len({one.liked for one in judges}) < 2:
            return Refinement(self, False, "", gate.unasked(()), None, told)
        with watching.board(tensorboard) as board:
            adapter, done, verdict = answering.taught(
                model,
                taught,
                judges,
                alone=language.for_nobody,
                objective=learned_by,
                shape=shape,
                schedule=schedule,
                checkpoint=None if path is None else Path(path) / registry.FOLDER / "tutoring.pt",
                told=watching.Watch("tutoring", schedule.every, progress=progress, board=board),
            )
        if adapter is None or not verdict.better:
            return Refinement(self, False, "", verdict, done, told)
        adapter = replace(adapter, told={**told, **verdict.told()})
        if path is not None:
            if not (Path(path) / "manifest.json").exists():
                self.save(path)
            adapter = registry.keep(Path(path), adapter)
            if not hold:
                registry.speak(Path(path), adapter.version)
        return Refinement(self.speaking(adapter), True, adapter.version, verdict, done, told)

    def speaking(self, adapter: Adapter | None) -> Recommender:
        """Return a recommender whose language model has this adapter, and no other; with None, none."""
        made = copy.copy(self)
        made._spoken, made._answering = adapter, None
        made._calibration, made._by_language = calibration.Calibration(), False
        return made

    def adapted(
        self,
        adapter: Adapter | None,
        *,
        known: Mapping[bytes, NDArray[np.float32]] | None = None,
        progress: Progress | None = None,
    ) -> Recommender:
        """Return a recommender whose encoder has this adapter, and no other; with None, none.

        Args:
            adapter: As :meth:`refine` makes it.
            known: Vectors that it gave before, by the document's :func:`coldstart.rows.key`; others are encoded.
            progress: Called as texts are encoded.

        Raises:
            AdapterError: It was made for another encoder.
        """
        base = self.encoder.base
        encoder = base if adapter is None else lora.adapted(base, adapter)
        if known is None and encoder.model is self.encoder.model:  # matrices need no text read again
            keys = (key(text) for text in self.index.documents)
            known = dict(zip(keys, np.asarray(self.index.vectors), strict=True))
        index = building.reencoded(self.index, encoder, known=known or {}, progress=progress)
        return self._with(index, self._ranker.given, encoder)

    def _adapting(self, *, plain: NDArray[np.float32], progress: Progress | None) -> Callable[[Adapter], Recommender]:
        """Return what makes recommenders with adapters, and encodes the catalogue once for each change of the encoder.

        Args:
            plain: The catalogue's vectors without an adapter. Shape: ``(items, dimension)``.
            progress: Called as texts are encoded.
        """
        keys = [key(text) for text in self.index.documents]
        known: dict[tuple[bytes, float], dict[bytes, NDArray[np.float32]]] = {}

        def adapted(adapter: Adapter) -> Recommender:
            change = (adapter.weights, adapter.scale)
            encoder = lora.adapted(self.encoder.base, adapter)
            if change not in known and encoder.model is encoder.base.model:
                known[change] = dict(zip(keys, plain, strict=True))
            made = self.adapted(adapter, known=known.get(change), progress=progress)
            known[change] = dict(zip(keys, made.index.vectors, strict=True))
            return made

        return adapted

    def _having_observed(self, interactions: Interactions, **how: Any) -> Recommender:
        """Return a recommender that has observed these interactions, as :meth:`observe` does, and nothing else."""
        made = self.unlearned()
        made.observe(interactions, **how)
        return made

    @property
    def ranker(self) -> Ranker:
        """What scores and orders items."""
        return self._ranker

    def promoted(
        self, path: str | os.PathLike[str], version: str | None, *, progress: Progress | None = None
    ) -> Recommender:
        """Put an adapter that is kept with an index to use there, in one step, and return a recommender with it.

        Args:
            path: The index's folder. Its catalogue is what counts, if it has changed meanwhile.
            version: As ``coldstart adapters list`` tells it; its number will do. None goes back to none.
            progress: Called as texts are encoded; those that the adapter read before aren't.

        Raises:
            AdapterError: It isn't there, is damaged, or was made for another encoder.
            BadIndex: No index is there.
        """
        folder, base = Path(path), self.encoder.base
        adapter = None if version is None else registry.load(folder, registry.found(folder, version))
        encoder = base if adapter is None else lora.adapted(base, adapter)
        before, index = registry.history(folder), Index.load(folder, library=self.library)
        registry.keep_vectors(folder, registry.promoted(folder), index.documents, index.vectors)
        name = "" if adapter is None else adapter.version
        known = registry.known_vectors(folder, name)
        index = building.reencoded(index, encoder, known=known, progress=progress)
        index.save(folder)
        registry.note(folder, [*before, name])
        registry.keep_vectors(folder, name, index.documents, index.vectors)
        return self._with(index, self._ranker.given, encoder)

    def rolled_back(self, path: str | os.PathLike[str], *, progress: Progress | None = None) -> Recommender:
        """Put to use again what an index had before the adapter that it has, as :meth:`promoted` does.

        Raises:
            AdapterError: It never had anything else.
        """
        earlier = registry.history(Path(path))[:-1]
        while earlier and earlier[-1] == registry.promoted(Path(path)):
            earlier.pop()
        if not earlier:
            raise AdapterError(f"{path} has never had another adapter: nothing to roll back to")
        made = self.promoted(path, earlier[-1] or None, progress=progress)
        registry.note(Path(path), earlier)
        return made

    def knowing(self, other: Recommender) -> Recommender:
        """Return a recommender of this one's index and weights that has learned what another one did.

        Args:
            other: Of the same catalogue as it is or was.
        """
        made = copy.copy(self)
        if other.platform is None:
            made.platform = None
            return made
        made.platform = self._ground().carried(other.platform, other.catalogue, now=time.time())
        if self.platform is not None and self.platform.weighing is not made.platform.weighing:
            made.platform.weigh(self.platform.weighing)
        return made

    def _without(self, users: Iterable[str]) -> Recommender:
        """Return a recommender that has observed nothing of some users."""
        if self.platform is None:
            return self
        made = copy.copy(self)
        made.platform = self._ground().carried(self.platform, self.catalogue, now=time.time(), without=users)
        return made

    # Yes or no ----------------------------------------------------------------------------------------------

    @undivided()
    def probability(
        self, profile: Profile, items: Sequence[str], *, context: Context | None = None
    ) -> NDArray[np.float64]:
        """Return how likely the person is to like each item, in (0, 1). Shape: ``(items,)``.

        It follows from the person's own likes against dislikes, from where the item stands in their list, and from what
        others said of it, if dislikes as well as likes were told: by events that were observed, or else by the profiles
        of the examples that :meth:`calibrated` got. Nothing known of any is a half.

        Raises:
            UnknownItem: An id that the catalogue doesn't hold.
        """
        if isinstance(items, str):
            raise ProfileError(f"items is the text {items!r}: expected a list of item ids; write [{items!r}]")
        return self._calibration.probability(self._asked([(profile, context, list(items))], learning=False))

    def calibrated(self, answers: Iterable[Answer], *, language: bool = False) -> Recommender:
        """Return a recommender whose probabilities learned from answered examples; a few are enough.

        They take the place of those told before, and the ranking stays as it is. Kept in memory: tell them again after
        :meth:`load`.

        Args:
            answers: May be none.
            language: Let the language model read every question, here and in :meth:`probability`, as one more reason
                for yes or no: some tens of milliseconds each. How much it counts is learned from these answers, but
                for those that taught its adapter.

        Raises:
            UnknownItem: An id that the catalogue doesn't hold.
        """
        told = list(answers)
        made = copy.copy(self)
        made._told = pairs.histories((answer.profile for answer in told), self._reader)
        made._by_language = language and self.language_model is not None
        asked = made._asked([(answer.profile, answer.context, [answer.item]) for answer in told])
        made._calibration = calibration.fit(asked, np.array([answer.liked for answer in told], np.bool_))
        return made

    def _asked(
        self, requests: Sequence[tuple[Profile, Context | None, Sequence[str]]], *, learning: bool = True
    ) -> calibration.Asked:
        known: dict[str, Any] = {"index": self.index, "ranker": self._ranker, "platform": self.platform}
        verdicts = self._told if self.platform is None or self.platform.verdicts.agree else self.platform.verdicts
        if self._likability is None or self._likability[:2] != (verdicts, self._ranker):
            self._likability = verdicts, self._ranker, pairs.likability(verdicts, **known)
        model = self.language_model if self._by_language else None
        return pairs.described(
            requests,
            reader=self._reader,
            likability=self._likability[2],
            language=None if model is None else self._answers(model),
            taught=self._spoken.told.get("taught", ()) if learning and self._spoken is not None else (),
            **known,
        )

    def recommend(
        self,
        profile: Profile | None = None,
        *,
        context: Context | None = None,
        k: int = 10,
        where: Mapping[str, Any] | None = None,
        exclude: Iterable[str] = (),
        candidates: Iterable[str] | None = None,
        language: int = 0,
        named: int = 0,
        explain: bool = False,
    ) -> Recommendations:
        """Rank the catalogue for one person.

        Args:
            profile: What is known; nothing at all is fine, and then appeal alone ranks.
            context: The circumstances of this request.
            k: How many items; fewer come back if fewer are eligible.
            where: Conditions on attributes, as for :meth:`Catalogue.select`.
            exclude: Ids that must not come back. Items that the profile names don't come back either, unless
                they are among ``candidates``.
            candidates: Ids to rank; None for the whole catalogue.
            language: How many of the best the language model reads again with the task description; 0 for
                none. It takes some tens of milliseconds a candidate.
            named: How many items the language model names by itself, from all that may come back, token by token: they
                are read with the best. Only with ``language``; it takes seconds.
            explain: Give each item its reasons, those that hold when they are put to the test; see
                :mod:`coldstart.reasons`.

        Raises:
            ProfileError: ``k``, ``language``, ``named`` or ``where`` can't be used.
            UnknownItem: An id that the catalogue doesn't hold.
        """
        slices = self.recommending(
            profile,
            context=context,
            k=k,
            where=where,
            exclude=exclude,
            candidates=candidates,
            language=language,
            named=named,
            explain=explain,
            size=max(count(k, "k", least=1), count(language, "language", least=0)),
        )
        return list(slices)[-1]

    def recommending(
        self,
        profile: Profile | None = None,
        *,
        context: Context | None = None,
        k: int = 10,
        where: Mapping[str, Any] | None = None,
        exclude: Iterable[str] = (),
        candidates: Iterable[str] | None = None,
        language: int = 0,
        named: int = 0,
        explain: bool = False,
        size: int = 4,
    ) -> Iterator[Recommendations]:
        """Rank as :meth:`recommend` does, and yield the best list so far after each slice of work.

        The first list is there without the language model; then it reads the description, and then ``size`` candidates
        a slice, the best first. All lists but the last are marked as degraded. Without ``language`` there is one list.

        Raises:
            ProfileError: As :meth:`recommend` does.
            UnknownItem: As well.
        """
        profile = profile if profile is not None else Profile()
        k, language = count(k, "k", least=1), count(language, "language", least=0)
        named = count(named, "named", least=0)
        if self._segments and language and self.language_model is not None:
            self._rereading(self.language_model)  # loaded once for all segments
        if (one := self.answering(profile, context)) is not self:
            how: dict[str, Any] = {"where": where, "exclude": exclude, "candidates": candidates, "explain": explain}
            yield from one.recommending(profile, context=context, k=k, language=language, named=named, size=size, **how)
            return
        query, notes = self._reader.read(profile, context, meanings=self._meanings)
        eligible = self._reader.eligible(query, profile, where=where, exclude=exclude, candidates=candidates)
        most = max(k, language)
        scores = self._ranker.shortlisted(query, eligible, self.platform, wanted=most)
        reason = ranking.fallback(query, scores)
        why = self._why(profile, context, query, scores.rows) if explain else None

        def found(scores: ranking.Scores, reason: str) -> Recommendations:
            ranked = self._ranker.ranked(scores, k)
            return Recommendations(
                ranked if why is None else why.explained(ranked),
                description=query.description,
                template_hash=self._template_hash,
                models=self._models_used("language" in scores.parts),
                adapter=self.index.manifest["encoder"].get("adapter", ""),
                degraded=bool(reason),
                fallback_reason=reason,
                notes=notes,
            )

        if not language or not len(scores.rows):
            yield found(scores, reason)
            return
        everything, scores = scores, self._ranker.best(scores, most)
        if self.language_model is None:
            yield found(scores, reason or "the index has no language model: ranked without it")
            return
        if not query.description:
            yield found(scores, reason)
            return
        if named:
            rows = (
                self._namer(self.language_model)
                .best(query.description, named, eligible, most=NAMING_READS, likely=self._likely)
                .rows[:named]
            )
            if self.index.is_large:
                everything = self._ranker.shortlisted(query, eligible, self.platform, also=rows, wanted=most)
            scores = self._ranker.best(everything, most, also=rows)
        of = len(scores.rows)
        if size < most:
            yield found(scores, reason or f"the language model has read none of {of} candidates yet")
        compares = self.weights[Listwise.name] > 0
        for raw in self._rereading(self.language_model).slices(query, scores.rows, size=size):
            read = int(np.isfinite(raw).sum())
            short = f"the language model has read {read} of {of} candidates" if read < of or compares else ""
            yield found(scores.joined(Naming.name, raw), reason or short)
        if compares:
            picked = Listwise(self.language_model, self.catalogue, self.library).picked(query.description, scores.rows)
            yield found(scores.joined(Naming.name, raw).joined(Listwise.name, picked.scores), reason)

    def explained(
        self,
        found: Sequence[Recommendation],
        profile: Profile,
        *,
        context: Context | None = None,
        scored: Scored | None = None,
    ) -> tuple[Recommendation, ...]:
        """Return recommendations that were made for someone with their reasons, as :meth:`recommend` gives them.

        Args:
            found: What was recommended.
            profile: To whom.
            context: In which circumstances.
            scored: What made the list, if it wasn't :meth:`recommend`: from a profile, a context and the scorers that
                have no part to the scores of the whole catalogue. Causes are then taken away from what it is given.

        Raises:
            UnknownItem: An id that the catalogue doesn't hold.
        """
        if scored is None and (one := self.answering(profile, context)) is not self:
            return one.explained(found, profile, context=context)
        query, _ = self._reader.read(profile, context, describe=False)
        rows = self._ranker.shortlisted(query, self._reader.eligible(query, profile), self.platform).rows
        return self._why(profile, context, query, rows, scored).explained(found)

    def _why(
        self,
        profile: Profile,
        context: Context | None,
        query: Query,
        rows: NDArray[np.int64],
        scored: Scored | None = None,
    ) -> Reasons:
        asked: dict[str, Any] = {"profile": profile, "context": context, "query": query}
        asked |= {"rows": rows, "scored": scored}
        return Reasons(self.index, self._reader, self._ranker, self.platform, lambda: self._traits, **asked)

    @cached_property
    def _traits(self) -> Traits:
        return Traits(self.catalogue, self.library.fields)

    def warm(self) -> None:
        """Work out what the first request would have to, but for loading the models; any thread may do it."""
        self._reader.warm()
        self._ranker.warm(self.platform)

    @cached_property
    def _template_hash(self) -> str:
        return self.library.hash()

    def prepare(self, requests: Sequence[tuple[Profile, Context | None]]) -> None:
        """Encode what several people say in one go, so that recommending to each needs no encoder.

        Lists are the same, up to rounding, whoever else is in it. Requests that can't be read are passed over.
        """
        self._reader.prepare(requests)

    def _answers(self, model: LanguageModel) -> Language:
        """Return what answers yes or no, by the model's adapter if it has one."""
        if self._answering is None:
            refined = None if self._spoken is None else lora.spoken(model, self._spoken)
            self._answering = Language(model, self.catalogue, self.library, refined)
        return self._answering

    @property
    def _likely(self) -> NDArray[np.float64] | None:
        """How likely the language model finds each title whoever asks; None where it read a sample of them."""
        appeal = self.index.appeal
        return None if appeal is None or self.index.is_large else appeal.total.mean(1)

    def _namer(self, model: LanguageModel) -> Generating:
        if self._generating is None:
            self._generating = Generating(model, self.catalogue, self.library)
        return self._generating

    def _rereading(self, model: LanguageModel) -> Naming:
        if self._language is None:
            self._language = Naming(model, self.catalogue, self.library)
        return self._language

    def read_ahead(self, reading: LanguageModel, *, most: int) -> bool:
        """Let the language model read some titles before ``recommend(language=...)`` needs them; any thread may do it.

        Args:
            reading: The same model, or what runs it on its own thread.
            most: How many items' at most.

        Returns:
            Whether there were any that it hadn't looked at; never for a large catalogue, of which it reads few.
        """
        if self.language_model is None or self.index.is_large:
            return False
        return self._rereading(self.language_model).read_ahead(reading, most=most)

    def score(
        self, profile: Profile, rows: NDArray[np.int64] | None = None, *, context: Context | None = None
    ) -> NDArray[np.float64]:
        """Return the fused scores of these catalogue rows, or of the whole catalogue, in their order.

        No row is excluded and the language model isn't asked. Shape: ``(rows,)``.
        """
        if (one := self.answering(profile, context)) is not self:
            return one.score(profile, rows, context=context)
        query, _ = self._reader.read(profile, context, describe=False, meanings=self._meanings)
        rows = np.arange(len(self.catalogue)) if rows is None else np.asarray(rows, np.int64)
        return self._ranker.score(query, rows, self.platform).fused

    def weighed(self, profile: Profile, *, context: Context | None = None) -> tuple[Query, ranking.Scores]:
        """Return a profile in rows and vectors, and what each scorer gives the whole catalogue, to go on from there.

        No row is excluded and the language model isn't asked. See :meth:`listed`.
        """
        query = self.query(profile, context=context)
        return query, self._ranker.score(query, np.arange(len(self.catalogue)), self.platform)

    def query(self, profile: Profile, *, context: Context | None = None) -> Query:
        """Return a profile in rows and vectors.

        Raises:
            UnknownItem: An id that the catalogue doesn't hold.
        """
        return self._reader.read(profile, context, describe=False)[0]

    def listed(self, scores: ranking.Scores, k: int) -> tuple[Recommendation, ...]:
        """Return the ``k`` best of scored candidates as they are recommended."""
        return self._ranker.ranked(scores, k)

    def audience(self, item_id: str, profiles: Mapping[str, Profile]) -> list[Suitability]:
        """Return which profiles an item suits, best first: where it stands in each one's list.

        Raises:
            UnknownItem: The catalogue doesn't hold it; :meth:`add` it first.
        """
        row = self.catalogue.row(item_id)
        found = []
        for name, profile in profiles.items():
            scores = self.score(profile)
            rank = 1 + int((scores > scores[row]).sum())
            found.append(Suitability(name, rank, len(scores), float(scores[row])))
        return sorted(found, key=lambda suit: (suit.rank, suit.name))

    def _models_used(self, language: bool) -> Mapping[str, str]:
        roles = ["encoder", *(["language_model"] if self.index.appeal is not None or language else [])]
        used = {}
        for role in roles:
            if told := self.index.manifest[role]:
                asked = self._models.loaded(role) if language or role == "encoder" else None
                numbers = precision(told) if asked is None else asked.dtype
                used[told["name"] if numbers == "float32" else f"{told['name']} ({numbers})"] = told["hash"]
        return used


def _follows(adapter: Adapter | None) -> Follows | None:
    return None if adapter is None else Follows.of(adapter.config, adapter.weights, adapter.scale)
