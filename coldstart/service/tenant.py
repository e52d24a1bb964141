"""A tenant as it runs: its recommender is derived from its rows, and swapped whole whenever they change."""

from __future__ import annotations

import copy
import json
import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from coldstart import artefact, building
from coldstart.catalogue import Catalogue
from coldstart.encoding import Encoder
from coldstart.entities import Context, Interaction, Item, Profile
from coldstart.errors import AdapterError, BadIndex, CatalogueError
from coldstart.executor import Executor
from coldstart.generation import LanguageModel
from coldstart.index import Index
from coldstart.learning.meanings import Meanings
from coldstart.learning.platform import Platform
from coldstart.learning.weighing import Weighing
from coldstart.onboarding import Onboarding
from coldstart.prompting import Library
from coldstart.recommender import Recommender
from coldstart.refining import lora, registry
from coldstart.rows import key, precision
from coldstart.service.events import interactions
from coldstart.service.sliced import GivingWay, SlicedEncoder, SlicedLanguageModel
from coldstart.service.storage import Event, Storage

log = logging.getLogger("coldstart.service")

GROWN = 1.1
"""The language model's knowledge of a catalogue is measured anew once it has this many times the items."""


_AHEAD = 16  # titles that are read ahead at once
_OVERDUE = 60.0  # seconds after which an index is kept while items still come


@dataclass(frozen=True)
class Engine:
    """What all tenants share.

    Attributes:
        language_model: None does without.
        executor: The thread that owns the models.
        meanings: What types of events say.
        threads: Of the language model for a request that waits, and of the encoder for items while none comes; all
            else has one, since short matrix products gain nothing from more and lose much when the cores are busy.
    """

    encoder: Encoder
    language_model: LanguageModel | None
    library: Library
    executor: Executor
    threads: int = 1
    meanings: Meanings = field(default_factory=Meanings)

    @contextmanager
    def hurrying(self) -> Iterator[None]:
        """Give the models all threads for a while; on the executor's thread."""
        import torch

        before = torch.get_num_threads()
        torch.set_num_threads(max(self.threads, before))
        try:
            yield
        finally:
            torch.set_num_threads(before)

    def urgent(self, encoder: Encoder) -> Encoder:
        """Return an encoder, with an adapter or without, for threads that somebody waits for."""
        return SlicedEncoder(encoder, self.executor, urgent=True, hurrying=self.hurrying)

    def patient(self, encoder: Encoder) -> Encoder:
        """Return an encoder, with an adapter or without, for threads that nobody waits for."""
        return SlicedEncoder(encoder, self.executor, urgent=False, hurrying=self.hurrying)

    @property
    def reading(self) -> LanguageModel | None:
        """The language model for threads that nobody waits for."""
        return self.language_model and SlicedLanguageModel(self.language_model, self.executor)


