from __future__ import annotations

import os
from pathlib import Path

import pytest

from llamabench.data import models
from llamabench.data.demo_model import TRAINED_MODELS
from llamabench.data.models import find_model, list_models
from llamabench.errors import DataError, LlamabenchError, ModelFileError, UnknownNameError


@pytest.fixture(autouse=True)
def _own_configuration(
    in_tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(home / "config"))


def write(text: str, folder: Path | None = None) -> Path:
    path = (folder or Path.cwd()) / "models.toml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


# --- the lists ----------------------------------------------------------------------------------


def test_the_demo_model_has_a_name() -> None:
    demo = list_models()["demo"]
    assert demo.path is None
    assert "random weights" in demo.description


@pytest.mark.parametrize("name", TRAINED_MODELS)
def test_the_trained_pair_has_names(name: str) -> None:
    found = find_model(name)
    assert found.path.name == f"{name}.gguf"
    assert found.is_demo
    assert found.base == (None if name == "demo-base" else "demo-base")
    assert "toy" in list_models()["demo-base"].description


def test_paths_start_from_the_file_they_stand_in(tmp_path: Path) -> None:
    origin = write('[models.mine]\npath = "sub/m.gguf"\nchat_template = "t.jinja"\ndescription = "Good."\n')
    mine = list_models()["mine"]
    assert mine.path == tmp_path / "sub" / "m.gguf"
    assert mine.chat_template == tmp_path / "t.jinja"
    assert mine.description == "Good."
    assert mine.origin == origin


@pytest.mark.parametrize(("text", "expected"), [("You are a clerk.", "You are a clerk."), ("", None)])
def test_a_model_may_have_a_system_prompt(text: str, expected: str | None) -> None:
    Path("m.gguf").write_bytes(b"")
    write(f'[models.mine]\npath = "m.gguf"\nsystem_prompt = "{text}"\n')
    found = find_model("mine")
    assert found.system_prompt == expected
    assert found.choose_system_prompt(None) == expected
    assert found.choose_system_prompt("Another.") == "Another."
    assert found.choose_system_prompt("") is None


def test_a_home_folder_is_written_out() -> None:
    write('[models.mine]\npath = "~/m.gguf"\n')
    assert list_models()["mine"].path == Path(os.environ["HOME"]) / "m.gguf"


def test_the_working_folder_hides_the_configuration(tmp_path: Path) -> None:
    from platformdirs import user_config_dir

    write('[models.mine]\npath = "far.gguf"\n[models.other]\npath = "o.gguf"\n', Path(user_config_dir("llamabench")))
    write('[models.mine]\npath = "near.gguf"\n')
    found = list_models()
    assert list(found) == ["mine", "other", "demo", *TRAINED_MODELS]
    assert found["mine"].path == tmp_path / "near.gguf"


def test_the_shipped_list_can_be_hidden_too(tmp_path: Path) -> None:
    (tmp_path / "m.gguf").write_bytes(b"")
    write('[models.demo]\npath = "m.gguf"\n')
    assert find_model("demo").path == tmp_path / "m.gguf"
    assert not find_model("demo").is_demo


def test_an_empty_list_is_fine() -> None:
    write("# nothing yet\n")
    assert list(list_models()) == ["demo", *TRAINED_MODELS]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[models.x", "cannot be read"),
        ('[models.x]\npath = "a"\npath = "b"\n', "cannot be read"),
        ("models = 5\n", "called .models.NAME., so models cannot stand there"),
        ('[x]\npath = "a"\n', "called .models.NAME., so x cannot stand there"),
        ('[models]\nx = "a.gguf"\n', "entry x must be a table of texts"),
        ("[models.x]\npath = 5\n", "entry x must be a table of texts"),
        ('[models.x]\npath = "a"\nquant = "Q8"\nctx = "1"\n', "x has unknown fields: ctx, quant"),
        ('[models.x]\ndescription = "a"\n', "x needs either `path`, `from` or `builtin"),
        ('[models.x]\npath = "a"\nbuiltin = "demo"\n', "x needs either"),
        ('[models.x]\nbuiltin = "other"\n', "x needs either"),
        ('[models.x]\npath = "a"\nbuiltin = "other"\n', "x needs either"),
        ('[models.x]\npath = "a"\nfrom = "hf:a/b/c.gguf"\n', "x needs either"),
        ('[models.x]\nfrom = "a.gguf"\n', "`from` of x must begin with hf:, ollama:, lmstudio:, found .a.gguf"),
        ('[models.x]\npath = "a"\nroles = "judge"\n', "`roles` of x must be a list of subject, judge, guard"),
        ('[models.x]\npath = "a"\nroles = ["boss"]\n', "`roles` of x must be a list of .*found .'boss'."),
    ],
)
def test_a_list_that_is_not_valid_is_named(text: str, message: str) -> None:
    path = write(text)
    with pytest.raises(DataError, match=message) as caught:
        list_models()
    assert str(path) in str(caught.value)


