"""What a user would pick instead of this engine: peers, each tuned on validation users and put beside it.

To add one, write a class with the four parts of :class:`Peer` and name it in ``PEERS``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from coldstart.errors import EvaluationError
from coldstart.evaluation import Cases, System, evaluate
from coldstart.evaluation.metrics import ndcg
from coldstart.evaluation.splits import sample
from coldstart.evaluation.systems import Scores
from peers.ease import Ease
from peers.evidence import Scorer
from peers.factors import Als, Bpr
from peers.hybrid import LightFm
from peers.neighbours import AttributeNeighbours, ItemNeighbours
from peers.popularity import DemographicPopularity
from peers.reranking import NUMBERED_LIST, YES_OR_NO
from peers.ridge import TextRidge
from peers.semantic import SemanticSearch
from peers.words import Bm25, TfIdf

__all__ = ["PEERS", "RERANKERS", "NotApplicable", "Peer", "TunedSystem", "as_system"]

VALIDATION_USERS = 300
"""How many users of the rehearsal a setting is tried on."""


class NotApplicable(EvaluationError):
    """A peer was asked what it has nothing to answer from."""


class Peer(Protocol):
    """Something that learns from a protocol's cases and scores them; it never looks at what is relevant."""

    @property
    def name(self) -> str:
        """What the report calls it."""
        ...

    @property
    def grid(self) -> Sequence[Mapping[str, Any]]:
        """The settings to choose among; the first stands where nothing can be tuned on."""
        ...

    def lacks(self, cases: Cases) -> str:
        """Return what it lacks to take part, in words; empty for nothing."""
        ...

    def fit(self, cases: Cases, *args: Any, **setting: Any) -> Scorer:
        """Learn from what may be learned from, and return a function from a case to its scores."""
        ...


@dataclass(frozen=True, slots=True)
class TunedSystem(System):
    """A system that chooses its setting when it is asked.

    Attributes:
        chosen: The setting of the cases it was asked last; empty before.
    """

    chosen: dict[str, Any] = field(default_factory=dict)


def as_system(peer: Peer, *, validation_users: int = VALIDATION_USERS) -> TunedSystem:
    """Return a peer as a system: it is tuned on ``cases.rehearsal``, fitted on the cases, and scores them.

    The setting of the best mean NDCG@10 over the rehearsal's users is taken, the first of equals; the first of the
    grid without a rehearsal, or where the peer can't take part in it.

    Args:
        peer: One of ``PEERS``, or of your own.
        validation_users: Tune on at most this many users, drawn with the cases' seed.

    Raises:
        NotApplicable: Once it is asked, if :meth:`Peer.lacks` says that something is missing; ask that first.
    """
    chosen: dict[str, Any] = {}

    def scores(cases: Cases) -> Iterator[Scores | None]:
        if why := peer.lacks(cases):
            raise NotApplicable(f"{peer.name} can't take part in {cases.protocol}: {why}; leave it out")
        setting = tuned(peer, cases.rehearsal, validation_users=validation_users)
        chosen.clear()
        chosen.update(setting)
        return map(peer.fit(cases, **setting), cases)

    return TunedSystem(peer.name, scores, chosen=chosen)


def tuned(peer: Peer, rehearsal: Cases | None, *, validation_users: int = VALIDATION_USERS) -> Mapping[str, Any]:
    """Return the setting that does best on a rehearsal. See :func:`as_system`."""
    if rehearsal is None or len(peer.grid) == 1 or peer.lacks(rehearsal):
        return peer.grid[0]
    kept = set(sample([case.user for case in rehearsal], validation_users, seed=rehearsal.seed))
    asked = replace(rehearsal, cases=tuple(case for case in rehearsal if case.user in kept))

    def quality(setting: Mapping[str, Any]) -> float:
        fitted = peer.fit(rehearsal, **setting)
        system = System(peer.name, lambda cases: map(fitted, cases))
        measure = ndcg @ 10
        return float(evaluate(asked, system, [measure])[str(measure)].mean())

    return max(peer.grid, key=quality)


PEERS: tuple[Peer, ...] = (
    DemographicPopularity(),
    ItemNeighbours(),
    Ease(),
    Als(),
    Bpr(),
    LightFm(),
    AttributeNeighbours(),
    TfIdf(),
    Bm25(),
    SemanticSearch(),
    TextRidge(),
)
"""In the order of a report."""

RERANKERS: tuple[Peer, ...] = (YES_OR_NO, NUMBERED_LIST)
"""Language models as people prompt them: half a minute a user, so that only few can be asked."""
