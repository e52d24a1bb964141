"""Laws of the catalogue: what it reads, what it refuses and says, what it filters, how it changes."""

from __future__ import annotations

import gzip
import json
import logging
import tempfile
from contextlib import suppress
from importlib import resources
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from coldstart.catalogue import Catalogue, Interactions, read_profiles
from coldstart.entities import Item
from coldstart.errors import CatalogueError, ColdstartError, ProfileError, UnknownItem

WINES = Path(str(resources.files("coldstart") / "data" / "wines.csv"))

words = st.text(st.characters(blacklist_categories=("C", "Z")), min_size=1, max_size=8)
titles = st.text(st.characters(blacklist_categories=("C", "Z"), whitelist_characters=' "|,;'), max_size=20).map(
    str.strip
)
scalars = st.one_of(words, st.integers(-(10**12), 10**12), st.booleans(), st.floats(-1e6, 1e6))
attributes = st.dictionaries(
    st.sampled_from(["genre", "year", "body"]), scalars | st.lists(words, min_size=1, max_size=3), min_size=1
)
items = st.lists(
    st.builds(Item, id=words, title=titles, attributes=attributes), min_size=1, max_size=8, unique_by=lambda i: i.id
)

laws = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def written(folder: Path, text: str | bytes, name: str = "items.csv") -> Path:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode("utf-8"))
    return path


def read(folder: Path, text: str | bytes, name: str = "items.csv", **options: str) -> Catalogue:
    return Catalogue.read(written(folder, text, name), **options)


class TestFormats:
    def test_the_same_items_are_read_from_every_format(self, tmp_path):
        rows = [{"item_id": "a", "title": "Ardbeg", "tags": ["peat", "smoke"]}, {"item_id": "b", "title": "Brora"}]
        lines = "\n".join(json.dumps(row) for row in rows)
        parquet.write_table(pa.Table.from_pylist(rows), tmp_path / "items.parquet")
        expected = Catalogue([Item("a", "Ardbeg", {"tags": ("peat", "smoke")}), Item("b", "Brora")])
        delimited = "item_id,title,tags\na,Ardbeg,peat|smoke\nb,Brora,\n"
        atomic = "item_id:token\ttitle:token_seq\ttags:token_seq\na\tArdbeg\tpeat smoke\nb\tBrora\t\n"
        assert Catalogue.read(tmp_path / "items.parquet") == expected
        assert read(tmp_path, lines, "items.jsonl") == read(tmp_path, lines, "items") == expected
        assert read(tmp_path, delimited) == read(tmp_path, delimited.replace(",", ";")) == expected
        assert read(tmp_path, delimited.replace(",", "\t"), "items.tsv") == expected
        assert read(tmp_path, atomic, "x.item") == expected

    def test_gzip_is_known_by_its_bytes_not_its_name(self, tmp_path):
        text = b"item_id,title\n1,Tea\n"
        assert read(tmp_path, gzip.compress(text), "items.csv")[0].title == "Tea"
        assert read(tmp_path, gzip.compress(text), "items.csv.gz")[0].title == "Tea"
        assert read(tmp_path, text, "plain.csv.gz")[0].title == "Tea"

    @pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
    def test_unicode_with_a_byte_order_mark_needs_no_encoding(self, tmp_path, encoding):
        assert read(tmp_path, "item_id,title\n1,Rosé\n".encode(encoding))[0].title == "Rosé"

    def test_another_encoding_is_refused_by_place_and_read_when_named(self, tmp_path):
        data = "item_id,title\n1,Tea\n2,Rosé\n".encode("latin-1")
        with pytest.raises(CatalogueError, match=r'byte 0xe9 at offset 25 \(line 3\).*encoding="latin-1"'):
            read(tmp_path, data)
        assert read(tmp_path, data, encoding="latin-1")[1].title == "Rosé"
        with pytest.raises(CatalogueError, match="latin-99"):
            read(tmp_path, data, encoding="latin-99")

    @pytest.mark.parametrize(
        "header",
        [
            "ITEM_ID,TITLE",
            "item_id:token,movie_title:token_seq",
            "id,name",
            "WineID,WineName",
            "placeID,Name",
            "SKU,Title",
        ],
    )
    def test_the_headers_of_other_systems_are_understood(self, tmp_path, header):
        assert read(tmp_path, f"{header}\n1,Tea\n").items == (Item("1", "Tea"),)

    @pytest.mark.parametrize(
        ("header", "kind"),
        [
            ("item_id,title", "item"),
            ("item_id,movie_title", "movie"),
            ("WineID,WineName", "wine"),
            ("Game_ID,Game Name", "game"),
            ("movieId,title", "movie"),
            ("board_game_id,name", "board game"),
        ],
    )
    def test_the_kind_is_the_noun_of_the_columns(self, tmp_path, header, kind):
        assert read(tmp_path, f"{header}\n1,Tea\n").kind == kind
        assert read(tmp_path, f"{header}\n1,Tea\n", kind="drink").kind == "drink"

    def test_of_several_nouns_the_first_column_is_the_item(self, tmp_path):
        wine = read(tmp_path, "WineID,WineName,RegionID,RegionName\n7,Barolo,1,Piemonte\n")[0]
        assert (wine.id, wine.title, wine.attributes["region_name"]) == ("7", "Barolo", "Piemonte")

    def test_a_title_of_several_tokens_stays_whole(self, tmp_path):
        text = "item_id:token\tmovie_title:token_seq\tclass:token_seq\n1\tToy | Story\tAnimation Comedy\n"
        assert read(tmp_path, text, "x.item")[0] == Item("1", "Toy | Story", {"class": ("Animation", "Comedy")})

    def test_quotes_in_atomic_files_are_text_unless_they_enclose_the_cell(self, tmp_path):
        text = 'item_id:token\ttitle:token_seq\n1\t"Heroes" and "Villains"\n2\t"The ""X"""\n3\t"open\n'
        assert [i.title for i in read(tmp_path, text, "x.item")] == ['"Heroes" and "Villains"', 'The "X"', '"open']

    @laws
    @given(items)
    def test_what_is_written_as_jsonl_is_read_back(self, written_items):
        rows = ({"item_id": i.id, "title": i.title, **i.attributes} for i in written_items)
        with tempfile.TemporaryDirectory() as folder:
            found = read(Path(folder), "\n".join(json.dumps(row) for row in rows), "items.jsonl")
        barred = [i for i in written_items if any("|" in str(v) or str(v)[:1] in "[(" for v in i.attributes.values())]
        assert found.ids == tuple(i.id for i in written_items)
        assert barred or found == Catalogue(written_items)


