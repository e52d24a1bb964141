"""Backup and restore: all rows of a database as JSON lines, keys as digests, to read into an empty one."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Iterator
from typing import Any

import sqlalchemy as sa

from coldstart.errors import ColdstartError
from coldstart.service import database
from coldstart.service.storage import Storage

FORMAT = 1

_TABLES = tuple(
    database.metadata.tables[name] for name in ("tenants", "keys", "items", "users", "events", "recommendations")
)
_BATCH = 1000


class BadBackup(ColdstartError):
    """A backup that can't be read, or a database that it can't be read into."""


def exported(storage: Storage) -> Iterator[str]:
    """Return a database as lines, as it is at one moment; the service may go on meanwhile."""
    options = {} if storage.engine.dialect.name == "sqlite" else {"isolation_level": "REPEATABLE READ"}
    with storage.engine.connect().execution_options(**options) as connection, connection.begin():
        yield json.dumps({"coldstart": "export", "format": FORMAT, "revision": database.HEAD}) + "\n"
        for table in _TABLES:
            order = [table.c.number] if table.name == "events" else list(table.primary_key)
            rows = connection.execute(sa.select(table).order_by(*order).execution_options(yield_per=_BATCH))
            for row in rows.mappings():
                kept = {name: _plain(value) for name, value in row.items() if name != "number"}
                yield json.dumps({"table": table.name, "row": kept}, ensure_ascii=False) + "\n"


def imported(storage: Storage, lines: Iterable[str]) -> dict[str, int]:
    """Read a backup into an empty database, all or nothing; return how many rows of each table it held.

    Raises:
        BadBackup: It isn't a whole backup, is of a newer format, or the database isn't empty.
    """
    counts = {table.name: 0 for table in _TABLES}
    tables = {table.name: table for table in _TABLES}
    with storage.write() as connection:
        for table in _TABLES:
            if connection.execute(sa.select(sa.literal(1)).select_from(table).limit(1)).first():
                raise BadBackup(f"the database holds {table.name} already: import into an empty one")
        batch: list[dict[str, Any]] = []
        current: sa.Table | None = None
        number = 0
        for number, line in enumerate(lines, 1):
            found = _parsed(line, number)
            if number == 1:
                _check_head(found)
                continue
            name, row = found.get("table"), found.get("row")
            if name not in tables or not isinstance(row, dict):
                raise BadBackup(f"line {number} holds no row of a known table: expected what `coldstart export` wrote")
            if row.keys() != {column.name for column in tables[name].c} - {"number"}:
                raise BadBackup(f"line {number} holds a row of {name} with other columns: the backup is damaged")
            if tables[name] is not current or len(batch) == _BATCH:
                _insert(connection, current, batch, number)
                current, batch = tables[name], []
            batch.append({column: _bytes(value, current.c.get(column)) for column, value in row.items()})
            counts[name] += 1
        if number == 0:
            raise BadBackup("the backup is empty: expected what `coldstart export` wrote")
        _insert(connection, current, batch, -1)
    return counts


def _insert(connection: sa.Connection, table: sa.Table | None, rows: list[dict[str, Any]], number: int) -> None:
    if table is None or not rows:
        return
    try:
        connection.execute(sa.insert(table), rows)
    except (sa.exc.SQLAlchemyError, ValueError, TypeError) as problem:
        raise BadBackup(
            f"rows of {table.name} before line {number} can't be kept ({type(problem).__name__}): the backup is damaged"
        ) from problem


def _parsed(line: str, number: int) -> dict[str, Any]:
    try:
        found = json.loads(line)
    except ValueError as problem:
        raise BadBackup(f"line {number} isn't JSON ({problem}): the backup is damaged or cut off") from problem
    if not isinstance(found, dict):
        raise BadBackup(f"line {number} isn't an object: expected what `coldstart export` wrote")
    return found


def _check_head(found: dict[str, Any]) -> None:
    if found.get("coldstart") != "export" or not isinstance(found.get("format"), int):
        raise BadBackup("the file doesn't begin like a backup: expected what `coldstart export` wrote")
    if found["format"] > FORMAT:
        raise BadBackup(f"the backup has format {found['format']}, but this version reads up to {FORMAT}: upgrade")


def _plain(value: Any) -> Any:
    return {"base64": base64.b64encode(value).decode()} if isinstance(value, (bytes, memoryview)) else value


def _bytes(value: Any, column: Any) -> Any:
    if column is not None and isinstance(column.type, sa.LargeBinary) and isinstance(value, dict):
        return base64.b64decode(value["base64"])
    return value
