"""Laws of user files: which columns become which part of a profile."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from coldstart.entities import Profile
from coldstart.errors import CatalogueError
from coldstart.profiles import read_profiles


def read(folder: Path, text: str, name: str = "users.csv") -> dict[str, Profile]:
    (folder / name).write_text(text, encoding="utf-8")
    return read_profiles(folder / name)


def test_each_column_becomes_its_part_of_the_profile(tmp_path):
    found = read(
        tmp_path, 'user_id,description,likes,dislikes,history,age\nu,"reds, bold",12|Tea,Jam,"[3, 4]",34\nv,,,,,\n'
    )
    expected = Profile("reds, bold", {"age": 34}, likes=["12", "Tea"], dislikes=["Jam"], history=["3", "4"])
    assert found == {"u": expected, "v": Profile()}


def test_lists_of_ids_in_jsonl_become_text(tmp_path):
    found = read(tmp_path, '{"user_id": 7, "likes": [12, "Tea"], "history": ["a"]}', "users.jsonl")
    assert found == {"7": Profile(likes=["12", "Tea"], history=["a"])}


def test_recbole_users_keep_their_codes_as_text(tmp_path):
    found = read(tmp_path, "user_id:token\tage:token\tzip_code:token\n1\t24\t02139\n", "x.user")
    assert found == {"1": Profile(attributes={"age": "24", "zip_code": "02139"})}


def test_equal_rows_count_once_and_others_are_refused(tmp_path, caplog):
    with caplog.at_level(logging.WARNING):
        assert len(read(tmp_path, "user_id,age\nu,3\nu,3\n")) == 1
    assert "1 rows were repeated" in caplog.text
    with pytest.raises(
        CatalogueError, match=r"'u' is in row 1 \(line 2\) and, with other content, in row 2 \(line 3\)"
    ):
        read(tmp_path, "user_id,age\nu,3\nu,4\n")


@pytest.mark.parametrize(("text", "message"), [("age\n3\n", "no user_id column"), ("id,age\n,3\n", "no id in row 1")])
def test_users_without_an_id_are_refused(tmp_path, text, message):
    with pytest.raises(CatalogueError, match=message):
        read(tmp_path, text)


def test_a_header_alone_gives_no_users(tmp_path):
    assert read(tmp_path, "user_id,age\n") == {}
