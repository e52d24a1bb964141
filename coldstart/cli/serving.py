"""``coldstart serve`` and what goes with it: tenants, keys, backup and restore."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO, TypeVar

import click

from coldstart.cli.options import (
    FILE,
    FOLDER,
    as_json,
    encoding_option,
    kind_option,
    meanings_option,
    prompts_option,
    read_meanings,
)
from coldstart.errors import ColdstartError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from coldstart.service.settings import Settings
    from coldstart.service.storage import Storage

Command = TypeVar("Command", bound=Callable[..., Any])

DEFAULT = "default"
"""The tenant of a service that needs but one."""


class MissingExtra(ColdstartError):
    """What serves isn't installed."""


def place_options(command: Command) -> Command:
    """Add the options that say where the rows are."""
    for option in (
        click.option("--config", type=FILE, help="A TOML file of settings."),
        click.option("--database", help="URL: postgresql://USER@HOST/NAME; a file in the data folder if left out."),
        click.option("--data", type=FOLDER, help="Folder of the database and the indexes  [default: coldstart-data]"),
    ):
        command = option(command)
    return command


def _settings(config: Path | None, **given: Any) -> Settings:
    try:
        from coldstart.service.settings import Settings
    except ModuleNotFoundError as problem:
        raise MissingExtra(
            f"the service needs {problem.name!r}, which isn't installed: pip install 'coldstart[service]'"
        ) from problem
    return Settings.read(config, **given)


@contextmanager
def _storage(**place: Any) -> Iterator[Storage]:
    settings = _settings(**place)
    from coldstart.service.storage import open_storage

    storage = open_storage(settings.url)
    try:
        yield storage
    finally:
        storage.engine.dispose()


@click.command()
@place_options
@click.option("--items", "files", multiple=True, type=FILE, help="A catalogue to begin with; may be repeated.")
@kind_option
@encoding_option
@click.option("--host", help="Address to listen on  [default: 127.0.0.1]")
@click.option("--port", type=click.IntRange(0, 65535), help="Port to listen on, 0 for a free one  [default: 8000]")
@click.option("--page", help="Whose onboarding page is at /; empty for none  [default: ours, on a loopback address]")
@click.option("--encoder", help="The bi-encoder: name, folder, hub id or pypi:package==version.")
@click.option("--language-model", help="The same, for the language model; empty for none.")
@meanings_option
@prompts_option
def serve(
    files: tuple[Path, ...],
    kind: str | None,
    encoding: str | None,
    meanings: tuple[str, ...],
    prompts: tuple[Path, ...],
    **given: Any,
) -> None:
    """Answer over HTTP: lists for new sign-ups, items and events that count at once. The first start prints a key."""
    settings = _settings(prompts=prompts or None, meanings=read_meanings(meanings) or None, **given)
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # threads that spin take the cores from those that work
    from coldstart.service import serving
    from coldstart.service.keys import Keys
    from coldstart.service.storage import open_storage

    with serving.locked(settings.data):
        storage = open_storage(settings.url)
        if not storage.tenants():
            storage.create_tenant(DEFAULT, kind=kind or "item")
            _, text = Keys(storage).create(DEFAULT, name="first", scopes=("read", "write", "admin"))
            click.echo(f"key (shown once): {text}")
        if files:
            _load(storage, files, kind, encoding)
        serving.log_as_json()
        serving.serve(settings, storage, serving.engine_of(settings))


def _load(storage: Storage, files: tuple[Path, ...], kind: str | None, encoding: str | None) -> None:
    """Put the items of files into the default tenant."""
    from coldstart.catalogue import Catalogue

    storage.tenant(DEFAULT)
    for file in files:
        catalogue = Catalogue.read(file, kind=kind, encoding=encoding)
        if not storage.items(DEFAULT):
            storage.set_kind(DEFAULT, catalogue.kind)
        created, replaced = storage.put_items(DEFAULT, catalogue.items)
        click.echo(f"{file}: {created} new items, {replaced} known ones")


