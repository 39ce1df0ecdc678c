"""The brain is killed between the steps of a call: nothing is lost, and nothing is counted twice."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.worker.brain import Brain
from tests.worker.caller import VARIABLES, Caller
from tests.worker.killing import MOMENTS_MS, Moment, about, ask_and_kill, written

TRIES = 20


@pytest.fixture(scope="module")
def caller(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Caller]:
    with Brain(tmp_path_factory.mktemp("crashes"), VARIABLES) as brain:
        caller = Caller(brain)
        caller.enroll()
        yield caller


def test_a_call_outlives_kill_9_and_its_end_releases_and_records_it(caller: Caller) -> None:
    tenant = caller.tenant()
    routed = caller.call(tenant)
    caller.send(caller.dialog(tenant, routed, "answer", 1))
    before = caller.cac(tenant)
    assert before["live_calls"] == 1
    caller.brain.kill9()
    caller.brain.start()
    assert caller.cac(tenant) == before
    caller.send(caller.dialog(tenant, routed, "end", 2, hungUpBy="callee"))
    after = caller.cac(tenant)
    assert (after["live_calls"], after["dimensions"]) == (0, [])
    record = caller.recorded_end(tenant, routed["call_id"])
    assert (record["disposition"], record["hangup_by"]) == ("answered", "callee")
    assert len(caller.records(tenant)) == 1


def test_an_unshipped_record_is_shipped_after_kill_9(caller: Caller) -> None:
    tenant = caller.tenant()
    routed = caller.call(tenant)
    caller.send(caller.dialog(tenant, routed, "end", 1, hungUpBy="caller"))
    caller.brain.kill9()
    caller.brain.start()
    caller.cac(tenant)
    caller.recorded_end(tenant, routed["call_id"])


@pytest.mark.parametrize("moment_ms", MOMENTS_MS)
def test_a_question_repeated_after_kill_9_is_admitted_once(caller: Caller, moment_ms: float) -> None:
    _killed_in_a_question(caller, about(moment_ms))


def test_killed_between_the_write_and_the_reply(caller: Caller) -> None:
    """The moment is short: some tries come too late (the reply was heard) or too early (nothing was written)."""
    seen = [(False, False)]
    while (True, False) not in seen:
        assert len(seen) <= TRIES, seen
        seen.append(_killed_in_a_question(caller, written(caller.brain)))


def _killed_in_a_question(caller: Caller, moment: Moment) -> tuple[bool, bool]:
    """Whether the call was written, and its reply heard, before the kill; asked again, it is admitted once."""
    tenant = caller.tenant()
    question = caller.question(tenant, "1001", "1002")
    heard = _call_id(ask_and_kill(caller.brain, question, moment))
    caller.brain.start()
    calls = caller.live_calls(tenant)
    assert calls in (0, 1)
    again = caller.route(question)
    assert again["action"] == "proxy"
    assert caller.route(question)["call_id"] == again["call_id"]
    assert caller.live_calls(tenant) == 1
    assert sorted(one["used"] for one in caller.cac(tenant)["dimensions"]) == [1, 1]
    if heard is not None:
        assert calls == 1
        assert again["call_id"] == heard
    caller.send(caller.dialog(tenant, again, "end", 1, hungUpBy="caller"))
    assert caller.live_calls(tenant) == 0
    caller.recorded_end(tenant, again["call_id"])
    assert [row["call_id"] for row in caller.records(tenant)] == [again["call_id"]]
    return calls == 1, heard is not None


def _call_id(reply: bytes) -> str | None:
    """The call of a whole reply, if it is one."""
    _, _, text = reply.decode().partition("\r\n\r\n")
    try:
        return str(json.loads(text)["rtjson"]["call_id"])
    except (ValueError, KeyError):
        return None
