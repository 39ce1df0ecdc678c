"""Calls without media: what rtpengine says of them, and what follows."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_node.agent import ng
from edge_node.agent.config import Address
from edge_node.agent.kamailio import Kamailio, Rpc, read_media_calls
from edge_node.agent.load import RtpEngine
from edge_node.agent.log import Log
from edge_node.agent.media import MediaWatch, verdict
from edge_node.agent.ng import Ng, NgError
from tests.unit.agent.stubs import FakeKamailio, Json, live_dialog

NOW = 2_000_000_000


def leg(last: int, *flags: str, port: int = 4000) -> Json:
    rtp = {"last packet": last, "flags": ["RTP"], "endpoint": {"port": port}}
    rtcp = {"last packet": 1, "flags": ["RTCP"], "endpoint": {"port": port + 1}}
    return {"medias": [{"flags": list(flags), "streams": [rtp, rtcp]}]}


def reply(caller: Json, callee: Json) -> Json:
    # the leg of a phone that rang in vain stays in rtpengine's list
    return {"result": "ok", "tags": {"ft1": caller, "tt1": callee, "loser": leg(1, "send", "recv")}}


@pytest.mark.parametrize(
    ("answer", "cause"),
    [
        ({"result": "error", "error-reason": "Unknown call-id"}, "no_media"),
        ({"result": "error", "error-reason": "Something else"}, None),
        (reply(leg(NOW, "send", "recv"), leg(NOW, "send", "recv")), None),
        (reply(leg(NOW, "send", "recv"), leg(NOW - 200, "send", "recv")), "no_media"),
        (reply(leg(NOW - 200, "recv"), leg(NOW - 200, "send")), None),
        (reply(leg(NOW, "send", "recv"), leg(NOW - 200, "send", "recv", port=0)), None),
        ({"result": "ok", "tags": {}}, None),
    ],
)
def test_a_verdict_by_rtpengines_words(answer: Json, cause: str | None) -> None:
    assert verdict(answer, ("ft1", "tt1"), NOW - 120) == cause


def test_a_verdict_on_what_rtpengine_really_says() -> None:
    """`query` of rtpengine 10.5 on a call of two parties that both talk, as it came off the wire."""
    body = (Path(__file__).parent / "rtpengine_query.bencode").read_bytes()
    heard = ng.decode(body)["tags"]["ft1"]["medias"][0]["streams"][0]["last packet"]
    assert verdict(ng.decode(body), ("ft1", "tt1"), heard - 1) is None
    for silent in ("ft1", "tt1"):
        answer = ng.decode(body)
        media = answer["tags"][silent]["medias"][0]
        for stream in media["streams"]:
            stream["last packet"] -= 200
        assert verdict(answer, ("ft1", "tt1"), heard - 120) == "no_media"
        media["flags"].remove("recv")
        assert verdict(answer, ("ft1", "tt1"), heard - 120) is None


@pytest.mark.parametrize(
    ("sides", "watched"),
    [((), ("ft1", "tt1")), (("engine_b",), ("ft1",)), (("engine_a",), ("tt1",)), (("engine_a", "engine_b"), ())],
)
def test_the_media_engine_is_no_party(sides: tuple[str, ...], watched: tuple[str, ...]) -> None:
    """Who hears hold music, or talks past the engine, must not lose his call because the engine sends nothing."""
    dialog = live_dialog("call_1") | {"start_ts": 1_000}
    dialog["variables"] = [*dialog["variables"], {"flags_b": "RTP/AVP"}, *({side: "1"} for side in sides)]
    [call] = read_media_calls([dialog], 2_000)
    assert call.tags == watched
    answer = reply(leg(NOW, "send", "recv"), leg(NOW - 200, "send", "recv"))
    assert verdict(answer, call.tags, NOW - 120) == ("no_media" if "tt1" in watched else None)


class FakeEngine(asyncio.DatagramProtocol):
    """Knows the calls of `known` only."""

    def __init__(self, known: set[str]) -> None:
        self.known = known

    def connection_made(self, transport: asyncio.DatagramTransport) -> None:  # type: ignore[override]  # asyncio's stub
        self.transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        cookie, _, body = data.partition(b" ")
        known = ng.decode(body).get("call-id") in self.known
        answer = {"result": "ok"} if known else {"result": "error", "error-reason": "Unknown call-id"}
        self.transport.sendto(cookie + b" " + ng.encode(answer), addr)


async def test_calls_that_rtpengine_lost_are_ended(kamailio: FakeKamailio) -> None:
    for number, call in enumerate(("kept", "lost", "young")):
        dialog = live_dialog(call) | {"h_entry": number, "start_ts": 4_000_000_000 if call == "young" else 1_000}
        dialog["variables"] = [*dialog["variables"], {"flags_b": "RTP/AVP"}]
        kamailio.dialogs.append(dialog)
    kamailio.dialogs.append(live_dialog("unrelayed") | {"start_ts": 1_000})
    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: FakeEngine({"sip-kept"}), local_addr=("127.0.0.1", 0)
    )
    log = Log(lambda line: None)
    address = Address(port=transport.get_extra_info("sockname")[1])
    async with Ng(address) as client, Rpc(f"http://127.0.0.1:{kamailio.rpc_port}/RPC") as rpc:
        await MediaWatch(Kamailio(rpc), RtpEngine(client), client, log).check()
        ended = [params for method, params in kamailio.rpc_calls if method == "dlg.end_dlg"]
        assert ended == [[1, 22, 'Reason: SIP;cause=200;text="no_media"\r\n']]
        transport.close()
        kamailio.rpc_calls.clear()
        await MediaWatch(Kamailio(rpc), RtpEngine(client), client, log).check()
    assert [method for method, _ in kamailio.rpc_calls] == ["dlg.list"], "an engine that is away proves nothing"


@given(st.binary(max_size=60))
def test_nothing_breaks_the_decoder(body: bytes) -> None:
    try:
        assert isinstance(ng.decode(body), dict)
    except NgError:
        return


def test_both_ways() -> None:
    value: dict[str, Any] = {"command": "query", "call-id": "a:b"}
    assert ng.encode(value) == b"d7:call-id3:a:b7:command5:querye"
    assert ng.decode(b"d1:ali-1e0:d1:xi5eeee") == {"a": [-1, "", {"x": 5}]}
