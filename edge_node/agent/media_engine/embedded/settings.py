"""What the embedded engine is told at its start."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from edge_node.agent.config import Address
from edge_node.agent.media_engine.embedded.messages import CALLERS_A_PROCESS

RTP_PORTS_A_PROCESS: Final = 16
"""Two a call; as many again for calls that are over but not forgotten yet, and for ports that somebody else holds."""


@dataclass(frozen=True, slots=True)
class EmbeddedSettings:
    """Raises `ValueError` when the ports do not suffice.

    `kamailio` is the only one whose calls are taken, and where legs are sent. `host` is the address of SIP and RTP;
    the processes listen on consecutive UDP ports from `sip_port` on and divide `rtp_min` to `rtp_max` among them.
    `callers`: the most at once. `spare`: how many callers there is room for at any time without a process to be
    started. `hold_music` is for the other party of one who holds; without it he hears what the holding phone sends.
    """

    kamailio: Address
    sip_port: int
    rtp_min: int
    rtp_max: int
    host: str = "127.0.0.1"
    callers: int = 40
    spare: int = 4
    hold_music: Path | None = None

    def __post_init__(self) -> None:
        if self.callers < 1 or self.spare < 1:
            raise ValueError("the embedded engine needs room for one caller at least")
        if self.sip_port + self.processes - 1 > 65_535:
            raise ValueError(f"{self.processes} SIP ports from {self.sip_port} on do not exist")
        needed = self.processes * RTP_PORTS_A_PROCESS
        if self.rtp_max - self.rtp_min + 1 < needed:
            raise ValueError(f"{self.callers} callers need {needed} RTP ports, not {self.rtp_min} to {self.rtp_max}")

    @property
    def processes(self) -> int:
        """The most at once."""
        return -(-self.callers // CALLERS_A_PROCESS)

    @property
    def sip_ports(self) -> range:
        """From where the engine's INVITEs come."""
        return range(self.sip_port, self.sip_port + self.processes)
