"""Session descriptions as the embedded engine changes them."""

from __future__ import annotations

import pytest

from edge_node.agent.media_engine.embedded.messages import Description
from edge_node.pjsip.engine import sdp

OURS = "\r\n".join(
    [
        "v=0",
        "o=- 3 5 IN IP4 127.0.0.1",
        "s=pjmedia",
        "c=IN IP4 127.0.0.1",
        "t=0 0",
        "a=X-nat:0",
        "m=audio 32000 RTP/AVP 0 8 101",
        "a=rtcp:32001 IN IP4 127.0.0.1",
        "a=sendrecv",
        "a=rtpmap:0 PCMU/8000",
        "a=rtpmap:8 PCMA/8000",
        "a=rtpmap:101 telephone-event/8000",
        "a=fmtp:101 0-16",
        "",
    ]
)


def test_the_codecs_of_an_offer_in_its_order() -> None:
    assert sdp.codecs("v=0\r\nm=audio 9 RTP/AVP 9 8 0 101\r\n") == ["PCMA", "PCMU"], "static types need no rtpmap"
    assert sdp.codecs("v=0\r\nm=audio 9 RTP/AVP 96 97\r\na=rtpmap:97 pcmu/8000\r\na=rtpmap:96 opus/48000/2\r\n") == [
        "PCMU"
    ]
    assert sdp.codecs("v=0\r\nm=video 9 RTP/AVP 0\r\nm=audio 9 RTP/AVP 8\r\n") == ["PCMA"]
    assert sdp.codecs("v=0\r\nm=audio 9 RTP/AVP 0\r\na=rtpmap:0 G726-32/8000\r\n") == [], "an rtpmap has the word"
    assert sdp.codecs("") == []


@pytest.mark.parametrize(("codec", "kind", "other"), [("PCMU", "0", "8"), ("PCMA", "8", "0")])
def test_an_offer_with_one_codec_keeps_digits(codec: str, kind: str, other: str) -> None:
    changed = sdp.only(OURS, codec)
    assert f"m=audio 32000 RTP/AVP {kind} 101\r\n" in changed
    assert f"a=rtpmap:{other} " not in changed
    assert "a=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-16\r\n" in changed
    assert "a=rtcp:32001" in changed


def test_other_streams_stay_as_they_are() -> None:
    video = "m=video 0 RTP/AVP 97\r\na=rtpmap:97 H264/90000\r\n"
    assert sdp.only(OURS + video, "PCMU").endswith(video)
    described = sdp.elsewhere(OURS + video, Description("10.0.0.9", 40_000, "PCMU", 0, 96))
    assert described.endswith(video)


def test_audio_is_sent_elsewhere_in_the_same_session() -> None:
    changed = sdp.elsewhere(OURS, Description("10.0.0.9", 40_000, "PCMA", 8, 96))
    assert changed == "\r\n".join(
        [
            "v=0",
            "o=- 3 5 IN IP4 127.0.0.1",
            "s=pjmedia",
            "c=IN IP4 127.0.0.1",
            "t=0 0",
            "a=X-nat:0",
            "m=audio 40000 RTP/AVP 8 96",
            "c=IN IP4 10.0.0.9",
            "a=rtpmap:8 PCMA/8000",
            "a=rtpmap:96 telephone-event/8000",
            "a=fmtp:96 0-16",
            "a=sendrecv",
            "",
        ]
    )


def test_who_knows_no_digits_is_offered_none() -> None:
    changed = sdp.elsewhere(OURS, Description("10.0.0.9", 40_000, "PCMU", 0, None))
    assert "m=audio 40000 RTP/AVP 0\r\n" in changed
    assert "telephone-event" not in changed


def test_the_body_of_a_message() -> None:
    assert sdp.body("SIP/2.0 200 OK\r\nVia: x\r\n\r\nv=0\r\n") == "v=0\r\n"
    assert sdp.body("SIP/2.0 200 OK\r\nVia: x") == ""