class TestCells:
    @pytest.mark.parametrize(
        ("cells", "values"),
        [
            (["1995", "2003"], [1995, 2003]),
            (["7.5", "12"], [7.5, 12.0]),
            (["02139", "94043"], ["02139", "94043"]),
            (["1995", "unknown"], ["1995", "unknown"]),
            (["1234567890123456789", "2"], ["1234567890123456789", "2"]),
            (["1e999", "2"], ["1e999", "2"]),
            (["Action|Comedy", "Drama"], [("Action", "Comedy"), ("Drama",)]),
            (["\"['Beef', 'Pasta']\"", "[]"], [("Beef", "Pasta"), None]),
            (['"[""Beef"", 3]"', "Cheese"], [("Beef", 3), ("Cheese",)]),
            (["[[1]]", "__import__('os')"], ["[[1]]", "__import__('os')"]),
            (["NaN", "null"], [None, None]),
            (["none", "None"], ["none", None]),
            (["a\x00b", '"c\nd"'], ["a b", "c d"]),
        ],
    )
    def test_a_column_of_text_is_typed_as_a_whole(self, tmp_path, cells, values):
        catalogue = read(tmp_path, "item_id,title,x\n" + "".join(f"{n},T,{cell}\n" for n, cell in enumerate(cells)))
        assert [item.attributes.get("x") for item in catalogue] == values
        assert [type(item.attributes.get("x")) for item in catalogue] == [type(value) for value in values]

    def test_prose_with_a_bar_stays_text(self, tmp_path):
        prose = "word " * 30 + "| more"
        assert read(tmp_path, f"item_id,title,plot\n1,T,{prose}\n")[0].attributes["plot"] == prose

    def test_an_object_is_flattened_one_level_and_refused_deeper(self, tmp_path):
        flat = read(tmp_path, '{"id": 1, "title": "T", "maker": {"name": "Ann", "tags": ["x"]}}', "i.jsonl")
        assert dict(flat[0].attributes) == {"maker.name": "Ann", "maker.tags": ("x",)}
        with pytest.raises(CatalogueError, match=r"a\.b in row 1 \(line 1\)"):
            read(tmp_path, '{"id": 1, "title": "T", "a": {"b": {"c": 1}}}', "i.jsonl")

    def test_whole_numbers_are_ids_and_fractions_are_not(self, tmp_path):
        parquet.write_table(pa.table({"item_id": [12.0, 7.0], "title": ["a", "b"]}), tmp_path / "i.parquet")
        assert Catalogue.read(tmp_path / "i.parquet").ids == ("12", "7")
        parquet.write_table(pa.table({"item_id": [12.0, 7.5], "title": ["a", "b"]}), tmp_path / "i.parquet")
        with pytest.raises(CatalogueError, match=r"item_id 7\.5 in row 2"):
            Catalogue.read(tmp_path / "i.parquet")

    def test_a_title_of_a_megabyte_is_kept_whole_and_logged(self, tmp_path, caplog):
        with caplog.at_level(logging.WARNING):
            assert len(read(tmp_path, f'item_id,title\n1,"{"long " * 200_000}end"\n')[0].title) == 1_000_003
        assert "1000003 characters" in caplog.text

    def test_an_item_without_a_title_is_kept_for_its_attributes_and_logged(self, tmp_path, caplog):
        with caplog.at_level(logging.WARNING):
            assert read(tmp_path, "item_id,title,genre\n1,,Noir\n")[0] == Item("1", "", {"genre": "Noir"})
        assert "1 items have no title" in caplog.text

    def test_a_title_may_be_a_word_that_elsewhere_means_missing(self, tmp_path):
        assert read(tmp_path, "item_id,title\n1,NaN\n2,None\n")[1].title == "None"

    def test_equal_rows_count_once_and_are_logged(self, tmp_path, caplog):
        with caplog.at_level(logging.WARNING):
            assert len(read(tmp_path, "item_id,title\n1,Tea\n1,Tea\n")) == 1
        assert "1 items were given more than once" in caplog.text


