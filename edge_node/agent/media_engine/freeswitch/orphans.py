"""Channels of a node-agent that is no more: what they do is let be as long as it ends by itself.

Two that are connected go on talking, and both end with the first. One that waits for commands would wait for ever.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from typing import Final

from edge_node.agent.log import Log
from edge_node.agent.media_engine.base import EngineError
from edge_node.agent.media_engine.freeswitch import codec
from edge_node.agent.media_engine.freeswitch.codec import Headers
from edge_node.agent.media_engine.freeswitch.switch import Switch

# A younger one may be about to come to us; it is looked at again.
_NEW_SEC: Final = 10.0
_AGAIN_SEC: Final = 15.0
_CONNECTED: Final = frozenset({"CS_SOFT_EXECUTE", "CS_EXCHANGE_MEDIA", "CS_HIBERNATE"})
_END_TOGETHER: Final = "hangup_after_bridge=true;park_after_bridge=false;park_after_early_bridge=false"


async def bury_orphans(switch: Switch, known: Callable[[str], bool], log: Log) -> None:
    """Twice, a while apart. `known(channel)`: it is ours."""
    for pause in (0.0, _AGAIN_SEC):
        await asyncio.sleep(pause)
        try:
            for channel in await _channels(switch):
                if not known(channel):
                    await _look_after(switch, channel, log)
        except EngineError as error:
            log.warning("orphans not looked after", error=str(error))


async def _channels(switch: Switch) -> Sequence[str]:
    try:
        rows = json.loads(await switch.api("show channels as json")).get("rows", [])
        return [str(row["uuid"]) for row in rows]
    except (ValueError, KeyError) as error:
        raise EngineError("refused", "The switch does not list its channels.") from error


async def _look_after(switch: Switch, channel: str, log: Log) -> None:
    try:
        facts = codec.parse_headers((await switch.api(f"uuid_dump {channel}")).encode())
        if facts.get("Channel-State") in _CONNECTED and facts.get("Other-Leg-Unique-ID"):
            await switch.api(f"uuid_setvar_multi {channel} {_END_TOGETHER}")
            log.info("orphan left to its end", channel=channel)
        elif _age_sec(facts) >= _NEW_SEC:
            await switch.api(f"uuid_kill {channel} NORMAL_TEMPORARY_FAILURE")
            log.info("orphan ended", channel=channel)
    except EngineError as error:
        if error.code not in ("gone", "refused"):
            raise
    except codec.FramingError:
        log.warning("channel not understood", channel=channel)


def _age_sec(facts: Headers) -> float:
    """By the switch's own clock."""
    now, created = facts.get("Event-Date-Timestamp"), facts.get("Caller-Channel-Created-Time")
    return (int(now) - int(created)) / 1e6 if now.isdecimal() and created.isdecimal() else 0.0
