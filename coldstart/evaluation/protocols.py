"""Which users are asked what, knowing what: the protocols, each a function from a data set to a plan.

To add a protocol, write a function ``(Dataset, Events, seed) -> Plan`` and name it in ``PROTOCOLS``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from coldstart.entities import Profile
from coldstart.errors import EvaluationError
from coldstart.evaluation.cases import Case, Cases, Events, Mask, Rows
from coldstart.evaluation.datasets import Dataset
from coldstart.evaluation.splits import generator, hold_out, sample

NEW_ITEMS = 0.2
"""The share of the items that new-item holds out."""

CANDIDATES = 20
"""How many items candidates ranks, the target among them (Hou et al., ECIR 2024)."""


@dataclass(frozen=True, eq=False, slots=True)
class Plan:
    """Who a protocol can ask, and how a case is made of one of them.

    Attributes:
        users: Ids of the users the protocol is defined for.
        case: From one of them to the case.
        training: The events that systems may learn from. Shape: ``(events,)``.
        counts: Relevant events per item, for the popularity baseline. Shape: ``(items,)``.
        oracle: Whether those counts are of events that no system may see.
    """

    users: Sequence[str]
    case: Callable[[str], Case]
    training: Mask
    counts: Rows
    oracle: bool


def system_cold(dataset: Dataset, events: Events, seed: int) -> Plan:  # noqa: ARG001 -- nothing is drawn
    """No interactions anywhere: rank the whole catalogue given a user's attributes; all they like is right."""

    def case(user: str) -> Case:
        mine = events.by(user)
        return Case(user, dataset.signed_up(user), np.unique(events.rows[mine[events.relevant[mine]]]))

    return Plan(
        users=_chosen(events, events.users_with(events.relevant)),
        case=case,
        training=np.zeros(events.rows.size, dtype=np.bool_),
        counts=events.counts(len(dataset.catalogue), events.relevant),
        oracle=True,
    )


def new_item(dataset: Dataset, events: Events, seed: int) -> Plan:
    """A fifth of the items are new: users who like both old and new items rank only the new ones."""
    split = hold_out(dataset.catalogue.ids, share=NEW_ITEMS, seed=seed)
    held = np.sort(dataset.catalogue.rows(split.held))
    is_new = np.isin(events.rows, held)

    def case(user: str) -> Case:
        mine = events.by(user)
        new = mine[is_new[mine]]
        profile = _known(dataset, events, user, mine[~is_new[mine]], stated=True)
        return Case(user, profile, np.unique(events.rows[new[events.relevant[new]]]), held)

    both = events.users_with(events.relevant & is_new) & events.users_with(events.relevant & ~is_new)
    return Plan(
        users=_chosen(events, both),
        case=case,
        training=~is_new,
        counts=events.counts(len(dataset.catalogue), events.relevant),
        oracle=True,
    )


def candidates(dataset: Dataset, events: Events, seed: int) -> Plan:
    """A user's next item among 20: the lists a data set gives, else the last liked item among 19 untouched ones.

    The list's order is drawn anew, so that the target's place in it tells nothing.
    """
    return _given(dataset, events, seed) if dataset.given else _last_out(dataset, events, seed)


def _given(dataset: Dataset, events: Events, seed: int) -> Plan:
    """LLMRank's lists: without the target, the first 19, then the target."""

    def case(user: str) -> Case:
        given = dataset.given[user]
        others = [item for item in given.candidates if item != given.target][: CANDIDATES - 1]
        rows = dataset.catalogue.rows([*others, given.target])
        profile = _known(dataset, events, user, events.by(user), stated=False)
        return Case(user, profile, rows[-1:], generator(seed, "order", user).permutation(rows))

    everything = np.ones(events.rows.size, dtype=np.bool_)
    counts = events.counts(len(dataset.catalogue), events.relevant)
    return Plan(tuple(dataset.given), case, everything, counts, oracle=False)


