"""The process: its lock, its logs, its models, and uvicorn until it is told to stop."""

from __future__ import annotations

import fcntl
import json
import logging
import os
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import uvicorn

from coldstart import loading
from coldstart.errors import ColdstartError
from coldstart.executor import Executor
from coldstart.learning.meanings import Meanings
from coldstart.prompting import Library
from coldstart.service.app import application
from coldstart.service.running import Service
from coldstart.service.settings import Settings
from coldstart.service.storage import Storage
from coldstart.service.tenant import Engine

log = logging.getLogger("coldstart.service")

_TOLD = ("request_id", "method", "route", "status", "ms", "key", "tenant")


class InUse(ColdstartError):
    """A data folder that another process serves."""


class JsonLines(logging.Formatter):
    """One JSON object a line. Of an exception only its kind and place, since its text may quote a request."""

    def format(self, record: logging.LogRecord) -> str:
        """Return a record's line."""
        line = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created)) + f".{int(record.msecs):03d}Z",
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            **{name: getattr(record, name) for name in _TOLD if getattr(record, name, None) is not None},
        }
        if record.exc_info and record.exc_info[1] is not None:
            problem = record.exc_info[1]
            line["exception"] = type(problem).__name__
            line["at"] = [f"{f.filename}:{f.lineno} {f.name}" for f in traceback.extract_tb(problem.__traceback__)[-8:]]
        return json.dumps(line, ensure_ascii=False)


def log_as_json(*, level: int = logging.INFO) -> None:
    """Write all logs of this process to standard error as JSON lines."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonLines())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    logging.getLogger("alembic").setLevel(logging.WARNING)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold a data folder for this process: what it derives from the rows isn't made for two.

    Raises:
        InUse: Another process holds it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            file.seek(0)
            holder = file.read().strip() or "another process"
            raise InUse(f"{folder} is in use by {holder}: stop it, or name another --data folder") from None
        file.truncate(0)
        file.write(f"process {os.getpid()}")
        file.flush()
        yield


def limit_threads() -> None:
    """Give matrix products one thread each: where cores are busy, threads that wait for one another cost most."""
    import torch
    from threadpoolctl import threadpool_limits

    torch.set_num_threads(1)
    threadpool_limits(1, user_api="blas")


def engine_of(settings: Settings) -> Engine:
    """Load the models that the settings name.

    Raises:
        ModelError: One can't be had.
    """
    limit_threads()
    return Engine(
        loading.encoder(settings.encoder, device="cpu", dtype=settings.dtype),
        loading.language_model(settings.language_model, device="cpu", dtype=settings.dtype),
        Library.load(settings.prompts),
        Executor(capacity=settings.queue, batch=settings.batch),
        settings.threads,
        Meanings(settings.meanings),
    )


def serve(settings: Settings, storage: Storage, engine: Engine) -> None:
    """Answer requests until SIGTERM or SIGINT; then finish those that run, and stop."""
    config = uvicorn.Config(
        application(Service(settings, storage, engine)),
        host=settings.host,
        port=settings.port,
        http="httptools",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=round(settings.grace),
    )
    uvicorn.Server(config).run()