class TestRefusals:
    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("", "is empty"),
            ("item_id,title\n", "empty catalogue"),
            ("item_id,genre\n1,Noir\n", "no title column.*'item_id', 'genre'.*product_title"),
            ("foo,title\n1,Noir\n", "no item_id column.*'foo', 'title'"),
            ("item_id,title\n1,Tea,Jam\n", r"row 1 \(line 2\) has 3 columns where the header has 2"),
            ("item_id,title,x\n1,Tea,2\n2,Jam\n", r"row 2 \(line 3\) has 2 columns where the header has 3"),
            ("item_id,title\n\n1,Tea\nNaN,Jam\n", r"no item_id in row 2 \(line 4\)"),
            ("item_id,title\n,Tea\n,Jam\n", r"row 1 \(line 2\), row 2 \(line 3\)"),
            ("item_id,title\n1,Tea\n1,Jam\n", r"'1' is in row 1 \(line 2\) and, with other content, in row 2"),
            ("item_id,title,x\n1,,\n", r"row 1 \(line 2\) \(id '1'\) has neither a title nor an attribute"),
            ('item_id,title\n1,"Tea\n2,Jam\n', r"row 1 \(line 2\) isn't valid CSV"),
            ("item_id,title,Genre,GENRE\n1,a,b,c\n", "'Genre' and 'GENRE' are both 'genre'"),
            ("item_id:token\ttitle:token\tprice:float\n1\tTea\tcheap\n", "price 'cheap' in row 1.*float"),
            (b"PAR1 no", "Parquet data can't be read"),
            (b"\x1f\x8b no", "gzip data is damaged"),
            (b"PK\x03\x04", "zip or Excel"),
            ('{"id": 1}\n[2]', r"row 2 \(line 2\) is \[2\]"),
            ('{"id": 1}\nnope', r"row 2 \(line 2\) isn't a JSON object"),
            ('{"id": true, "title": "T"}', "id True in row 1"),
        ],
    )
    def test_a_bad_file_is_refused_by_place_and_remedy(self, tmp_path, text, message):
        with pytest.raises(CatalogueError, match=message):
            read(tmp_path, text, "items.jsonl" if text[:1] == "{" else "items.csv")

    def test_a_missing_file_and_a_folder_are_refused(self, tmp_path):
        with pytest.raises(CatalogueError, match="no such file"):
            Catalogue.read(tmp_path / "none.csv")
        with pytest.raises(CatalogueError, match="folder"):
            Catalogue.read(tmp_path)

    @pytest.mark.parametrize("kind", ["", "a\nb", "a{{b}}", "x" * 41, " wine", 3])
    def test_a_kind_that_could_break_a_prompt_is_refused(self, kind):
        with pytest.raises(CatalogueError, match="kind of item"):
            Catalogue([Item("1", "Tea")], kind=kind)

    @pytest.mark.parametrize("items", [[], ["Tea"], [Item("", "Tea")], [Item(1, "Tea")], [Item("1", "")]])
    def test_what_is_not_an_item_is_refused(self, items):
        with pytest.raises(CatalogueError):
            Catalogue(items)

    @laws
    @given(st.binary(max_size=200), st.sampled_from(["", "{", "item_id,title\n", "PAR1", "\x1f"]), st.booleans())
    def test_any_bytes_give_a_catalogue_or_our_error(self, data, beginning, zipped):
        data = beginning.encode() + data
        with tempfile.TemporaryDirectory() as folder:
            for name in ("x", "x.csv", "x.item", "x.jsonl"):
                path = written(Path(folder), gzip.compress(data) if zipped else data, name)
                for reader in (Catalogue.read, Interactions.read, read_profiles):
                    with suppress(ColdstartError):
                        reader(path)

    @laws
    @given(
        st.lists(
            st.dictionaries(
                st.sampled_from(["id", "title", "user_id", "item_id", "rating", "date", "x", "likes"]),
                st.recursive(
                    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=9),
                    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner, max_size=2),
                    max_leaves=4,
                ),
            ),
            max_size=4,
        )
    )
    def test_any_objects_give_a_catalogue_or_our_error(self, rows):
        with tempfile.TemporaryDirectory() as folder:
            path = written(Path(folder), "\n".join(json.dumps(row) for row in rows), "x.jsonl")
            for reader in (Catalogue.read, Interactions.read, read_profiles):
                with suppress(ColdstartError):
                    reader(path)


