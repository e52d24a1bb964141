"""Laws of starting again: the rows are the truth, the index follows them, and only what is new is encoded."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from coldstart.entities import Item, Profile
from coldstart.errors import ModelError
from coldstart.executor import Executor
from coldstart.prompting import Library
from coldstart.service.sliced import GivingWay
from coldstart.service.storage import Event, open_storage
from coldstart.service.tenant import Engine, Tenant

PROFILE = Profile(text="a smoked black tea with honey")


@pytest.fixture
def storage(tmp_path, teas):
    made = open_storage(f"sqlite:///{tmp_path / 'rows.sqlite'}")
    made.create_tenant("shop", kind="tea")
    made.put_items("shop", teas(12))
    yield made
    made.engine.dispose()


@pytest.fixture(scope="module")
def engine(encoder):
    with Executor() as executor:
        yield Engine(encoder, None, Library.load(), executor)


@pytest.fixture
def start(storage, engine, tmp_path):
    """Start the tenant afresh, as a process does."""

    def start(**changes):
        made = Tenant(
            "shop", "tea", engine=Engine(**{**engine.__dict__, **changes}), storage=storage, folder=tmp_path / "i"
        )
        made.open()
        return made

    return start


@pytest.fixture
def read(encoder, monkeypatch):
    """What is encoded as a document from now on."""
    found = []
    encode = type(encoder).encode

    def spy(self, texts, *, role="document", **how):
        found.extend(texts if role == "document" else [])
        return encode(self, texts, role=role, **how)

    monkeypatch.setattr(type(encoder), "encode", spy)
    return found


def ranked(tenant):
    return [one.id for one in tenant.recommender.recommend(PROFILE, k=30)]


def test_what_was_kept_isnt_encoded_again(start, read):
    first = start()
    first.complete()
    expected = ranked(first)
    read.clear()
    assert ranked(start()) == expected
    assert read == []


def test_rows_that_changed_while_it_was_down_are_brought_in(start, read, storage, teas):
    start().complete()
    storage.put_items("shop", [Item("t01", "Quite another", {"sort": "green"}), teas(13)[12]])
    storage.delete_items("shop", ["t02", "t03"])
    read.clear()
    again = start()
    assert len(read) == 2
    assert {item.id: item for item in again.recommender.catalogue.items} == {i.id: i for i in storage.items("shop")}


@pytest.mark.parametrize(
    "damage", [lambda f: (f / "manifest.json").write_text("{"), lambda f: next(f.glob("vec*")).unlink()]
)
def test_a_damaged_index_is_built_anew(start, read, tmp_path, damage):
    first = start()
    first.complete()
    damage(tmp_path / "i")
    read.clear()
    again = start()
    assert ranked(again) == ranked(first)
    assert len(read) == 12 + len(again.recommender.index.facets)


def test_another_encoder_or_kind_builds_it_anew(start, read, storage, encoder_folder, resolve_folder, tmp_path, engine):
    from coldstart.encoding import Encoder

    start().complete()
    read.clear()
    other = start(encoder=Encoder.load(resolve_folder(encoder_folder(1))))
    assert len(read) == 12 + len(other.recommender.index.facets)
    read.clear()
    drink = Tenant("shop", "drink", engine=engine, storage=storage, folder=tmp_path / "i")
    drink.open()
    assert len(read) == 12 + len(drink.recommender.index.facets)


def test_all_items_may_be_other_ones(start, storage, teas):
    start().complete()
    storage.delete_items("shop", [f"t{n:02d}" for n in range(12)])
    storage.put_items("shop", teas(20)[15:])
    assert len(start().recommender.catalogue) == 5
    storage.delete_items("shop", [f"t{n:02d}" for n in range(20)])
    assert start().recommender is None


def test_what_was_learned_is_learned_again_from_the_rows(start, storage):
    running = start()
    events = [Event(f"e{n}", f"u{n % 5}", f"t{n % 12:02d}", "like", None, 5.0) for n in range(40)]
    running.tell(storage.add_events("shop", events))
    assert running.learn()
    again = start()
    assert dict(again.recommender.learned) | {"arrivals": 0} == dict(running.recommender.learned) | {"arrivals": 0}
    assert ranked(again) == ranked(running)


def test_requests_go_on_with_the_old_list_while_events_are_counted(start):
    running = start()
    before = running.recommender
    running.tell([Event("e", "u", "t00", "like", None, 5.0)])
    running.learn()
    assert before.learned == {}
    assert running.recommender.learned["events"] == 1
    assert not running.learn()


def test_rows_ahead_of_the_index_are_brought_in_later(start, storage, teas, encoder, monkeypatch):
    running = start()

    def fail(*_, **__):
        raise ModelError("the weights are gone")

    with monkeypatch.context() as broken:
        broken.setattr(type(encoder), "encode", fail)
        with pytest.raises(ModelError):
            running.put_items(teas(13)[12:])
    assert "t12" in {item.id for item in storage.items("shop")}
    assert running.stale
    running.complete()
    assert "t12" in running.recommender.catalogue
    assert not running.stale


def test_erasing_a_user_takes_back_what_was_and_what_would_be_counted(start, storage):
    running = start()
    running.tell(storage.add_events("shop", [Event(f"e{n}", f"u{n}", "t01", "like", None, 5.0) for n in range(3)]))
    running.learn()
    running.tell(storage.add_events("shop", [Event("late", "u1", "t02", "like", None, 5.0)]))
    assert running.erase("u1")["events"] == 2
    running.learn()
    assert running.recommender.learned["events"] == 2
    assert running.recommender.learned["people"] == 2


@pytest.fixture
def crowd(storage):
    """Thirty people who like one half of the items each."""
    likes = [Event(f"e{who}-{n}", f"u{who}", f"t{2 * n + who % 2:02d}", "like", None, 5.0) for who in range(30)
             for n in range(6)]  # fmt: skip
    return storage.add_events("shop", likes)


@pytest.mark.usefixtures("crowd")
def test_weights_are_chosen_beside_the_requests_once_there_is_new_data_and_outlive_a_restart(start):
    running = start()
    before = running.recommender
    assert running.unweighed
    assert running.weigh()
    assert before.platform.weighing.likes == 0
    chosen = running.recommender.platform.weighing
    assert chosen.likes == 180
    assert [one.likes for one in chosen.chosen] == [1]
    assert not running.weigh()
    assert start().recommender.platform.weighing == chosen
    running._weights.write_text("{")
    assert start().unweighed


@pytest.mark.parametrize(("quiet", "paused"), [(0.1, [1.0, 4.0]), (9.0, [])], ids=["requests come", "none comes"])
def test_work_behind_the_requests_gets_a_fifth_while_they_come(quiet, paused):
    now, slept = iter([0.0, 0.25, 2.0, 3.0, 5.0] if paused else [0.0, 2.0, 5.0]), []
    give_way = GivingWay(SimpleNamespace(quiet=quiet), clock=lambda: next(now), sleep=slept.append)
    give_way()
    give_way()
    assert slept == pytest.approx(paused)


@pytest.mark.usefixtures("crowd")
def test_weights_dont_outlive_a_user_who_had_a_part_in_them(start, monkeypatch):
    running = start()
    weigh = type(running.recommender).weigh

    def erased_meanwhile(self, **how):
        running.erase("u1")
        return weigh(self, **how)

    with monkeypatch.context() as meanwhile:
        meanwhile.setattr(type(running.recommender), "weigh", erased_meanwhile)
        assert not running.weigh()
    assert running.recommender.platform.weighing.likes == 0
    assert running.weigh()
    running.erase("u2")
    assert running.recommender.platform.weighing.likes == 0
    assert start().unweighed


# Events are counted beside all else


@pytest.fixture
def counting(monkeypatch):
    """Do something while events are counted, once."""

    def doing(tenant, work):
        kind, doings = type(tenant.recommender), [work]
        observe = kind.observe

        def slow(self, *told, **how):
            while doings:
                doings.pop()()
            return observe(self, *told, **how)

        monkeypatch.setattr(kind, "observe", slow)
        tenant.learn()
        assert not doings

    return doing


NEWS = [Event(f"n{who}", f"v{who}", "t03", "like", None, 6.0) for who in range(9)]


def likes_of(tenant, item):
    platform = tenant.recommender.platform
    return platform.likes.counts[tenant.recommender.catalogue.row(item)]


@pytest.mark.usefixtures("crowd")
def test_an_item_that_comes_while_events_are_counted_stays_and_so_do_they(start, counting, storage):
    running = start()
    before = likes_of(running, "t03")
    storage.add_events("shop", NEWS)
    running.tell(NEWS)
    counting(running, lambda: running.put_items([Item("late", "A late tea")]))
    assert "late" in running.recommender.catalogue
    assert likes_of(running, "t03") == before + 9
    assert running.recommender.platform.likes.counts.shape == (13,)
    assert not running.learn()


@pytest.mark.usefixtures("crowd")
def test_who_is_erased_while_their_events_are_counted_leaves_nothing(start, counting, storage):
    running = start()
    before = likes_of(running, "t03")
    storage.add_events("shop", NEWS)
    running.tell(NEWS)
    counting(running, lambda: running.erase("v3"))
    assert likes_of(running, "t03") == before + 8
    assert all(key[0] != "v3" for key, _ in running.recommender.platform.experience.records())


@pytest.mark.usefixtures("crowd")
def test_weights_that_are_chosen_while_events_are_counted_are_used(start, counting, storage):
    running = start()
    storage.add_events("shop", NEWS)
    running.tell(NEWS)
    counting(running, running.weigh)
    assert running.recommender.platform.weighing.likes == 180
    assert len(running.recommender.platform) == 189


@pytest.mark.usefixtures("crowd")
def test_events_told_while_others_are_counted_are_counted_next(start, counting, storage):
    running = start()
    storage.add_events("shop", NEWS)
    running.tell(NEWS[:5])
    counting(running, lambda: running.tell(NEWS[5:]))
    assert len(running.recommender.platform) == 185
    assert running.learn()
    assert len(running.recommender.platform) == 189


@pytest.mark.usefixtures("crowd")
def test_an_index_that_is_reconciled_while_events_are_counted_loses_none(start, counting, storage):
    running = start()
    storage.add_events("shop", NEWS)
    running.tell(NEWS[:5])
    counting(running, lambda: (running.tell(NEWS[5:]), running.open()))
    assert len(running.recommender.platform) == 189


def test_titles_are_read_ahead_once_and_by_a_language_model_alone(start, language_model):
    assert not start().read_ahead()
    reading = start(language_model=language_model)
    assert reading.read_ahead()
    while reading.read_ahead():
        pass
    assert not reading.read_ahead()


def test_what_users_say_of_themselves_moves_lists_after_weighing_and_a_restart(start, storage):
    running = start()
    likes = {"young": ("t01", "t02", "t03"), "old": ("t04", "t05", "t06")}
    for number in range(60):
        group = ("young", "old")[number % 2]
        storage.put_user("shop", f"u{number}", {"attributes": {"age": group, "city": "Oslo"}})
        given = [
            Event(f"e{number}-{tea}", f"u{number}", tea, "like", None, 5.0) for tea in likes[group][number % 3 :][:2]
        ]
        running.tell(storage.add_events("shop", given))
    running.learn()
    assert running.weigh()
    for tenant in (running, start()):
        for group, teas in likes.items():
            found = tenant.recommender.recommend(Profile(attributes={"age": group}), k=3)
            assert {one.id for one in found} == set(teas)
    running.erase("u1")
    assert "u1" not in running.recommender.platform.experience.said
    assert storage.profiles("shop", ["u1", "u2", "nobody"]) == {"u2": {"attributes": {"age": "young", "city": "Oslo"}}}
