"""One caller in the media engine, and the leg that he may be connected to."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field

from edge_node.agent.flow.keys import Keys
from edge_node.agent.flow.usage import Usage


def now_ms() -> int:
    return int(time.monotonic() * 1000)


@dataclass(slots=True)
class Leg:
    """`ended` is set, with the cause, when it is over."""

    leg_id: str
    channel: str
    ended: asyncio.Future[str]


@dataclass(slots=True)
class Caller:
    """`gone` is set, with the cause, when the channel is over. `connected`: he talks with the party of his leg.
    `placing` is the leg that was asked for and of which it is not known what became of it."""

    channel: str
    call_id: str
    account_id: str
    gone: asyncio.Future[str]
    keys: Keys = field(default_factory=Keys)
    usage: Usage = field(default_factory=Usage)
    answered: bool = False
    leg: Leg | None = None
    placing: str | None = None
    connected: bool = False