class Tenant:
    """One tenant's catalogue, ready to be asked.

    ``recommender`` may be read by any thread; None while there are no items. Whatever changes it makes another and
    swaps that in, one change at a time: requests see the one or the other, whole. The rows are committed first.

    Args:
        id: The tenant's name.
        kind: What its items are, in the singular.
        engine: The models.
        storage: The rows.
        folder: Of its index.
    """

    def __init__(
        self, id_: str, kind: str, *, engine: Engine, storage: Storage, folder: Path,
        clock: Callable[[], float] = time.time,
    ) -> None:  # fmt: skip
        self.id, self.kind, self.folder = id_, kind, folder
        self.recommender: Recommender | None = None
        self.version = 0
        self.changed = self.kept = clock()
        self.saved = -1
        self.stale = False
        self.waiting = 0
        self._onboarding: Onboarding | None = None
        self.engine = engine
        self._storage, self._clock = storage, clock
        self._changing, self._saving = threading.Lock(), threading.Lock()
        self._told: list[Interaction] = []
        self._counting: list[Interaction] = []
        self._telling = threading.Lock()
        self._recounted = 0
        self._weights = folder.with_name(f"{folder.name}.weights.json")

    def prepare(self, requests: Sequence[tuple[Profile, Context | None]]) -> None:
        """Encode what waiting requests say together; on the executor's thread."""
        if self.recommender is not None:
            self.recommender.prepare(requests)

    def onboarding(self) -> Onboarding:
        """Return what plans onboarding for the items as they are; on the executor's thread, and only with items."""
        made, recommender = self._onboarding, self.recommender
        assert recommender is not None  # noqa: S101 - who calls has looked
        if made is None or made.recommender.index is not recommender.index:
            made = Onboarding(recommender)
        elif made.recommender is not recommender:  # it has learned: questions are planned anew, about the same things
            made = copy.copy(made)
            made.recommender = recommender
        self._onboarding = made
        return made

    @property
    def pending(self) -> int:
        """How many items the language model hasn't read yet."""
        if self.recommender is None or self.engine.language_model is None:
            return 0
        return self.recommender.pending if self.recommender.index.appeal else len(self.recommender.catalogue)

    @property
    def can_read(self) -> bool:
        """Whether there is a language model to refine lists."""
        return self.engine.language_model is not None

    @property
    def overdue(self) -> bool:
        """Whether items have come and gone for long without the index being kept."""
        return self._clock() - self.kept > _OVERDUE

    # Changes; on threads of their own ---------------------------------------------------------------------

    def open(self) -> None:
        """Bring the index up to the rows, and learn from all events."""
        with self._changing:
            self._reconcile()

    def _reconcile(self) -> None:
        items = self._storage.items(self.id)
        self.version += 1
        self.changed = self._clock()
        if not items:
            self.recommender = None
            return
        if self.recommender is None:
            index, encoder = self._saved()
        else:
            index, encoder = self.recommender.index, self.recommender.encoder
        made = self._recommender(self._brought(index, items, encoder), encoder)
        told = list(self._storage.events(self.id))
        if told:
            with self._telling:
                self._told.clear()
            self._recounted += 1
            made.observe(
                interactions(told, self.engine.meanings),
                arrivals=self._storage.arrivals(self.id),
                profiles=self._profiles(),
                meanings=self.engine.meanings.told,
                now=self._clock(),
            )
            if made.platform is not None:
                _use_weights(made.platform, self._kept_weights())
        made.warm()
        self.recommender, self.stale = made, False

    def _saved(self) -> tuple[Index | None, Encoder]:
        """Return the index that was kept, if it can be used, and the encoder that it is of."""
        base = self.engine.encoder
        try:
            index = Index.load(self.folder, library=self.engine.library)
        except BadIndex as problem:
            if (self.folder / "manifest.json").exists():
                log.warning("tenant %s: its index is built anew: %s", self.id, problem)
            return None, base
        told = index.manifest["encoder"]
        if told.get("base", told["hash"]) != base.hash or index.manifest["kind"] != self.kind:
            return None, base
        encoder = self._adapted(told)
        if told["hash"] != encoder.hash or precision(told) != encoder.dtype:
            index = building.reencoded(index, self.engine.urgent(encoder), known={}, progress=None)
        model, built = self.engine.language_model, index.manifest["language_model"]
        if built is not None and (model is None or built["hash"] != model.hash or precision(built) != model.dtype):
            index = building.build(
                index.catalogue,
                encoder=self.engine.urgent(encoder),
                language_model=None,
                library=self.engine.library,
                previous=index,
            )
        return index, encoder

    def _adapted(self, told: Mapping[str, str]) -> Encoder:
        """Return the encoder with the adapter that a manifest tells of; without, if that can't be had."""
        base = self.engine.encoder
        if not told.get("adapter"):
            return base
        try:
            return lora.adapted(base, registry.load(self.folder, told["adapter"]))
        except AdapterError as problem:
            log.warning("tenant %s: its items are encoded anew, without an adapter: %s", self.id, problem)
            return base

    def _brought(self, index: Index | None, items: Sequence[Item], encoder: Encoder) -> Index:
        """Return an index of exactly these items, from one of others."""
        wanted = {item.id: item for item in items}
        there = {} if index is None else {item.id: item for item in index.catalogue.items}
        if index is None or not there.keys() & wanted.keys():
            return building.build(
                Catalogue(items, kind=self.kind),
                encoder=self.engine.urgent(encoder),
                language_model=None,
                library=self.engine.library,
            )
        if gone := there.keys() - wanted.keys():
            index = building.reduced(index, sorted(gone))
        changed = [item for id_, item in wanted.items() if there.get(id_) != item]
        return self._extended(index, changed, encoder) if changed else index

    def _extended(self, index: Index, items: Sequence[Item], encoder: Encoder) -> Index:
        return building.extended(index, items, encoder=self.engine.urgent(encoder), library=self.engine.library)

    def _recommender(self, index: Index, encoder: Encoder) -> Recommender:
        return Recommender(
            index,
            encoder=encoder,
            language_model=self.engine.language_model,
            library=self.engine.library,
        )

    def _swap(self, made: Recommender | None) -> None:
        if made is not None:
            made.warm()
        self.recommender = made
        self.version += 1
        self.changed = self._clock()

    def put_items(self, items: Sequence[Item]) -> tuple[int, int]:
        """Commit items and make them eligible; return how many were created and how many replaced.

        Raises:
            CatalogueError: One that says nothing, or one id with two contents; nothing is committed then.
        """
        Catalogue(items, kind=self.kind)
        with self._changing:
            done = self._storage.put_items(self.id, items)
            try:
                if self.recommender is None:
                    base = self.engine.encoder
                    self._swap(self._recommender(self._brought(None, items, base), base))
                else:
                    encoder = self.recommender.encoder
                    self._swap(self.recommender.reindexed(self._extended(self.recommender.index, items, encoder)))
            except BaseException:
                self.stale = True  # the rows are ahead of the index until it is reconciled
                raise
        return done

    def delete_items(self, ids: Sequence[str]) -> list[str]:
        """Commit that items are gone and take them out; return those that were there."""
        with self._changing:
            gone = self._storage.delete_items(self.id, ids)
            if not gone or self.recommender is None:
                return gone
            try:
                self._swap(self.recommender.reindexed(building.reduced(self.recommender.index, gone)))
            except CatalogueError:  # the last one went
                self._swap(None)
        return gone

    def tell(self, events: Sequence[Event]) -> None:
        """Take note of events that were committed; :meth:`learn` counts them."""
        with self._telling:
            self._told.extend(interactions(events, self.engine.meanings))

    def learn(self) -> bool:
        """Count the events that were told since the last time; return whether there were any. One thread does it.

        Items come and go meanwhile, and don't wait.
        """
        with self._telling:
            self._counting, self._told = self._told, []
        if not self._counting:
            return False
        current, recounted = self.recommender, self._recounted
        made = None if current is None else self._taught(current)
        with self._changing:
            now = self.recommender
            if now is not None and (made is None or self._recounted != recounted):
                self.recommender = self._taught(now)
            elif now is not None and made is not None:
                self.recommender = made if now is current else now.knowing(made)
            self._counting = []
        return True

    def _taught(self, recommender: Recommender) -> Recommender:
        """Return a recommender that has also observed what is being counted."""
        made = _copied(recommender)
        if made.platform is not None:
            made.platform.experience = made.platform.experience.copied()
        fresh = None if made.platform is not None else self.engine.meanings.told
        with self._telling:
            told = list(self._counting)
        profiles = self._profiles({event.user for event in told})
        made.observe(told, meanings=fresh, profiles=profiles, now=self._clock())
        made.warm()
        return made

    def _profiles(self, among: Iterable[str] | None = None) -> dict[str, Profile]:
        """Return what users said of themselves: their fields, without what they like."""
        stated = self._storage.profiles(self.id, among)
        return {user: Profile(attributes=one.get("attributes", {})) for user, one in stated.items()}

    @property
    def unweighed(self) -> bool:
        """Whether there is enough new data to choose weights by."""
        return (
            self.recommender is not None
            and (platform := self.recommender.platform) is not None
            and (platform.unweighed)
        )

    def weigh(self) -> bool:
        """Choose weights by simulated cold start on the tenant's own people, and keep them; return whether it was done.

        It takes seconds, on a copy, and gives way to requests; events and changes go on meanwhile. If a user was erased
        meanwhile, who may have had a part in it, nothing comes of it.
        """
        current, recounted = self.recommender, self._recounted
        if current is None or not self.unweighed:
            return False
        profiles = self._profiles()
        chosen = _described(current, profiles).weigh(pause=GivingWay(self.engine.executor))
        with self._changing:
            current = self.recommender
            if self._recounted != recounted or current is None or current.platform is None:
                return False
            made = _described(current, profiles)
            assert made.platform is not None  # noqa: S101 - it was looked at above
            _use_weights(made.platform, chosen)
            artefact.replace(self._weights, json.dumps(chosen.state()).encode())
            self.recommender = made
        return True

    def _kept_weights(self) -> Weighing:
        try:
            return Weighing.of(json.loads(self._weights.read_bytes()))
        except FileNotFoundError:
            return Weighing()
        except (ValueError, OSError) as problem:
            log.warning("tenant %s: its weights are chosen anew: %s", self.id, problem)
            return Weighing()

    def erase(self, user: str) -> dict[str, int]:
        """Commit that a user is gone, and take back all that was learned from them."""
        with self._changing:
            self._recounted += 1
            self._weights.unlink(missing_ok=True)  # first: they mustn't outlive the user, whenever we are killed
            gone = self._storage.erase_user(self.id, user)
            with self._telling:
                self._told = [event for event in self._told if event.user != user]
                self._counting = [event for event in self._counting if event.user != user]
            if self.recommender is not None and self.recommender.platform is not None:
                made = _copied(self.recommender)
                made.forget(user, now=self._clock())
                self.recommender = made
        return gone

    # In the background --------------------------------------------------------------------------------------

    def complete(self) -> None:
        """Let the language model read what is pending, a slice at a time, and keep the index."""
        if self.stale:
            self.open()
        before = self.recommender
        if before is None:
            return
        version, index = self.version, before.index
        encoder, reading = self.engine.patient(before.encoder), self.engine.reading
        if self.pending and reading is not None:
            measured = index.manifest.get("measured", 0)
            if index.appeal is None or len(before.catalogue) > GROWN * measured:
                index = building.build(
                    before.catalogue,
                    encoder=encoder,
                    language_model=reading,
                    library=self.engine.library,
                    previous=index,
                    path=self.folder,
                )
            else:
                index = building.read(index, language_model=reading, library=self.engine.library)
            with self._changing:
                current = self.recommender
                if current is not None:
                    if self.version != version:
                        index = self._in_terms_of(current, index)
                        index = self._brought(index, current.catalogue.items, current.encoder)
                    self._swap(current.reindexed(index))
                    version = self.version
        self._keep(index, version)

    def read_ahead(self) -> bool:
        """Let the language model read a few titles for second readings to come; return whether there were any."""
        made, reading = self.recommender, self.engine.reading
        return made is not None and reading is not None and made.read_ahead(reading, most=_AHEAD)

    def _in_terms_of(self, current: Recommender, index: Index) -> Index:
        """Return an index with the vectors of the encoder in use, if an adapter was swapped meanwhile."""
        if index.manifest["encoder"]["hash"] == current.encoder.hash:
            return index
        known = {key(text): row for text, row in zip(current.index.documents, current.index.vectors, strict=True)}
        return building.reencoded(index, self.engine.patient(current.encoder), known=known, progress=None)

    # Adapters -----------------------------------------------------------------------------------------------

    @property
    def adapter(self) -> str:
        """The version of the adapter in use; empty for none."""
        return "" if self.recommender is None else self.recommender.index.manifest["encoder"].get("adapter", "")

    def adapters(self) -> list[registry.Entry]:
        """Return the adapters that are kept for this tenant, oldest first."""
        return registry.listed(self.folder) if (self.folder / "manifest.json").exists() else []

    def promote(self, version: str | None) -> None:
        """Put an adapter to use, or none; requests are answered with the one before until all is ready.

        Items are encoded behind the requests, but for those that the adapter read before. The index is kept first:
        once this returns, a restart has the adapter too.

        Raises:
            AdapterError: It isn't there, is damaged or was made for another encoder; nothing has changed then.
        """
        with self._changing:
            self._use(version)

    def roll_back(self) -> None:
        """Put to use again what was in use before the adapter that is.

        Raises:
            AdapterError: There never was anything else.
        """
        with self._changing:
            earlier = self._history()
            while earlier and earlier[-1] == self.adapter:
                earlier.pop()
            if not earlier:
                raise AdapterError(f"tenant {self.id!r} has never had another adapter: there is nothing to go back to")
            self._use(earlier[-1] or None)
            registry.note(self.folder, earlier)

    def _history(self) -> list[str]:
        told = registry.history(self.folder) if (self.folder / "manifest.json").exists() else [""]
        return told if told[-1] == self.adapter else [*told, self.adapter]

    def _use(self, version: str | None) -> None:
        current, base = self.recommender, self.engine.encoder
        if current is None:
            raise AdapterError(f"tenant {self.id!r} has no items: send some to POST /v1/items first")
        name = "" if version is None else registry.found(self.folder, version)
        encoder = lora.adapted(base, registry.load(self.folder, name)) if name else base
        known = registry.known_vectors(self.folder, name)
        index = building.reencoded(current.index, self.engine.patient(encoder), known=known, progress=None)
        made, history = current.reindexed(index, encoder), self._history()
        made.warm()
        with self._saving:
            index.save(self.folder)
            self._swap(made)
            self.saved, self.kept = self.version, self._clock()
        registry.note(self.folder, [*history, name])
        registry.keep_vectors(self.folder, name, index.documents, index.vectors)

    def keep(self) -> None:
        """Keep the index if it has changed since it was kept."""
        made, version = self.recommender, self.version
        if made is not None and self.saved != version:
            self._keep(made.index, version)

    def _keep(self, index: Index, version: int) -> None:
        with self._saving:
            if self.saved <= version:
                index.save(self.folder)
                self.saved, self.kept = version, self._clock()


def _use_weights(platform: Platform, weighing: Weighing) -> None:
    """Let a platform that isn't asked yet go by weights, with all that they need."""
    platform.weighing = weighing
    if weighing.uses("linear"):
        _ = platform.linear  # now, and not when a request waits


def _described(recommender: Recommender, profiles: Mapping[str, Profile]) -> Recommender:
    """Return a copy that knows what people said of themselves."""
    made = _copied(recommender)
    assert made.platform is not None  # noqa: S101 - who calls has looked
    made.platform.experience = made.platform.experience.copied()
    made.platform.describe({user: profile.attributes for user, profile in profiles.items()})
    return made


def _copied(recommender: Recommender) -> Recommender:
    """Return a recommender that can observe and forget while requests go on with the other."""
    made = copy.copy(recommender)
    made.platform = copy.copy(recommender.platform)
    return made
