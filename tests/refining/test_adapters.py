"""Laws of adapters: nothing changes before they learn, what they learned stays, and what is damaged is refused."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from coldstart import encoding
from coldstart.errors import AdapterError
from coldstart.recommender import Recommender
from coldstart.refining import lora, registry
from coldstart.refining.lora import Shape
from coldstart.refining.tower import Tower

pytestmark = pytest.mark.slow  # PEFT takes seconds to import

TEXTS = [
    "Slow River",
    "a rather longer text of honey and malt: smoky",
    "Tea",
    "",
    "Tea",
    "green leaves of early spring",
]


def learned(encoder, *, seed=0, shape=None, size=0.3):
    """Return an adapter that changes an encoder by chance."""
    import torch

    model, wrapped = lora.attached(encoder, shape or Shape(rank=4), seed=seed)
    with torch.no_grad():
        for name, part in wrapped.named_parameters():
            if "lora_B" in name:
                part.copy_(torch.randn(part.shape, generator=torch.Generator().manual_seed(seed)) * size)
    return model, lora.taken(wrapped, base=encoder.hash)


@pytest.fixture(scope="module")
def trained(encoder):
    return learned(encoder)[1]


def test_an_adapter_that_has_learned_nothing_changes_nothing(encoder, monkeypatch):
    model, wrapped = lora.attached(encoder, Shape(), seed=0)
    found = type(encoder)(model).encode(TEXTS)
    assert found == pytest.approx(encoder.encode(TEXTS), abs=1e-6)
    # Wrapped layers aren't packed: the same way for both.
    monkeypatch.setattr(encoding, "_packed", lambda _, *, half: None)  # noqa: ARG005 -- named when it is called
    plain = type(encoder)(encoder.model)
    assert (found == plain.encode(TEXTS)).all()
    with pytest.raises(AdapterError, match="all zeros: it learned nothing"):
        lora.taken(wrapped, base=encoder.hash)


def test_what_isnt_finite_is_refused(encoder):
    import torch

    _, wrapped = lora.attached(encoder, Shape(), seed=0)
    with torch.no_grad():
        next(part for name, part in wrapped.named_parameters() if "lora_B" in name).fill_(float("nan"))
    with pytest.raises(AdapterError, match="aren't finite"):
        lora.taken(wrapped, base=encoder.hash)


def test_worked_into_the_weights_it_gives_what_it_gave_in_training(encoder):
    model, adapter = learned(encoder)
    before = encoder.encode(TEXTS)
    found = lora.adapted(encoder, adapter).encode(TEXTS)
    assert found == pytest.approx(type(encoder)(model).encode(TEXTS), abs=1e-5)
    assert np.abs(found - before).max() > 1e-2
    assert (encoder.encode(TEXTS) == before).all()


def test_scale_goes_from_nothing_to_all_of_it(encoder, trained):
    before = encoder.encode(TEXTS)
    none, half, whole = (lora.adapted(encoder, replace(trained, scale=s)).encode(TEXTS) for s in (0.0, 0.5, 1.0))
    assert none == pytest.approx(before, abs=1e-6)
    assert 0 < np.abs(half - before).mean() < np.abs(whole - before).mean()


def test_an_adapted_encoder_is_another_one_and_knows_what_it_comes_from(encoder, trained):
    found = lora.adapted(encoder, trained)
    assert found.hash != encoder.hash
    assert found.hash != lora.adapted(encoder, replace(trained, scale=0.5)).hash
    assert found.base is encoder
    assert found.provenance["base"] == encoder.hash


@pytest.mark.parametrize("upper", [0.01, 0.5, 1.0])
def test_only_the_upper_blocks_learn(encoder, upper):
    _, wrapped = lora.attached(encoder, Shape(upper=upper), seed=0)
    learning = {name.split("layer.")[1][0] for name, part in wrapped.named_parameters() if part.requires_grad}
    assert learning == ({"0", "1"} if upper == 1.0 else {"1"})


@pytest.mark.parametrize("wrong", [{"rank": 0}, {"alpha": 0}, {"upper": 0.0}, {"upper": 1.5}])
def test_a_shape_that_makes_no_sense_is_refused(wrong):
    with pytest.raises(AdapterError, match="expected a rank"):
        Shape(**wrong)


def test_an_adapter_of_another_encoder_or_a_damaged_one_is_refused(encoder, trained):
    with pytest.raises(AdapterError, match="made for the model"):
        lora.adapted(encoder, replace(trained, base="f" * 64))
    with pytest.raises(AdapterError, match="can't be read"):
        lora.adapted(encoder, replace(trained, weights=trained.weights[:50]))
    with pytest.raises(AdapterError, match="doesn't fit"):
        lora.adapted(encoder, replace(trained, config=trained.config.replace(b'"r": 4', b'"r": 8')))


class TestTower:
    """What is trained reads texts as the encoder does, and keeps what doesn't change."""

    def rows(self):
        return np.arange(len(TEXTS)) * 3

    def tower(self, model, learning):
        return Tower(model, self.rows(), TEXTS, learning=learning, prompt=None)

    def test_it_reads_as_the_encoder_does_with_and_without_its_lower_blocks(self, encoder):
        model, adapter = learned(encoder)
        expected = lora.adapted(encoder, adapter).encode(TEXTS)
        asked = self.rows()[[5, 0, 3, 1, 2, 4, 0]]
        for learning in (0, 1):
            tower = self.tower(model, learning)
            assert tower.keeps == (learning > 0)
            found = tower(asked).detach().numpy()
            assert found == pytest.approx(expected[[5, 0, 3, 1, 2, 4, 0]], abs=1e-5)
            tower.restore()
        assert type(encoder)(model).encode(TEXTS) == pytest.approx(expected, abs=1e-5)

    def test_gradients_are_the_same_whether_lower_blocks_are_kept_or_not(self, encoder):
        gradients = []
        for learning in (0, 1):
            model, _ = learned(encoder)
            tower = self.tower(model, learning)
            (tower(self.rows()[:4]) @ tower(self.rows()[4:]).T).sum().backward()
            gradients.append([part.grad.clone() for part in tower.parameters() if part.requires_grad])
        for one, other in zip(*gradients, strict=True):
            assert one.numpy() == pytest.approx(other.numpy(), rel=1e-4, abs=1e-4)

    def test_where_keeping_them_gives_something_else_it_runs_them_each_time(self, encoder, monkeypatch):
        from coldstart.refining import tower

        monkeypatch.setattr(tower._Given, "forward", lambda self, *_, **__: self.hidden * 2)
        model, adapter = learned(encoder)
        found = self.tower(model, 1)
        assert not found.keeps
        expected = lora.adapted(encoder, adapter).encode(TEXTS)
        assert found(self.rows()).detach().numpy() == pytest.approx(expected, abs=1e-5)


