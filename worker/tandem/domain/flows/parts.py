"""What a node's data holds that has to be looked at: references, templates, patterns; by the document's field names."""

from __future__ import annotations

from collections.abc import Iterator

from tandem.domain.flows import document
from tandem.domain.flows.document import Data, DialTarget, Prompt

# (field, kinds that it may be of, id) and (field, text).
Reference = tuple[str, tuple[str, ...], str]
Text = tuple[str, str]
_MUSIC = ("media", "playlist")


def references(data: Data) -> Iterator[Reference]:
    for name, prompt in prompts(data):
        if prompt.audio_id is not None:
            yield f"{name}.audioId", ("media",), prompt.audio_id
    for name, target in _targets(data):
        if target.kind is not None and target.id is not None:
            yield f"{name}.id", (target.kind,), target.id
    for name, kinds, value in _plain_references(data):
        if value is not None:
            yield name, kinds, value


def _plain_references(data: Data) -> Iterator[tuple[str, tuple[str, ...], str | None]]:
    match data:
        case document.Play():
            yield "audioId", ("media",), data.audio_id
            yield "playlistId", ("playlist",), data.playlist_id
        case document.TimeCondition():
            yield "scheduleId", ("schedule",), data.schedule_id
        case document.Dial() | document.Transfer():
            yield "music", _MUSIC, data.music
        case document.RingGroup():
            yield "ringGroupId", ("ring_group",), data.ring_group_id
        case document.Enqueue() | document.Callback():
            yield "queueId", ("queue",), data.queue_id
        case document.Voicemail():
            yield "mailboxId", ("voicemail",), data.mailbox_id
        case document.Conference():
            yield "conferenceId", ("conference",), data.conference_id
        case document.Subflow():
            yield "flowId", ("flow",), data.flow_id
        case _:
            pass


def prompts(data: Data) -> Iterator[tuple[str, Prompt]]:
    found: list[tuple[str, Prompt | None]] = []
    match data:
        case document.Menu() | document.Collect():
            found = [("prompt", data.prompt), ("reprompt", data.reprompt), ("invalidPrompt", data.invalid_prompt)]
        case document.Dial():
            found = [("whisper", data.whisper)]
        case document.Voicemail():
            found = [("greeting", data.greeting)]
        case _:
            pass
    return ((name, prompt) for name, prompt in found if prompt is not None)


def _targets(data: Data) -> Iterator[tuple[str, DialTarget]]:
    match data:
        case document.Dial():
            for index, target in enumerate(data.targets):
                yield f"targets.{index}", target
        case document.Transfer():
            yield "target", data.target
        case _:
            pass


def numbers(data: Data) -> Iterator[Text]:
    for name, target in _targets(data):
        if target.number is not None:
            yield f"{name}.number", target.number


def templates(data: Data) -> Iterator[Text]:
    for name, prompt in prompts(data):
        if prompt.text is not None:
            yield f"{name}.text", prompt.text
    yield from numbers(data)
    match data:
        case document.Say():
            yield "text", data.text
        case document.Condition():
            for index, rule in enumerate(data.rules):
                if rule.operator != "matches":
                    yield f"rules.{index}.value", rule.value
        case document.HttpRequest():
            yield "url", data.url
            yield from ((f"headers.{name}", value) for name, value in data.headers.items())
            yield "body", data.body or ""
        case document.Dial():
            yield "callerId", data.caller_id or ""
        case document.Enqueue():
            yield from ((f"variables.{name}", value) for name, value in data.variables.items())
        case document.Conference():
            yield "pin", data.pin or ""
        case document.Subflow():
            yield from ((f"inputs.{name}", value) for name, value in data.inputs.items())
        case _:
            pass


def patterns(data: Data) -> Iterator[Text]:
    match data:
        case document.Collect():
            if data.regex is not None:
                yield "regex", data.regex
        case document.Condition():
            for index, rule in enumerate(data.rules):
                if rule.operator == "matches":
                    yield f"rules.{index}.value", rule.value
        case _:
            pass
