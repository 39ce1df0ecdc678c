"""Directives that lead to the media engine, and the questions of legs that it places."""

from __future__ import annotations

import asyncio
import base64
from pathlib import Path
from typing import Any

import pytest

from edge_node.agent.app import Agent
from edge_node.agent.config import Config, ConfigError
from edge_node.agent.log import Log
from edge_node.agent.media_engine.chosen import choose
from edge_node.agent.media_engine.keeper import Keeper
from tests.unit.agent.conftest import StartAgent
from tests.unit.agent.engine_double import EngineDouble, Sounds
from tests.unit.agent.flow_scene import LEG, TOKEN
from tests.unit.agent.stubs import (
    ACCOUNT,
    CALL,
    DropConnectionError,
    FakeKamailio,
    Json,
    StubBrain,
    directive,
    eventually,
    question,
    refusal,
)


def to_flow(**more: Any) -> Json:
    found = directive(action="flow", routing="serial", **more)
    route = {"uri": f"sip:{CALL}@acme.tandem.test", "fr_timer": 2000, "fr_inv_timer": 20000, "x_new": 1}
    headers = {"extra": f"X-Tandem-Call: {CALL}\r\nX-Tandem-Account: {ACCOUNT}\r\n"}
    found["rtjson"]["routes"] = [{**route, "headers": headers}]
    return found


@pytest.fixture
def engine(agent: Agent, brain: StubBrain) -> EngineDouble:
    brain.answer["/route"] = lambda _: to_flow()
    found = EngineDouble(agent.calls)
    agent.calls.attach(found, Sounds())
    return found


async def test_a_flow_goes_to_the_engines_seat(engine: EngineDouble, kamailio: FakeKamailio) -> None:
    answer = await kamailio.ask("1:1", "route")
    assert (answer["do"], answer["call"]) == ("route", CALL)
    [route] = answer["rtjson"]["routes"]
    assert route["dst_uri"] == "sip:127.0.0.1:5080;transport=udp"
    assert route["uri"] == f"sip:{CALL}@acme.tandem.test"
    assert route["headers"]["extra"].startswith("X-Tandem-Call: ")
    assert route["flags"] == "replace-origin replace-session-connection RTP/AVP ICE=remove"
    assert route["x_new"] == 1


async def test_without_a_seat_kamailio_has_nobody_to_ring(engine: EngineDouble, kamailio: FakeKamailio) -> None:
    engine.next_seat = None
    answer = await kamailio.ask("1:1", "route")
    assert (answer["do"], answer["call"], answer["rtjson"]["routes"]) == ("route", CALL, [])


async def test_an_engine_that_is_down_has_no_seat(engine: EngineDouble, kamailio: FakeKamailio) -> None:
    engine.up = False
    assert (await kamailio.ask("1:1", "route"))["rtjson"]["routes"] == []


async def test_a_node_without_an_engine_has_no_seat(agent: Agent, brain: StubBrain, kamailio: FakeKamailio) -> None:
    brain.answer["/route"] = lambda _: to_flow()
    assert (await kamailio.ask("1:1", "route"))["rtjson"]["routes"] == []


async def test_a_draining_node_begins_no_media_application(
    engine: EngineDouble, agent: Agent, brain: StubBrain, kamailio: FakeKamailio
) -> None:
    """A call that rang somebody before is still there, and may be routed on, but not into the engine."""
    brain.answer["/fleet/heartbeat"] = lambda _: {"ok": True, "now": brain.now(), "status": "draining", "send": []}
    await eventually(lambda: agent.decisions.draining)
    answer = await kamailio.ask("1:1", "route", callid_ours=CALL, account_ours=ACCOUNT, outcome="no_answer")
    assert answer["rtjson"]["routes"] == []
    assert (await kamailio.ask("1:2", "route"))["code"] == 503


def leg(**more: str) -> dict[str, str]:
    return {"fromu": "sip:engine@127.0.0.1", "account_ours": ACCOUNT, "leg64": _b64(TOKEN), **more}


def _b64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


async def test_a_leg_is_asked_for_with_its_token_and_account(
    agent: Agent, brain: StubBrain, kamailio: FakeKamailio
) -> None:
    brain.answer["/route"] = lambda _: directive(call=LEG)
    answer = await kamailio.ask("1:1", "route", **leg())
    assert (answer["do"], answer["call"], answer["account"]) == ("route", LEG, ACCOUNT)
    [asked] = brain.bodies("/route")
    assert (asked["leg"], asked["accountId"]) == (TOKEN, ACCOUNT)
    assert "callId" not in asked
    assert "outcome" not in asked
    assert agent.live.call(LEG) is not None


