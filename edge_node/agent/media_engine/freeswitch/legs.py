"""Legs that the engine places: what is asked of the switch, and what becomes of them until they are answered."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Collection
from typing import Final

from edge_node.agent.config import Address
from edge_node.agent.media_engine.base import EngineError, Order
from edge_node.agent.media_engine.freeswitch import causes
from edge_node.agent.media_engine.freeswitch.channel import Channel
from edge_node.agent.media_engine.freeswitch.codec import Event
from edge_node.agent.media_engine.freeswitch.settings import FreeSwitchSettings

# Nothing that ends a variable, a leg or an argument of the command, or that the switch replaces.
_URI: Final = re.compile(r"sip:[A-Za-z0-9._~!*+%&=:@;?/-]+")
_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9-]*")
_VALUE: Final = re.compile(r"[A-Za-z0-9._~!*+%&=:@;?/-]*")
# The switch counts loosely, and no further once it hears something: the engine gives up by itself, before it.
SWITCH_GRACE_SEC: Final = 2
CHANNEL_SETTINGS: Final = {
    # What is left of a bridge stays, for what the flow does next.
    "hangup_after_bridge": "false",
    "park_after_bridge": "true",
    "park_after_early_bridge": "true",
    "uuid_bridge_park_on_cancel": "true",
    "continue_on_fail": "true",
    # A party hears nothing of what the other's phone says of itself.
    "ignore_display_updates": "true",
    "sip_copy_custom_headers": "false",
    # One that waits sends silence: relays and phones take nothing at all for a broken call.
    "send_silence_when_idle": "-1",
    # Digits are told, and stop nothing by themselves.
    "playback_terminators": "none",
}
"""Of every channel, the caller's and those that we place."""


class Leg:
    """One that is not answered yet. `outcome`: done when it is, else the exception that says why not.

    `lock` is for what the caller hears of it; `heard`: the far end's own sound, before its answer.
    """

    def __init__(self, channel: str, near: Channel, order: Order) -> None:
        self.channel = channel
        self.near = near
        self.order = order
        self.heard = False
        self.lock = asyncio.Lock()
        self.outcome: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.end = asyncio.Event()

    def answered(self) -> None:
        if not self.outcome.done():
            self.outcome.set_result(None)

    def failed(self, error: Exception) -> None:
        if not self.outcome.done():
            self.outcome.set_exception(error)
            # Nobody may look any more.
            self.outcome.exception()

    def ended(self, event: Event) -> None:
        """The channel is over: the switch says by which SIP code."""
        self.end.set()
        self.failed(causes.of_leg(event.get("Hangup-Cause"), event))


def command(settings: FreeSwitchSettings, order: Order, channel: str, codec: str, profile: str) -> str:
    """The api command that places a leg. Once answered, or heard if `early`, it comes to us like a caller's channel.

    Nothing of the caller's channel is handed down: the switch is told each header. `codec` and `profile`, by
    which digits are offered, are such that his audio can go past the switch. Raises `EngineError` `refused`.
    """
    if not _URI.fullmatch(order.uri) or not _VALUE.fullmatch(codec):
        raise EngineError("refused", "A leg's address has a sign in it that the switch would misread.")
    variables = {
        "origination_uuid": channel,
        "originate_timeout": str(order.timeout_sec + SWITCH_GRACE_SEC),
        "ignore_early_media": "false" if order.early else "true",
        # A redirection would send a leg back into the dial plan.
        "outbound_redirect_fatal": "true",
        # By way of Kamailio, without a Route header that it would have to take off.
        "sip_route_uri": f"sip:{_text(settings.kamailio)}",
        "sip_cid_type": "none",
        "origination_caller_id_name": "tandem",
        "origination_caller_id_number": "tandem",
        **channel_variables(settings),
    }
    if codec:
        variables["absolute_codec_string"] = codec
    for name, value in order.headers:
        if not _NAME.fullmatch(name) or not _VALUE.fullmatch(value):
            raise EngineError("refused", f"The header {name} of a leg has a sign in it that the switch would misread.")
        variables[f"sip_h_{name}"] = value
    told = ",".join(f"{name}={value}" for name, value in variables.items())
    return f"originate {{{told}}}sofia/{profile}/{order.uri} '&socket({_text(settings.socket)} async full)'"


def profile_of(settings: FreeSwitchSettings, digit_type: int, running: Collection[str]) -> str:
    """The profile that offers digits by this payload type, where there is one."""
    wanted = f"{settings.profile}-{digit_type}"
    return wanted if wanted in running else settings.profile


def channel_variables(settings: FreeSwitchSettings) -> dict[str, str]:
    """What is set on every channel."""
    music = {} if settings.hold_music is None else {"hold_music": str(settings.hold_music)}
    return CHANNEL_SETTINGS | music


def first_codec(told: str) -> str:
    """`PCMU` of `PCMU`, or of `CORE_PCM_MODULE.PCMU@8000h@20i@64000b,…`."""
    return told.split(",")[0].rsplit(".", 1)[-1].split("@")[0]


def _text(address: Address) -> str:
    return f"{address.host}:{address.port}"
