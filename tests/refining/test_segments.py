"""Laws of segments: who belongs to one is answered with its adapter, everybody else as before, and nobody with both."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from click.testing import CliRunner
from safetensors.numpy import save

from coldstart.catalogue import Catalogue
from coldstart.cli import cli
from coldstart.entities import Context, Interaction, Item, Profile
from coldstart.errors import AdapterError, CatalogueError, ProfileError
from coldstart.interactions import Interactions
from coldstart.recommender import Recommender
from coldstart.refining import registry, segments
from coldstart.refining.balance import AFTER, CHANGE, HEAD, PLACES, Balance, Shares
from coldstart.refining.lora import Adapter

WORDS = ("river", "hill", "cave", "cloud", "lantern", "window")
ITEMS = [Item(f"t{row:02d}", f"{WORDS[row % 6].title()} Tea {'ABCDE'[row // 6]}") for row in range(30)]
LIKES = ["t00", "t07"]
BRAZIL, CHILE = {"country": "Brazil"}, {"country": "Chile"}


def adapter(encoder, seed: int) -> Adapter:
    """Return an adapter by which likes are followed at random."""
    size = encoder.dimension
    turn = np.random.default_rng(seed).normal(size=(size, size)).astype(np.float32)
    tensors = {CHANGE: turn, AFTER: np.zeros_like(turn), PLACES: np.zeros(1, np.float32)}
    config = json.dumps({HEAD: True, AFTER: True}).encode()
    return Adapter(save(tensors), config, encoder.hash).balanced(Balance(Shares(2.0, 1.0, 1.0)))


@pytest.fixture(scope="module")
def plain(encoder):
    return Recommender.build(Catalogue(ITEMS, kind="tea"), encoder=encoder, language_model=None)


@pytest.fixture(scope="module")
def two(encoder):
    return adapter(encoder, 1), adapter(encoder, 2)


@pytest.fixture(scope="module")
def parted(plain, two):
    """A recommender that answers Brazil and Chile each with an adapter of their own."""
    return plain.segmented(BRAZIL, two[0]).segmented(CHILE, two[1])


def of(country: str | None = None, **fields) -> Profile:
    return Profile(likes=LIKES, attributes={**({"country": country} if country else {}), **fields})


def test_each_segment_is_answered_with_its_adapter_and_everybody_else_as_before(plain, two, parted):
    expected = {"Brazil": plain.adapted(two[0]), "Chile": plain.adapted(two[1]), "Peru": plain, None: plain}
    for country, other in expected.items():
        assert parted.score(of(country)) == pytest.approx(other.score(of(country)), abs=1e-6)
        ours, theirs = (one.recommend(of(country), k=30, explain=True) for one in (parted, other))
        assert [(item.id, item.reasons) for item in ours] == [(item.id, item.reasons) for item in theirs]
    assert not np.allclose(parted.score(of("Brazil")), parted.score(of("Chile")))


def test_the_circumstances_say_more_than_the_profile_and_the_first_rule_decides(plain, two, parted):
    abroad = parted.score(of("Brazil"), context=Context({"country": "Chile"}))
    assert abroad == pytest.approx(plain.adapted(two[1]).score(of("Brazil"), context=Context({"country": "Chile"})))
    both = parted.segmented({"age": {"max": 30}}, two[1])
    young = of("Brazil", age=20)
    assert both.score(young) == pytest.approx(plain.adapted(two[0]).score(young))
    again = both.segmented(BRAZIL, two[0])  # the same rule anew comes last
    assert again.score(young) == pytest.approx(plain.adapted(two[1]).score(young))


def test_no_answer_under_threads_mixes_two_adapters(plain, two, parted):
    people = [of("Brazil"), of("Chile"), of("Peru")]
    expected = [one.score(who) for one, who in zip([*map(plain.adapted, two), plain], people, strict=True)]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda number: parted.score(people[number % 3]), range(300)))
    for number, scores in enumerate(found):
        assert scores == pytest.approx(expected[number % 3], abs=1e-6)


def test_what_was_observed_is_shared_and_what_comes_later_is_read_with_each_adapter(plain, two, parted):
    one, other = parted.unlearned(), plain.adapted(two[0]).unlearned()
    events = [Interaction(f"u{person}", f"t{person % 5:02d}") for person in range(20)]
    for each in (one, other):
        each.observe(events, now=1e9)
    assert one.score(of("Brazil")) == pytest.approx(other.score(of("Brazil")), abs=1e-6)
    new = [Item("new", "Lantern Cave Tea")]
    grown, alone = parted.add(new), plain.adapted(two[0]).add(new)
    assert grown.score(of("Brazil")) == pytest.approx(alone.score(of("Brazil")), abs=1e-5)


def test_what_was_assigned_is_what_loads_until_it_is_withdrawn(plain, encoder, parted, tmp_path):
    parted.save(tmp_path / "index")
    loaded = Recommender.load(tmp_path / "index", encoder=encoder)
    for country in ("Brazil", "Chile", "Peru"):
        assert loaded.score(of(country)) == pytest.approx(parted.score(of(country)), abs=1e-6)
    assert loaded.recommend(of("Chile")).adapter.startswith("0002-")
    assert loaded.recommend(of("Peru")).adapter == ""
    assert [entry.segments for entry in registry.listed(tmp_path / "index")] == [(BRAZIL,), (CHILE,)]
    with pytest.raises(AdapterError, match="answers a segment"):
        registry.remove(tmp_path / "index", "1")
    assert segments.withdraw(tmp_path / "index", "1") == [BRAZIL]
    with pytest.raises(AdapterError, match="answers no segment"):
        segments.withdraw(tmp_path / "index", "1")
    registry.remove(tmp_path / "index", "1")
    back = Recommender.load(tmp_path / "index", encoder=encoder)
    assert back.score(of("Brazil")) == pytest.approx(plain.score(of("Brazil")), abs=1e-6)


def test_rules_and_adapters_that_cant_be_used_are_refused(plain, encoder, parted, two, tmp_path):
    for wrong in ({}, "Brazil", {"": 1}):
        with pytest.raises(ProfileError, match="expected fields of who asks"):
            plain.segmented(wrong, two[0])
    with pytest.raises(ProfileError, match="expected a value, a list of values"):
        plain.segmented({"age": {"above": 30}}, two[0])
    with pytest.raises(AdapterError, match="was made for the model"):
        plain.segmented(BRAZIL, Adapter(two[0].weights, two[0].config, "another"))
    parted.save(tmp_path / "index")
    path = tmp_path / "index" / "adapters" / "segments.json"
    path.write_text("[{}]")
    with pytest.raises(AdapterError, match="assign the adapters of segments again"):
        Recommender.load(tmp_path / "index", encoder=encoder)


def test_the_commands_assign_list_and_withdraw(parted, tmp_path):
    folder = tmp_path / "index"
    parted.save(folder)

    def run(*arguments):
        found = CliRunner().invoke(cli, ["adapters", *map(str, arguments)], catch_exceptions=False)
        return " ".join(found.output.split())

    run("withdraw", folder, "2")
    assert 'answers age = {"max": 30}, country = "Peru"' in run(
        "assign", folder, "2", "--where", '{"age": {"max": 30}}', "--where", "country=Peru"
    )
    assert [each["segments"] for each in json.loads(run("list", folder, "--json"))] == [
        [BRAZIL],
        [{"age": {"max": 30}, "country": "Peru"}],
    ]


def test_of_nobody_in_a_segment_nothing_is_learned(plain):
    events = Interactions.from_records([Interaction("ann", "t01"), Interaction("ann", "t02")])
    with pytest.raises(CatalogueError, match="holds of none of the 1 people"):
        plain.refine(events, segment=BRAZIL, profiles={"ann": of("Chile")})
