"""Nodes in few words, a flow of one of them, and what a caller hears of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tandem.domain.flows.commands import Gather, Play, Speech
from tests.support.flows import Run, facts, graph

END = {"kind": "hangup"}
SPOKEN = {"text": "Hello"}
HELLO = {"kind": "play", "audioId": "m_hello"}
AGAIN = {"kind": "play", "audioId": "m_again"}
GOODBYE = "Sorry, your call cannot be completed. Goodbye."
GET = {"kind": "httpRequest", "url": "https://crm.example/"}
DIAL = {"kind": "dial", "targets": [{"number": "100"}]}
Step = tuple[str, dict[str, str]]


def alone(data: Mapping[str, Any], *outcomes: str, **others: Any) -> Run:
    """A flow of that node, and one that hangs up for each of its outcomes: `n<index>`."""
    nodes: dict[str, Mapping[str, Any]] = {"node": data}
    edges = {}
    for index, outcome in enumerate(outcomes):
        nodes[f"n{index}"] = END
        edges[f"node {outcome}"] = f"n{index}"
    return Run(facts(graph(nodes, edges), **others))


def texts(command: object) -> list[str]:
    assert isinstance(command, Play | Gather)
    return [sound.text if isinstance(sound, Speech) else sound.key for sound in command.sounds]


def heard(command: object) -> str:
    assert isinstance(command, Play)
    (sound,) = command.sounds
    return sound.text if isinstance(sound, Speech) else sound.key


def two_plays() -> Run:
    return Run(facts(graph({"a": HELLO, "b": AGAIN, "end": END}, {"a": "b", "b": "end"})))


def assignments(*pairs: tuple[str, str], **fields: Any) -> dict[str, Any]:
    made = [{"variable": name, "expression": expression, **fields} for name, expression in pairs]
    return {"kind": "setVariable", "assignments": made}
