"""Laws of searching: what was asked for is tried first, the best is what comes of it, and a killed one goes on."""

from __future__ import annotations

import json

import pytest

from coldstart.errors import AdapterError
from coldstart.refining import searching
from coldstart.refining.lora import Shape
from coldstart.refining.schedule import Schedule

SHAPE, SCHEDULE = Shape(rank=8, alpha=16), Schedule(rate=1e-3, seed=3)


class Trials:
    """Stands in for training: the faster it learns the better; ends abruptly at a trial."""

    def __init__(self, *, killed_at: int = 0, failing: tuple[int, ...] = ()) -> None:
        self.killed_at, self.failing = killed_at, failing
        self.seen: list[tuple[int, Shape, Schedule]] = []

    def __call__(self, trial, shape, schedule):
        self.seen.append((trial, shape, schedule))
        if trial == self.killed_at:
            raise KeyboardInterrupt
        if trial in self.failing:
            raise AdapterError(f"the loss is nan in trial {trial}")
        return trial, schedule.rate


def search(train, trials=6, **how):
    return searching.searched(train, trials=trials, shape=SHAPE, schedule=SCHEDULE, **how)


def test_what_was_asked_for_comes_first_and_the_best_is_found():
    train = Trials()
    found = search(train)
    assert train.seen[0] == (1, SHAPE, SCHEDULE)
    assert len(train.seen) == 6
    assert found.schedule.rate == max(schedule.rate for _, _, schedule in train.seen)
    assert train.seen[found.found - 1] == (found.found, found.shape, found.schedule)
    assert found.told["trials"] == 6
    assert found.told["qualities"][found.told["best"] - 1] == found.schedule.rate
    for _, shape, schedule in train.seen:
        assert 2 <= shape.rank <= 32
        assert shape.alpha == 2 * shape.rank
        assert 2e-4 <= schedule.rate <= 5e-3
        assert schedule.seed == SCHEDULE.seed


def test_one_that_was_killed_goes_on_with_the_trial_it_was_at(tmp_path):
    whole, first, rest = Trials(), Trials(killed_at=4), Trials()
    expected = search(whole)
    with pytest.raises(KeyboardInterrupt):
        search(first, path=tmp_path / "search.json")
    found = search(rest, path=tmp_path / "search.json")
    assert first.seen == whole.seen[:4]
    assert rest.seen[:3] == whole.seen[3:]
    assert found.told == expected.told
    assert found.found == expected.found  # trained once more, if it was before the kill
    assert rest.seen[-1] == whole.seen[found.found - 1]


def test_more_trials_than_before_go_on_and_other_data_begins_anew(tmp_path):
    one, two, other = Trials(), Trials(), Trials()
    search(one, trials=3, path=tmp_path / "search.json", key="these")
    search(two, trials=5, path=tmp_path / "search.json", key="these")
    assert [trial for trial, _, _ in two.seen][:2] == [4, 5]
    search(other, trials=2, path=tmp_path / "search.json", key="others")
    assert [trial for trial, _, _ in other.seen] == [1, 2]


@pytest.mark.parametrize("content", ["", "{}", "no search", '{"mark": 3}'])
def test_a_file_that_cant_be_read_is_passed_over(tmp_path, content):
    (tmp_path / "search.json").write_text(content)
    assert search(Trials(), trials=2, path=tmp_path / "search.json").told["trials"] == 2
    assert len(json.loads((tmp_path / "search.json").read_text())["trials"]) == 2


def test_a_trial_that_fails_is_passed_over_and_if_all_do_it_says_why():
    found = search(Trials(failing=(1, 3)))
    assert found.told["qualities"][0] is found.told["qualities"][2] is None
    assert found.told["best"] not in (1, 3)
    with pytest.raises(AdapterError, match="nan in trial 2"):
        search(Trials(failing=(1, 2)), trials=2)


def test_attention_alone_learns_where_it_is_asked_for():
    with pytest.raises(AdapterError, match="expected one of all, attention"):
        Shape(targets="query")
