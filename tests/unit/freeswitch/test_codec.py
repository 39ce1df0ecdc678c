"""Framing, percent signs, and what must not be sent."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_node.agent.media_engine.freeswitch.codec import (
    MAX_BODY,
    MAX_HEADERS,
    Decoder,
    FramingError,
    Headers,
    encode,
    parse_event,
    parse_headers,
)
from tests.unit.freeswitch import wire

# As they came from a real switch (1.11.3), shortened.
GREETING = b"Content-Type: auth/request\n\n"
REPLY = b"Content-Type: command/reply\nReply-Text: +OK accepted\n\n"
API = b"Content-Type: api/response\nContent-Length: 11\n\n1.11.3-dev\n"
CONNECT = (
    b"Event-Name: CHANNEL_DATA\nUnique-ID: b08ca241\nvariable_sip_h_X-Tandem-Call: call_1\n"
    b"variable_sip_to_uri: 600%40127.0.0.1%3A15080\nContent-Type: command/reply\nReply-Text: %2BOK%0A\n"
    b"Socket-Mode: async\nControl: full\n\n"
)
INSIDE = b"Event-Name: BACKGROUND_JOB\nJob-UUID: 7b1f\nJob-Command: originate\nContent-Length: 15\n\n-ERR USER_BUSY\n"
JOB = b"Content-Length: %d\nContent-Type: text/event-plain\n\n%b" % (len(INSIDE), INSIDE)
NOTICE = (
    b"Content-Type: text/disconnect-notice\nControlled-Session-UUID: b08c\nContent-Disposition: linger\n"
    b"Linger-Time: 10\nContent-Length: 0\n\n"
)
STREAM = GREETING + REPLY + API + CONNECT + JOB + NOTICE


@given(st.lists(st.integers(0, len(STREAM)), max_size=8))
def test_messages_come_whole_however_they_are_cut(cuts: list[int]) -> None:
    decoder = Decoder()
    found = []
    places = [0, *sorted(cuts), len(STREAM)]
    for start, end in itertools.pairwise(places):
        found += decoder.feed(STREAM[start:end])
    kinds = ["auth/request", "command/reply", "api/response", "command/reply", "text/event-plain"]
    assert [message.kind for message in found] == [*kinds, "text/disconnect-notice"]
    assert [message.text for message in found[1:4]] == ["+OK accepted", "1.11.3-dev\n", "%2BOK%0A"]
    assert found[3].headers.get("variable_sip_to_uri") == "600@127.0.0.1:15080"
    job = parse_event(found[4].body)
    assert (job.name, job.get("Job-UUID"), job.body) == ("BACKGROUND_JOB", "7b1f", "-ERR USER_BUSY\n")
    assert found[5].headers.get("Linger-Time") == "10"


@given(st.text(st.characters(exclude_characters="%", exclude_categories=["Cs"])))
def test_a_value_without_a_percent_sign_comes_back(value: str) -> None:
    told = parse_event(wire.event({"Event-Name": "X", "value": value}).partition(b"\n\n")[2])
    assert told.get("value").strip() == value.strip()


def test_a_stored_percent_sign_is_not_told_from_one_that_encodes() -> None:
    assert wire.encode("a%20b") == wire.encode("a b") == "a%20b"
    assert wire.encode("100%") == "100%25"
    assert wire.encode("a,b/c") == "a,b/c"
    assert wire.encode("é;\"'+&=\\:") == "%C3%A9%3B%22'%2B%26%3D%5C%3A"


def test_bytes_that_are_no_text_are_replaced() -> None:
    assert parse_headers(b"name: \xff\xfe\nother: %ff").get("name") == "��"
    assert Headers({"x": "%FF"}).get("x") == "�"
    assert Headers({}).get("x", "none") == "none"


@pytest.mark.parametrize(
    "data",
    [
        b"no colon\n\n",
        b"Content-Length: x\n\n",
        b"Content-Length: -1\n\n",
        b"Content-Length: %d\n\n" % (MAX_BODY + 1),
        b"a: " + b"b" * MAX_HEADERS,
        b"a: " + b"b" * MAX_HEADERS + b"\n\n",
    ],
)
def test_what_is_no_event_socket_is_an_error(data: bytes) -> None:
    decoder = Decoder()
    with pytest.raises(FramingError):
        decoder.feed(data + b" ")


def test_empty_lines_between_messages_are_passed_over() -> None:
    assert [message.kind for message in Decoder().feed(b"\n\n" + GREETING + b"\n" + GREETING)] == ["auth/request"] * 2


def test_a_command_is_one_line_and_so_are_its_headers() -> None:
    assert encode("bgapi status", (("Job-UUID", "1"),)) == b"bgapi status\nJob-UUID: 1\n\n"
    for command, headers in (("api a\nexit", ()), ("sendmsg", (("x", "a\r\nb"),)), ("sendmsg", (("x\n", "a"),))):
        with pytest.raises(ValueError, match="line break"):
            encode(command, headers)
