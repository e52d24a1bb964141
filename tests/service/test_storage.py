"""Laws of the rows: once, whole, in order, and each tenant's own."""

import threading

import pytest

from coldstart.entities import Item
from coldstart.service.storage import Event, Given, UnknownTenant

TEA, JAM = Item("t", "Tea", {"sort": ["green", "black"], "year": 1999}), Item("j", "Jam")


def event(number, **changes):
    return Event(**{"event_id": f"e{number}", "user": "ann", "item": "t", "event_type": "like", "value": None,
                    "timestamp": 5.0, **changes})  # fmt: skip


def test_items_come_back_as_they_were_put(storage):
    assert storage.put_items("shop", [TEA, JAM]) == (2, 0)
    assert storage.item("shop", "t") == TEA
    assert {item.id: item for item in storage.items("shop")} == {"t": TEA, "j": JAM}


def test_an_item_put_again_replaces_the_one_there(storage):
    storage.put_items("shop", [TEA])
    assert storage.put_items("shop", [Item("t", "New tea"), JAM]) == (1, 1)
    assert storage.item("shop", "t") == Item("t", "New tea")


def test_deleting_says_what_was_there(storage):
    storage.put_items("shop", [TEA, JAM])
    assert storage.delete_items("shop", ["t", "nothing"]) == ["t"]
    assert storage.items("shop") == [JAM]


def test_an_event_told_again_counts_once(storage):
    assert [e.event_id for e in storage.add_events("shop", [event(1), event(2), event(1, item="j")])] == ["e1", "e2"]
    assert storage.add_events("shop", [event(2), event(3)]) == [event(3)]
    assert list(storage.events("shop")) == [event(1), event(2), event(3)]


def test_events_told_by_many_at_once_count_once(storage):
    new = []

    def tell():
        new.extend(storage.add_events("shop", [event(number) for number in range(50)]))

    threads = [threading.Thread(target=tell) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(e.event_id for e in new) == sorted(f"e{number}" for number in range(50))


def test_a_person_is_what_they_stated_and_did_last(storage):
    storage.put_user("shop", "ann", {"text": "likes tea"})
    storage.add_events("shop", [event(n, event_type="impression" if n == 3 else "view") for n in range(5)])
    stated, did = storage.person("shop", "ann", most=3)
    assert stated == {"text": "likes tea"}
    assert [e.event_id for e in did] == ["e1", "e2", "e4"]
    assert storage.person("shop", "nobody", most=3) == (None, [])


def test_erasing_a_user_leaves_nothing_of_them(storage):
    storage.put_user("shop", "ann", {})
    storage.add_events("shop", [event(1), event(2, user="bob")])
    storage.add_recommendations([("shop", Given("r1", "ann", 1.0, 1, [["t", 1.0]], {}))])
    assert storage.erase_user("shop", "ann") == {"profiles": 1, "events": 1, "recommendations": 1}
    assert storage.user("shop", "ann") is None
    assert storage.recommendation("shop", "r1") is None
    assert [e.user for e in storage.events("shop")] == ["bob"]


def test_tenants_share_nothing(storage):
    storage.create_tenant("other")
    storage.put_items("shop", [TEA])
    storage.put_items("other", [Item("t", "Theirs")])
    storage.add_events("shop", [event(1)])
    assert storage.add_events("other", [event(1, item="x")]) == [event(1, item="x")]
    storage.put_user("shop", "ann", {"text": "ours"})
    storage.add_recommendations([("shop", Given("r1", None, 1.0, 1, [], {}))])
    assert storage.user("other", "ann") is None
    assert storage.recommendation("other", "r1") is None
    assert storage.item("shop", "t") == TEA
    storage.delete_items("other", ["t"])
    storage.erase_user("other", "ann")
    assert storage.item("shop", "t") == TEA
    assert storage.user("shop", "ann") == {"text": "ours"}


def test_old_lists_are_dropped(storage):
    storage.add_recommendations([("shop", Given(f"r{n}", None, float(n), 1, [], {})) for n in range(4)])
    assert storage.drop_recommendations(before=2.0) == 2
    assert storage.recommendation("shop", "r2") is not None


def test_a_tenant_is_created_once_and_an_unknown_one_is_named(storage):
    assert not storage.create_tenant("shop")
    assert storage.create_tenant("other")
    assert [row["id"] for row in storage.tenants()] == ["shop", "other"]
    with pytest.raises(UnknownTenant, match="'nobody'"):
        storage.tenant("nobody")
