"""What an event socket's bytes look like from the switch's side."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

_UNSAFE: Final = frozenset(b'\r\n "#%&+:;<=>?@[\\]^`{|}')
_ENCODED: Final = re.compile(rb"%[0-9A-Fa-f]{2}")


def encode(value: str) -> str:
    """As the switch does it: what looks encoded already stays as it is, so `a%20b` and `a b` come out the same."""
    data = value.encode()
    found = bytearray()
    for index, byte in enumerate(data):
        if byte == ord("%") and _ENCODED.match(data, index):
            found.append(byte)
        elif byte in _UNSAFE or not 32 < byte < 127:
            found += b"%%%02X" % byte
        else:
            found.append(byte)
    return found.decode()


def lines(headers: Mapping[str, str]) -> str:
    return "".join(f"{name}: {value}\n" for name, value in headers.items())


def block(headers: Mapping[str, str], body: str = "") -> bytes:
    """A message: its headers as they are, and the length of its body where it has one."""
    length = {"Content-Length": str(len(body.encode()))} if body else {}
    return (lines({**headers, **length}) + "\n" + body).encode()


def event(headers: Mapping[str, str], body: str = "") -> bytes:
    """An event in a message of its own; a body of its own has an inner length."""
    inner = {name: encode(value) for name, value in headers.items()}
    if body:
        inner["Content-Length"] = str(len(body.encode()))
    return block({"Content-Type": "text/event-plain"}, lines(inner) + "\n" + body)
