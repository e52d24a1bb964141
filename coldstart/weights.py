"""What a model folder consists of, whether it is whole, and the foreign formats that become one: GGUF, the hub.

A manifest keeps each file's size, time and SHA-256; a model's identity is the hash of its files' names and contents.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import re
import shutil
import sys
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from coldstart.errors import ModelError
from coldstart.wheels import sha256_of, working

Stamp = tuple[int, int, str]
"""A file's size in bytes, its modification time in nanoseconds and its SHA-256 in hex."""

CONVERSION = 1
"""Part of a converted model's identity, since its bytes depend on library versions; raise it to convert anew."""


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep transformers from drawing progress bars while a model loads: the edges draw their own."""
    from transformers.utils import logging as untyped

    logging: Any = untyped
    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()


def convert_gguf(gguf: Path, target: Path) -> None:
    """Write the model of a GGUF file to ``target`` as a 32-bit safetensors folder with its tokenizer.

    Raises:
        ModelError: transformers can't read it.
    """
    # transformers draws bars while it reads a GGUF, also into a pipe.
    with contextlib.redirect_stderr(io.StringIO()):
        try:
            import torch
            from transformers import AutoModelForCausalLM, AutoTokenizer

            origin: dict[str, Any] = {"gguf_file": gguf.name, "local_files_only": True}
            tokenizer = AutoTokenizer.from_pretrained(gguf.parent, **origin)
            model: Any = AutoModelForCausalLM.from_pretrained(gguf.parent, dtype=torch.float32, **origin)
            # The weights are plain floats by now, but saving is refused while the model says otherwise.
            model.hf_quantizer = None
            if hasattr(model.config, "quantization_config"):
                del model.config.quantization_config
            model.save_pretrained(target)
            tokenizer.save_pretrained(target)
        except Exception as error:  # the readers share no base: ValueError, KeyError, NotImplementedError, ...
            raise ModelError(
                f"transformers can't read {gguf.name} ({type(error).__name__}: {error}): expected a GGUF of an "
                "architecture it knows; take a safetensors folder or a hub id of the same model"
            ) from error
    for weights in target.glob("*.safetensors"):  # written for the owner alone, unlike the rest
        shutil.copymode(target / "config.json", weights)


def hub_snapshot(repo: str, revision: str | None, offline: bool | None, progress: bool | None) -> Path:
    """Return the hub cache's folder of a model, named by its commit; download what is missing unless offline.

    Raises:
        ModelError: The hub can't be reached or doesn't hold the model.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.utils.tqdm import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars

    # A sentence encoder's extra layers ("2_Dense/") often exist as .bin only, beside safetensors for the rest.
    wanted = ["*.safetensors", "*.json", "*.txt", "*.model", "*.jinja", "*.tiktoken", "[0-9]_*/*.bin"]
    silence = not (sys.stderr.isatty() if progress is None else progress) and not are_progress_bars_disabled()
    if silence:
        disable_progress_bars()
    try:
        for patterns in (wanted, [*wanted, "*.bin"]):
            ignored = ["onnx/*", "openvino/*", "original/*", "checkpoint-*/*", "consolidated*"]
            folder = snapshot_download(
                repo,
                revision=revision,
                allow_patterns=patterns,
                ignore_patterns=ignored,
                local_files_only=bool(offline),
            )
            if any(Path(folder).glob("*.safetensors")) or any(Path(folder).glob("0_*/*.safetensors")):
                break
    except Exception as error:  # httpx's, the hub's and file errors share no base
        said = next(iter(str(error).strip().splitlines()), "no message")
        raise ModelError(
            f"the model hub gave no {repo!r} at revision {revision or 'main'!r} ({type(error).__name__}: {said}): "
            "check the id and the network"
        ) from error
    finally:
        if silence:
            enable_progress_bars()
    return Path(folder)


_SUFFIXES = {".safetensors", ".bin", ".json", ".txt", ".model", ".jinja", ".tiktoken"}
_JUNK = re.compile(
    r"\.|(onnx|openvino|original|runs|checkpoint-.*)/|(.*/)?(optimizer|scheduler|rng_state|training_args|trainer_state)"
)


def model_files(folder: Path) -> dict[str, Path]:
    """Return what a model consists of: relative name to path, sorted; no readme, optimiser state or other format."""
    files = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.suffix in _SUFFIXES and not _JUNK.match(name) and "/." not in name and path.is_file():
            files[name] = path
    safe = {path.parent for path in files.values() if path.suffix == ".safetensors"}
    return {name: path for name, path in files.items() if path.suffix != ".bin" or path.parent not in safe}


