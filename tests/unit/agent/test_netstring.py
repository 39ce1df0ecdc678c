"""Framing: any split of the stream, and Kamailio's own reader with its quirks."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_node.agent.netstring import MAX_OUTGOING, Decoder, FramingError, TooLargeError, encode

KAMAILIO_BUFFER = 32_768


class KamailioReader:
    """evapi_dispatch.c of 5.6.3 in Python: what it makes of a stream, read in pieces of its own choice."""

    def __init__(self) -> None:
        self.waiting = b""
        self.kept = b""
        self.frames: list[bytes] = []
        self.closed = False

    def room(self) -> int:
        return KAMAILIO_BUFFER - 1 - len(self.kept)

    def read(self) -> None:
        """One recv and what follows; a full buffer makes recv return 0, which reads as a closed connection."""
        size = self.room()
        if size == 0:
            self.closed = True
            return
        buffer, self.waiting = self.kept + self.waiting[:size], self.waiting[size:]
        self.kept = b""
        position = 0
        while position < len(buffer):
            while position < len(buffer) and buffer[position : position + 1] in b" \t\r\n":
                position += 1
            if position == len(buffer):
                return
            start = position
            while position < len(buffer) and buffer[position : position + 1].isdigit():
                position += 1
            if position == len(buffer) or buffer[position : position + 1] != b":" or position == start:
                return  # the rest is discarded: frames are lost
            length = int(buffer[start:position])
            if length + position >= len(buffer):
                self.kept = buffer[start:]
                return
            position += 1
            if buffer[position + length : position + length + 1] != b",":
                return
            self.frames.append(buffer[position : position + length])
            position += length + 1


@settings(deadline=None)
@given(st.lists(st.binary(max_size=60), max_size=8), st.lists(st.integers(0, 400), max_size=12), st.booleans())
def test_any_split_gives_the_same_payloads(payloads: list[bytes], cuts: list[int], padded: bool) -> None:
    stream = b"".join(encode(one) if padded else b"%d:%b," % (len(one), one) for one in payloads)
    decoder = Decoder()
    edges = sorted({0, len(stream), *(min(cut, len(stream)) for cut in cuts)})
    found = [one for start, end in itertools.pairwise(edges) for one in decoder.feed(stream[start:end])]
    assert found == payloads


def test_every_single_byte_split() -> None:
    stream = b"3:abc,0:,11:hello world,"
    for cut in range(len(stream) + 1):
        decoder = Decoder()
        assert decoder.feed(stream[:cut]) + decoder.feed(stream[cut:]) == [b"abc", b"", b"hello world"]


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_garbage_is_refused_or_waits(data: bytes) -> None:
    decoder = Decoder()
    try:
        decoder.feed(data)
    except FramingError:
        return


@pytest.mark.parametrize("stream", [b"x", b":", b"-1:,", b"3:abcd", b"12345678", b"9999999:", b"1 :a,", b"\xb9:a,"])
def test_what_is_no_netstring_is_refused(stream: bytes) -> None:
    with pytest.raises(FramingError):
        Decoder().feed(stream)


def test_too_large_for_kamailio() -> None:
    assert len(encode(b"x" * (MAX_OUTGOING - 9))) == MAX_OUTGOING
    with pytest.raises(TooLargeError):
        encode(b"x" * (MAX_OUTGOING - 8))


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(1, 9_000), st.booleans()), min_size=1, max_size=60))
def test_kamailio_loses_no_frame_whatever_has_piled_up(writes: list[tuple[int, bool]]) -> None:
    """It reads after any of the agent's writes, or later, when much waits."""
    reader = KamailioReader()
    for size, reads_now in writes:
        reader.waiting += encode(b"x" * size)
        if reads_now:
            reader.read()
    while reader.waiting:
        reader.read()
        assert not reader.closed
    assert [len(frame) for frame in reader.frames] == [size for size, _ in writes]


def test_without_padding_kamailio_does_lose_frames() -> None:
    """Why the padding is there: the model reproduces the fault."""
    reader = KamailioReader()
    frame = b"200:%b," % (b"x" * 200)
    # 32 767 = 170 + 159 * 205 + 2: the buffer ends between the digits of a length.
    reader.waiting = b"165:%b," % (b"y" * 165) + frame * 170
    while reader.waiting:
        reader.read()
    assert len(reader.frames) <= 160