class TestIdentity:
    @laws
    @given(items, st.randoms())
    def test_the_hash_does_not_depend_on_the_order_of_rows(self, some, random):
        shuffled = random.sample(some, len(some))
        assert Catalogue(some).hash == Catalogue(shuffled).hash

    @laws
    @given(items)
    def test_the_hash_depends_on_the_kind_and_on_each_item(self, some):
        catalogue = Catalogue(some)
        changed = Item(some[0].id, some[0].title + "!", some[0].attributes)
        assert catalogue.hash != Catalogue(some, kind="movie").hash
        assert catalogue.hash != catalogue.with_items([changed]).hash

    def test_hashes_stay_the_same_between_releases(self):
        catalogue = Catalogue([Item("1", "Rosé", {"abv": 12.5, "grapes": ("a", "b")})], kind="wine")
        assert catalogue.item_hash(0).startswith("16333e5ba35f")
        assert catalogue.hash.startswith("19e08cc0f5fc")

    @laws
    @given(items)
    def test_what_was_put_in_is_found_by_id_and_row(self, some):
        catalogue = Catalogue(some)
        assert list(catalogue) == some
        assert catalogue.rows(catalogue.ids).tolist() == list(range(len(some)))
        assert all(item.id in catalogue for item in some)

    @laws
    @given(items, items)
    def test_added_items_replace_their_ids_in_place_and_the_others_follow(self, some, more):
        catalogue, merged = Catalogue(some), Catalogue(some).with_items(more)
        known = {item.id: item for item in more}
        assert merged.items[: len(some)] == tuple(known.get(item.id, item) for item in some)
        assert set(merged.ids) == set(catalogue.ids) | set(known)
        assert merged.with_items(more) == merged
        assert catalogue.with_items([]) == catalogue

    @laws
    @given(items)
    def test_what_is_removed_and_added_again_leaves_the_hash(self, some):
        catalogue = Catalogue([*some, Item("an id that words don't make", "T")])
        assert catalogue.without([some[0].id]).with_items([some[0]]).hash == catalogue.hash
        assert some[0].id not in catalogue.without([some[0].id])

    def test_an_unknown_id_is_met_with_the_closest(self):
        catalogue = Catalogue([Item("1", "Barolo"), Item("2", "Soave")], kind="wine")
        with pytest.raises(
            UnknownItem, match=r"no wine with the id 'Barollo' among 2; did you mean '1' \('Barolo'\)\?"
        ):
            catalogue.row("Barollo")
        with pytest.raises(UnknownItem, match="id 1 among"):
            catalogue.rows([1])
        with pytest.raises(UnknownItem, match="expected a list"):
            catalogue.without("12")
        with pytest.raises(CatalogueError, match="empty catalogue"):
            catalogue.without(["1", "2"])


