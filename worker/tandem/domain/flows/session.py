"""The state of a call's flow between two events, as it is kept in JSON."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from pydantic import TypeAdapter

from tandem.domain.flows.commands import Command
from tandem.domain.flows.events import Fetch, Pending, PlaceLeg
from tandem.domain.flows.values import Variables
from tandem.domain.target import Target

DEEPEST: Final = 8  # frames
_ALPHABET: Final = "0123456789abcdefghjkmnpqrstvwxyz"
_COMMAND: Final[TypeAdapter[Command]] = TypeAdapter(Command)


class Status(StrEnum):
    RUNNING = "running"
    BRIDGED = "bridged"
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class Frame:
    """Where the call is in one flow, since when (epoch ms), and that flow's own variables. `secrets`: those whose
    values no trace shows."""

    flow_id: str
    node_id: str
    entered_at: int
    variables: Variables = field(default_factory=dict)
    secrets: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Session:
    """`frames`: the flow first, the subflow that runs last. `seq` and `command` are the last that was told; `pending`
    is asked for instead of the next. `moves`: nodes entered since the node's last outcome; `effort`: what their
    expressions, patterns and templates have cost (`draft`). `failures`, `timeouts`: of the current node. `minted`: ids
    made of `seed` so far. `failed`: the error treatment has begun."""

    seed: str
    status: Status = Status.RUNNING
    frames: tuple[Frame, ...] = ()
    seq: int = 0
    command: Command | None = None
    pending: Pending | None = None
    answered: bool = False
    failed: bool = False
    moves: int = 0
    effort: int = 0
    failures: int = 0
    timeouts: int = 0
    minted: int = 0

    @property
    def top(self) -> Frame:
        return self.frames[-1]


def new_session(seed: str) -> Session:
    """A session before its `Started`. `seed`: some random text, never the same twice; all ids are made of it."""
    return Session(seed)


def mint(seed: str, number: int, at: int) -> str:
    """A ULID (spec 00, "Conventions"): the same for the same state and time, so that a repeated step makes no new."""
    digest = hashlib.sha256(f"{seed}|{number}".encode()).digest()
    value = (at << 80) | int.from_bytes(digest[:10], "big")
    return "".join(_ALPHABET[(value >> shift) & 31] for shift in range(125, -1, -5))


def encode(session: Session) -> dict[str, Any]:
    """The session as plain JSON."""
    return {
        "seed": session.seed,
        "status": session.status.value,
        "frames": [
            [one.flow_id, one.node_id, one.entered_at, dict(one.variables), sorted(one.secrets)]
            for one in session.frames
        ],
        "seq": session.seq,
        "command": None if session.command is None else session.command.model_dump(mode="json"),
        "pending": _encode_pending(session.pending),
        "answered": session.answered,
        "failed": session.failed,
        "moves": session.moves,
        "effort": session.effort,
        "failures": session.failures,
        "timeouts": session.timeouts,
        "minted": session.minted,
    }


def decode(state: Mapping[str, Any]) -> Session:
    """The session that `encode` made `state` of."""
    fields = dict(state)
    fields["status"] = Status(fields["status"])
    fields["frames"] = tuple(_frame(*one) for one in state["frames"])
    if state["command"] is not None:
        fields["command"] = _COMMAND.validate_python(state["command"], strict=False)
    fields["pending"] = _decode_pending(state["pending"])
    return Session(**fields)


def _frame(flow_id: str, node_id: str, entered_at: int, variables: Variables, secrets: list[str]) -> Frame:
    return Frame(flow_id, node_id, entered_at, variables, frozenset(secrets))


def _encode_pending(pending: Pending | None) -> dict[str, Any] | None:
    match pending:
        case None:
            return None
        case Fetch():
            return {
                "fetch_id": pending.fetch_id,
                "method": pending.method,
                "url": pending.url,
                "headers": [list(one) for one in pending.headers],
                "body": pending.body,
                "timeout_ms": pending.timeout_ms,
            }
        case _:
            return {
                "leg_id": pending.leg_id,
                "targets": [[one.dest_kind, one.dest_id] for one in pending.targets],
                "timeout_sec": pending.timeout_sec,
                "caller_id": pending.caller_id,
            }


def _decode_pending(state: Mapping[str, Any] | None) -> Pending | None:
    if state is None:
        return None
    if "fetch_id" in state:
        return Fetch(**{**state, "headers": tuple((name, value) for name, value in state["headers"])})
    return PlaceLeg(**{**state, "targets": tuple(Target(kind, ident) for kind, ident in state["targets"])})
