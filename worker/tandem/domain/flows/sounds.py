"""What the caller hears: prompts, texts, music, and the goodbye of the default error treatment."""

from __future__ import annotations

import hashlib
from typing import Final, Literal

from tandem.domain.flows.commands import Media, Play, Sound, Speech
from tandem.domain.flows.document import Prompt
from tandem.domain.flows.facts import Facts
from tandem.domain.flows.values import Variables, names, render

LONGEST_SPEECH: Final = 2_000
FALLBACK: Final = "en-US"
# The other languages of spec 20 (nl-NL pl-PL ru-RU tr-TR ar-XA he-IL hi-IN ja-JP ko-KR cmn-CN) hear it in English.
_GOODBYE: Final = {
    "de": "Ihr Anruf kann leider nicht weitergeleitet werden. Auf Wiederhören.",
    "en": "Sorry, your call cannot be completed. Goodbye.",
    "es": "Lo sentimos, su llamada no se puede completar. Adiós.",
    "fr": "Désolé, votre appel ne peut pas aboutir. Au revoir.",
    "it": "Siamo spiacenti, la sua chiamata non può essere completata. Arrivederci.",
    "pt": "Desculpe, a sua chamada não pode ser completada. Até logo.",
}


class MissingMediaError(Exception):
    """A file, a playlist or a text that is not there; the message names it."""


def speech(text: str, language: str, voice: Literal["female", "male"], *, shared: bool) -> Speech:
    digest = hashlib.sha256("\n".join((language, voice, text)).encode()).hexdigest()
    return Speech(text=text, language=language, voice=voice, hash=digest, shared=shared)


def spoken(
    facts: Facts,
    variables: Variables,
    template: str,
    language: str | None = None,
    voice: Literal["female", "male"] | None = None,
) -> tuple[Sound, ...]:
    """The text with its variables, in the account's language and voice unless others are named; nothing when it is
    empty. With a variable in it, it is not shared. Raises `BadValueError`."""
    text = render(template, variables, longest=LONGEST_SPEECH).strip()
    shared = not names(template)
    return (speech(text, language or facts.language, voice or facts.voice, shared=shared),) if text else ()


def prompted(facts: Facts, variables: Variables, prompt: Prompt | None) -> tuple[Sound, ...]:
    """Raises `MissingMediaError`, `BadValueError`."""
    if prompt is None:
        return ()
    if prompt.audio_id is not None:
        return (media(facts, prompt.audio_id),)
    return spoken(facts, variables, prompt.text or "", prompt.language, prompt.voice)


def media(facts: Facts, media_id: str) -> Media:
    """Raises `MissingMediaError`."""
    file = facts.media.get(media_id)
    if file is None:
        raise MissingMediaError(f"media {media_id} is gone")
    return Media(key=file.key, etag=file.etag)


def playlist(facts: Facts, playlist_id: str) -> tuple[Sound, ...]:
    """Raises `MissingMediaError` when it has nothing to play."""
    files = facts.playlists.get(playlist_id, ())
    if not files:
        raise MissingMediaError(f"playlist {playlist_id} is gone or empty")
    return tuple(media(facts, file) for file in files)


def music(facts: Facts, ref: str) -> tuple[Sound, ...]:
    """By the id of a file or of a playlist. Raises `MissingMediaError`."""
    return playlist(facts, ref) if ref in facts.playlists else (media(facts, ref),)


def goodbye(facts: Facts) -> Play:
    language = facts.language
    text = _GOODBYE.get(language.partition("-")[0])
    if text is None:
        language, text = FALLBACK, _GOODBYE["en"]
    return Play(sounds=(speech(text, language, facts.voice, shared=True),))