async def test_a_leg_without_a_good_token_is_refused(agent: Agent, brain: StubBrain, kamailio: FakeKamailio) -> None:
    brain.answer["/route"] = lambda _: directive(call=LEG, action="reject", routes=[], code=403, reason="Not Ordered")
    answer = await kamailio.ask("1:1", "route", **leg())
    assert (answer["code"], answer["reason"]) == (403, "Not Ordered")
    brain.answer["/route"] = lambda _: refusal(403, "forbidden")
    assert (await kamailio.ask("1:2", "route", **leg()))["code"] == 403
    assert agent.live.calls == 0


async def test_a_leg_is_let_in_while_the_node_drains(agent: Agent, brain: StubBrain, kamailio: FakeKamailio) -> None:
    brain.answer["/fleet/heartbeat"] = lambda _: {"ok": True, "now": brain.now(), "status": "draining", "send": []}
    await eventually(lambda: agent.decisions.draining)
    brain.answer["/route"] = lambda _: directive(call=LEG)
    assert (await kamailio.ask("1:1", "route", **leg()))["do"] == "route"


async def test_a_leg_that_nobody_heard_the_answer_to_is_reported(
    agent: Agent, brain: StubBrain, kamailio: FakeKamailio
) -> None:
    def drop(_: Json) -> Json:
        raise DropConnectionError

    brain.answer["/route"] = drop
    assert (await kamailio.ask("1:1", "route", **leg()))["code"] == 503
    await eventually(lambda: brain.events("dialog"))
    [event] = brain.events("dialog")
    assert (event["callId"], event["accountId"], event["state"]) == (LEG, ACCOUNT, "failed")


async def test_a_leg_in_the_making_is_in_its_accounts_snapshot(
    agent: Agent, brain: StubBrain, kamailio: FakeKamailio
) -> None:
    def look(_: Json) -> Json:
        [dialog] = agent.live.snapshot(ACCOUNT).dialogs
        assert (dialog.call_id, dialog.state) == (LEG, "early")
        return directive(call=LEG)

    brain.answer["/route"] = look
    assert (await kamailio.ask("1:1", "route", **leg()))["do"] == "route"


async def test_legs_of_two_accounts_do_not_share_a_limit(
    start_agent: StartAgent, brain: StubBrain, kamailio: FakeKamailio
) -> None:
    async with start_agent(max_questions_per_domain=1):
        held: list[Json] = []

        async def second_first(body: Json) -> Json:
            held.append(body)
            await eventually(lambda: len(held) == 2)
            return directive(call=f"leg_{body['accountId']}", account=body["accountId"])

        brain.answer["/route"] = second_first
        kamailio.send(question("1:1", "route", **leg()))
        kamailio.send(question("1:2", "route", **leg(account_ours="acc_2")))
        await eventually(lambda: {"1:1", "1:2"} <= set(kamailio.answers))
        assert {kamailio.answers[tm][0]["do"] for tm in ("1:1", "1:2")} == {"route"}


async def test_an_engine_that_does_not_start_is_tried_again(agent: Agent) -> None:
    lines: list[str] = []
    attached: list[object] = []

    class Late(EngineDouble):
        async def __aenter__(self) -> EngineDouble:
            if not lines:
                raise OSError("no such program")
            return self

    keeper = Keeper(lambda: Late(agent.calls), attached.append, Log(lines.append))
    task = asyncio.create_task(keeper.run())
    await eventually(lambda: attached)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert "no such program" in lines[0]


EMBEDDED = {"engine": "embedded", "sip_port": 5080, "rtp_min": 32_000, "rtp_max": 32_999}
SWITCH = {
    "engine": "freeswitch",
    "sip": {"port": 5080},
    "esl": {"port": 8021},
    "socket": {"port": 8084},
}


def test_the_configured_engine_is_made(agent: Agent, config: Config, tmp_path: Path) -> None:
    (tmp_path / "password").write_text("secret\n")
    chosen = []
    for media in (EMBEDDED, SWITCH | {"password_file": tmp_path / "password"}):
        whole = Config.model_validate(config.model_dump() | {"media": media})
        assert whole.media is not None
        chosen.append(choose(whole, whole.media, agent.calls, Log(print)))
    assert [engine.name for engine in chosen] == ["embedded", "freeswitch"]
    assert [engine.limits.callers for engine in chosen] == [40, None]


@pytest.mark.parametrize(
    ("media", "says"),
    [
        (EMBEDDED | {"rtp_max": 32_100}, "RTP ports"),
        (SWITCH | {"password_file": "/nowhere"}, "cannot be read"),
    ],
)
def test_an_engine_that_cannot_be_as_configured(agent: Agent, config: Config, media: Json, says: str) -> None:
    whole = Config.model_validate(config.model_dump() | {"media": media})
    assert whole.media is not None
    with pytest.raises(ConfigError, match=says):
        choose(whole, whole.media, agent.calls, Log(print))


def test_an_engine_of_another_kind_is_no_configuration(config: Config) -> None:
    with pytest.raises(ValueError, match="media"):
        Config.model_validate(config.model_dump() | {"media": {"engine": "asterisk"}})
