"""Calls of an agent that died: their engine is gone, or nobody drives it, but Kamailio still has them."""

from __future__ import annotations

import asyncio
import time
from typing import Final

from edge_node.agent import seam
from edge_node.agent.clock import backoff_sec
from edge_node.agent.evapi import Evapi
from edge_node.agent.kamailio import EngineCall, Kamailio, KamailioError
from edge_node.agent.log import Log

_LONGEST_PAUSE_SEC: Final = 5.0
CAUSE: Final = "engine_lost"


class Leftovers:
    """`run` ends once every call that was in the engine before this agent began is ended."""

    def __init__(self, kamailio: Kamailio, evapi: Evapi, log: Log) -> None:
        self._kamailio = kamailio
        self._evapi = evapi
        self._log = log
        # Kamailio tells whole seconds; this agent has taken no call in its first.
        self._before = time.time()

    async def run(self) -> None:
        attempt = 0
        while True:
            try:
                left = await self._kamailio.engine_calls(self._before)
                for one in left:
                    await self._end(one)
                if not left:
                    return
            except KamailioError as error:
                if attempt == 0:
                    self._log.info("calls of before not known yet", error=str(error))
            attempt += 1
            await asyncio.sleep(backoff_sec(attempt, _LONGEST_PAUSE_SEC))

    async def _end(self, one: EngineCall) -> None:
        self._log.warning("call left without its engine", call_id=one.call.call_id, state=one.call.state)
        if one.call.state == "early":
            call = one.call
            self._evapi.send(seam.hangup(call.sip_call_id, call.from_tag, call.cseq, CAUSE))
        else:
            await self._kamailio.end_dialog(one.entry, one.number, CAUSE)
