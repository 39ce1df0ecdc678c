"""What the engine knows of one channel."""

from __future__ import annotations

from edge_node.agent.log import Log
from edge_node.agent.media_engine.freeswitch.session import Session
from edge_node.agent.media_engine.freeswitch.sound import Sound


class Channel:
    """`told`: the sink knows it, and is told of its end."""

    def __init__(self, session: Session, log: Log) -> None:
        self.session = session
        self.sound = Sound(session, log)
        self.told = False

    @property
    def id(self) -> str:
        return self.session.channel

    async def ring(self) -> None:
        """Lets the party hear ringing: his own phone's, or ours once he is answered. Raises `EngineError`."""
        if self.session.answered:
            await self.sound.ring()
        else:
            await self.session.ring()