def test_a_list_in_another_encoding_is_named() -> None:
    Path("models.toml").write_bytes('[models.x]\ndescription = "grün"\n'.encode("latin-1"))
    with pytest.raises(DataError, match=r"models\.toml cannot be read"):
        list_models()


def test_a_home_folder_of_nobody_is_named() -> None:
    write('[models.x]\npath = "~nobody-at-all/x.gguf"\n')
    with pytest.raises(LlamabenchError, match="~nobody-at-all"):
        list_models()


def test_what_else_is_said_of_a_model() -> None:
    write('[models.x]\npath = "a.gguf"\nbase = "demo"\nlicence = "MIT"\nroles = ["judge", "guard"]\n')
    found = list_models()["x"]
    assert (found.base, found.licence, found.roles) == ("demo", "MIT", ("judge", "guard"))


def test_a_model_that_another_program_keeps_has_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / ".lmstudio" / "models" / "org" / "repo" / "m.gguf"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"GGUF")
    monkeypatch.setenv("HOME", str(tmp_path))
    write('[models.mine]\nfrom = "lmstudio:org/repo/m.gguf"\nbase = "demo"\n')
    found = find_model("mine")
    assert (found.path, found.name, found.base, found.is_demo) == (path, "mine", "demo", False)


# --- what a person means ------------------------------------------------------------------------


def test_a_file_is_a_model(tmp_path: Path) -> None:
    (tmp_path / "any name").write_bytes(b"GGUF")
    found = find_model("any name")
    assert (found.path, found.chat_template, found.is_demo) == (Path("any name"), None, False)


def test_a_file_comes_before_a_name_and_needs_no_list(tmp_path: Path) -> None:
    write("this is not TOML")
    (tmp_path / "demo").write_bytes(b"GGUF")
    assert find_model("demo").path == Path("demo")


def test_a_folder_does_not_hide_a_name(tmp_path: Path) -> None:
    (tmp_path / "demo").mkdir()
    assert find_model("demo").is_demo


@pytest.mark.parametrize("name", ["missing.gguf", "MISSING.GGUF", "folder/missing", "/nowhere/x.gguf"])
def test_what_looks_like_a_path_is_one(name: str) -> None:
    assert find_model(name).path == Path(name)


def test_a_folder_is_left_to_the_reader_of_files(tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    assert find_model("models").path == Path("models")
    assert find_model(".").path == Path(".")


@pytest.mark.parametrize(("name", "message"), [("dem", "Did you mean demo"), ("nothing-like-it", "There are: demo")])
def test_an_unknown_name_offers_what_there_is(name: str, message: str) -> None:
    with pytest.raises(UnknownNameError, match=message):
        find_model(name)


def test_no_name_is_no_path() -> None:
    with pytest.raises(UnknownNameError, match='No model is called ""'):
        find_model("")


def test_the_home_folder_of_nobody(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match="~nobody-at-all"):
        find_model("~nobody-at-all/m.gguf")


def test_a_name_too_long_for_any_file() -> None:
    with pytest.raises(ModelFileError, match="too long"):
        find_model("a" * 300)


def test_a_named_model_that_is_gone_says_where_it_was_named() -> None:
    origin = write('[models.mine]\npath = "gone.gguf"\n')
    with pytest.raises(ModelFileError, match=r"gone\.gguf, the file of mine in .*does not exist") as caught:
        find_model("mine")
    assert str(origin) in str(caught.value)


def test_a_template_is_read(tmp_path: Path) -> None:
    (tmp_path / "m.gguf").write_bytes(b"")
    (tmp_path / "t.jinja").write_text("{{ messages }} ü", encoding="utf-8")
    write('[models.mine]\npath = "m.gguf"\nchat_template = "t.jinja"\n')
    assert find_model("mine").chat_template == "{{ messages }} ü"


@pytest.mark.parametrize("content", [None, b"\xff\xfe"])
def test_a_template_that_cannot_be_read_is_an_error(tmp_path: Path, content: bytes | None) -> None:
    (tmp_path / "m.gguf").write_bytes(b"")
    if content is not None:
        (tmp_path / "t.jinja").write_bytes(content)
    write('[models.mine]\npath = "m.gguf"\nchat_template = "t.jinja"\n')
    with pytest.raises(DataError, match="chat template of mine cannot be read"):
        find_model("mine")


def test_the_demo_model_is_made_when_it_is_asked_for(own_data_folder: Path) -> None:
    found = find_model("demo")
    assert found.is_demo
    assert found.path.parent == own_data_folder / "models"
    assert found.path.read_bytes()[:4] == b"GGUF"


def test_a_data_folder_that_cannot_be_written_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("LLAMABENCH_DATA", str(tmp_path / "file"))
    with pytest.raises(DataError, match="Set LLAMABENCH_DATA to another folder"):
        find_model("demo")


def test_an_installation_without_a_list_has_no_names(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(models, "__file__", str(tmp_path / "a" / "b" / "c.py"))
    monkeypatch.setattr(models.sysconfig, "get_path", lambda _: str(tmp_path / "nowhere"))
    assert list_models() == {}
