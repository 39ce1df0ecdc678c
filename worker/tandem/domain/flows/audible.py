"""Nodes that the caller hears and answers with digits: play, say, menu, collect."""

from __future__ import annotations

from tandem.domain.flows import document, sounds
from tandem.domain.flows.commands import Gather, Play, Sound
from tandem.domain.flows.events import Data
from tandem.domain.flows.outcomes import DEFAULT
from tandem.domain.flows.results import Do, Fail, Leave, Result, Scene, masked
from tandem.domain.flows.values import MASK

_DIGIT = "digit:"


def play(scene: Scene, data: document.Play) -> Result:
    if data.audio_id is not None:
        heard: tuple[Sound, ...] = (sounds.media(scene.facts, data.audio_id),)
    else:
        heard = sounds.playlist(scene.facts, data.playlist_id or "")
    return Do(Play(sounds=heard, loop=data.loop))


def say(scene: Scene, data: document.Say) -> Result:
    """A text that turns out empty is passed over."""
    heard = sounds.spoken(scene.facts, scene.variables, data.text, data.language, data.voice)
    return Do(Play(sounds=heard)) if heard else Leave(DEFAULT, error="there is nothing to say")


def played(outcome: str) -> Result:
    return Leave(DEFAULT) if outcome == "done" else Fail(f"the sound came to {outcome}")


def ask(scene: Scene, data: document.Menu | document.Collect, *prompts: document.Prompt | None) -> Gather | Fail:
    """One attempt. Without a sound the caller would wait in silence."""
    heard = tuple(sound for prompt in prompts for sound in sounds.prompted(scene.facts, scene.variables, prompt))
    if not heard:
        return Fail("there is nothing to say")
    return Gather(
        sounds=heard,
        min_digits=data.min_digits,
        max_digits=data.max_digits,
        terminators=data.terminators if isinstance(data, document.Menu) else data.terminator,
        timeout_ms=data.timeout_sec * 1000,
        inter_digit_timeout_ms=data.inter_digit_timeout_sec * 1000,
        barge_in=data.barge_in,
        secret=data.mask,
    )


def begin(scene: Scene, data: document.Menu | document.Collect) -> Result:
    command = ask(scene, data, data.prompt)
    return command if isinstance(command, Fail) else Do(command)


def menu(scene: Scene, data: document.Menu, outcome: str, told: Data) -> Result:
    """Digits without an edge are a failure, and so are too few; a terminator alone may be a choice."""
    typed = told.digits or told.terminator or ""
    digits, choice = masked(typed, data.mask), _DIGIT + typed
    chosen = scene.place.edge(choice) is not None
    if chosen and (outcome == "digits" or (outcome == "timeout" and not told.digits)):
        return Leave(choice, digits=digits, shown=_DIGIT + MASK if data.mask else None)
    if outcome == "digits" or (outcome == "timeout" and typed):
        return _failed(scene, data, digits)
    if outcome == "timeout":
        return _timed_out(scene, data, digits)
    return Fail(f"the menu came to {outcome}")


def _failed(scene: Scene, data: document.Menu, digits: str | None) -> Result:
    failures = scene.draft.failures + 1
    if failures >= data.max_failures:
        return Leave("invalid", digits=digits)
    return _again(scene, data, "invalid", digits, failures, scene.draft.timeouts)


def _timed_out(scene: Scene, data: document.Menu, digits: str | None) -> Result:
    timeouts = scene.draft.timeouts + 1
    if timeouts >= data.max_timeouts:
        return Leave("timeout", digits=digits)
    return _again(scene, data, "timeout", digits, scene.draft.failures, timeouts)


def collect(scene: Scene, data: document.Collect, outcome: str, told: Data) -> Result:
    """Each attempt is a try, whatever became of it; the last one names the outcome. Too few digits, or a terminator
    alone, are no match: only who types nothing at all lets the time run out."""
    digits = masked(told.digits, data.mask)
    if outcome == "digits":
        typed = told.digits or ""
        if data.regex is None or scene.matches(data.regex, typed):
            secrets = frozenset({data.variable}) if data.mask else frozenset()
            return Leave("matched", {data.variable: typed}, secrets, digits)
    elif outcome != "timeout":
        return Fail(f"collecting came to {outcome}")
    is_wrong = outcome == "digits" or bool(told.digits or told.terminator)
    verdict = "no_match" if is_wrong else "timeout"
    failures, timeouts = scene.draft.failures + is_wrong, scene.draft.timeouts + (not is_wrong)
    if failures + timeouts >= data.max_tries:
        return Leave(verdict, digits=digits)
    return _again(scene, data, verdict, digits, failures, timeouts)


def _again(
    scene: Scene,
    data: document.Menu | document.Collect,
    outcome: str,
    digits: str | None,
    failures: int,
    timeouts: int,
) -> Result:
    wrong = None if outcome == "timeout" else data.invalid_prompt
    command = ask(scene, data, wrong, data.reprompt or data.prompt)
    return command if isinstance(command, Fail) else Do(command, outcome, digits, None, failures, timeouts)