class TestSelect:
    films = Catalogue(
        [
            Item("0", "a", {"genre": "Comedy", "year": 1990, "colour": True}),
            Item("1", "b", {"genre": ("Drama", "comedy"), "year": "1995"}),
            Item("2", "c", {"genre": "Horror", "year": "n/a", "colour": False}),
            Item("3", "d"),
        ]
    )

    @pytest.mark.parametrize(
        ("where", "rows"),
        [
            ({}, [0, 1, 2, 3]),
            ({"genre": "COMEDY"}, [0, 1]),
            ({"Genre": "comedy"}, [0, 1]),
            ({"genre": ["Drama", "Horror"]}, [1, 2]),
            ({"genre": {"not": "Horror"}}, [0, 1, 3]),
            ({"genre": {"not": ["Horror", "Drama"]}}, [0, 3]),
            ({"genre": "western"}, []),
            ({"year": 1995}, [1]),
            ({"year": "1990"}, [0]),
            ({"year": {"min": 1990, "max": 1994}}, [0]),
            ({"year": {"min": "1991"}}, [1]),
            ({"colour": True}, [0]),
            ({"colour": 1}, []),
            ({"genre": "comedy", "year": {"max": 1990}}, [0]),
        ],
    )
    def test_items_that_meet_every_condition_are_selected(self, where, rows):
        assert np.flatnonzero(self.films.select(where)).tolist() == rows

    def test_what_was_selected_is_the_callers_and_asking_again_gives_the_same(self):
        name = self.films.attribute_names[0]
        value = next(item.attributes[name] for item in self.films if name in item.attributes)
        for where in ({name: value}, {name: {"not": value}}):
            first = self.films.select(where)
            expected = first.copy()
            first[:] = ~first
            np.testing.assert_array_equal(self.films.select(where), expected)
        assert (self.films.select({name: value}) != self.films.select({name: {"not": value}})).all()

    def test_a_catalogue_of_other_items_selects_anew(self):
        name = self.films.attribute_names[0]
        item = next(item for item in self.films if name in item.attributes)
        where = {name: item.attributes[name]}
        before = self.films.select(where)
        after = self.films.with_items([Item("another", "Another", item.attributes)]).select(where)
        assert len(after) == len(before) + 1
        assert after[-1]

    def test_conditions_asked_long_ago_are_worked_out_again(self, monkeypatch):
        monkeypatch.setattr("coldstart.catalogue._MASKS", 2)
        name = self.films.attribute_names[0]
        values = [item.attributes[name] for item in self.films if name in item.attributes]
        found = [self.films.select({name: value}) for value in values]
        for mask, value in zip(found, values, strict=True):
            np.testing.assert_array_equal(self.films.select({name: value}), mask)
        assert len(self.films._masks) <= 2

    @pytest.mark.parametrize(
        ("where", "message"),
        [
            ({"director": "x"}, "'director'.*genre, year, colour"),
            ({3: "x"}, "names 3"),
            ({"genre": None}, "genre is None"),
            ({"genre": []}, "genre is \\[\\]"),
            ({"genre": [["x"]]}, "expected a value"),
            ({"genre": {"min": 3}}, "aren't numbers"),
            ({"year": {"above": 3}}, "expected a value"),
            ({"year": {"min": None}}, "expected a value"),
            ({"year": {"min": 3, "max": 1}}, "exchange them"),
            ({"genre": {"not": {"min": 3}}}, "expected a value"),
            ("genre", "expected attributes and conditions"),
        ],
    )
    def test_a_condition_of_another_shape_is_refused(self, where, message):
        with pytest.raises(ProfileError, match=message):
            self.films.select(where)

    @laws
    @given(items, scalars)
    def test_not_is_the_complement(self, some, value):
        catalogue = Catalogue(some)
        name = catalogue.attribute_names[0]
        assert (catalogue.select({name: value}) ^ catalogue.select({name: {"not": value}})).all()


def test_the_demo_wines_are_read_whole():
    wines = Catalogue.read(WINES, kind="wine")
    assert (len(wines), wines[0].id, wines[0].attributes["abv"]) == (1007, "100001", 7.5)
    assert wines.attribute_names == (
        *("type", "grapes", "pairings", "abv", "body", "acidity", "country", "region", "winery"),
    )
    assert all(isinstance(wine.attributes["pairings"], tuple) for wine in wines)
