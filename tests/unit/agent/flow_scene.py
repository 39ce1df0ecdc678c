"""A call in the engine, and a brain that reads its flow from a list."""

from __future__ import annotations

import json
from typing import Any

from edge_node.agent.app import Agent
from tandem.contracts.flow import reply_of
from tandem.domain.flows import commands as cmd
from tests.unit.agent.engine_double import EngineDouble, Sounds
from tests.unit.agent.stubs import (
    ACCOUNT,
    CALL,
    DropConnectionError,
    FakeKamailio,
    Json,
    StubBrain,
    eventually,
    refusal,
)

LEG = "leg_01hzzzzzzzzzzzzzzzzzzzzzz1"
TOKEN = f"{LEG}.2000000000.00112233445566778899aabbccddeeff"
ANSWER = cmd.Answer()
HANG_UP = cmd.HangUp()
DIAL = cmd.Dial(leg_id=LEG, uri="sip:leg@acme.tandem.test", token=TOKEN, timeout_sec=20)
BRIDGE = cmd.Bridge(leg_id=LEG)


def media(name: str) -> cmd.Media:
    return cmd.Media(key=name, etag="e1")


DIRECTED = DIAL.model_copy(update={"music": (media("waltz"),)})


def play(*names: str, loop: int = 1) -> cmd.Play:
    return cmd.Play(sounds=tuple(media(name) for name in names), loop=loop)


def gather(*names: str, **changes: Any) -> cmd.Gather:
    fields: dict[str, Any] = {
        "min_digits": 1,
        "max_digits": 1,
        "terminators": "#",
        "timeout_ms": 5_000,
        "inter_digit_timeout_ms": 3_000,
        "barge_in": True,
    }
    return cmd.Gather(sounds=tuple(media(name) for name in names), **{**fields, **changes})


class Scene:
    """`brain.answer["/flow"]` gives `commands` one after the other; the same request gets the same command again."""

    def __init__(
        self, agent: Agent, brain: StubBrain, kamailio: FakeKamailio, engine: EngineDouble | None = None
    ) -> None:
        self.agent, self.brain, self.kamailio = agent, brain, kamailio
        self.engine = engine or EngineDouble(agent.calls)
        self.sounds = Sounds()
        agent.calls.attach(self.engine, self.sounds)
        self.commands: list[cmd.Command] = []
        self.fail_next = 0
        self.refuse: tuple[int, str] | None = None
        brain.answer["/flow"] = self._flow

    def run(self, *commands: cmd.Command) -> None:
        """The call arrives in the engine."""
        self.commands = list(commands)
        self.engine.arrive()

    def _flow(self, body: Json) -> Json | tuple[int, Json]:
        assert (body["callId"], body["accountId"]) == (CALL, ACCOUNT)
        if self.fail_next:
            self.fail_next -= 1
            raise DropConnectionError
        if self.refuse is not None:
            return refusal(*self.refuse)
        position = body["seq"] if "outcome" in body else 0
        command = self.commands[position] if position < len(self.commands) else cmd.Noop()
        reply: Json = json.loads(reply_of(command, position + 1).wire())
        return reply

    @property
    def outcomes(self) -> list[tuple[str, Json]]:
        """What the brain heard of steps, each once."""
        found: dict[int, tuple[str, Json]] = {}
        for body in self.brain.bodies("/flow"):
            if "outcome" in body:
                found.setdefault(body["seq"], (body["outcome"], body["data"]))
        return [found[seq] for seq in sorted(found)]

    async def told(self, method: str, count: int = 1) -> tuple[Any, ...]:
        """The engine was told so for the `count`-th time."""
        await eventually(lambda: len(self.engine.did(method)) >= count, what=f"{method} in {self.engine.told}")
        found: tuple[Any, ...] = self.engine.did(method)[count - 1]
        return found

    async def heard(self, *words: str) -> None:
        """The brain has heard just these outcomes, the call's flow is over."""
        try:
            await eventually(lambda: [word for word, _ in self.outcomes] == list(words))
        except AssertionError:
            assert [word for word, _ in self.outcomes] == list(words)

    async def over(self) -> None:
        """Nothing is left of the call."""
        await eventually(lambda: self.agent.calls.callers == 0 and not self.engine.live, what="the end of the call")


def terminated(kamailio: FakeKamailio) -> list[tuple[Any, ...]]:
    return [tuple(params) for method, params in kamailio.rpc_calls if method == "dlg.end_dlg"]
