"""Laws of interaction files: what is read, what is refused and where."""

from __future__ import annotations

import datetime
import json
from importlib import resources
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from coldstart.entities import Interaction
from coldstart.errors import CatalogueError
from coldstart.interactions import Interactions

finite = st.none() | st.floats(-1e9, 1e9)
events = st.lists(
    st.builds(
        Interaction,
        user=st.sampled_from("abc"),
        item=st.sampled_from("xyz"),
        event_type=st.sampled_from(["view", "buy"]),
        value=finite,
        timestamp=finite,
    ),
    max_size=10,
)


def read(folder: Path, text: str, name: str = "events.csv") -> Interactions:
    (folder / name).write_text(text, encoding="utf-8")
    return Interactions.read(folder / name)


@pytest.mark.parametrize(
    "header",
    [
        "user_id,item_id,event_value,timestamp",
        "USER_ID,ITEM_ID,EVENT_VALUE,TIMESTAMP",
        "user_id:token,item_id:token,rating:float,timestamp:float",
        "UserID,WineID,Rating,Date",
        "userID,placeID,rating,created_at",
    ],
)
def test_the_headers_of_other_systems_are_understood(tmp_path, header):
    assert list(read(tmp_path, f"{header}\n7,3,4.5,86400\n")) == [Interaction("7", "3", "interaction", 4.5, 86400.0)]


def test_an_id_of_the_rating_itself_is_not_the_item(tmp_path):
    found = read(tmp_path, "RatingID,UserID,WineID,Vintage,Rating,Date\n1,2,3,1950,4.5,1970-01-02 00:00:01\n")
    assert list(found) == [Interaction("2", "3", "interaction", 4.5, 86401.0)]


def test_the_same_events_are_read_from_every_format(tmp_path):
    day = datetime.datetime(2021, 11, 2, 20, 52, 59, tzinfo=datetime.timezone.utc)
    rows = [{"user_id": "u", "item_id": 3, "event_value": 4.5, "timestamp": day}]
    parquet.write_table(pa.Table.from_pylist(rows), tmp_path / "e.parquet")
    expected = [Interaction("u", "3", "interaction", 4.5, day.timestamp())]
    assert list(Interactions.read(tmp_path / "e.parquet")) == expected
    line = json.dumps({**rows[0], "timestamp": day.isoformat()})
    assert list(read(tmp_path, line, "e.jsonl")) == expected
    assert list(read(tmp_path, "user_id\titem_id\trating\tdate\nu\t3\t4.5\t2021-11-02T20:52:59Z\n")) == expected


def test_missing_cells_are_nothing_and_an_event_without_a_type_is_an_interaction(tmp_path):
    found = read(tmp_path, "user_id,item_id,event_type,event_value,timestamp\nu,i,,,\nu,j,buy,NaN,2021-01-01\n")
    assert [e.event_type for e in found] == ["interaction", "buy"]
    assert [e.value for e in found] == [None, None]
    assert [e.timestamp for e in found] == [None, 1609459200.0]


def test_a_header_alone_gives_no_events(tmp_path):
    assert len(read(tmp_path, "user_id,item_id,rating,date\n")) == 0
    assert len(Interactions.from_records([])) == 0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("item_id,rating\n1,2\n", "no user_id column.*'item_id', 'rating'"),
        ("user_id,rating\n1,2\n", "no item_id column"),
        ("user_id,movie_id,game_id\n1,2,3\n", "more than one that could be it"),
        ("user_id,item_id\n,2\n", r"no user_id in row 1 \(line 2\)"),
        ("user_id,item_id,rating\n1,2,4\n1,3,good\n", r"rating 'good' in row 2 \(line 3\): expected a number"),
        ("user_id,item_id,rating\n1,2,inf\n", "rating 'inf' in row 1"),
        ("user_id,item_id,date\n1,2,yesterday\n", "date 'yesterday' in row 1.*ISO date"),
        ("user_id,item_id,date\n1,2,2021-13-01 00:00:00\n", "2021-13-01"),
        ("user_id,item_id,timestamp\n1,2,1609459200000\n", "milliseconds; divide by 1000"),
    ],
)
def test_a_bad_file_is_refused_by_place_and_remedy(tmp_path, text, message):
    with pytest.raises(CatalogueError, match=message):
        read(tmp_path, text)


@pytest.mark.parametrize("event", ["x", Interaction("", "i"), Interaction("u", "i", value=float("nan"))])
def test_a_bad_record_is_refused(event):
    with pytest.raises(CatalogueError, match="event 1"):
        Interactions.from_records([event])


@settings(max_examples=30, deadline=None)
@given(events)
def test_records_come_back_as_they_went_in(some):
    assert list(Interactions.from_records(some)) == some


@settings(max_examples=30, deadline=None)
@given(events, st.data())
def test_a_part_holds_the_marked_events_under_the_same_positions(some, data):
    whole = Interactions.from_records(some)
    mask = np.array(data.draw(st.lists(st.booleans(), min_size=len(some), max_size=len(some))), dtype=bool)
    part = whole.take(mask)
    assert list(part) == [event for event, kept in zip(some, mask, strict=True) if kept]
    assert part.user_ids == whole.user_ids
    assert list(whole.take(np.flatnonzero(mask))) == list(part)


def test_columns_are_read_only():
    with pytest.raises(ValueError, match="read-only"):
        Interactions.from_records([Interaction("u", "i")]).users[0] = 1


def test_the_demo_ratings_are_read_whole():
    ratings = Interactions.read(Path(str(resources.files("coldstart") / "data" / "wine-ratings.parquet")))
    assert (len(ratings), len(ratings.user_ids), len(ratings.item_ids)) == (150_000, 10_561, 1007)
    assert (ratings.values.min(), ratings.values.max()) == (1.0, 5.0)
    assert not np.isnan(ratings.timestamps).any()
