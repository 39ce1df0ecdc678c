"""What play and say come to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from tandem.domain.flows.commands import Gather, HangUp, Media, Play, Speech
from tests.support.flow_nodes import alone, texts
from tests.support.flows import Run, facts, graph

# play and say


def test_play_of_a_file() -> None:
    run = alone({"kind": "play", "audioId": "m_hello", "loop": 3}, "default")
    assert run.answered() == Play(sounds=(Media(key="acc/m_hello.wav", etag="etag-m_hello"),), loop=3)
    assert run.said("done") == HangUp()
    assert run.outcomes == [("node", "default"), ("n0", "hangup")]


def test_play_of_a_playlist() -> None:
    assert texts(alone({"kind": "play", "playlistId": "pl_two"}).answered()) == ["acc/m_hello.wav", "acc/m_music.wav"]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"kind": "play", "audioId": "m_none"}, "media m_none is gone"),
        ({"kind": "play", "playlistId": "pl_none"}, "playlist pl_none is gone or empty"),
        ({"kind": "play", "playlistId": "pl_empty"}, "playlist pl_empty is gone or empty"),
        ({"kind": "menu", "prompt": {"audioId": "m_none"}}, "media m_none is gone"),
        ({"kind": "menu", "prompt": {"text": " {{unset}} "}}, "there is nothing to say"),
    ],
)
def test_a_missing_sound_is_never_silence(data: Mapping[str, Any], message: str) -> None:
    run = alone(data, "default")
    assert texts(run.answered()) == ["Sorry, your call cannot be completed. Goodbye."]
    assert (run.trace[-1].outcome, run.trace[-1].error) == ("error", message)
    assert run.said("done") == HangUp()
    assert run.reason == "error"


@pytest.mark.parametrize(
    ("outcome", "data", "message"),
    [
        ("missing", {}, "play came to missing"),
        ("error", {"message": "no decoder"}, "no decoder"),
        ("digits", {}, "the sound came to digits"),
    ],
)
def test_a_sound_that_cannot_be_played(outcome: str, data: dict[str, str], message: str) -> None:
    run = alone({"kind": "play", "audioId": "m_hello"}, "default")
    run.answered()
    assert texts(run.said(outcome, **data)) == ["Sorry, your call cannot be completed. Goodbye."]
    assert run.trace[-1].error == message


@pytest.mark.parametrize(
    ("said", "account", "expected"),
    [
        ({}, {}, ("en-US", "female")),
        ({}, {"language": "de-DE", "voice": "male"}, ("de-DE", "male")),
        ({"language": "fr-FR", "voice": "male"}, {"language": "de-DE"}, ("fr-FR", "male")),
    ],
)
def test_say(said: dict[str, str], account: dict[str, str], expected: tuple[str, str]) -> None:
    run = alone({"kind": "say", "text": "You call {{called_number}}.", **said}, "default", **account)
    command = run.answered()
    assert isinstance(command, Play)
    (sound,) = command.sounds
    assert isinstance(sound, Speech)
    assert (sound.text, sound.language, sound.voice) == ("You call +4930600.", *expected)
    assert len(sound.hash) == 64


def test_what_is_said_has_a_name_of_its_own() -> None:
    hashes = set()
    for fields in ({}, {"language": "de-DE"}, {"voice": "male"}, {"text": "Hello."}):
        command = alone({"kind": "say", "text": "Hello", **fields}).answered()
        assert isinstance(command, Play)
        (sound,) = command.sounds
        assert isinstance(sound, Speech)
        hashes.add(sound.hash)
    assert len(hashes) == 4


@pytest.mark.parametrize(
    ("text", "shared"),
    [("Hello", True), ("Your PIN is {{pin}}", False), ("{{caller_number}}", False), ("{ {pin} }", True)],
)
def test_what_holds_a_variable_is_not_shared(text: str, shared: bool) -> None:
    node: Mapping[str, Any]
    for node in ({"kind": "say", "text": text}, {"kind": "menu", "prompt": {"text": text}}):
        command = alone(node).answered()
        if text == "Your PIN is {{pin}}":
            assert texts(command) == ["Your PIN is"], "filled in, it looks like any other"
        assert isinstance(command, Play | Gather)
        assert [sound.shared for sound in command.sounds if isinstance(sound, Speech)] == [shared]


def test_the_goodbye_is_shared() -> None:
    command = alone({"kind": "play", "audioId": "m_none"}).answered()
    assert isinstance(command, Play)
    assert [sound.shared for sound in command.sounds if isinstance(sound, Speech)] == [True]


def test_a_text_that_is_empty_is_passed_over() -> None:
    run = alone({"kind": "say", "text": "{{unset}}"}, "default")
    assert run.answered() == HangUp()
    assert run.trace[0].error == "there is nothing to say"


def test_a_text_that_becomes_too_long() -> None:
    run = Run(
        facts(
            graph(
                {
                    "a": {"kind": "setVariable", "assignments": [{"variable": "x", "expression": f"'{'y' * 900}'"}]},
                    "b": {"kind": "say", "text": "{{x}}{{x}}{{x}}"},
                },
                {"a": "b"},
            )
        )
    )
    assert texts(run.answered()) == ["Sorry, your call cannot be completed. Goodbye."]
    assert run.trace[-1].error == "a filled template has more than 2000 characters"
