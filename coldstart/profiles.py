"""Files of users, read as profiles."""

from __future__ import annotations

import logging
import os

from coldstart import columns
from coldstart.entities import Profile
from coldstart.tables import Table, read_table, shown

log = logging.getLogger(__name__)


def read_profiles(path: str | os.PathLike[str], *, encoding: str | None = None) -> dict[str, Profile]:
    """Read a CSV, TSV, JSONL, Parquet or RecBole ``.user`` file, gzipped or not; a header alone gives none.

    The column ``text`` (or ``description``) becomes the text; ``likes``, ``dislikes`` and ``history`` are lists,
    written ``a|b`` or ``["a", "b"]``; all other columns are attributes, typed as a catalogue's are. Equal rows
    count once, and the others are logged.

    Returns:
        User id to profile, in the file's order. A user of whom nothing is known has an empty profile.

    Raises:
        CatalogueError: The file or a column can't be used, a row has no user id, or two rows differ about
            a user; the message says where.
    """
    table = read_table(path, encoding=encoding)
    user_column = columns.find(table, "user_id", also=("id",))
    if user_column is None:
        raise columns.missing_column(table, "user_id", ("id",))
    profiles: dict[str, Profile] = {}
    first: dict[str, int] = {}
    users = columns.ids(table, user_column)
    for row, (user, profile) in enumerate(zip(users, _profiles(table, user_column), strict=True)):
        if profiles.setdefault(user, profile) != profile:
            raise table.error(
                f"the user {shown(user)} is in {table.place(first[user])} and, with other content, in "
                f"{table.place(row)}: merge the rows"
            )
        first.setdefault(user, row)
    if len(profiles) < table.length:
        log.warning("%s: %d rows were repeated; each user counts once", table.source, table.length - len(profiles))
    return profiles


def _profiles(table: Table, user_column: str) -> list[Profile]:
    special = {meaning: columns.find(table, meaning) for meaning in ("text", "likes", "dislikes", "history")}
    text_column = special.pop("text")
    texts = [""] * table.length if text_column is None else columns.texts(table, text_column)
    listed = {
        meaning: [()] * table.length if name is None else columns.lists(table, name)
        for meaning, name in special.items()
    }
    taken = {user_column, text_column, *special.values()}
    attributes = {name: columns.values(table, name) for name in table.columns if name not in taken}
    return [
        Profile(
            text=texts[row],
            attributes={name: cells[row] for name, cells in attributes.items()},  # type: ignore[misc]
            likes=listed["likes"][row],
            dislikes=listed["dislikes"][row],
            history=listed["history"][row],
        )
        for row in range(table.length)
    ]
