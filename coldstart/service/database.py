"""The database: its tables, how it is opened, and its migrations. SQLite by default, PostgreSQL by URL."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy.exc import SQLAlchemyError

from coldstart.errors import ColdstartError

HEAD = "0002"
"""The revision that this version's tables are of."""

_LOCK = 0x636F6C64  # PostgreSQL's advisory lock while migrating
_BUSY = 30.0  # seconds that SQLite waits for another process's write

metadata = sa.MetaData()


def _tenant(**options: Any) -> sa.Column[str]:
    return sa.Column("tenant", sa.Text, sa.ForeignKey("tenants.id", ondelete="CASCADE"), **options)


tenants = sa.Table(
    "tenants",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("adapter", sa.Text),
    sa.Column("created", sa.Float, nullable=False),
)
keys = sa.Table(
    "keys",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    _tenant(nullable=False),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("salt", sa.LargeBinary, nullable=False),
    sa.Column("digest", sa.LargeBinary, nullable=False),
    sa.Column("scopes", sa.Text, nullable=False),
    sa.Column("created", sa.Float, nullable=False),
    sa.Column("revoked", sa.Float),
)
items = sa.Table(
    "items",
    metadata,
    _tenant(primary_key=True),
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("title", sa.Text, nullable=False),
    sa.Column("attributes", sa.Text, nullable=False),
    sa.Column("created", sa.Float, nullable=False),
    sa.Column("updated", sa.Float, nullable=False),
)
users = sa.Table(
    "users",
    metadata,
    _tenant(primary_key=True),
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("profile", sa.Text, nullable=False),
    sa.Column("updated", sa.Float, nullable=False),
)
events = sa.Table(
    "events",
    metadata,
    sa.Column("number", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=True),
    _tenant(nullable=False),
    sa.Column("event_id", sa.Text, nullable=False),
    sa.Column("user", sa.Text, nullable=False),
    sa.Column("item", sa.Text, nullable=False),
    sa.Column("event_type", sa.Text, nullable=False),
    sa.Column("value", sa.Float),
    sa.Column("timestamp", sa.Float, nullable=False),
    sa.Column("received", sa.Float, nullable=False),
    sa.Column("recommendation", sa.Text),
    sa.UniqueConstraint("tenant", "event_id", name="events_once"),
    sa.Index("events_of_user", "tenant", "user", "number"),
)
recommendations = sa.Table(
    "recommendations",
    metadata,
    _tenant(primary_key=True),
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("user", sa.Text),
    sa.Column("created", sa.Float, nullable=False),
    sa.Column("shown", sa.Integer, nullable=False),
    sa.Column("ranked", sa.Text, nullable=False),
    sa.Column("about", sa.Text, nullable=False),
    sa.Index("recommendations_of_user", "tenant", "user"),
    sa.Index("recommendations_by_age", "tenant", "created"),
)
sessions = sa.Table(
    "sessions",
    metadata,
    _tenant(primary_key=True),
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("dialogue", sa.Text, nullable=False),
    sa.Column("expires", sa.Float, nullable=False),
    sa.Index("sessions_by_age", "expires"),
)


class DatabaseError(ColdstartError):
    """A database that can't be reached, or whose tables aren't of this version."""


def connect(url: str) -> sa.Engine:
    """Open a database without touching its tables.

    SQLite writes ahead and syncs at every commit, so that what was committed survives a crash and a power cut.

    Args:
        url: ``sqlite:///FILE`` or ``postgresql://USER@HOST/NAME``.

    Raises:
        DatabaseError: A URL of another kind, or no driver for it.
    """
    try:
        parsed = sa.make_url(url)
        kind = parsed.get_backend_name()
        if kind == "sqlite":
            if parsed.database:
                Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
            engine = sa.create_engine(url, connect_args={"timeout": _BUSY, "check_same_thread": False})
            sa.event.listen(engine, "connect", _prepare_sqlite)
            sa.event.listen(engine, "begin", _begin_sqlite)
            return engine
        if kind == "postgresql":
            return sa.create_engine(parsed.set(drivername="postgresql+psycopg"), pool_pre_ping=True, pool_size=8)
    except (SQLAlchemyError, OSError) as problem:
        raise DatabaseError(f"the database can't be opened ({problem}): check its URL and folder") from problem
    except ModuleNotFoundError as problem:
        raise DatabaseError("PostgreSQL needs its driver: pip install 'coldstart[postgres]'") from problem
    raise DatabaseError(
        f"the database's URL begins with {kind!r}: expected sqlite:///FILE or postgresql://USER@HOST/NAME"
    )


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # the driver begins no transactions: see _begin_sqlite
    cursor = connection.cursor()
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "secure_delete=ON"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin_sqlite(connection: sa.Connection) -> None:
    # A transaction that reads first and then writes can fail where another wrote in between; this one waits.
    mode = "IMMEDIATE" if connection.get_execution_options().get("writes") else "DEFERRED"
    connection.exec_driver_sql(f"BEGIN {mode}")


def _config(connection: sa.Connection) -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["connection"] = connection
    return config


def migrate(engine: sa.Engine, revision: str = HEAD) -> None:
    """Bring the tables to a revision, up or down ("base" drops them); what is there already stays.

    Raises:
        DatabaseError: It can't be reached, or its tables are of a newer version.
    """
    try:
        with engine.connect().execution_options(writes=True) as connection, connection.begin():
            if connection.dialect.name == "postgresql":
                connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))
            config = _config(connection)
            current = MigrationContext.configure(connection).get_current_revision()
            known = [script.revision for script in ScriptDirectory.from_config(config).walk_revisions()]  # newest first
            if current is not None and current not in known:
                raise DatabaseError(
                    f"the database's tables are of revision {current}, but this version knows up to {known[0]}: upgrade"
                )
            wanted = len(known) if revision == "base" else known.index(revision)
            here = len(known) if current is None else known.index(current)
            if wanted < here:
                command.upgrade(config, revision)
            elif wanted > here:
                command.downgrade(config, revision)
    except (SQLAlchemyError, OSError) as problem:
        raise DatabaseError(f"the database can't be used ({type(problem).__name__}): {problem}") from problem
