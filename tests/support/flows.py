"""Flows in a few lines, and a call that runs through one: its state goes through JSON between any two events."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from tandem.domain.flows import (
    CallEnded,
    Data,
    Effect,
    Event,
    Facts,
    Fetch,
    Fetched,
    Finish,
    Flow,
    Graph,
    LegPlaced,
    LegRefused,
    MediaFile,
    PlaceLeg,
    Refuse,
    Started,
    Stepped,
    Tell,
    Trace,
    TraceEntry,
    decode,
    encode,
    new_session,
    step,
)
from tandem.domain.flows.commands import Command

T0 = 1_783_324_800_000  # 2026-07-06 08:00 UTC, a Monday
MEDIA = {name: MediaFile(f"acc/{name}.wav", f"etag-{name}") for name in ("m_hello", "m_again", "m_wrong", "m_music")}
PLAYLISTS = {"pl_two": ("m_hello", "m_music"), "pl_empty": ()}


def graph(nodes: Mapping[str, Mapping[str, Any]], edges: Mapping[str, str], start: str | None = None) -> Graph:
    """`edges`: `node` or `node outcome` to target. The first node is the start."""
    return Graph.model_validate(document(nodes, edges, start))


def document(
    nodes: Mapping[str, Mapping[str, Any]], edges: Mapping[str, str], start: str | None = None
) -> dict[str, Any]:
    made = []
    for number, (way, target) in enumerate(edges.items()):
        source, _, handle = way.partition(" ")
        made.append({"id": f"e{number}", "source": source, "target": target, "sourceHandle": handle or "default"})
    return {
        "start": start or next(iter(nodes)),
        "nodes": [{"id": ident, "data": dict(data)} for ident, data in nodes.items()],
        "edges": made,
    }


def facts(*flows: Graph, **others: Any) -> Facts:
    """The flows are `flow_0` (the one that the call comes to), `flow_1` and so on."""
    named = {f"flow_{number}": Flow(f"flow_{number}", "name", 1, one) for number, one in enumerate(flows)}
    fields = {"direction": "inbound", "from_num": "+4930111", "to_num": "+4930600", "media": MEDIA}
    return Facts(
        **{"target_kind": "flow", "target_id": "flow_0", "flows": named, "playlists": PLAYLISTS, **fields, **others}
    )


class Run:
    """One call. Each method is an event; it gives back what the call now waits for."""

    def __init__(self, given: Facts) -> None:
        self.facts = given
        self.at = T0
        self.session = new_session("seed")
        self.effects: tuple[Effect, ...] = ()
        self.trace: list[TraceEntry] = []
        self.reason: str | None = None

    def happen(self, event: Event) -> Command | Fetch | PlaceLeg | Refuse | None:
        state = json.loads(json.dumps(encode(self.session)))
        assert decode(state) == self.session
        self.session, self.effects = step(self.facts, decode(state), event)
        awaited: Command | Fetch | PlaceLeg | Refuse | None = None
        for effect in self.effects:
            match effect:
                case Tell():
                    assert effect.seq == self.session.seq
                    awaited = effect.command
                case Trace():
                    self.trace.append(effect.entry)
                case Finish():
                    assert self.reason is None
                    self.reason = effect.reason
                case _:
                    awaited = effect
        return awaited

    def start(self) -> Command | Fetch | PlaceLeg | Refuse | None:
        return self.happen(Started(self.at))

    def said(self, outcome: str, **data: str) -> Command | Fetch | PlaceLeg | Refuse | None:
        """The current command came to `outcome`, a second later."""
        return self.said_of(self.session.seq, outcome, **data)

    def said_of(self, seq: int, outcome: str, **data: str) -> Command | Fetch | PlaceLeg | Refuse | None:
        self.at += 1_000
        return self.happen(Stepped(self.at, seq, outcome, Data(**data)))

    def answered(self) -> Command | Fetch | PlaceLeg | Refuse | None:
        """Begins a flow whose first node is heard."""
        awaited = self.start()
        assert getattr(awaited, "cmd", None) == "answer"
        return self.said("answered")

    def fetched(
        self, status: int = 200, body: str = "", error: str | None = None, timed_out: bool = False
    ) -> Command | Fetch | PlaceLeg | Refuse | None:
        assert isinstance(self.session.pending, Fetch)
        return self.happen(Fetched(self.at, self.session.pending.fetch_id, status, body, error, timed_out))

    def placed(self, noted: str | None = None) -> Command | Fetch | PlaceLeg | Refuse | None:
        assert isinstance(self.session.pending, PlaceLeg)
        return self.happen(LegPlaced(self.at, self.session.pending.leg_id, "sip:leg@127.0.0.1", "token", noted))

    def leg_refused(self, message: str = "no such user") -> Command | Fetch | PlaceLeg | Refuse | None:
        assert isinstance(self.session.pending, PlaceLeg)
        return self.happen(LegRefused(self.at, self.session.pending.leg_id, message))

    def ended(self, cause: str = "expired") -> Command | Fetch | PlaceLeg | Refuse | None:
        return self.happen(CallEnded(self.at, cause))

    @property
    def outcomes(self) -> list[tuple[str, str]]:
        """Of the nodes that were left."""
        return [(one.node_id, one.outcome) for one in self.trace if one.done]

    @property
    def node(self) -> str:
        return self.session.top.node_id

    @property
    def variables(self) -> Mapping[str, object]:
        return self.session.top.variables
