"""The settings file that the program writes is one that it reads."""

import re

import pytest
from pydantic import BaseModel
from typer.testing import CliRunner

from assist.commands.main import app
from assist.errors import AssistError
from assist.settings import Settings, load_settings


def printed(*arguments):
    answer = CliRunner().invoke(app, ["settings", *map(str, arguments)])
    assert answer.exit_code == 0, answer.output
    return answer.stdout


@pytest.fixture(autouse=True)
def at_home(monkeypatch, tmp_path):
    for name in ("HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME"):
        monkeypatch.setenv(name, str(tmp_path))


def test_the_example_changes_nothing_and_every_line_of_it_can_be_taken_in(tmp_path):
    path = tmp_path / "example.toml"
    path.write_text(printed("example"), encoding="utf-8")
    assert load_settings(path) == Settings()
    path.write_text(re.sub(r"(?m)^#(?! \w)", "", path.read_text(encoding="utf-8")), encoding="utf-8")
    assert "\nport = 8765\n" in path.read_text(encoding="utf-8")
    assert load_settings(path) == Settings()


def test_every_key_stands_in_the_example_with_what_it_is_for():
    lines = printed("example").splitlines()

    def expect_all(table: type[BaseModel]) -> None:
        for key, field in table.model_fields.items():
            if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
                assert f"[{key}]" in lines
                expect_all(field.annotation)
                continue
            place = next(n for n, line in enumerate(lines) if re.match(rf"#{key} = |# {key}: not set$", line))
            assert field.description and lines[place - 1] == f"# {field.description}"

    expect_all(Settings)


def test_what_is_in_force_is_shown_as_a_file_that_says_the_same(tmp_path):
    path = tmp_path / "assist.toml"
    path.write_text(
        'data = "kept"\nteam = "\\"Nights\\" \\\\ \\u007f ünter 😀"\nmodel = "base.en"\nconsent = "granted"\nport = 0\n'
        'rules = ["ours.toml"]\nauthorities = { "María José" = "senior" }\nreview_form = []\nproxies = ["127.0.0.1"]\n'
        '[login]\nby = "proxy"\nheader = "X-Remote-User"\nroles_header = "X-G"\nroles = { "a b" = "qa" }\n'
        "[alerts]\nturn_s = 12.5\n[keep]\naudio_days = 3\n",
        encoding="utf-8",
    )
    shown = tmp_path / "shown.toml"
    shown.write_text(printed("show", "--config", path), encoding="utf-8")
    assert load_settings(shown) == load_settings(path) != Settings()
    assert load_settings(shown).data == tmp_path / "kept"


def test_a_path_in_the_file_is_from_its_folder_and_never_empty(tmp_path, monkeypatch):
    (tmp_path / "there" / "own-model").mkdir(parents=True)
    path = tmp_path / "there" / "assist.toml"
    monkeypatch.chdir(tmp_path)
    for model, taken in (("own-model", str(path.parent / "own-model")), ("base.en", "base.en")):
        path.write_text(f'model = "{model}"\n', encoding="utf-8")
        assert load_settings(path).model == taken
    for line in ('data = ""', 'rules = [""]', 'certificate = ""'):
        path.write_text(line, encoding="utf-8")
        with pytest.raises(AssistError, match="it is empty: expected a path"):
            load_settings(path)
