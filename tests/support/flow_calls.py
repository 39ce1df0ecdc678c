"""Flow documents in few words, and a node that runs the flow of a call."""

from __future__ import annotations

import json
from typing import Any

from tests.support import scene, seeds
from tests.support.local_brain import LocalBrain

Fields = dict[str, Any]


def say(text: str) -> Fields:
    return {"kind": "say", "text": text}


def menu(text: str, **changes: Any) -> Fields:
    return {"kind": "menu", "prompt": {"text": text}} | changes


def dial(*targets: str, **changes: Any) -> Fields:
    """Targets as `kind:id`."""
    named = [dict(zip(("kind", "id"), one.split(":", 1), strict=True)) for one in targets]
    return {"kind": "dial", "targets": named} | changes


def request(url: str, **changes: Any) -> Fields:
    return {"kind": "httpRequest", "url": url} | changes


def put(**values: str) -> Fields:
    """Variables by expression."""
    made = [{"variable": name, "expression": expression} for name, expression in values.items()]
    return {"kind": "setVariable", "assignments": made}


HANG_UP: Fields = {"kind": "hangup"}


def graph(*edges: str, **nodes: Fields) -> str:
    """The JSON text of a document that begins at `entry`, which is made. Edges as `source>target` or
    `source:outcome>target`."""
    drawn = []
    for number, edge in enumerate(edges):
        source, _, target = edge.partition(">")
        source, _, handle = source.partition(":")
        drawn.append({"id": f"e{number}", "source": source, "target": target, "sourceHandle": handle or "default"})
    whole = {"entry": {"kind": "entry"}} | nodes
    return json.dumps(
        {"start": "entry", "nodes": [{"id": name, "data": data} for name, data in whole.items()], "edges": drawn}
    )


class Runner:
    """A node that runs the flow of one call: each request may be repeated."""

    def __init__(self, brain: LocalBrain, tenant: seeds.Tenant, call: Fields, node_id: str = seeds.NODE_ID) -> None:
        self.brain = brain
        self.tenant = tenant
        self.call_id: str = call["call_id"]
        self.node_id = node_id

    async def ask(self, **fields: Any) -> tuple[int, Fields]:
        body = {"callId": self.call_id, "accountId": self.tenant.account_id} | fields
        return await scene.post_as(self.brain, self.node_id, "/flow", body)

    async def start(self) -> Fields:
        status, reply = await self.ask()
        assert status == 200, reply
        return reply

    async def step(self, seq: int, outcome: str, **data: str) -> Fields:
        status, reply = await self.ask(seq=seq, outcome=outcome, data=data)
        assert status == 200, reply
        return reply

    def evict(self) -> None:
        self.brain.sessions.evict(self.call_id)

    def trace(self) -> list[Fields]:
        """What D1 has of the call's flow."""
        rows = self.brain.control.connection.execute(
            "SELECT * FROM call_trace WHERE call_id = ? AND source = 'flow' ORDER BY seq", (self.call_id,)
        ).fetchall()
        return [{**dict(row), "data": json.loads(row["data"])} for row in rows]
