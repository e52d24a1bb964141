"""Databases of the tests' own: an SQLite file each, and one PostgreSQL server for all, where it is installed."""

from __future__ import annotations

import os
import shutil
import subprocess
import uuid
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from coldstart.service.storage import Storage, open_storage

_PLACES = (*sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True), Path("/usr/local/bin"), Path("/usr/bin"))


def _program(name: str) -> str | None:
    return next((str(place / name) for place in _PLACES if (place / name).exists()), shutil.which(name))


@pytest.fixture(scope="session")
def postgres() -> Iterator[Callable[[], str]]:
    """From nothing to the URL of a fresh database of a PostgreSQL server that listens on a socket only."""
    initdb, server, createdb = _program("initdb"), _program("postgres"), _program("createdb")
    if not (initdb and server and createdb):
        pytest.skip("POSTGRESQL ISN'T INSTALLED: nothing of the service is tested on it (apt install postgresql)")
    folder = Path("/tmp") / f"coldstart-postgres-{uuid.uuid4().hex[:8]}"  # noqa: S108 - a socket's path must be short
    folder.mkdir(mode=0o700)
    user: dict[str, str | list[str]] = {}
    if os.geteuid() == 0:  # PostgreSQL refuses root
        shutil.chown(folder, "nobody")
        user = {"user": "nobody", "extra_groups": []}
    data = folder / "data"
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.STDOUT, "cwd": folder}
    made = [initdb, "-D", str(data), "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync", "--locale=C"]
    subprocess.run(made, check=True, **quiet, **user)  # type: ignore[call-overload]
    options = ["-k", str(folder), "-c", "listen_addresses=", "-c", "max_connections=40"]
    running = subprocess.Popen([server, "-D", str(data), *options], **quiet, **user)  # type: ignore[call-overload]
    try:
        _wait_for(folder, createdb)

        def fresh() -> str:
            name = f"t{uuid.uuid4().hex[:12]}"
            subprocess.run([createdb, "-h", str(folder), "-U", "postgres", name], check=True)
            return f"postgresql://postgres@/{name}?host={folder}"

        yield fresh
    finally:
        running.terminate()
        running.wait(20)
        shutil.rmtree(folder, ignore_errors=True)


def _wait_for(folder: Path, createdb: str) -> None:
    import time

    for _ in range(100):
        done = subprocess.run(
            [createdb, "-h", str(folder), "-U", "postgres", "ready"], capture_output=True, check=False
        )
        if done.returncode == 0:
            return
        time.sleep(0.1)
    warnings.warn("PostgreSQL didn't start within ten seconds", stacklevel=2)
    pytest.fail(f"PostgreSQL didn't start: {done.stderr.decode()}")


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
