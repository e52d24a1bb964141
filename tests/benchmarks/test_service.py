"""Laws of the service's benchmark: its items are always the same, and its table tells what missed a bar."""

import service
from service import BARS, catalogue, share, table


def test_its_items_are_as_many_as_it_says_and_always_the_same(monkeypatch):
    monkeypatch.setattr(service, "ITEMS", 1100)  # more than there are wines
    items = catalogue()
    assert len({item.id for item in items}) == 1100
    assert items == catalogue()


def test_the_table_tells_what_missed_its_bar():
    rows = table({"recommend p50, ms": 25.0, "events/s": 4000.0, "fresh p50, ms": 9.0})
    assert [row[3] for row in rows[1:]] == ["missed", "met", ""]


def test_every_bar_has_a_sign():
    assert {sign for sign, _ in BARS.values()} == {"<=", ">="}


def test_a_share_of_times_is_one_of_them():
    assert share([0.001, 0.002, 0.003], 0.5) == 2.0
    assert share([0.001, 0.002, 0.003], 0.99) == 3.0