@click.group()
def tenants() -> None:
    """Tenants of a service: each has its own items, users, events and keys."""


@tenants.command("create")
@click.argument("name")
@kind_option
@place_options
def create_tenant(name: str, kind: str | None, **place: Any) -> None:
    """Create a tenant."""
    with _storage(**place) as storage:
        if not name.strip() or not name.isprintable() or len(name) > 100:
            raise click.UsageError(f"{name!r} can't name a tenant: expected at most 100 printable characters")
        created = storage.create_tenant(name, kind=kind or "item")
        click.echo(f"{name}: {'created' if created else 'was there already'}")


@tenants.command("list")
@as_json
@place_options
def list_tenants(as_json: bool, **place: Any) -> None:
    """Show the tenants."""
    from coldstart.terminal import console, print_json, rows_table

    with _storage(**place) as storage:
        found = [
            {"name": row["id"], "kind": row["kind"], "created": _when(row["created"])} for row in storage.tenants()
        ]
    if as_json:
        print_json({"tenants": found})
        return
    console().print(rows_table([["name", "kind", "created"], *(list(row.values()) for row in found)]))


@click.group()
def keys() -> None:
    """Keys of a service: shown once, kept as digests."""


@keys.command("create")
@click.option("--tenant", default=DEFAULT, show_default=True, help="Whose rows it opens.")
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    type=click.Choice(["read", "write", "admin"]),
    help="What it may do; may be repeated.  [default: read and write]",
)
@click.option("--name", default="", help="What it is for.")
@place_options
def create_key(tenant: str, scopes: tuple[str, ...], name: str, **place: Any) -> None:
    """Make a key and print it; it can't be shown again."""
    with _storage(**place) as storage:
        from coldstart.service.keys import Keys

        _, text = Keys(storage).create(tenant, name=name, scopes=scopes or ("read", "write"))
        click.echo(text)


@keys.command("list")
@click.option("--tenant", help="Only this one's.")
@as_json
@place_options
def list_keys(tenant: str | None, as_json: bool, **place: Any) -> None:
    """Show the keys, without their secrets."""
    from coldstart.terminal import console, print_json, rows_table

    with _storage(**place) as storage:
        from coldstart.service.keys import Keys

        found = [
            {
                "id": key.id,
                "tenant": key.tenant,
                "name": key.name,
                "scopes": " ".join(key.scopes),
                "created": _when(key.created),
                "revoked": "" if key.revoked is None else _when(key.revoked),
            }
            for key in Keys(storage).all(tenant)
        ]
    if as_json:
        print_json({"keys": found})
        return
    console().print(
        rows_table([["id", "tenant", "name", "scopes", "created", "revoked"], *(list(row.values()) for row in found)])
    )


@keys.command("revoke")
@click.argument("key_id", metavar="ID")
@place_options
def revoke_key(key_id: str, **place: Any) -> None:
    """Refuse a key; a running service does within five seconds."""
    with _storage(**place) as storage:
        from coldstart.service.keys import Keys

        key = Keys(storage).revoke(key_id)
        click.echo(f"{key.id}: revoked")


@click.command("export")
@click.option("--out", type=click.File("w", encoding="utf-8", lazy=True), default="-", help="A file; else the output.")
@place_options
def export(out: TextIO, **place: Any) -> None:
    """Write all rows of a service as JSON lines; it may go on running."""
    with _storage(**place) as storage:
        from coldstart.service.backup import exported

        for line in exported(storage):
            out.write(line)


@click.command("import")
@click.argument("file", type=click.File("r", encoding="utf-8"))
@place_options
def restore(file: TextIO, **place: Any) -> None:
    """Read what `coldstart export` wrote into an empty database."""
    with _storage(**place) as storage:
        from coldstart.service.backup import imported

        counts = imported(storage, file)
    click.echo(", ".join(f"{count} {name}" for name, count in counts.items()))


def _when(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(seconds))
