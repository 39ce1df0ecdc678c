"""Options made from the API's models: each field with its type, choices and help."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Annotated, Any, Literal

import click
import pytest
from click.testing import CliRunner
from pydantic import BaseModel, Field

from cli import options
from cli.app import tandem
from cli.errors import MissingError
from tandem.contracts.v1.objects import OBJECTS


class Sample(BaseModel):
    account_id: str | None = None
    name: Annotated[str, Field(max_length=9)] = Field(description="What it is called.")
    kind: Literal["one", "two"] = "one"
    count: int | None = None
    share: float = 0.5
    active: bool = True
    words: list[str] = []
    letters: list[Literal["a", "b"]] = []
    variables: dict[str, str | int] | None = None


def run(decorate: Callable[[Any], Any], *words: str) -> tuple[int, Any]:
    """The body that a command with these words would send, or what it says."""

    @click.command()
    @decorate
    def command(clear: tuple[str, ...] = (), **given: Any) -> None:
        click.echo(json.dumps(options.body(given, clear)))

    done = CliRunner().invoke(command, words)
    return done.exit_code, json.loads(done.output) if done.exit_code == 0 else done.output


@pytest.mark.parametrize(
    ("words", "body"),
    [
        ((), {"name": "n"}),
        (("--kind", "two"), {"name": "n", "kind": "two"}),
        (("--count", "3", "--share", "0.25"), {"name": "n", "count": 3, "share": 0.25}),
        (("--count", "0"), {"name": "n", "count": 0}),
        (("--active",), {"name": "n", "active": True}),
        (("--no-active",), {"name": "n", "active": False}),
        (("--words", "x", "--words", "y"), {"name": "n", "words": ["x", "y"]}),
        (("--letters", "a"), {"name": "n", "letters": ["a"]}),
        (("--variables", '{"a": 1}'), {"name": "n", "variables": {"a": 1}}),
    ],
)
def test_what_is_given_is_sent(words: tuple[str, ...], body: dict[str, Any]) -> None:
    assert run(options.for_create(Sample), "--name", "n", *words) == (0, body)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "--name"),
        (("--name", "n", "--kind", "three"), "'one', 'two'"),
        (("--name", "n", "--count", "x"), "not a valid integer"),
        (("--name", "n", "--letters", "c"), "'a', 'b'"),
        (("--name", "n", "--variables", "{"), "is not JSON"),
        (("--name", "n", "--account-id", "acc_1"), "No such option"),
    ],
)
def test_what_cannot_be_sent_is_said(words: tuple[str, ...], said: str) -> None:
    code, output = run(options.for_create(Sample), *words)
    assert code == 2
    assert said in output


def test_an_update_requires_nothing_and_may_clear_fields() -> None:
    assert run(options.for_patch(Sample), "--clear", "count", "--kind", "two") == (0, {"kind": "two", "count": None})
    code, output = run(options.for_patch(Sample), "--clear", "name")
    assert (code, "'count', 'variables'" in output) == (2, True)


def test_a_field_is_not_both_set_and_cleared() -> None:
    with pytest.raises(MissingError, match="--count"):
        options.body({"count": 1}, ("count",))


def test_every_object_has_its_commands_and_their_help() -> None:
    runner = CliRunner()
    for one in OBJECTS:
        for verb in one.verbs:
            done = runner.invoke(tandem, [one.name, verb, "--help"])
            assert done.exit_code == 0, done.output
            assert "Usage:" in done.output


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_completion_script_for_each_shell(shell: str) -> None:
    done = CliRunner().invoke(tandem, ["completion", shell])
    assert done.exit_code == 0
    assert "_TANDEM_COMPLETE" in done.output
