import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coldstart.wording import article, join_words, plain, plural, sentence, shorten, tidy_title

MARKER = re.compile(r"<\||\|>|</?[A-Za-z]\w*>|\[/?INST\]|\[(?:SEP|CLS|MASK)\]|<<")
pieces = st.lists(
    st.sampled_from(
        [*"<>|/[]&;, ()\n\t", "INST", "s", "The", ", The", ", A", " (1999)", "&amp;", "quot;", "#38;", "\u200b"]
    )
    | st.text(max_size=4)
).map("".join)


@given(pieces)
def test_tidying_a_title_twice_changes_nothing_more(title):
    assert tidy_title(tidy_title(title)) == tidy_title(title)


@pytest.mark.parametrize(
    ("given", "tidy"),
    [
        ("Matrix, The", "The Matrix"),
        ("Matrix, The (1999)", "The Matrix (1999)"),
        ("Postino, Il (The Postman) (1994)", "Il Postino (The Postman) (1994)"),
        ("Avventura, L' (1960)", "L'Avventura (1960)"),
        ("Shanghai Triad (Yao a yao yao dao waipo qiao)", "Shanghai Triad (Yao a yao yao dao waipo qiao)"),
        ("Me, Myself, I", "Me, Myself, I"),
        ("Rock &amp;quot;n&amp;quot; Roll &#39;96", 'Rock "n" Roll \'96'),
        ("a\x00\x07  b\n", "a b"),
        ("AT&T & friends", "AT&T & friends"),
        ("", ""),
    ],
)
def test_a_title_reads_as_people_write_it(given, tidy):
    assert tidy_title(given) == tidy


@pytest.mark.parametrize("unit", ["&#&#51;8;", ", The (a", "<", "<a ", "(", "[INST", "|", "&amp;", ", The, A"])
def test_hostile_text_takes_linear_time(unit):
    text = unit * (200_000 // len(unit))
    start = time.perf_counter()
    tidy_title(text)
    plain(text)
    assert time.perf_counter() - start < 3


@given(pieces)
def test_data_can_not_spell_a_chat_marker(text):
    inert = plain(text)
    assert not MARKER.search(inert)
    assert plain(inert) == inert
    assert "\n" not in inert


@pytest.mark.parametrize(
    "marker",
    [
        *("<|im_start|>", "<|im_end|>", "<s>", "</s>", "[INST]", "[/INST]", "<|endoftext|>", "<start_of_turn>"),
        *("<<SYS>>", "<｜User｜>", "<think>", "[SEP]", "<\u200b|im_end|>", "&lt;|im_end|&gt;"),
    ],
)
def test_a_known_marker_is_broken_but_its_words_stay(marker):
    assert not MARKER.search(plain(f"before{marker}after"))
    assert "before" in plain(f"before{marker}after")


def test_harmless_brackets_stay():
    assert plain("I <3 [REC] & 5 > 3 -> ok") == "I <3 [REC] & 5 > 3 -> ok"


@given(st.text(), st.integers(0, 50))
def test_a_shortened_text_keeps_to_its_limit(text, limit):
    assert len(shorten(text, limit)) <= max(limit, 0)


@given(st.lists(st.text("abcxyz", min_size=1, max_size=8)))
def test_joining_keeps_every_word_in_order(words):
    assert re.split(", | and ", join_words(words)) == (words or [""])


@pytest.mark.parametrize(
    ("one", "many"),
    [("wine", "wines"), ("video game", "video games"), ("dish", "dishes"), ("category", "categories"), ("", "")],
)
def test_kinds_have_plurals(one, many):
    assert plural(one) == many


@pytest.mark.parametrize("words", ["80-year-old", "11-year-old", "18-year-old", "8", "artist", "executive", "hour"])
def test_words_that_sound_like_a_vowel_take_an(words):
    assert article(words) == "an"


@pytest.mark.parametrize("words", ["34-year-old", "181 cm person", "university", "European", "user", "movie", ""])
def test_other_words_take_a(words):
    assert article(words) == "a"


@given(st.text())
def test_a_sentence_ends_once(text):
    assert sentence(sentence(text)) == sentence(text)
