"""Laws of the head: it brings people closer to what they like, is what its formula says, and starts from nothing."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace

import numpy as np
import pytest
from safetensors.numpy import save

from coldstart import judging
from coldstart.catalogue import Catalogue
from coldstart.entities import Interaction, Item, Profile
from coldstart.errors import AdapterError
from coldstart.interactions import Interactions
from coldstart.recommender import Recommender
from coldstart.refining import head, lora
from coldstart.refining.balance import SHIPPED, UNMET, Balance, Shares
from coldstart.refining.examples import User, lesson
from coldstart.refining.schedule import Schedule
from coldstart.rows import key
from coldstart.scoring.following import Follows

pytestmark = pytest.mark.slow  # most train

ITEMS, WIDTH = 40, 12
ROWS = {f"t{row:02d}": row for row in range(ITEMS)}


def told(people: int = 60, *, circles: bool = True):
    """Return who likes what: items of their own circle, or any."""
    rng = np.random.default_rng(3)
    return lesson(
        Interactions.from_records(
            Interaction(f"u{person:02d}", f"t{item:02d}", timestamp=float(time))
            for person in range(people)
            for time, item in enumerate(
                (rng.permutation(range(person % 2, ITEMS, 2)) if circles else rng.permutation(ITEMS))[:8].tolist()
            )
        ),
        ROWS,
    )


@pytest.fixture
def vectors():
    """Unit vectors in which the circles differ a little, under much else."""
    rng = np.random.default_rng(5)
    found = rng.normal(size=(ITEMS, WIDTH)).astype(np.float32)
    found[:, 0] = 0.7 * (-1.0) ** np.arange(ITEMS)
    return found / np.linalg.norm(found, axis=1, keepdims=True)


def apart(vectors) -> float:
    """Return how much closer items of one circle are than items of two, in centred space."""
    centred = vectors - vectors.mean(0)
    centred /= np.linalg.norm(centred, axis=1, keepdims=True)
    same = np.equal.outer(np.arange(ITEMS) % 2, np.arange(ITEMS) % 2)
    cosines = centred @ centred.T
    return float(cosines[same].mean() - cosines[~same].mean())


@pytest.fixture(autouse=True)
def quicker(monkeypatch):
    monkeypatch.setattr(head, "RATE", 3e-2)
    monkeypatch.setattr(head, "RATE_OF_SHARES", 1e-1)


class Plain:
    """Stands in for an encoder."""

    name, hash, dimension, model = "plain", "plain-hash", WIDTH, None


def unit(vectors):
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def turned(adapter, vectors):
    """Return what an adapter makes of a catalogue's vectors, for what follows what."""
    assert lora._is_head(adapter, Plain())
    centred = unit(vectors - vectors.mean(0))
    return unit(centred + centred @ Follows.of(adapter.config, adapter.weights, adapter.scale).change)


def test_what_people_like_together_comes_closer(vectors):
    found = head.learned(vectors, told(), Schedule(), base=Plain.hash)
    assert apart(turned(found, vectors)) > apart(vectors) + 0.2


def test_it_can_be_told_twice(vectors):
    one, other = (head.learned(vectors, told(), Schedule(), base=Plain.hash) for _ in range(2))
    assert one.hash == other.hash


def test_a_killed_run_goes_on_where_it_was_and_learns_the_same(vectors, tmp_path):
    class Killed(Exception):
        pass

    def kill(step, *_):
        if step == 33:
            raise Killed

    whole, steps = head.learned(vectors, told(), Schedule(), base=Plain.hash), []
    with pytest.raises(Killed):
        head.learned(vectors, told(), Schedule(), base=Plain.hash, checkpoint=tmp_path / "head.pt", told=kill)
    rest = head.learned(
        vectors,
        told(),
        Schedule(),
        base=Plain.hash,
        checkpoint=tmp_path / "head.pt",
        told=lambda step, *_: steps.append(step),
    )
    assert steps[0] == 21
    assert rest.hash == whole.hash
    other = head.learned(vectors, chains(), Schedule(), base=Plain.hash, checkpoint=tmp_path / "head.pt")
    assert other.hash == head.learned(vectors, chains(), Schedule(), base=Plain.hash).hash


def test_likes_by_chance_teach_nothing(vectors):
    found = head.learned(vectors, told(circles=False), Schedule(), base=Plain.hash)
    assert found is None or apart(turned(found, vectors)) < apart(vectors) + 0.1


def test_one_of_another_size_is_refused(vectors):
    found = head.learned(vectors, told(), Schedule(), base=Plain.hash)
    wider = type("Wider", (Plain,), {"dimension": WIDTH + 1})()
    with pytest.raises(AdapterError, match="don't fit 'plain'"):
        lora._is_head(found, wider)


def test_a_damaged_one_is_refused(vectors):
    found = head.learned(vectors, told(), Schedule(), base=Plain.hash)
    with pytest.raises(AdapterError, match="can't be read"):
        lora._is_head(replace(found, weights=b"damaged"), Plain())


