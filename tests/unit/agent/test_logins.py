"""Failed logins are counted by source and by name, in bounded memory."""

from __future__ import annotations

import json
from dataclasses import replace

from edge_node.agent import logins
from edge_node.agent.app import Agent
from edge_node.agent.logins import FailedLogins
from edge_node.agent.seam import Question, decode
from tandem.contracts.auth import Challenge
from tests.unit.agent.stubs import FakeKamailio, StubBrain, challenge, question

DIGEST = 'Digest username="{}", realm="r", nonce="n", uri="sip:r", response="0"'
ASKED = Challenge(realm="r", nonce="n")


def attempt(name: str = "1001", src: str = "127.0.0.1") -> Question:
    found = decode(json.dumps(question("1:1", auth=DIGEST.format(name), src=src)).encode())
    assert isinstance(found, Question)
    return found


def test_wrong_credentials_count() -> None:
    seen = FailedLogins()
    seen.saw(attempt(), ASKED)
    seen.saw(attempt("1002"), ASKED)
    seen.saw(attempt(src="127.0.0.9"), ASKED)
    assert [seen.count("source", one) for one in ("127.0.0.1", "127.0.0.9")] == [2, 1]
    assert [seen.count("username", one) for one in ("1001", "1002")] == [2, 1]


def test_a_first_question_and_an_old_nonce_are_no_failures() -> None:
    seen = FailedLogins()
    seen.saw(replace(attempt(), authorization=""), ASKED)
    seen.saw(replace(attempt(), authorization="Basic eA=="), ASKED)
    seen.saw(replace(attempt(), authorization='Digest username="'), ASKED)
    seen.saw(attempt(), Challenge(realm="r", nonce="n", stale=True))
    assert not seen.count("source", "127.0.0.1")


def test_names_of_strangers_do_not_fill_the_memory() -> None:
    seen = FailedLogins()
    one = attempt()
    for number in range(logins.REMEMBERED + 50):
        seen.saw(replace(one, source_ip=f"s{number}"), ASKED)
    assert (seen.count("source", "s0"), seen.count("source", f"s{logins.REMEMBERED}")) == (0, 1)
    [family] = seen.collect()
    assert len(family.samples) == logins.SHOWN + 1
    assert family.samples[-1].value == logins.REMEMBERED + 50


async def test_the_metrics_show_them(agent: Agent, brain: StubBrain, kamailio: FakeKamailio) -> None:
    brain.answer["/auth"] = lambda _: challenge()
    brain.answer["/route"] = lambda _: challenge()
    await kamailio.ask("1:1", auth=DIGEST.format('a"b'.replace('"', '\\"')))
    await kamailio.ask("1:2", "route", auth=DIGEST.format("1001"))
    assert agent.metrics.failed_logins.count("source", "127.0.0.1") == 2
    value = agent.metrics.registry.get_sample_value
    assert value("tandem_agent_failed_logins_total", {"kind": "username", "name": "1001"}) == 1