class TestRegistry:
    """Adapters beside an index."""

    @pytest.fixture
    def folder(self, tmp_path, catalogue, encoder):
        Recommender.build(catalogue, encoder=encoder, language_model=None, path=tmp_path / "index")
        return tmp_path / "index"

    def test_what_is_kept_comes_back(self, folder, trained):
        kept = registry.keep(folder, replace(trained, told={"pairs": 7}))
        assert kept.version.startswith("0001-")
        back = registry.load(folder, kept.version)
        assert (back.weights, back.config, back.base, back.scale) == (
            trained.weights,
            trained.config,
            trained.base,
            trained.scale,
        )
        (entry,) = registry.listed(folder)
        assert (entry.version, entry.told["pairs"], entry.promoted) == (kept.version, 7, False)

    def test_the_same_one_is_kept_once_and_another_gets_the_next_number(self, folder, trained):
        first, again = registry.keep(folder, trained), registry.keep(folder, trained)
        other = registry.keep(folder, replace(trained, scale=0.5))
        assert first.version == again.version
        assert other.version.startswith("0002-")
        assert registry.found(folder, "2") == registry.found(folder, "0002") == other.version

    @pytest.mark.parametrize("file", ["adapter_model.safetensors", "adapter_config.json"])
    def test_a_file_that_was_changed_is_refused(self, folder, trained, file):
        kept = registry.keep(folder, trained)
        path = folder / "adapters" / kept.version / file
        path.write_bytes(path.read_bytes()[:-1] + b"!")
        with pytest.raises(AdapterError, match="isn't what was written"):
            registry.load(folder, kept.version)

    @pytest.mark.parametrize("change", [{"scale": 0.9}, {"base": "0" * 64}, {"hash": "0" * 64}])
    def test_a_manifest_edited_by_hand_is_refused(self, folder, trained, change):
        kept = registry.keep(folder, trained)
        path = folder / "adapters" / kept.version / "manifest.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
        with pytest.raises(AdapterError, match="isn't what was written"):
            registry.load(folder, kept.version)

    def test_what_isnt_there_or_is_in_use_says_so(self, folder, encoder, trained):
        with pytest.raises(AdapterError, match="no adapter '3': expected one of none"):
            registry.found(folder, "3")
        kept = registry.keep(folder, trained)
        recommender = Recommender.load(folder, encoder=encoder).promoted(folder, "1")
        with pytest.raises(AdapterError, match="is in use"):
            registry.remove(folder, "1")
        recommender.rolled_back(folder)
        registry.remove(folder, "1")
        assert registry.listed(folder) == []
        assert kept.version not in registry.history(folder)