def chains(people: int = 300):
    """Return people who like four items, each three to five places after the one before."""
    rng = np.random.default_rng(9)
    likes = rng.integers(0, ITEMS, (people, 1)) + np.cumsum(rng.integers(3, 6, (people, 4)), axis=1)
    return lesson(
        Interactions.from_records(
            Interaction(f"u{person:03d}", f"t{item % ITEMS:02d}", timestamp=float(time))
            for person, items in enumerate(likes.tolist())
            for time, item in enumerate(items)
        ),
        ROWS,
    )


@pytest.fixture
def ring():
    """Unit vectors on a circle, each item a fortieth of a turn after the one before."""
    found = np.zeros((ITEMS, WIDTH), np.float32)
    turns = 2.0 * np.pi * np.arange(ITEMS) / ITEMS
    found[:, 0], found[:, 1] = np.cos(turns), np.sin(turns)
    return found


def test_what_follows_what_is_learned_and_the_last_like_counts_most(ring, monkeypatch):
    monkeypatch.setattr(head, "FEWEST_STEPS", 100)
    found = head.learned(ring, chains(), Schedule(), base=Plain.hash)
    follows = Follows.of(found.config, found.weights, found.scale)
    assert follows.places[0] > follows.places[1] + 1.0
    moved = turned(found, ring)
    ahead = moved + moved @ follows.matrix
    ahead /= np.linalg.norm(ahead, axis=1, keepdims=True)
    cosines = ahead @ moved.T
    rows = np.arange(ITEMS)
    assert (cosines[rows, (rows + 4) % ITEMS] > cosines[rows, (rows - 4) % ITEMS]).mean() > 0.9


def test_weights_are_part_of_what_an_adapter_is(vectors):
    found = head.learned(vectors, chains(), Schedule(), base=Plain.hash)
    balance = Balance(Shares(2.0, 0.0, 1.0), Shares(0.3, 1.0, 3.0))
    carrying = found.balanced(balance)
    assert carrying.hash != found.hash
    assert Follows.of(carrying.config, carrying.weights, 1.0).balance == balance
    assert Follows.of(found.config, found.weights, 1.0).balance == SHIPPED
    with pytest.raises(AdapterError, match="can't be read"):
        Follows.of(carrying.config.replace(b"alone", b"along"), carrying.weights, 1.0)