def _last_out(dataset: Dataset, events: Events, seed: int) -> Plan:
    targets = {user: place for user in events.user_ids if (place := _last_liked(events, user)) is not None}
    by_id = dataset.catalogue.rows(sorted(dataset.catalogue.ids))
    training = np.ones(events.rows.size, dtype=np.bool_)
    for user, target in targets.items():
        mine = events.by(user)
        training[mine[(mine >= target) | (events.rows[mine] == events.rows[target])]] = False

    def case(user: str) -> Case:
        mine, target = events.by(user), targets[user]
        rng = generator(seed, "candidates", user)
        others = _untouched(events.rows[mine], pool=by_id, size=CANDIDATES - 1, rng=rng)
        profile = _known(dataset, events, user, mine[training[mine]], stated=events.scale.relevant_from is not None)
        rows = events.rows[target : target + 1]
        return Case(user, profile, rows, rng.permutation(np.concatenate([others, rows])))

    counts = events.counts(len(dataset.catalogue), training & events.relevant)
    return Plan(tuple(targets), case, training, counts, oracle=False)


def _last_liked(events: Events, user: str) -> int | None:
    """Return the place of a user's last relevant event, if another item came before it."""
    mine = events.by(user)
    liked = mine[events.relevant[mine]]
    if liked.size == 0 or (events.rows[mine[0] : liked[-1]] == events.rows[liked[-1]]).all():
        return None
    return int(liked[-1])


def _untouched(touched: Rows, *, pool: Rows, size: int, rng: np.random.Generator) -> Rows:
    """Draw up to ``size`` rows of the pool that aren't touched, uniformly, in time that doesn't grow with the pool."""
    unique = np.unique(touched)
    drawn = pool[rng.choice(pool.size, size=min(pool.size, size + unique.size), replace=False)]
    return drawn[~np.isin(drawn, unique)][:size]


def _chosen(events: Events, users: Mask) -> tuple[str, ...]:
    return tuple(events.user_ids[place] for place in np.flatnonzero(users))


def _known(dataset: Dataset, events: Events, user: str, places: Rows, *, stated: bool) -> Profile:
    """Return what was known at sign-up with these events as history, and what they say as likes and dislikes."""
    names, rows = dataset.catalogue.ids, events.rows
    liked = [names[row] for row in rows[places[events.relevant[places]]]] if stated else []
    disliked = [names[row] for row in rows[places[events.disliked[places]]]] if stated else []
    return replace(
        dataset.signed_up(user),
        likes=liked,
        dislikes=[item for item in disliked if item not in set(liked)],
        history=tuple(dataset.interactions.take(events.source[places])),
    )


PROTOCOLS: Mapping[str, Callable[[Dataset, Events, int], Plan]] = {
    "system-cold": system_cold,
    "new-item": new_item,
    "candidates": candidates,
}


def prepare(dataset: Dataset, protocol: str, events: Events, *, max_users: int | None = None, seed: int = 0) -> Cases:
    """Return a protocol's cases on a data set.

    Args:
        dataset: What to ask about.
        protocol: One of ``PROTOCOLS``.
        events: The data set's interactions, sorted (see :meth:`Events.of`).
        max_users: Ask this many, drawn with the seed; all if None.
        seed: Fixes the split, the users drawn and the ties.

    Raises:
        EvaluationError: An unknown protocol, or one that the data has no users for.
    """
    if protocol not in PROTOCOLS:
        raise EvaluationError(f"unknown protocol {protocol!r}: expected one of {', '.join(PROTOCOLS)}")
    plan = PROTOCOLS[protocol](dataset, events, seed)
    if not plan.users:
        raise EvaluationError(
            f"{protocol} finds no users in {dataset.name}: {events.rows.size} interactions with known items, "
            f"{int(events.relevant.sum())} of them relevant; give more interactions, or set what is relevant"
        )
    learnt = np.zeros(len(dataset.interactions), dtype=np.bool_)
    learnt[events.source[plan.training]] = True
    return Cases(
        protocol=protocol,
        catalogue=dataset.catalogue,
        cases=tuple(plan.case(user) for user in sample(plan.users, max_users, seed=seed)),
        training=dataset.interactions.take(learnt),
        counts=plan.counts,
        oracle=plan.oracle,
        eligible=len(plan.users),
        seed=seed,
    )
