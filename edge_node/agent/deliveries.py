"""Calls that another node hands over (spec 50, "Fleet"): from a fleet address, with a token, without the brain."""

from __future__ import annotations

from collections.abc import Iterable

from edge_node.agent import seam
from edge_node.agent.clock import Clock
from edge_node.agent.seam import Question
from tandem.contracts.deliver import verify


class Deliveries:
    """`fleet` holds the SIP addresses (`host:port`) of the nodes, as the brain last told them."""

    def __init__(self, credential: str, clock: Clock) -> None:
        self._credential = credential
        self._clock = clock
        self._fleet: frozenset[str] = frozenset()

    def tell(self, fleet: Iterable[str]) -> None:
        self._fleet = frozenset(fleet)

    def answer(self, question: Question) -> tuple[bytes, bool]:
        """The answer, and whether the call is let in. Which of the two was wrong is nobody's business."""
        known = question.transport == "udp" and f"{question.source_ip}:{question.source_port}" in self._fleet
        if known and verify(self._credential, question.deliver, question.ruri, self._clock.now()) is not None:
            return seam.deliver(question.tm), True
        return seam.reply(question.tm, 403, "Forbidden"), False
