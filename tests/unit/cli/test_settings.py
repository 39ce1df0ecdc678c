"""Which brain and which key a command uses, and what it says when it cannot know."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cli.errors import MissingError
from cli.settings import LOCAL_URL, Access, access, config_path, remember


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    return {"XDG_CONFIG_HOME": str(tmp_path / "config")}


@pytest.fixture
def demo(tmp_path: Path) -> Path:
    path = tmp_path / "demo.json"
    path.write_text(json.dumps({"brain": "http://127.0.0.1:9999", "api_key": "sk_demo"}))
    return path


def test_options_win_over_everything(environ: dict[str, str], demo: Path) -> None:
    found = access("http://brain.test/", "sk_a", "acc_1", {**environ, "TANDEM_API_KEY": "sk_b"}, demo)
    assert found == Access("http://brain.test", "sk_a", "acc_1")


def test_the_environment_wins_over_files(environ: dict[str, str], demo: Path) -> None:
    remember(Access("http://other.test", "sk_file", None), environ)
    given = {**environ, "TANDEM_URL": "http://env.test", "TANDEM_API_KEY": "sk_env", "TANDEM_ACCOUNT": "acc_2"}
    assert access(None, None, None, given, demo) == Access("http://env.test", "sk_env", "acc_2")


def test_the_configuration_file_wins_over_a_local_installation(environ: dict[str, str], demo: Path) -> None:
    path = remember(Access("http://file.test", "sk_file", "acc_3"), environ)
    assert path == config_path(environ)
    assert path.stat().st_mode & 0o777 == 0o600
    assert access(None, None, None, environ, demo) == Access("http://file.test", "sk_file", "acc_3")


def test_a_local_installation_needs_no_settings(environ: dict[str, str], demo: Path) -> None:
    assert access(None, None, None, environ, demo) == Access("http://127.0.0.1:9999", "sk_demo", None)


def test_a_key_goes_only_to_the_brain_that_it_is_for(environ: dict[str, str], demo: Path) -> None:
    with pytest.raises(MissingError, match="No API key"):
        access("http://elsewhere.test", None, None, environ, demo)
    assert access("http://127.0.0.1:9999/", None, None, environ, demo).key == "sk_demo"


def test_nothing_at_all_says_what_to_do(environ: dict[str, str], tmp_path: Path) -> None:
    with pytest.raises(MissingError, match="TANDEM_API_KEY"):
        access(None, None, None, environ, tmp_path / "absent.json")
    assert access(None, "sk_a", None, environ, tmp_path / "absent.json").url == LOCAL_URL


@pytest.mark.parametrize("content", ["{", "[]"])
def test_a_broken_file_is_named(environ: dict[str, str], demo: Path, content: str) -> None:
    demo.write_text(content)
    with pytest.raises(MissingError, match=r"demo\.json"):
        access(None, None, None, environ, demo)
