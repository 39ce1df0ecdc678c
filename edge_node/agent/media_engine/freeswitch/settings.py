"""Where the switch is, and where its driver waits for it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from edge_node.agent.config import Address

SAMPLE_RATE_HZ: Final = 8_000
"""Of the sound files that the switch plays without converting them: legs are G.711."""


@dataclass(frozen=True, slots=True)
class FreeSwitchSettings:
    """All addresses are on the node itself; the switch and the node-agent share its disk.

    `esl` is the switch's event socket and `password` its password. `socket` is ours: the dial plan hands each call to
    it. `sip` is the switch's profile, where Kamailio sends calls; `kamailio` is where legs go. `callers`: how many at
    once; None: as many as the machine bears. `hold_music` is for the other party of one who holds.
    """

    esl: Address
    password: str = field(repr=False)
    socket: Address
    sip: Address
    kamailio: Address
    profile: str = "tandem"
    callers: int | None = None
    hold_music: Path | None = None
