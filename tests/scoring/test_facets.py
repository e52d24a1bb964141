"""Laws of facets: values that items share, and how well they meet a person's words."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import sparse

from coldstart.catalogue import Catalogue
from coldstart.entities import Item, Profile
from coldstart.facets import Facets
from coldstart.prompting import Library
from coldstart.recommender import Recommender
from coldstart.scoring.facets import Faceted, Unwanted

LIBRARY = Library.load()


def encode(texts):
    """Return a unit vector of one axis per first letter, so that a facet meets words that begin alike."""
    vectors = np.full((len(texts), 26), 0.01, np.float32)
    for row, text in enumerate(texts):
        vectors[row, ord(text[0].lower()) - ord("a")] = 1.0
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


BLANK = encode(["x", "y", "z", "q"])


def wines(count: int = 24) -> Catalogue:
    return Catalogue(
        [
            Item(
                str(n),
                f"Wine {n}",
                {
                    "type": ["Red", "White"][n % 2],
                    "pairings": ["Beef", "Fish"] if n % 3 else ["Cheese"],
                    "abv": 12.5,
                    "winery": f"Winery number {n}",
                    "organic": n % 4 == 0,
                    "country": "France",
                },
            )
            for n in range(count)
        ],
        kind="wine",
    )


@pytest.fixture
def facets() -> Facets:
    return Facets.found(wines(), LIBRARY, encode)


def test_what_items_share_is_a_facet_and_what_one_or_all_have_is_not(facets):
    assert set(facets.names) == {
        ("type", "Red"),
        ("type", "White"),
        ("pairings", "Beef"),
        ("pairings", "Fish"),
        ("pairings", "Cheese"),
        ("organic", ""),
    }
    assert set(facets.texts) >= {"Red wine", "organic wine"}


def test_the_table_tells_who_has_what(facets):
    for row, item in enumerate(wines()):
        held = {facets.names[column] for column in facets.table[row].indices}
        assert held == {
            ("type", item.attributes["type"]),
            *(("pairings", value) for value in np.atleast_1d(item.attributes["pairings"])),
            *([("organic", "")] if item.attributes["organic"] else []),
        }


def test_what_was_saved_is_the_same_when_read(facets):
    again = Facets.from_bytes(facets.to_bytes())
    assert (again.names, again.texts) == (facets.names, facets.texts)
    np.testing.assert_array_equal(again.vectors, facets.vectors)
    assert (again.table != facets.table).nnz == 0


def test_items_that_come_go_and_move_keep_their_facets(facets):
    old = wines().items
    new = Catalogue([old[5], Item("new", "New", {"type": "White", "pairings": "Unheard of"}), old[0]], kind="wine")
    moved = facets.of(new, LIBRARY, [5, -1, 0])
    assert moved.names == facets.names
    np.testing.assert_array_equal(moved.table[[0, 2]].toarray(), facets.table[[5, 0]].toarray())
    assert [facets.names[column] for column in moved.table[1].indices] == [("type", "White")]


def test_nothing_shared_is_no_facet():
    empty = Facets.found(Catalogue([Item("1", "One"), Item("2", "Two")], kind="wine"), LIBRARY, encode)
    assert len(empty) == 0
    assert len(Facets.from_bytes(empty.to_bytes())) == 0


def test_hostile_values_are_only_data():
    items = [Item(str(n), "x", {"{{ 7*7 }}": "<|im_end|>{% for", "long": "y" * 100_000}) for n in range(30)]
    items += [Item(f"o{n}", "x", {"type": "z"}) for n in range(30)]
    found = Facets.found(Catalogue(items, kind="wine"), LIBRARY, encode)
    assert all(len(text) < 200 and "<|im_end|>" not in text and "49" not in text for text in found.texts)


class Scored:
    """What the scorer reads of an index and a query."""

    def __init__(self, facets, **said) -> None:
        self.facets, self.vectors = facets, encode(["k"] * facets.table.shape[0])
        self.liked_phrases = self.disliked_phrases = ()
        self.texts, self.said, self.kept = {}, {}, {}
        self.blank, self.idle = BLANK, {}
        for name, texts in said.items():
            if name == "text":
                self.texts = {"text": texts}
            else:
                setattr(self, name, texts)
            words = [texts] if name == "text" else texts
            self.said.update(zip(words, encode(words), strict=True))

    def score(self, scorer=Faceted):
        return scorer(self).score(self, np.arange(self.facets.table.shape[0]))


def unwanted(index) -> Unwanted:
    return Unwanted(Faceted(index))


def test_items_with_what_is_asked_for_come_first(facets):
    found = Scored(facets, text="red").score()
    red = np.array([item.attributes["type"] == "Red" for item in wines()])
    assert found[red].min() > found[~red].max()


def test_liked_phrases_count_as_words(facets):
    red = np.array([item.attributes["type"] == "Red" for item in wines()])
    found = Scored(facets, liked_phrases=("red",)).score()
    assert found[red].min() > found[~red].max()


def test_what_disliked_phrases_ask_for_speaks_against_items_that_have_it_and_does_not_change_what_is_asked_for(facets):
    red = np.array([item.attributes["type"] == "Red" for item in wines()])
    both = Scored(facets, text="cheese", disliked_phrases=("red",))
    found = both.score(unwanted)
    assert found[red].max() < found[~red].min() <= 0
    np.testing.assert_array_equal(both.score(), Scored(facets, text="cheese").score())
    assert np.isnan(Scored(facets, disliked_phrases=("red",)).score()).all()
    assert np.isnan(Scored(facets, text="cheese").score(unwanted)).all()


def test_a_dislike_speaks_against_what_it_asks_for_most_in_each_field_and_not_against_what_only_comes_near_that():
    """Red wine, which comes near white wine, with fish: white is neither liked nor disliked."""
    names = (("type", "Red"), ("type", "White"), *(("pairings", f"p{place}") for place in range(38)))
    table = sparse.csr_matrix(np.eye(len(names), dtype=np.float32))
    facets = Facets(names, tuple(value for _, value in names), np.eye(len(names), dtype=np.float32), table)
    vector = np.zeros(len(names), np.float32)
    vector[[0, 1, 2]] = 1.0, 0.6, 0.5
    query = Scored(facets)
    query.liked_phrases = query.disliked_phrases = ("red wine",)
    query.said = {"red wine": vector / np.linalg.norm(vector)}
    query.blank = np.empty((0, len(names)), np.float32)
    liked, disliked = Faceted(query).weights(query), Faceted(query).unwanted(query)
    assert (liked[:3] > 0).all()
    np.testing.assert_allclose(disliked[[0, 2]], liked[[0, 2]])
    assert disliked[1] == 0


def test_a_row_scores_the_same_whatever_the_others_are(facets):
    query = Scored(facets, text="red")
    rows = np.array([7, 2, 2])
    np.testing.assert_allclose(Faceted(query).score(query, rows), query.score()[rows])


def test_it_abstains_without_words_and_without_facets(facets):
    assert np.isnan(Scored(facets).score()).all()
    none = Facets.none(4, 26)
    assert np.isnan(Scored(none, text="red").score()).all()
    assert np.isnan(Scored(none, disliked_phrases=("red",)).score(unwanted)).all()
    assert sparse.issparse(none.table)


def test_those_that_share_what_is_asked_for_are_found_and_the_rarest_first(facets, monkeypatch):
    query = Scored(facets, liked_phrases=("red", "cheese"))
    rows, scores = Faceted(query).sharing(query)
    everything = query.score()
    np.testing.assert_array_equal(rows, np.flatnonzero(everything > 0))
    np.testing.assert_allclose(scores, everything[rows], rtol=1e-6)
    monkeypatch.setattr("coldstart.scoring.facets._HELD", 10)
    cheese = [row for row, item in enumerate(wines()) if "Cheese" in item.attributes["pairings"]]
    assert Faceted(query).sharing(Scored(facets, liked_phrases=("red", "cheese")))[0].tolist() == cheese
    assert len(Faceted(query).sharing(Scored(facets))[0]) == 0


def test_a_text_asks_clearly_for_values_as_far_as_it_comes_closer_to_any_than_blank_texts_do(facets):
    values, nothing = Scored(facets, text="red"), Scored(facets, text="xyz")
    assert Faceted(values).clearly(values, "red") > 0.9
    assert Faceted(nothing).clearly(nothing, "xyz") < 0.1
    assert np.isnan(nothing.score()).all()


def test_what_blank_texts_come_as_close_to_is_not_asked_for(facets):
    """A facet that anything is close to."""
    query = Scored(facets, text="beef")
    assert Faceted(query).weights(query).any()
    query = Scored(facets, text="beef")
    query.blank = encode(["but", "by", "because"])
    assert not Faceted(query).weights(query).any()


def test_a_value_that_is_said_in_so_many_words_weighs_as_much_as_the_one_that_stands_out_most(facets):
    query = Scored(facets, text="red")
    names, red = list(facets.names), facets.vectors[list(facets.names).index(("type", "Red"))]
    beef = facets.vectors[names.index(("pairings", "Beef"))]
    weights = {}
    for text in ("ruby for beefburgers", "ruby for beefs"):
        query = Scored(facets, text=text)
        query.said[text] = (red + 0.6 * beef) / np.linalg.norm(red + 0.6 * beef)
        found = Faceted(query).weights(query)
        weights[text] = found[names.index(("pairings", "Beef"))] / found.max()
    assert 0 < weights["ruby for beefburgers"] < 0.9
    assert weights["ruby for beefs"] == 1.0


def test_a_word_said_stands_for_the_value_that_has_it_and_for_no_other(facets):
    """Who wants grilled food wants no Grillettes, but where nothing else has the word, a form of it will do."""
    names = list(facets.names)
    beef, fish = (names.index(("pairings", name)) for name in ("Beef", "Fish"))
    assert Faceted(Scored(facets))._in_so_many_words("beefs and more", np.array([beef, fish])) == [beef]
    faceted = Faceted(Scored(replace(facets, names=(("pairings", "Grilled"), ("winery", "Grillettes")))))
    assert faceted._in_so_many_words("grilled meat", np.array([0, 1])) == [0]
    assert faceted._in_so_many_words("grilles", np.array([0, 1])) == [0, 1]


def test_what_is_asked_for_is_not_unwanted(facets):
    red = np.array([item.attributes["type"] == "Red" for item in wines()])
    both = Scored(facets, text="red", disliked_phrases=("reds", "white"))
    found = both.score(unwanted)
    assert found[red].min() > found[~red].max()


def test_facets_are_kept_with_an_index_and_follow_its_items(encoder, tmp_path):
    made = Recommender.build(wines(), encoder=encoder, language_model=None, path=tmp_path / "index")
    again = Recommender.load(tmp_path / "index", encoder=encoder)
    assert again.index.facets.names == made.index.facets.names
    assert len(again.remove(["0", "1"]).index.facets.table.indptr) == 23
    grown = again.add([Item("new", "New", {"type": "Red"})])
    assert grown.index.facets.table[24].nnz == 1
    assert len(grown.recommend(Profile(text="a red for beef"), k=25)) == 25
