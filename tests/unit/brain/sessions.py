"""A call whose flow a node runs."""

from __future__ import annotations

from typing import Any

from tandem.runtime import HttpReply
from tandem.runtime.cpython import LocalObjects, outside
from tests.support import engine, rows, scene, seeds
from tests.support.flow_calls import HANG_UP, Runner, dial, graph, menu, request, say
from tests.support.local_brain import LocalBrain
from tests.support.seeds import suffix
from tests.unit.brain import ACME, GLOBEX

Fields = dict[str, Any]
ALICE, BOB = ACME.people["1001"], ACME.people["1002"]
MAIN, SUB, DEEP = (f"flow_{suffix(number)}" for number in (1, 2, 3))
OTHER_NODE = "node_00000000000000000000000002"
URL = "https://crm.example.com/lookup"

FRONT = graph(
    "entry>hello", "hello>menu", "menu:digit:1>bob", "menu:timeout>bye", "menu:invalid>bye", "bob:no_answer>bye",
    "bob:busy>bye", "bob:failed>bye", "bye>end",
    hello=say("Hello"), menu=menu("Press one"), bob=dial(f"user:{BOB.user_id}"), bye=say("Goodbye"), end=HANG_UP,
)  # fmt: skip
ASKS = graph(
    "entry>hi", "hi>ask", "ask:success>found", "ask:error>error", "ask:timeout>late",
    hi=say("Hi"), ask=request(URL, save=[{"variable": "name", "path": "name"}]), found=say("Hello {{name}}"),
    error=say("Error"), late=say("Late"),
)  # fmt: skip


async def prepared(brain: LocalBrain) -> LocalBrain:
    """Its phones are registered, and 600 leads to a flow, with either tenant."""
    brain.write(engine.with_engine(ACME, dest=MAIN))
    brain.write(engine.with_engine(GLOBEX, dest=MAIN))
    brain.write([("INSERT INTO node (id, region, status, created_at) VALUES (?, 'local', 'active', 0)", (OTHER_NODE,))])
    for tenant in (ACME, GLOBEX):
        for digits in tenant.people:
            await brain.register(tenant, digits)
    return brain


async def arrive(brain: LocalBrain, document: str | None, *more: rows.Row, tenant: seeds.Tenant = ACME) -> Runner:
    """A call whose flow is `document`, at the engine."""
    if document is not None:
        brain.write([rows.flow(tenant, 1, document)])
    brain.write(more)
    await scene.reconfigure(brain, tenant, "SELECT 1")
    return Runner(brain, tenant, await brain.invite(tenant, "1001", "600"))


def serve(status: int = 200, body: bytes = b'{"name": "Ann"}') -> list[tuple[str, str, dict[str, str], str | None]]:
    """Lets the outside answer; what it was asked."""
    asked: list[tuple[str, str, dict[str, str], str | None]] = []

    async def answer(method: str, url: str, headers: dict[str, str], sent: str | None) -> HttpReply:
        asked.append((method, url, headers, sent))
        return HttpReply(status, body)

    outside.fetch = answer
    return asked


def texts(command: Fields) -> list[str]:
    return [sound["text"] for sound in command["args"]["sounds"]]


async def to_menu(runner: Runner) -> Fields:
    """The call answered, greeted, and asked for a digit."""
    answered = await runner.start()
    assert (answered["cmd"], answered["seq"]) == ("answer", 1)
    hello = await runner.step(1, "answered")
    assert (hello["cmd"], texts(hello)) == ("play", ["Hello"])
    found = await runner.step(2, "done")
    assert (found["cmd"], texts(found)) == ("gather", ["Press one"])
    return found


async def answered(brain: LocalBrain, runner: Runner) -> Fields:
    """The call as a node would list it, known to be up."""
    connection = brain.presence.contexts[ACME.account_id].connection
    sip_call_id, from_tag = connection.execute(
        "SELECT sip_call_id, from_tag FROM call WHERE call_id = ?", (runner.call_id,)
    ).fetchone()
    return {"callId": runner.call_id, "sipCallId": sip_call_id, "fromTag": from_tag, "state": "answered"}


def away(objects: LocalObjects, by: str) -> None:
    """From now on nobody reaches the objects by a method, as when their machine is down; all others answer."""
    call = objects.call

    async def reached(name: str, method: str, *texts: str) -> str:
        if method == by:
            raise ConnectionError("away")
        return await call(name, method, *texts)

    # The network between objects: what is called is the real thing, or nothing.
    objects.call = reached  # type: ignore[method-assign]
