"""What happens to a call in a flow, and what is to be done about it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from tandem.domain.flows.commands import Command
from tandem.domain.flows.values import Value
from tandem.domain.target import Target

STALE_STEP: Final = "stale_step"


@dataclass(frozen=True, slots=True)
class Data:
    """What an outcome comes with (contracts/flow.py): digits and what ended them, why a leg failed, what went wrong."""

    digits: str | None = None
    terminator: str | None = None
    cause: str | None = None
    message: str | None = None


NO_DATA: Final = Data()


@dataclass(frozen=True, slots=True)
class Started:
    """The call has reached the engine. Told again, the command that is now to be done is told again."""

    at: int


@dataclass(frozen=True, slots=True)
class Stepped:
    """Command `seq` came to `outcome`."""

    at: int
    seq: int
    outcome: str
    data: Data = NO_DATA


@dataclass(frozen=True, slots=True)
class Fetched:
    """A `Fetch` came to a reply (`status`, `body`), or to none: `error` says why, `timed_out` that it took too long."""

    at: int
    fetch_id: str
    status: int = 0
    body: str = ""
    error: str | None = None
    timed_out: bool = False


@dataclass(frozen=True, slots=True)
class LegPlaced:
    """`noted` is for the trace: what is not as it was ordered."""

    at: int
    leg_id: str
    uri: str
    token: str
    noted: str | None = None


@dataclass(frozen=True, slots=True)
class LegRefused:
    """`message` is for the trace."""

    at: int
    leg_id: str
    message: str


@dataclass(frozen=True, slots=True)
class CallEnded:
    """The call is over without a word of the node: `cause` is `expired` (24 h) or says who knows that it is gone."""

    at: int
    cause: str


Event = Started | Stepped | Fetched | LegPlaced | LegRefused | CallEnded


@dataclass(frozen=True, slots=True)
class Tell:
    """The answer to the node: do this, and say what became of `seq`."""

    seq: int
    command: Command


@dataclass(frozen=True, slots=True)
class Fetch:
    """An HTTP request to be made, then `Fetched`. `fetch_id` is the same when it has to be made again (idempotency)."""

    fetch_id: str
    method: str
    url: str
    headers: tuple[tuple[str, str], ...]
    body: str | None
    timeout_ms: int


@dataclass(frozen=True, slots=True)
class PlaceLeg:
    """A leg to be ordered of PRESENCE, then `LegPlaced` or `LegRefused`. A `number` target has what is dialled as its
    id. `timeout_sec`: None is each target's own time; `caller_id`: None is the caller's own."""

    leg_id: str
    targets: tuple[Target, ...]
    timeout_sec: int | None
    caller_id: str | None = None


@dataclass(frozen=True, slots=True)
class TraceEntry:
    """A node was left by `outcome`; without `done` it goes on (another attempt). `at` and `entered_at` in epoch ms.

    `variables` are those that it set. Secret values, and digits of a node that masks them, are `***`.
    """

    at: int
    entered_at: int
    seq: int
    flow_id: str
    node_id: str
    kind: str
    outcome: str
    done: bool = True
    variables: Mapping[str, Value] = field(default_factory=dict)
    digits: str | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Trace:
    entry: TraceEntry


@dataclass(frozen=True, slots=True)
class Finish:
    """The session is over: `completed` (the flow hung up), `caller_hangup`, `error`, or the cause of `CallEnded`."""

    reason: str


@dataclass(frozen=True, slots=True)
class Refuse:
    """The event is out of its time and has changed nothing. `code` is `stale_step`."""

    code: str
    message: str


Pending = Fetch | PlaceLeg
Effect = Tell | Fetch | PlaceLeg | Trace | Finish | Refuse
