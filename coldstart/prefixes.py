"""What a language model remembers of prompts: each is read once, and kept while there is room."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

Ids = tuple[int, ...]


@dataclass(eq=False)
class Prefix:
    """A prompt that was read.

    Attributes:
        ids: Its tokens.
        past: What attention needs of them, as the reader keeps it.
        state: What the model makes of the last token, as the reader keeps it.
        size: Bytes of both.
        known: What a reader works out of it only when it is needed.
    """

    ids: Ids
    past: Any
    state: Any
    size: int
    known: dict[str, Any] = field(default_factory=dict)


class Prefixes:
    """The most recently used prompts, up to a number of bytes.

    Args:
        room: Bytes. The last prompt stays whatever its size.
    """

    def __init__(self, room: int) -> None:
        self._room = room
        self._kept: OrderedDict[Ids, Prefix] = OrderedDict()
        self.size = 0

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, ids: Ids) -> Prefix | None:
        """Return a prompt that is kept."""
        found = self._kept.get(ids)
        if found is not None:
            self._kept.move_to_end(ids)
        return found

    def nearest(self, ids: Ids) -> tuple[Prefix | None, int]:
        """Return the prompt that begins like this one for longest, and for how many tokens."""
        best, length = None, 0
        for known, prefix in self._kept.items():
            alike = shared(known, ids)
            if alike > length:
                best, length = prefix, alike
        return best, length

    def keep(self, prefix: Prefix) -> None:
        """Keep a prompt, and drop those that were used least recently where there is no room."""
        self._drop(prefix.ids)
        self._kept[prefix.ids] = prefix
        self.size += prefix.size
        while self.size > self._room and len(self._kept) > 1:
            self._drop(next(iter(self._kept)))

    def clear(self) -> None:
        """Forget all."""
        self._kept.clear()
        self.size = 0

    def _drop(self, ids: Ids) -> None:
        if ids in self._kept:
            self.size -= self._kept.pop(ids).size


def shared(one: Sequence[int], other: Sequence[int]) -> int:
    """Return with how many equal tokens two texts begin.

    >>> shared([1, 2, 3], [1, 2, 4, 5])
    2
    """
    for place, (a, b) in enumerate(zip(one, other, strict=False)):
        if a != b:
            return place
    return min(len(one), len(other))
