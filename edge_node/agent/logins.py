"""Failed logins by source address and by user name: what a guessing attack looks like from one node.

Names are chosen by strangers, so memory is bounded: the ones that were quiet longest are forgotten, and only the
busiest are shown.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from typing import Final

from prometheus_client.core import CounterMetricFamily
from prometheus_client.registry import Collector

from edge_node.agent.seam import Question
from edge_node.agent.sip_text import SipTextError, parse_digest
from tandem.contracts.auth import Challenge

REMEMBERED: Final = 10_000
SHOWN: Final = 50
_NAME_CHARS: Final = 64


class FailedLogins(Collector):
    def __init__(self) -> None:
        self._counts: dict[str, OrderedDict[str, int]] = {"source": OrderedDict(), "username": OrderedDict()}

    def saw(self, question: Question, answer: Challenge) -> None:
        """A challenge in answer to credentials is a failure, unless they were only too old (`stale`)."""
        username = _username(question)
        if username is None or answer.stale:
            return
        for kind, name in (("source", question.source_ip), ("username", username)):
            counts = self._counts[kind]
            counts[name] = counts.pop(name, 0) + 1
            if len(counts) > REMEMBERED:
                counts.popitem(last=False)

    def count(self, kind: str, name: str) -> int:
        return self._counts[kind].get(name, 0)

    def collect(self) -> Iterator[CounterMetricFamily]:
        family = CounterMetricFamily("tandem_agent_failed_logins", "Wrong credentials", labels=("kind", "name"))
        for kind, counts in self._counts.items():
            for name in sorted(counts, key=counts.__getitem__, reverse=True)[:SHOWN]:
                family.add_metric((kind, name), counts[name])
        yield family


def _username(question: Question) -> str | None:
    try:
        parameters = parse_digest(question.authorization) if question.authorization else None
    except SipTextError:
        return None
    return None if parameters is None else parameters.get("username", "")[:_NAME_CHARS]
