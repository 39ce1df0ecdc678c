"""One decision under way: what it may ask, and what the call's record learns of it."""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import dataclass, field

from tandem.domain.account import Account
from tandem.domain.cac import Holdings, Leg, Refusal, Want, Window, admit, readmit
from tandem.domain.calls import Direction
from tandem.domain.routing.directory import Directory, Turns
from tandem.domain.routing.model import Device


@dataclass(slots=True)
class Context:
    """`now` and `at` are epoch ms: when it is, and for when the hours are asked (the same but in an explanation).

    `nodes`: the nodes at which a contact can be reached. `engine_answers`: what leads to the media engine gets there; a
    leg that the engine itself places goes to people alone. `trace` collects the rules that decide, if anyone reads
    them.
    """

    account: Account
    directory: Directory
    holdings: Holdings
    turns: Turns
    call_id: str
    now: int
    at: int
    nodes: Container[str]
    trace: list[dict[str, object]] | None = None
    engine_answers: bool = True
    direction: Direction = Direction.INTERNAL
    did_id: str | None = None
    trunk_id: str | None = None
    ring_group_id: str | None = None
    warnings: tuple[str, ...] = ()
    wants: list[Want] = field(default_factory=list)

    def note(self, step: str, **facts: object) -> None:
        """One rule that decided, for `explain`."""
        if self.trace is not None:
            self.trace.append({"step": step, **{name: value for name, value in facts.items() if value is not None}})

    def take(self, wants: Sequence[Want], windows: Sequence[Window] = ()) -> Refusal | None:
        """Takes all of it, or nothing and says what was in the way."""
        verdict = admit(self.holdings, self.call_id, wants, windows, now=self.now)
        if isinstance(verdict, Refusal):
            return verdict
        self.warnings += verdict.warnings
        self.wants.extend(wants)
        return None

    def take_anyway(self, wants: Sequence[Want]) -> None:
        """An emergency: it counts, but no limit is in its way."""
        readmit(self.holdings, self.call_id, wants)
        self.wants.extend(wants)

    def stop_ringing(self) -> None:
        """Nobody rings any more: what they held is free."""
        self.holdings.release(self.call_id, Leg.CALLEE)

    def at_hand(self, devices: Sequence[Device]) -> list[Device]:
        return [device for device in devices if device.node_id in self.nodes]
