"""Databases of the tests' own: an SQLite file each, and one PostgreSQL server for all, where it is installed."""

from __future__ import annotations

import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from coldstart.service.storage import Storage, open_storage

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

from processes import Postgres, Running


@pytest.fixture(scope="session")
def postgres() -> Iterator[Callable[[], str]]:
    """From nothing to the URL of a fresh database of a PostgreSQL server."""
    try:
        server = Postgres()
    except FileNotFoundError:
        pytest.skip("POSTGRESQL ISN'T INSTALLED: nothing of the service is tested on it (apt install postgresql)")
    with server:
        yield lambda: server.fresh(f"t{uuid.uuid4().hex[:12]}")


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def running(request, tmp_path_factory, encoder_folder, language_model_folder) -> Iterator[Running]:
    """A service of the tiny models in processes of its own, which no test of the module may rely on to be running."""
    settings = {
        "data": str(tmp_path_factory.mktemp("data")),
        "database": None if request.param == "sqlite" else request.getfixturevalue("postgres")(),
        "encoder": str(encoder_folder()),
        "language_model": str(language_model_folder()),
    }
    with Running({name: value for name, value in settings.items() if value is not None}) as made:
        yield made


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)])
def url(request, tmp_path) -> str:
    """The URL of an empty database, of either kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'data' / 'coldstart.sqlite'}"
    return str(request.getfixturevalue("postgres")())


@pytest.fixture
def storage(url) -> Iterator[Storage]:
    """An empty database with one tenant, "shop"."""
    made = open_storage(url)
    made.create_tenant("shop", kind="tea")
    yield made
    made.engine.dispose()
