"""The demo tenant's main flow (contract: extension 600) as rows of the control database."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from edge_node.local.demo_rows import Statement, fresh_id

GREETING: Final = (
    "Welcome to Acme. For support, press 1. To speak to our front desk, press 2. To leave a message, press 3. "
    "To hear whether we are open, press star."
)
NOBODY: Final = "Sorry, nobody is there at the moment."
OPEN: Final = "We are open."
CLOSED: Final = "We are closed."
HOLIDAY: Final = "We are closed for the holiday."


@dataclass(frozen=True, slots=True)
class MainFlow:
    """Ids of what the flow leads to. Queue and mailbox are no objects yet: the flow goes on where those refuse."""

    flow_id: str
    schedule_id: str
    user_id: str
    queue_id: str
    mailbox_id: str

    def graph(self) -> dict[str, Any]:
        """The flow document."""
        nodes = {
            "start": {"kind": "entry"},
            "welcome": {
                "kind": "menu",
                "prompt": {"text": GREETING},
                "invalidPrompt": {"text": "Sorry, that is not one of the choices."},
                "maxFailures": 3,
                "maxTimeouts": 2,
            },
            "support": {"kind": "enqueue", "queueId": self.queue_id},
            "desk": {"kind": "dial", "targets": [{"kind": "user", "id": self.user_id}], "timeoutSec": 20},
            "message": {"kind": "voicemail", "mailboxId": self.mailbox_id},
            "hours": {"kind": "timeCondition", "scheduleId": self.schedule_id},
            "open": {"kind": "say", "text": OPEN},
            "closed": {"kind": "say", "text": CLOSED},
            "holiday": {"kind": "say", "text": HOLIDAY},
            "nobody": {"kind": "say", "text": NOBODY},
            "bye": {"kind": "hangup"},
        }
        ways = [
            ("start", "default", "welcome"),
            ("welcome", "digit:1", "support"),
            ("welcome", "digit:2", "desk"),
            ("welcome", "digit:3", "message"),
            ("welcome", "digit:*", "hours"),
            ("welcome", "timeout", "nobody"),
            ("welcome", "invalid", "nobody"),
            *(("support", outcome, "nobody") for outcome in ("timeout", "no_agents", "queue_full", "ewt")),
            *(("support", outcome, "bye") for outcome in ("connected", "abandoned")),
            *(("desk", outcome, "nobody") for outcome in ("no_answer", "busy", "failed")),
            *(("message", outcome, "bye") for outcome in ("recorded", "hung_up")),
            ("message", "full", "nobody"),
            ("hours", "in_hours", "open"),
            ("hours", "out_of_hours", "closed"),
            ("hours", "holiday", "holiday"),
            *((said, "default", "welcome") for said in ("open", "closed", "holiday")),
            ("nobody", "default", "bye"),
        ]
        return {
            "start": "start",
            "nodes": [{"id": name, "data": data} for name, data in nodes.items()],
            "edges": [
                {"id": f"e{number}", "source": source, "sourceHandle": outcome, "target": target}
                for number, (source, outcome, target) in enumerate(ways)
            ],
        }


def main_flow(user_id: str) -> MainFlow:
    """With fresh ids; `user_id` is whom the front desk rings."""
    return MainFlow(fresh_id("flow"), fresh_id("sch"), user_id, fresh_id("q"), fresh_id("vm"))


def rows(account_id: str, flow: MainFlow, now: int) -> Iterator[Statement]:
    """The flow, published, and opening hours from 08:00 to 18:00 on week days."""
    graph = json.dumps(flow.graph(), separators=(",", ":"))
    yield (
        "INSERT INTO time_schedule (id, account_id, name) VALUES (?, ?, 'Opening hours')",
        (flow.schedule_id, account_id),
    )
    for dow in range(1, 6):
        yield (
            "INSERT INTO time_schedule_rule (id, account_id, schedule_id, kind, dow, start_time, end_time)"
            " VALUES (?, ?, ?, 'weekly', ?, '08:00', '18:00')",
            (fresh_id("schr"), account_id, flow.schedule_id, dow),
        )
    yield (
        "INSERT INTO flow (id, account_id, name, status, version, graph, published_graph, published_at)"
        " VALUES (?, ?, 'main', 'published', 1, ?, ?, ?)",
        (flow.flow_id, account_id, graph, graph, now),
    )
    yield (
        "INSERT INTO flow_version (flow_id, account_id, version, graph, published_at, published_by)"
        " VALUES (?, ?, 1, ?, ?, 'demo')",
        (flow.flow_id, account_id, graph, now),
    )
