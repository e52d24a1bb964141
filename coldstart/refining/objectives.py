"""What a language model's adapter learns by: each answer alone, or in which order one person's answers stand.

``answers`` is the cross-entropy of each yes and no: it moves the level of the log-odds as well. ``pairs`` is the
cross-entropy of the order of each yes and no of one person (RankNet: Burges et al., "Learning to rank using gradient
descent", ICML 2005), ``lists`` that of picking a person's yes among all that was asked of them (the softmax loss of
ListNet: Cao et al., "Learning to rank: from pairwise approach to listwise approach", ICML 2007); with several, each yes
stands against the person's no alone. Both leave the level where it is, and what a person says yes to always.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from coldstart.errors import AdapterError
from coldstart.refining.questions import Question

Objective = Literal["answers", "pairs", "lists"]
"""By what it learns."""

OTHERS: dict[Objective, int] = {"answers": 1, "pairs": 1, "lists": 7}
"""How many items that a user doesn't like are asked of beside one that they do, where interactions are learned from."""

LONGEST = 16
"""So many questions of one person stand together at most."""


def checked(objective: str) -> Objective:
    """Return an objective's name.

    Raises:
        AdapterError: It is none.
    """
    for one in get_args(Objective):
        if objective == one:
            return one  # type: ignore[no-any-return]
    raise AdapterError(f"objective {objective!r}: expected one of {', '.join(get_args(Objective))}")


def grouped(questions: Sequence[Question], objective: Objective) -> list[list[int]]:
    """Return the places of the questions that stand together in a loss.

    Those are together that were asked of the same person, who had said the same; where order is learned, people who
    said nothing but yes, or nothing but no, are left out.
    """
    if objective == "answers":
        alike: dict[tuple[str, str], list[int]] = {}
        for place, one in enumerate(questions):
            alike.setdefault((one.owner, one.prompt), []).append(place)
        return [group[start : start + LONGEST] for group in alike.values() for start in range(0, len(group), LONGEST)]
    of: dict[tuple[str, str], tuple[list[int], list[int]]] = {}
    for place, one in enumerate(questions):
        of.setdefault((one.owner, one.prompt), ([], []))[one.liked].append(place)
    groups = []
    for no, yes in of.values():
        parts = min(-(-(len(yes) + len(no)) // LONGEST), len(yes), len(no))
        for part in range(parts):
            likes, others = yes[part::parts], no[part::parts]
            room = max(LONGEST // 2, LONGEST - len(likes))
            groups.append([*likes[: LONGEST - min(len(others), room)], *others[:room]])
    return groups


def loss(objective: Objective) -> Callable[[Tensor, Tensor], Tensor]:
    """Return a group's loss, from its scores and which of them are yes. Shapes: ``(questions,)`` each to ``()``."""
    return {"answers": _of_answers, "pairs": _of_pairs, "lists": _of_lists}[objective]


def _of_answers(scores: Tensor, liked: Tensor) -> Tensor:
    return functional.binary_cross_entropy_with_logits(scores, liked.to(scores.dtype))


def _of_pairs(scores: Tensor, liked: Tensor) -> Tensor:
    return functional.softplus(scores[~liked][None] - scores[liked][:, None]).mean()


def _of_lists(scores: Tensor, liked: Tensor) -> Tensor:
    yes = scores[liked]
    others = torch.logsumexp(scores[~liked], dim=0)
    return (torch.logaddexp(yes, others) - yes).mean()


def in_order(scores: Sequence[NDArray[np.float64]], liked: Sequence[NDArray[np.bool_]]) -> NDArray[np.float64]:
    """Return for each group of one person's questions what share of its yes and no stand in the right order (GAUC)."""
    found = []
    for mine, yes in zip(scores, liked, strict=True):
        apart = mine[yes][:, None] - mine[~yes][None]
        found.append(float(((apart > 0) + 0.5 * (apart == 0)).mean()))
    return np.array(found)