class TestUnmet:
    """Items that came after an adapter, or that nobody it learned of liked."""

    PERSON = Profile(likes=["t00", "t02"])
    NEW = ("t05", "t11", "t17", "t23", "t29")

    @pytest.fixture
    def plain(self, encoder):
        words = ("River", "Hill", "Cave", "Cloud", "Lantern", "Window")
        items = [Item(f"t{row:02d}", f"{words[row % 6]} Tea {'ABCDE'[row // 6]}") for row in range(30)]
        return Recommender.build(Catalogue(items, kind="tea"), encoder=encoder, language_model=None)

    @pytest.fixture
    def made(self, plain):
        """From weights and what was met to a recommender with an adapter that turns at random."""
        size = plain.encoder.dimension
        rng = np.random.default_rng(0)
        tensors = {
            "weight": rng.normal(0, 0.2, (size, size)).astype(np.float32),
            "after": rng.normal(0, 1, (size, size)).astype(np.float32),
            "places": np.zeros(10, np.float32),
        }
        config = json.dumps({"head": True, "after": True}).encode()
        documents = dict(zip(plain.catalogue.ids, plain.index.documents, strict=True))

        def adapted(shares, unmet=(), *, there=SHIPPED.unmet, scale=1.0):
            adapter = lora.Adapter(save(tensors), config, plain.encoder.hash, scale=scale)
            adapter = adapter.balanced(Balance(shares, unmet=there))
            return plain.adapted(adapter.having_met(key(text) for id_, text in documents.items() if id_ not in unmet))

        return adapted

    def test_it_is_what_the_formula_says_and_all_else_stays_what_it_was(self, plain, made):
        person, rows = Profile(likes=["t00", "t02"], text="river"), np.arange(30)
        refined = made(Shares(), scale=0.5)
        query, before = (one._reader.read(person, None)[0] for one in (refined, plain))
        scores, plainly = refined.ranker.score(query, rows, None), plain.ranker.score(before, rows, None)
        assert set(scores.parts) == {*plainly.parts, "following"}
        for name, (raw, _) in plainly.parts.items():
            assert scores.parts[name][0].tolist() == raw.tolist()
        follows = refined.ranker.follows
        moved = unit(plain.index.centred @ (np.eye(len(follows.change)) + follows.change))
        likes = moved[[0, 2]] @ (np.eye(len(follows.change)) + follows.matrix)
        one = unit(unit(likes).sum(0)[None])[0]
        assert scores.parts["following"][0] == pytest.approx(moved @ one, abs=1e-5)

    def test_an_index_whose_vectors_a_head_changed_is_not_taken_for_one_of_it(self, plain, made):
        encoder = made(Shares()).encoder
        as_it_was = hashlib.sha256(f"{plain.encoder.hash} {encoder.adapter.hash}".encode()).hexdigest()
        assert encoder.hash not in (plain.encoder.hash, as_it_was)
        assert encoder.encode(["a river"]).tolist() == plain.encoder.encode(["a river"]).tolist()

    def test_its_direction_finds_what_it_scores_high(self, made, plain):
        refined = made(Shares(4.0, 0.0, 0.5))
        following, (query, _) = refined.ranker._following, refined._reader.read(self.PERSON, None)
        products = plain.index.centred @ following.direction(query)
        scores = following.score(query, np.arange(30))
        assert np.corrcoef(products, scores)[0, 1] > 0.95
        assert products.std() == pytest.approx(scores.std(), rel=0.2)
        assert following.score(query, np.array([7, 3])) == pytest.approx(scores[[7, 3]], abs=1e-6)

    def test_what_is_said_of_them_holds_for_them_alone(self, made):
        most = made(Shares(), self.NEW, there=Shares(50.0, 0.0, 0.0))
        query, _ = most._reader.read(self.PERSON, None)
        new = np.array([int(item[1:]) for item in self.NEW])
        told = most.ranker._following.score(query, new)
        ours = most.score(self.PERSON)
        assert np.argsort(-ours[new]).tolist() == np.argsort(-told).tolist()
        others = np.setdiff1d(np.arange(30), new)
        assert ours[others] == pytest.approx(made(Shares()).score(self.PERSON)[others])

    @pytest.mark.parametrize("foretold", [True, False])
    def test_how_much_it_counts_for_them_is_what_held_out_people_gain(self, made, foretold):
        whole = made(Shares(), self.NEW, there=Shares(1.0, 1.0, 1.0))
        new = np.array([int(item[1:]) for item in self.NEW])
        rng, people = np.random.default_rng(7), []
        for number in range(80):
            stated = rng.choice(np.setdiff1d(np.arange(30), new), 2, replace=False).tolist()
            profile = Profile(history=[f"t{row:02d}" for row in stated])
            told = whole.ranker._following.score(whole._reader.read(profile, None)[0], new)
            best = new[np.argmax(told)] if foretold else rng.choice(new)
            people.append(User(f"u{number}", (*stated, int(best))))
        found = judging.unmet(whole.ranker, None, people, new)
        assert found.shape == (80, len(UNMET), 2)
        shares = judging.of_unmet([found])
        assert (shares.following > 0.9) == foretold
        assert judging.of_unmet([found[:7]]) == Shares()  # too few to tell
        assert len(judging.unmet(whole.ranker, None, [User("old", (0, 1)), User("new", (5,))], new)) == 0

    def test_among_themselves_they_stand_as_if_nothing_followed(self, made):
        strong, none = made(Shares(4.0, 0.0, 0.5), self.NEW), made(Shares())
        ours, theirs = (one.recommend(self.PERSON, k=5, candidates=self.NEW) for one in (strong, none))
        assert [item.id for item in ours] == [item.id for item in theirs]
        assert [item.id for item in made(Shares(4.0, 0.0, 0.5)).recommend(self.PERSON, k=5, candidates=self.NEW)] != [
            item.id for item in theirs
        ]

    def test_a_few_it_met_among_many_that_it_did_not_are_ranked_as_these(self, made):
        met = ("t00", "t08", "t14")
        new = tuple(f"t{row:02d}" for row in range(30) if f"t{row:02d}" not in met)
        ours, theirs = (one.recommend(self.PERSON, k=28) for one in (made(Shares(4.0, 0.0, 0.5), new), made(Shares())))
        assert [item.id for item in ours] == [item.id for item in theirs]
        assert [item.score for item in ours] == pytest.approx([item.score for item in theirs], abs=1e-6)

    def test_the_others_keep_their_scores_and_parts_add_up(self, made):
        whole, parted = made(Shares(4.0, 0.0, 0.5)), made(Shares(4.0, 0.0, 0.5), self.NEW)
        rows = np.array([row for row in range(30) if f"t{row:02d}" not in self.NEW])
        assert parted.score(self.PERSON)[rows] == pytest.approx(whole.score(self.PERSON)[rows])
        for item in parted.recommend(self.PERSON, k=28):
            assert sum(part.contribution for part in item.parts.values()) == pytest.approx(item.score, abs=1e-6)

    def test_an_adapter_that_says_nothing_of_what_it_met_is_taken_to_have_met_all(self, plain):
        follows = Follows.of(b"{}", b"", 1.0)
        assert follows.met is None
        assert follows.knows(plain.index.documents).all()
        with pytest.raises(AdapterError, match="can't be read"):
            Follows.of(b'{"met": "!"}', b"", 1.0)