def role_of(folder: Path) -> str:
    """Return the role of a model folder from its own words: a causal LM says so, anything else encodes."""
    if (folder / "modules.json").exists():
        return "encoder"
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        architectures = " ".join(config.get("architectures") or [])
    except (OSError, ValueError, AttributeError, TypeError) as error:
        raise ModelError(f"{folder / 'config.json'} is not readable ({error}): pull or copy the model again") from error
    return "language model" if re.search("CausalLM|LMHead", architectures) else "encoder"


def measure(folder: Path, progress: bool | None) -> dict[str, Stamp]:
    """Return the stamp of each model file; raise ModelError where there is no model or a file is cut off."""
    files = model_files(folder)
    if not {"config.json", "modules.json"} & set(files):
        raise ModelError(
            f"{folder} holds neither config.json nor modules.json: expected a model folder; if you mean a hub id of "
            f"that name, write hf:{folder.name}"
        )
    if not any(path.suffix in (".safetensors", ".bin") for path in files.values()):
        raise ModelError(f"{folder} holds no weights (*.safetensors or *.bin): copy or pull the model again")
    stamps, done = {}, 0
    with working("checking the model's files", progress, in_bytes=True) as show:
        for name, path in files.items():
            if problem := cut_off(path):
                raise ModelError(f"{path} is damaged: {problem}; copy or pull the model again")
            status = path.stat()
            stamps[name] = (status.st_size, status.st_mtime_ns, sha256_of(path))
            show(done := done + status.st_size)
    return stamps


def cut_off(path: Path) -> str:
    """Return what is wrong with a safetensors file's length; empty when nothing is, or for other files."""
    if path.suffix != ".safetensors":
        return ""
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if size < 8 or length > size - 8:
            return f"{size} bytes don't hold its header (cut off, or a Git LFS pointer)"
        try:
            tensors = json.loads(file.read(length))
            end = max((t["data_offsets"][1] for name, t in tensors.items() if name != "__metadata__"), default=0)
        except (ValueError, KeyError, TypeError, AttributeError):
            return "its header is not readable"
    return "" if size == 8 + length + end else f"it has {size} bytes, expected {8 + length + end}"


def identity_of(stamps: Mapping[str, Stamp]) -> str:
    """Return the SHA-256 of the files' names and contents, whatever their order and times."""
    return hashlib.sha256("".join(f"{stamps[name][2]}  {name}\n" for name in sorted(stamps)).encode()).hexdigest()


def only_gguf(folder: Path) -> Path | None:
    """Return the single .gguf of a folder without a model in it."""
    if not folder.is_dir() or (folder / "config.json").exists() or (folder / "modules.json").exists():
        return None
    found = sorted(folder.glob("*.gguf"))
    if len(found) > 1:
        raise ModelError(
            f"{folder} holds {[p.name for p in found]}: expected one .gguf; give the path of the one you mean"
        )
    return found[0] if found else None


@dataclass(frozen=True, slots=True)
class Manifest:
    """What the cache knows of one model.

    Attributes:
        source: What was asked for, with its pins; when that changes, the entry is filled anew.
        folder: Where the files are: "files" beside the manifest, or an absolute path.
        revision: The hub's commit; empty for other sources.
        files: Path relative to the folder -> stamp.
    """

    name: str
    role: str
    source: str
    folder: str
    hash: str
    files: dict[str, Stamp]
    licence: str = ""
    revision: str = ""

    def problems(self, entry: Path, *, hashed: bool = False) -> list[str]:
        """Return what is missing or has another size (or, ``hashed``, another content) than recorded, in words."""
        problems = []
        for name, (size, _, sha256) in self.files.items():
            path = entry / self.folder / name
            if not path.is_file():
                problems.append(f"{path} is missing")
            elif path.stat().st_size != size:
                problems.append(f"{path} has {path.stat().st_size} bytes, expected {size}")
            elif hashed and (found := sha256_of(path)) != sha256:
                problems.append(f"{path} has SHA-256 {found}, expected {sha256}")
        return problems


def read_manifest(path: Path) -> Manifest | None:
    """Return a manifest file's content; None when it isn't there or isn't one."""
    try:
        manifest = Manifest(**json.loads(path.read_text(encoding="utf-8")))
        files = {name: (int(size), int(time_ns), str(sha)) for name, (size, time_ns, sha) in manifest.files.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return None
    return replace(manifest, files=files)


def write_manifest(manifest: Manifest, entry: Path) -> None:
    """Write ``entry/manifest.json`` by one rename."""
    unfinished = entry / f".manifest-{uuid.uuid4().hex[:8]}"
    unfinished.write_text(json.dumps(asdict(manifest), indent=1), encoding="utf-8")
    os.replace(unfinished, entry / "manifest.json")
