"""Laws of training: the loss is the one in its paper, a run can be told twice and go on after a kill, and it learns."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from coldstart.entities import Interaction
from coldstart.errors import AdapterError, CatalogueError
from coldstart.interactions import Interactions
from coldstart.refining import lora
from coldstart.refining.examples import LEAST, MOST_A_USER, lesson
from coldstart.refining.lora import Shape
from coldstart.refining.refinement import _together
from coldstart.refining.schedule import Schedule

CIRCLES = (tuple(range(0, 30, 2)), tuple(range(1, 30, 2)))
ROWS = {f"t{row:02d}": row for row in range(30)}


def told(people: int = 60, each: int = 6, seed: int = 0) -> Interactions:
    """Return who liked what: those of a circle like its teas, one after the other."""
    rng = np.random.default_rng(seed)
    return Interactions.from_records(
        Interaction(f"u{person:02d}", f"t{tea:02d}", timestamp=float(time))
        for person in range(people)
        for time, tea in enumerate(rng.permutation(CIRCLES[person % 2])[:each].tolist())
    )


class TestLesson:
    """Who is learned from, and who judges."""

    def test_without_items_it_is_as_if_they_did_not_exist(self):
        whole, out = lesson(told(), ROWS), np.arange(0, 30, 3)
        less = whole.without_items(out)
        for users, left in ((whole.taught.users, less.taught.users), (whole.judges, less.judges)):
            for user, same in zip(users, left, strict=True):
                assert same.likes == tuple(row for row in user.likes if row % 3)
        assert not less.taught.counts[out].any()
        assert less.hash not in (whole.hash, whole.without_items(out[1:]).hash)
        assert less.teaches

    def test_where_nobody_is_left_with_two_likes_nothing_teaches(self):
        whole = lesson(told(), ROWS)
        assert whole.teaches
        assert not whole.without_items(np.arange(29)).teaches
        likes = {row for user in whole.choosing for row in user.likes}
        assert not whole.without_items(np.array(sorted(likes))).teaches

    def test_those_who_judge_are_never_learned_from(self):
        found = lesson(told(), ROWS)
        judges = {user.id for user in found.judges}
        assert len(judges) == 30
        assert judges == {user.id for user in found.held_out.users}
        assert not judges & {user.id for user in found.taught.users}

    def test_of_many_held_out_some_choose_and_others_judge(self):
        found = lesson(told(people=90), ROWS)
        choosing, judging = ({user.id for user in part} for part in (found.choosing, found.judging))
        assert len(choosing | judging) == len(found.judges) == 40
        assert len(choosing) == len(judging) == 20
        assert choosing == {user.id for user in found.held_out.users}
        assert not (choosing | judging) & {user.id for user in found.taught.users}

    def test_pairs_are_what_one_user_liked_soon_after(self):
        events = Interactions.from_records(
            [Interaction("ann", f"t{place:02d}", timestamp=10.0 - place) for place in range(6)]
        )
        found = lesson(events, ROWS).taught
        pairs = set(zip(found.anchors.tolist(), found.positives.tolist(), strict=True))
        assert pairs == {(late, early) for late in range(6) for early in range(6) if 0 < late - early <= 3}

    def test_the_order_of_events_changes_nothing(self):
        events = list(told())
        shuffled = [events[place] for place in np.random.default_rng(1).permutation(len(events))]
        one, other = lesson(told(), ROWS), lesson(Interactions.from_records(shuffled), ROWS)
        assert one.hash == other.hash
        assert (one.taught.anchors == other.taught.anchors).all()

    def test_what_users_say_leads_to_what_they_like(self):
        found = lesson(told(), ROWS, said={f"u{person:02d}": f"circle {person % 2}" for person in range(60)})
        said = found.taught.anchors >= len(ROWS)
        assert set(found.taught.texts) == {"circle 0", "circle 1"}
        assert said.sum() == 6 * len(found.taught.users)
        taught, held_out = _together(found, len(ROWS))
        texts = tuple(dict.fromkeys((*found.taught.texts, *found.held_out.texts)))
        for mine in (taught, held_out):
            for anchor, owner in zip(mine.anchors.tolist(), mine.owners.tolist(), strict=True):
                if anchor >= len(ROWS):
                    assert texts[anchor - len(ROWS)] == f"circle {int(mine.users[owner].id[1:]) % 2}"

    def test_one_user_gives_so_many_pairs_at_most(self):
        events = [Interaction("eager", item, timestamp=float(row)) for item, row in ROWS.items()]
        assert len(lesson(Interactions.from_records(events), ROWS).taught) == MOST_A_USER

    def test_dislikes_and_unknown_items_arent_learned_from(self):
        events = [
            Interaction("ann", "t01", value=1.0),
            *(Interaction("ann", f"t{n:02d}", value=5.0) for n in range(2, 8)),
        ]
        found = lesson(Interactions.from_records([*events, Interaction("ann", "nowhere", value=5.0)]), ROWS)
        assert 1 not in {*found.taught.anchors.tolist(), *found.taught.positives.tolist()}
        assert found.unknown == 1

    @pytest.mark.parametrize("count", [0, 1, 2])
    def test_too_few_are_refused(self, count):
        events = Interactions.from_records([Interaction("ann", f"t{n:02d}") for n in range(count)])
        with pytest.raises(CatalogueError, match=f"at least {LEAST}"):
            lesson(events, ROWS)


def documents():
    words = ["river", "hill", "cave", "cloud", "lantern", "window"]
    return [f"{words[row % 6]} tea {'abcde'[row // 6]}" for row in range(30)]


def trained(encoder, schedule, *, checkpoint=None, told_=None, shape=None):
    """Train on the circles; return the adapter's model, PEFT's view of it and how it went."""
    from coldstart.refining.tower import Tower
    from coldstart.refining.training import train

    found = lesson(told(), ROWS)
    model, wrapped = lora.attached(encoder, shape or Shape(rank=8, upper=1.0), seed=schedule.seed)
    texts = documents()
    tower = Tower(model, np.arange(30), texts, learning=0, prompt=None)
    mean = encoder.encode(texts).mean(0)
    vectors = encoder.encode(texts) - mean
    kept = {"checkpoint": checkpoint, "key": "these", "told": told_, "vectors": vectors}
    done = train(tower, found.taught, found.held_out, mean, schedule, **kept)
    return model, wrapped, done


def apart(encoder, model) -> float:
    """Return how much closer items of one circle are than items of two, in centred space."""
    vectors = type(encoder)(model).encode(documents())
    vectors = vectors - vectors.mean(0)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    same = np.equal.outer(np.arange(30) % 2, np.arange(30) % 2)
    cosines = vectors @ vectors.T
    return float(cosines[same].mean() - cosines[~same].mean())


QUICK = Schedule(passes=8, batch=32, rate=1e-2, every=5, patience=20)


def test_the_loss_is_the_corrected_cross_entropy_of_a_batch():
    import torch

    from coldstart.refining.training import Loss

    rng = np.random.default_rng(0)
    table = torch.from_numpy(rng.normal(size=(6, 4))).float()
    mean, counts = rng.normal(size=4).astype(np.float32), np.array([1.0, 2, 3, 4, 5, 6])
    likes = [{0, 1, 2}, {3, 4}]
    anchors, positives, owners = np.array([0, 3, 2]), np.array([1, 4, 0]), np.array([0, 1, 0])
    found = Loss(mean, counts, likes, temperature=0.5)(
        lambda rows: table[torch.from_numpy(rows)], anchors, positives, owners
    )
    vectors = table.numpy() - mean
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    expected = []
    for anchor, positive, owner in zip(anchors, positives, owners, strict=True):
        terms = {
            item: float(vectors[anchor] @ vectors[item] / 0.5 - np.log(counts[item] / counts.sum()))
            for item in {*anchors.tolist(), *positives.tolist()}
            if item == positive or (item not in likes[owner] and item != anchor)
        }
        expected.append(np.log(sum(np.exp(list(terms.values())))) - terms[positive])
    assert float(found) == pytest.approx(np.mean(expected), abs=1e-5)


def test_hard_negatives_stand_beside_the_batch_and_what_is_liked_never_does():
    import torch

    from coldstart.refining.training import Loss, _hard

    rng = np.random.default_rng(3)
    table = torch.from_numpy(rng.normal(size=(8, 4))).float()
    loss = Loss(np.zeros(4, np.float32), np.ones(8), [{0, 1, 5}], temperature=0.5)
    pairs = (np.array([0]), np.array([1]), np.array([0]))

    def value(*hard):
        return float(loss(lambda rows: table[torch.from_numpy(rows)], *pairs, np.array(hard, np.int64)))

    vectors = torch.nn.functional.normalize(table, dim=1)
    logits = (vectors[0] @ vectors.T) / 0.5
    assert value(6) == pytest.approx(float(torch.logsumexp(logits[[1, 6]], 0) - logits[1]), abs=1e-5)
    assert value(5) == value() == pytest.approx(0.0, abs=1e-6)  # 5 is liked
    items = np.linspace(0, 1, 40)[:, None].astype(np.float32) * np.array([[1.0, 0.0]], np.float32)
    items[:, 1] = np.sqrt(1.0 - items[:, 0] ** 2)
    anchors = np.array([10, 30, 45])  # the last one is a text
    drawn = {
        tuple(_hard((anchors, anchors, np.zeros(3, int)), items, np.arange(0, 40, 2), [{12, 8}], 8, rng).tolist())
        for rng in map(np.random.default_rng, range(5))
    }
    assert all(len(each) == 2 for each in drawn)
    assert len(drawn) > 1
    assert not {item for each in drawn for item in each} & {12, 8, *range(1, 40, 2)}


@pytest.mark.slow
def test_hard_negatives_are_learned_from_and_the_same_each_time(encoder):
    plain, hard, again = (trained(encoder, replace(QUICK, hard=count))[2] for count in (0, 8, 8))
    assert hard.losses == pytest.approx(again.losses, abs=1e-5)
    assert hard.losses[0] > plain.losses[0]
    assert min(hard.checks) < hard.checks[0]


@pytest.mark.slow
def test_it_learns_what_is_liked_together_and_the_same_each_time(encoder):
    model, _, done = trained(encoder, QUICK)
    assert apart(encoder, model) > apart(encoder, encoder.model) + 0.1
    assert done.best > 0
    assert min(done.checks) < done.checks[0]
    again, _, same = trained(encoder, QUICK)
    assert same.losses == pytest.approx(done.losses, abs=1e-5)
    assert apart(encoder, again) == pytest.approx(apart(encoder, model), abs=1e-4)


@pytest.mark.slow
def test_a_killed_run_goes_on_where_it_was(encoder, tmp_path):
    whole, _, done = trained(encoder, QUICK)

    class Killed(Exception):
        pass

    def kill(step, *_):
        if step == 13:
            raise Killed

    with pytest.raises(Killed):
        trained(encoder, QUICK, checkpoint=tmp_path / "training.pt", told_=kill)
    rest, _, resumed = trained(encoder, QUICK, checkpoint=tmp_path / "training.pt")
    assert resumed.resumed == 10
    assert resumed.losses == pytest.approx(done.losses, abs=1e-5)
    assert apart(encoder, rest) == pytest.approx(apart(encoder, whole), abs=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("content", [b"", b"no checkpoint", None])
def test_a_checkpoint_that_cant_be_used_is_passed_over(encoder, tmp_path, content):
    path = tmp_path / "training.pt"
    if content is None:  # of another training
        import torch

        torch.save({"told": '{"key": "others", "step": 5}'}, path)
    else:
        path.write_bytes(content)
    _, _, done = trained(encoder, replace(QUICK, passes=0.5), checkpoint=path)
    assert done.resumed == 0
    assert done.steps > 0


@pytest.mark.slow
def test_what_is_best_for_those_held_out_is_kept_and_training_stops(encoder):
    found = []

    def watch(*told):
        found.append(told[-1])

    _, wrapped, done = trained(encoder, replace(QUICK, rate=0.3, every=1, patience=3, passes=100), told_=watch)
    assert done.steps == done.best + 3
    assert done.best == int(np.argmin(done.checks))
    assert found == list(done.checks[1:])
    adapter = lora.taken(wrapped, base=encoder.hash) if done.best else None
    assert (adapter is None) == (done.best == 0)


def test_the_rate_rises_and_falls_by_whatever_ends_first():
    from coldstart.refining.loop import warm_then_cosine

    by_steps = [warm_then_cosine(step, 100, 0.0) for step in range(100)]
    by_time = [warm_then_cosine(step, 10_000, step / 99) for step in range(100)]
    for rates in (by_steps, by_time):
        top = int(np.argmax(rates))
        assert 5 <= top <= 15
        assert (np.diff(rates[: top + 1]) >= 0).all()
        assert (np.diff(rates[top:]) <= 0).all()
        assert rates[top] == pytest.approx(1.0, abs=0.05)
        assert rates[-1] < 0.01


@pytest.mark.slow
def test_time_ends_it(encoder):
    _, _, done = trained(encoder, replace(QUICK, minutes=1e-9))
    assert done.steps <= 1


@pytest.mark.parametrize("wrong", [{"minutes": 0}, {"batch": 1}, {"rate": -1.0}, {"temperature": 0}, {"hard": -1}])
def test_a_schedule_that_makes_no_sense_is_refused(wrong):
    with pytest.raises(AdapterError, match="expected numbers above 0"):
        Schedule(**wrong)
