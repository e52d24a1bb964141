"""Laws of settings: arguments over the environment over a file; what isn't known is an error."""

import pytest

from coldstart.service.settings import BadSettings, Settings


def test_arguments_overrule_the_environment_and_that_the_file(tmp_path, monkeypatch):
    file = tmp_path / "serve.toml"
    file.write_text('port = 1\nhost = "0.0.0.0"\nqueue = 3\n')
    monkeypatch.setenv("COLDSTART_SERVE_HOST", "::1")
    monkeypatch.setenv("COLDSTART_SERVE_PORT", "2")
    found = Settings.read(file, port=4, data=None)
    assert (found.port, found.host, found.queue, str(found.data)) == (4, "::1", 3, "coldstart-data")


def test_an_empty_language_model_is_none(monkeypatch):
    monkeypatch.setenv("COLDSTART_SERVE_LANGUAGE_MODEL", "")
    assert Settings.read().language_model is None


def test_the_database_lies_in_the_data_folder_unless_said(tmp_path):
    assert Settings.read(data=tmp_path).url == f"sqlite:///{tmp_path}/coldstart.sqlite"
    assert Settings.read(database="postgresql://a@b/c").url == "postgresql://a@b/c"


@pytest.mark.parametrize(("given", "told"), [({"port": -1}, "port"), ({"colour": "red"}, "colour")])
def test_a_setting_that_cant_be_used_is_named(given, told):
    with pytest.raises(BadSettings, match=told):
        Settings.read(**given)


def test_a_file_that_cant_be_used_is_named(tmp_path):
    with pytest.raises(BadSettings, match="isn't there"):
        Settings.read(tmp_path / "none.toml")
    (tmp_path / "bad.toml").write_text("port = = 1")
    with pytest.raises(BadSettings, match="isn't TOML"):
        Settings.read(tmp_path / "bad.toml")
    (tmp_path / "odd.toml").write_text("colour = 1")
    with pytest.raises(BadSettings, match="colour"):
        Settings.read(tmp_path / "odd.toml")
