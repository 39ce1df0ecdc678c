"""Which objects of the account a flow document mentions, whatever its form."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

# The prefixes of ids (spec 00, "Conventions") by the kinds of `Known.ids`.
PREFIXES: Final = {
    "flow": "flow",
    "us": "user",
    "ext": "extension",
    "rg": "ring_group",
    "fwd": "forward",
    "sch": "schedule",
    "media": "media",
    "pl": "playlist",
}
_ID: Final = re.compile(r"([a-z]+)_[0-7][0-9a-hjkmnp-tv-z]{25}")


def mentions(document: Any) -> dict[str, set[str]]:
    """The ids by kind; every text that has the form of one counts."""
    found: dict[str, set[str]] = {kind: set() for kind in PREFIXES.values()}
    for text in _texts(document):
        matched = _ID.fullmatch(text)
        if matched is not None and matched[1] in PREFIXES:
            found[PREFIXES[matched[1]]].add(text)
    return found


def mentioned_by(document: Mapping[str, Any], object_id: str) -> tuple[str, ...]:
    """The ids of the nodes that mention it."""
    nodes = document.get("nodes")
    return tuple(
        node["id"]
        for node in (nodes if isinstance(nodes, list) else ())
        if isinstance(node, dict) and isinstance(node.get("id"), str) and object_id in _texts(node.get("data"))
    )


def _texts(value: Any) -> Iterator[str]:
    match value:
        case str():
            yield value
        case dict():
            for one in value.values():
                yield from _texts(one)
        case list():
            for one in value:
                yield from _texts(one)
