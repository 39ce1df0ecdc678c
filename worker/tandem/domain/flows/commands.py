"""What the interpreter tells the node to do next (spec 20, "Execution"). A command is over with one outcome:

| command | outcomes |
|---|---|
| answer | answered |
| play | done, missing (a prompt cannot be had; those before it were heard) |
| gather | digits, timeout, missing |
| dial | answered (the leg is up, its party has heard the whisper), no_answer, busy, failed |
| bridge | ended (the other leg hung up; the caller is still there) |
| hangup | ended |
| noop | none: the session is over, or waits for no outcome |

Any of them may end in `hangup` (the caller is gone) or `error`. `data.message` says what went wrong; with an outcome of
dial, which music or whisper could not be had.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field


class Message(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True, extra="ignore")


class Media(Message):
    """An uploaded file: `key` is its object in R2, `etag` names its content."""

    kind: Literal["media"] = "media"
    key: str
    etag: str


class Speech(Message):
    """A text to be spoken. `hash` names language, voice and text: who has spoken it once has it for ever. Unless it is
    `shared`, it holds what is one call's alone (a number, a PIN): it stays on the node that speaks it."""

    kind: Literal["say"] = "say"
    text: str
    language: str
    voice: Literal["female", "male"]
    hash: str
    shared: bool = False


Sound = Annotated[Media | Speech, Field(discriminator="kind")]


class Answer(Message):
    cmd: Literal["answer"] = "answer"


class Play(Message):
    cmd: Literal["play"] = "play"
    sounds: tuple[Sound, ...]
    loop: int = 1


class Gather(Message):
    """`sounds` stop at the first digit if `barge_in`; digits that were typed before count. The first of: `max_digits`
    digits, a digit of `terminators` (not part of the digits), `inter_digit_timeout_ms` without another one after at
    least one, `timeout_ms` without any after the sounds. `outcome` is `digits` when there are at least `min_digits`
    of them, else `timeout`; `data.digits` has them, `data.terminator` what ended them. `secret`: for no log.
    """

    cmd: Literal["gather"] = "gather"
    sounds: tuple[Sound, ...]
    min_digits: int
    max_digits: int
    terminators: str
    timeout_ms: int
    inter_digit_timeout_ms: int
    barge_in: bool
    secret: bool = False


class Dial(Message):
    """Calls `uri` with `token` as X-Tandem-Leg through the local Kamailio. The caller meanwhile hears `music`, else the
    other side's early media, else ringing. `whisper` is for the party called, before it is told as answered."""

    cmd: Literal["dial"] = "dial"
    leg_id: str
    uri: str
    token: str
    timeout_sec: int
    music: tuple[Sound, ...] = ()
    whisper: tuple[Sound, ...] = ()


class Bridge(Message):
    """Connects the caller with the leg that answered, and takes the engine out of the audio path if `release`."""

    cmd: Literal["bridge"] = "bridge"
    leg_id: str
    release: bool = True


class HangUp(Message):
    """`cause` is `normal` (BYE; 603 before the answer) or a SIP code from 400 to 699, which an answered call carries
    in its Reason."""

    cmd: Literal["hangup"] = "hangup"
    cause: str = "normal"


class Noop(Message):
    cmd: Literal["noop"] = "noop"


Command = Annotated[Answer | Play | Gather | Dial | Bridge | HangUp | Noop, Field(discriminator="cmd")]
