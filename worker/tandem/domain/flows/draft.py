"""A session while an event is carried out: as `Session`, but made to be changed, for a walk changes it at each node."""

from __future__ import annotations

from typing import Final

from tandem.domain.flows import document
from tandem.domain.flows.commands import Command
from tandem.domain.flows.events import Pending
from tandem.domain.flows.facts import Facts, Flow
from tandem.domain.flows.session import Frame, Session, Status
from tandem.domain.flows.values import BadValueError, Variables

# Of one step: an effort is some hundred microseconds at most, and a node waits for its answer.
MOST_EFFORT: Final = 2_000


class Place:
    """A frame, with the flow and the node's data (None: it is gone) that its ids stand for."""

    __slots__ = ("data", "entered_at", "flow", "flow_id", "node_id", "secrets", "variables")

    def __init__(self, frame: Frame, flow: Flow | None) -> None:
        self.flow_id = frame.flow_id
        self.flow = flow
        self.variables: Variables = frame.variables
        self.secrets = frame.secrets
        self.go(frame.node_id, frame.entered_at)

    def go(self, node_id: str, at: int) -> None:
        self.node_id = node_id
        self.entered_at = at
        self.data: document.Data | None = None if self.flow is None else self.flow.nodes.get(node_id)

    @property
    def kind(self) -> str:
        return "" if self.data is None else self.data.kind

    def edge(self, outcome: str | None) -> str | None:
        """Where it leads."""
        if self.flow is None or outcome is None:
            return None
        return self.flow.edges.get((self.node_id, outcome))


class Draft:
    """`frozen` gives the session that it has become."""

    def __init__(self, facts: Facts, session: Session) -> None:
        self.seed = session.seed
        self.status: Status = session.status
        self.places = [Place(frame, facts.flow(frame.flow_id)) for frame in session.frames]
        self.seq = session.seq
        self.command: Command | None = session.command
        self.pending: Pending | None = session.pending
        self.answered = session.answered
        self.failed = session.failed
        self.moves = session.moves
        self.effort = session.effort
        self.failures = session.failures
        self.timeouts = session.timeouts
        self.minted = session.minted

    @property
    def top(self) -> Place:
        return self.places[-1]

    def spend(self, effort: int) -> None:
        """Before something is computed. Raises `BadValueError` when this step has computed too much."""
        self.effort += effort
        if self.effort > MOST_EFFORT:
            raise BadValueError("the flow computes too much before it waits for something")

    def frozen(self) -> Session:
        return Session(
            seed=self.seed,
            status=self.status,
            frames=tuple(
                Frame(one.flow_id, one.node_id, one.entered_at, one.variables, one.secrets) for one in self.places
            ),
            seq=self.seq,
            command=self.command,
            pending=self.pending,
            answered=self.answered,
            failed=self.failed,
            moves=self.moves,
            effort=self.effort,
            failures=self.failures,
            timeouts=self.timeouts,
            minted=self.minted,
        )
