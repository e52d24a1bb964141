"""Swapping adapters of a running service while threads ask it, and telling whether any answer mixes two of them."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from coldstart.client import Client, ServiceError, Suggestions
from coldstart.encoding import Encoder
from coldstart.entities import Item, Profile
from coldstart.models import DEFAULT_ENCODER, resolve
from coldstart.refining import lora, registry
from coldstart.refining.lora import Adapter, Shape
from processes import Running

THREADS = 8
CLOSE = 1e-3
"""Scores that differ by less are the same: requests that are read together are padded to other lengths."""

_SAYINGS = ("a bold red for steak", "crisp white, fish", "something sweet", "sparkling for a party", "oak and spice")


@dataclass
class Swapped:
    """What came of it.

    Attributes:
        asked: How many lists were asked for.
        swaps: How often an adapter was put to use meanwhile.
        seen: How many adapters, none being one, lists were of.
        mixed: How many lists weren't what the adapter that they name gives.
        problems: What went wrong, in words.
    """

    asked: int
    swaps: int = 0
    seen: int = 0
    mixed: int = 0
    problems: list[str] = field(default_factory=list)


def swapped_under(running: Running, items: Sequence[Item], *, asked: int, seed: int) -> Swapped:
    """Ask a service from eight threads while two adapters and none are swapped; compare each list with a quiet one.

    Args:
        running: A service that hasn't started, of the default encoder.
        items: What it is to rank.
        asked: How many lists to ask for.
        seed: Of the adapters, which change the encoder by chance, and much.
    """
    found, stop = Swapped(asked), threading.Event()
    running.start()
    with running.client(timeout=300) as client:
        client.put_items(items)
    running.stop()  # which keeps the index that adapters lie beside
    running.start()
    encoder, folder = Encoder.load(resolve(DEFAULT_ENCODER)), _index(running.folder)
    versions = [registry.keep(folder, _by_chance(encoder, seed + place)).version for place in range(2)]
    expected: dict[tuple[str | None, int], list[tuple[str, float]]] = {}
    with running.client(timeout=300) as client:
        for version in (None, *versions):
            if version:
                client.promote(version)
            for who in range(len(_SAYINGS)):
                expected[version, who] = _told(_list(client, who))
    seen: set[str | None] = set()

    def swap() -> None:
        with running.client(timeout=300, retries=0) as client:
            while not stop.is_set():
                try:
                    client.promote(versions[found.swaps % 2])
                    found.swaps += 1
                    if found.swaps % 4 == 3:
                        client.roll_back()
                except ServiceError as problem:  # noqa: PERF203 - the next swap is tried all the same
                    found.problems.append(str(problem))

    def ask(first: int) -> None:
        with running.client(timeout=300, retries=0) as client:
            for number in range(first, asked, THREADS):
                who = number % len(_SAYINGS)
                try:
                    answer = _list(client, who)
                except ServiceError as problem:
                    found.problems.append(str(problem))
                    continue
                seen.add(answer.adapter)
                if not _same(_told(answer), expected[answer.adapter, who]):
                    found.mixed += 1

    threads = [threading.Thread(target=ask, args=(first,)) for first in range(THREADS)]
    swapping = threading.Thread(target=swap)
    for thread in (*threads, swapping):
        thread.start()
    for thread in threads:
        thread.join()
    stop.set()
    swapping.join()
    found.seen = len(seen)
    return found


def _index(folder: Path) -> Path:
    (found,) = (path.parent for path in (folder / "indexes").glob("*/manifest.json"))
    return found


def _by_chance(encoder: Encoder, seed: int) -> Adapter:
    import torch

    _, wrapped = lora.attached(encoder, Shape(rank=8), seed=seed)
    chance = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, part in wrapped.named_parameters():
            if "lora_B" in name:
                part.copy_(0.1 * torch.randn(part.shape, generator=chance))
    return lora.taken(wrapped, base=encoder.hash)


def _list(client: Client, who: int) -> Suggestions:
    return client.recommend(Profile(text=_SAYINGS[who]), k=20)


def _told(answer: Suggestions) -> list[tuple[str, float]]:
    return sorted((one.id, one.score) for one in answer)


def _same(one: Sequence[tuple[str, float]], other: Sequence[tuple[str, float]]) -> bool:
    """Whether two lists hold the same items at the same scores, but for ties at the lower end."""
    known = dict(other)
    lowest = min((score for _, score in other), default=0.0)
    return all(abs(known.get(id_, lowest) - score) < CLOSE for id_, score in one) and len(one) == len(other)
