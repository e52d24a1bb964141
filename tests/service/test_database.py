"""Laws of the tables: up and down, like the migrations say, refused when newer."""

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext

from coldstart.service import database
from coldstart.service.database import DatabaseError, connect, migrate


@pytest.fixture
def engine(url):
    made = connect(url)
    yield made
    made.dispose()


def names(engine):
    return set(sa.inspect(engine).get_table_names()) - {"alembic_version"}


def test_migrations_make_the_tables_that_the_code_names(engine):
    migrate(engine)
    assert names(engine) == set(database.metadata.tables)
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), database.metadata) == []


def test_migrating_down_drops_all_and_up_again_works(engine):
    migrate(engine)
    migrate(engine, "base")
    assert names(engine) == set()
    migrate(engine)
    assert names(engine) == set(database.metadata.tables)


def test_migrating_again_keeps_what_is_there(engine):
    migrate(engine)
    with engine.connect().execution_options(writes=True) as connection, connection.begin():
        connection.execute(sa.insert(database.tenants).values(id="shop", kind="tea", created=1.0))
    migrate(engine)
    with engine.connect() as connection:
        assert connection.execute(sa.select(database.tenants.c.id)).scalars().all() == ["shop"]


def test_tables_of_a_newer_version_are_refused(engine):
    migrate(engine)
    with engine.connect().execution_options(writes=True) as connection, connection.begin():
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(DatabaseError, match=r"revision 9999.*upgrade"):
        migrate(engine)


@pytest.mark.parametrize("url", ["mysql://here/there", "nonsense", "sqlite:////proc/nowhere/at/all.sqlite"])
def test_a_database_that_cant_be_opened_is_named(url):
    with pytest.raises(DatabaseError, match="database"):
        migrate(connect(url))


def test_sqlite_syncs_every_commit(tmp_path):
    engine = connect(f"sqlite:///{tmp_path / 'a.sqlite'}")
    with engine.connect() as connection:
        pragmas = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in ("journal_mode", "synchronous")
        }
    engine.dispose()
    assert pragmas == {"journal_mode": "wal", "synchronous": 2}
