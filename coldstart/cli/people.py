"""Who asks: a profile and its circumstances, from options and from a file of users."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from coldstart.cli.options import FILE, Command
from coldstart.errors import ProfileError

if TYPE_CHECKING:
    from coldstart.entities import Context, Profile


def profile_options(command: Command) -> Command:
    """Add the options that say who asks."""
    for option in (
        click.option(
            "--context", multiple=True, metavar="NAME=VALUE", help="A circumstance of the request: time=evening."
        ),
        click.option("--user", help="Whom to take from --users."),
        click.option("--users", type=FILE, help="A file of users."),
        click.option("--history", multiple=True, metavar="ID", help="A past item, oldest first."),
        click.option("--dislike", multiple=True, metavar="ID|WORDS", help="A disliked item or thing."),
        click.option("--like", multiple=True, metavar="ID|WORDS", help="A liked item, by id or title, or a phrase."),
        click.option("--attribute", "-a", multiple=True, metavar="NAME=VALUE", help="A field of the sign-up: age=34."),
        click.option("--text", default="", help="What the person says, in their own words."),
    ):
        command = option(command)
    return command


def profile_of(
    *,
    text: str,
    attribute: Sequence[str],
    like: Sequence[str],
    dislike: Sequence[str],
    history: Sequence[str],
    users: Path | None,
    user: str | None,
    context: Sequence[str],
    encoding: str | None,
) -> tuple[Profile, Context | None]:
    """Return who the values of :func:`profile_options` say asks; what is typed comes on top of what a file says."""
    from coldstart.catalogue import read_profiles
    from coldstart.entities import Context, Profile

    if (users is None) != (user is None):
        raise click.UsageError("--users FILE and --user ID belong together: give both")
    known = Profile()
    if users is not None:
        found = read_profiles(users, encoding=encoding)
        if user not in found:
            raise ProfileError(
                f"{users} has no user {user!r}: it holds {len(found)}, such as {next(iter(found), '-')!r}"
            )
        known = found[user]
    profile = Profile(
        text=" ".join(filter(None, (known.text, text))),
        attributes={**known.attributes, **pairs(attribute, "--attribute")},
        likes=[*known.likes, *like],
        dislikes=[*known.dislikes, *dislike],
        history=[*known.history, *history],
    )
    return profile, Context(pairs(context, "--context")) if context else None


def pairs(given: Sequence[str], option: str) -> dict[str, Any]:
    """Return ``NAME=VALUE`` texts as a mapping, numbers as numbers."""
    found = {}
    for text in given:
        name, sign, value = text.partition("=")
        if not sign or not name.strip():
            raise click.BadParameter(f"{text!r}: expected NAME=VALUE", param_hint=option)
        found[name.strip()] = _number(value)
    return found


def conditions(given: Sequence[str], option: str) -> dict[str, Any]:
    """Return ``NAME=VALUE`` texts and JSON objects as conditions on fields."""
    found: dict[str, Any] = {}
    for text in given:
        if text.lstrip().startswith("{"):
            try:
                found.update(json.loads(text))
            except ValueError as problem:
                raise click.BadParameter(f"{text!r} isn't JSON: {problem}", param_hint=option) from problem
        else:
            found.update(pairs([text], option))
    return found


def _number(text: str) -> Any:
    try:
        return int(text) if text.strip().lstrip("-").isdigit() and not text.startswith("0") else float(text)
    except ValueError:
        return text
