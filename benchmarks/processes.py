"""Processes that the service's benchmark and tests need: the service itself, to be killed at will, and PostgreSQL.

``python benchmarks/processes.py SETTINGS``, SETTINGS as JSON, imports and loads everything once; then every line that
it reads forks a service, whose process id it prints. A start then takes a moment, and a kill is a kill all the same.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from coldstart.client import Client
from coldstart.service.keys import Keys
from coldstart.service.storage import Storage, open_storage

PATIENCE = 90.0
"""Seconds that a process has to get ready."""

_PLACES = (*sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True), Path("/usr/local/bin"), Path("/usr/bin"))


class Running:
    """A service with one tenant, "default", on a port of its own; what it keeps outlives its processes.

    Args:
        settings: Of the service; ``data`` is its folder.
        kind: What the tenant's items are.
    """

    def __init__(self, settings: Mapping[str, Any], *, kind: str = "tea") -> None:
        self.folder = Path(settings["data"])
        self.folder.mkdir(parents=True, exist_ok=True)
        self.port = _free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.database = settings.get("database") or f"sqlite:///{self.folder / 'coldstart.sqlite'}"
        storage = self.storage()
        storage.create_tenant("default", kind=kind)
        self.key = Keys(storage).create("default", scopes=["read", "write", "admin"])[1]
        storage.engine.dispose()
        told = json.dumps({**settings, "data": str(self.folder), "port": self.port})
        self._log = (self.folder / "log.jsonl").open("ab")
        self._zygote = subprocess.Popen(
            [sys.executable, __file__, told],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            env={**os.environ, "OMP_WAIT_POLICY": "PASSIVE"},  # as `coldstart serve` has it
        )
        self.pid = 0

    def __enter__(self) -> Running:
        return self

    def __exit__(self, *_: object) -> None:
        if self.pid:
            self.kill()
        self._zygote.terminate()
        self._zygote.communicate(timeout=20)
        self._log.close()

    def storage(self) -> Storage:
        """Open its rows beside it."""
        return open_storage(self.database)

    def client(self, **options: Any) -> Client:
        """Return a client with its key."""
        return Client(self.url, self.key, **options)

    def start(self, *, patience: float = PATIENCE) -> float:
        """Start it and wait until it can answer; return how many seconds that took.

        Raises:
            RuntimeError: It has ended, or isn't ready in time; the message holds the end of its log.
        """
        assert self._zygote.stdin is not None  # noqa: S101 - it was asked for
        assert self._zygote.stdout is not None  # noqa: S101 - likewise
        self._zygote.stdin.write("start\n")
        self._zygote.stdin.flush()
        line = self._zygote.stdout.readline()
        if not line:
            raise RuntimeError(f"the service can't be loaded:\n{self.log()[-3000:]}")
        self.pid, start = int(line), time.monotonic()
        with self.client(retries=0) as client:
            while not client.ready():
                if not Path(f"/proc/{self.pid}").exists() or time.monotonic() - start > patience:
                    raise RuntimeError(f"the service isn't ready:\n{self.log()[-3000:]}")
                time.sleep(0.01 if time.monotonic() - start < 5.0 else 0.2)  # what takes long isn't to be held up
        return time.monotonic() - start

    def kill(self) -> None:
        """End it between two instructions."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """Tell it to finish and end."""
        self._end(signal.SIGTERM)

    def memory(self) -> float:
        """Return the memory that it holds, in MiB."""
        lines = Path(f"/proc/{self.pid}/status").read_text(encoding="utf-8").splitlines()
        return next(float(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS"))

    def busy(self, *, seconds: float = 4.0) -> float:
        """Return how much of a core it takes over some seconds."""

        def taken() -> int:
            return sum(
                map(int, Path(f"/proc/{self.pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[11:13])
            )

        before = taken()
        time.sleep(seconds)
        return (taken() - before) / os.sysconf("SC_CLK_TCK") / seconds

    def log(self) -> str:
        """Return what it logged."""
        return (self.folder / "log.jsonl").read_text(encoding="utf-8")

    def _end(self, how: int) -> None:
        os.kill(self.pid, how)
        end = time.monotonic() + 30
        while Path(f"/proc/{self.pid}").exists():
            if time.monotonic() > end:
                raise RuntimeError(f"the service doesn't end:\n{self.log()[-3000:]}")
            time.sleep(0.005)
        self.pid = 0


class Postgres:
    """A PostgreSQL server that listens on a socket only, in a folder that goes with it.

    Raises:
        FileNotFoundError: It isn't installed.
    """

    def __init__(self) -> None:
        programs = [_program(name) for name in ("initdb", "postgres", "createdb")]
        initdb, server, self._createdb = (str(program) for program in programs)
        if None in programs:
            raise FileNotFoundError("PostgreSQL isn't installed: on Debian, apt install postgresql")
        self.folder = Path(tempfile.mkdtemp(prefix="pg-", dir="/tmp"))
        who: dict[str, Any] = {}
        if os.geteuid() == 0:  # which PostgreSQL refuses
            shutil.chown(self.folder, "nobody")
            who = {"user": "nobody", "extra_groups": []}
        quiet: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.STDOUT, "cwd": self.folder, **who}
        data = str(self.folder / "data")
        made = [initdb, "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync", "--locale=C"]
        subprocess.run(made, check=True, **quiet)
        options = ["-k", str(self.folder), "-c", "listen_addresses=", "-c", "max_connections=60"]
        self._server = subprocess.Popen([server, "-D", data, *options], **quiet)
        for _ in range(200):
            if self._create("ready").returncode == 0:
                return
            time.sleep(0.1)
        raise RuntimeError(f"PostgreSQL didn't start: {self._create('ready').stderr}")

    def __enter__(self) -> Postgres:
        return self

    def __exit__(self, *_: object) -> None:
        self._server.send_signal(signal.SIGINT)  # a fast shutdown: connections are cut
        self._server.wait(30)
        shutil.rmtree(self.folder, ignore_errors=True)

    def fresh(self, name: str) -> str:
        """Create a database and return its URL."""
        self._create(name).check_returncode()
        return f"postgresql://postgres@/{name}?host={self.folder}"

    def _create(self, name: str) -> subprocess.CompletedProcess[str]:
        words = [self._createdb, "-h", str(self.folder), "-U", "postgres", name]
        return subprocess.run(words, capture_output=True, text=True, check=False)


def _program(name: str) -> str | None:
    return next((str(place / name) for place in _PLACES if (place / name).exists()), shutil.which(name))


def _free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def _fork_services(told: str) -> None:
    """Load everything, then fork a service for every line of the input."""
    import torch

    from coldstart import loading
    from coldstart.executor import Executor
    from coldstart.prompting import Library
    from coldstart.service import (
        app,  # noqa: F401 - imported once, for all
        serving,
    )
    from coldstart.service.settings import Settings
    from coldstart.service.tenant import Engine

    torch.set_num_threads(1)  # before a fork there must be no second one
    settings = Settings.read(**json.loads(told))
    encoder = loading.encoder(settings.encoder, device="cpu", dtype="float32")
    model = loading.language_model(settings.language_model, device="cpu", dtype="float32")
    library = Library.load(settings.prompts)
    for _ in sys.stdin:
        child = os.fork()
        if child:
            print(child, flush=True)
            threading.Thread(target=os.waitpid, args=(child, 0), daemon=True).start()
            continue
        try:
            serving.limit_threads()
            serving.log_as_json()
            executor = Executor(capacity=settings.queue, batch=settings.batch)
            engine = Engine(encoder, model, library, executor, settings.threads)
            serving.serve(settings, open_storage(settings.url), engine)
        finally:
            os._exit(0)


if __name__ == "__main__":
    _fork_services(sys.argv[1])
