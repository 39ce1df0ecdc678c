"""Branches that join a ringing call and branches that end before the others, against all that may happen then."""

from __future__ import annotations

import asyncio
import secrets

import pytest

from tests.edge.kamailio_node import Node
from tests.edge.kamailio_phone import Message as Sip
from tests.edge.kamailio_phone import Phone, sdp
from tests.edge.kamailio_scene import Phones, live_dialogs, refusal, staggered, until
from tests.edge.kamailio_stub_agent import Answer, Message, StubAgent, text

QUIET_SEC = 0.4


class Group:
    """A caller and members who ring one after the other: `join` and `over` play the node-agent's timers."""

    def __init__(self, agent: StubAgent, caller: Phone, members: list[Phone]) -> None:
        self.agent, self.caller, self.members = agent, caller, members
        self.invites: dict[int, Sip] = {}
        self.tm = ""
        self.call = ""

    async def dial(self) -> None:
        self.caller.raw(self.caller.build("INVITE", "sip:600@acme.test", body=sdp(4000)))
        question = await self.agent.question(lambda q: q["ask"] == "route" and not q["outcome"])
        self.tm, self.call = str(question["tm"]), "call_" + text(question, "callid")

    def join(self, member: int, hop: str = "") -> None:
        uri = f"sip:dev_{self.members[member].name}@acme.test"
        self.agent.send({"do": "add", "tm": self.tm, "route": str(member), "uri": uri, "hop": hop})

    def over(self, member: int) -> None:
        self.agent.send({"do": "over", "tm": self.tm, "route": str(member)})

    async def rings(self, member: int, status: int = 180) -> Sip:
        invite = self.invites[member] = await self.members[member].request("INVITE")
        if status:
            self.members[member].answer(invite, status)
        if status == 180:
            assert (await self.caller.reply(180)).header("from").startswith("<sip:caller")
        return invite

    async def cancelled(self, member: int) -> None:
        phone = self.members[member]
        cancel = await phone.request("CANCEL")
        assert cancel.start.split(" ")[1] == self.invites[member].start.split(" ")[1]
        assert cancel.header("via").split(";branch=")[1] == self.invites[member].header("via").split(";branch=")[1]
        assert cancel.header("to") == self.invites[member].header("to")
        assert cancel.header("from") == self.invites[member].header("from")
        phone.answer(cancel, 200)
        phone.answer(self.invites[member], 487)
        await phone.request("ACK")

    async def answers(self, member: int) -> None:
        self.members[member].answer(self.invites[member], 200, body=sdp(5000))
        reply = await self.caller.reply(200)
        self.caller.raw(self.caller.within(self.caller.caller_dialog(reply), "ACK", cseq=1))
        await self.members[member].request("ACK")
        event = await self.agent.dialog_event("answer", self.call)
        assert text(event, "target") == f"sip:dev_{self.members[member].name}@acme.test"

    async def outcome(self) -> tuple[str, str]:
        """Of this call's second question (another test's call may still ring): the outcome, and who had a branch."""
        question = await self.agent.question(lambda q: q["ask"] == "route" and q["callid_ours"] == self.call)
        return str(question["outcome"]), str(question["joined"])

    async def stays_quiet(self, member: int) -> None:
        with pytest.raises(TimeoutError):
            await self.members[member].wait(lambda _: True, QUIET_SEC)


async def group(agent: StubAgent, phones: Phones, size: int = 3, first: int = 1, headers: object = None) -> Group:
    mark = secrets.token_hex(3)
    members = [await phones.registered(f"m{number}{mark}") for number in range(size)]
    names = [member.name for member in members]

    def route_by(question: Message) -> Answer:
        if question["outcome"]:
            return refusal(480, "Temporarily Unavailable")
        return staggered(question, *names, first=first, headers=headers)

    agent.route = route_by
    agent.questions.clear()
    return Group(agent, await phones.open(f"caller{mark}"), members)


async def test_members_join_and_the_last_one_answers(agent: StubAgent, phones: Phones, node: Node) -> None:
    ringing = await group(agent, phones)
    await ringing.dial()
    await ringing.rings(0)
    await ringing.stays_quiet(1)
    ringing.join(1)
    await ringing.rings(1)
    ringing.join(2)
    await ringing.rings(2)
    await ringing.stays_quiet(0)
    await ringing.answers(2)
    await ringing.cancelled(0)
    await ringing.cancelled(1)
    assert not [event for event in agent.events if event.get("call") == ringing.call and event["state"] == "end"]


async def test_a_joining_branch_has_its_own_headers_and_media(agent: StubAgent, phones: Phones) -> None:
    shown = {"from": {"display": "Sales", "uri": "sip:600@acme.test"}, "extra": "X-Group: sales\r\n"}
    ringing = await group(agent, phones, size=2, headers=shown)
    await ringing.dial()
    first = await ringing.rings(0)
    ringing.join(1)
    second = await ringing.rings(1)
    for invite in (first, second):
        assert invite.header("from").startswith('"Sales" <sip:600@acme.test>')
        assert invite.header("x-group") == "sales"
        assert "m=audio 4000 " not in invite.body
    await ringing.answers(1)
    await ringing.cancelled(0)


async def test_an_answer_beats_a_pending_addition(agent: StubAgent, phones: Phones) -> None:
    ringing = await group(agent, phones, size=2)
    await ringing.dial()
    await ringing.rings(0)
    await ringing.answers(0)
    ringing.join(1)
    await ringing.stays_quiet(1)


async def test_a_cancel_beats_a_pending_addition(agent: StubAgent, phones: Phones) -> None:
    ringing = await group(agent, phones, size=2)
    await ringing.dial()
    await ringing.rings(0)
    caller, invite = ringing.caller, ringing.invites[0]
    caller.raw(cancel_of(caller, invite))
    await ringing.cancelled(0)
    ringing.join(1)
    await ringing.stays_quiet(1)
    assert (await caller.final("INVITE")).status == 487
    assert (await agent.dialog_event("failed", ringing.call))["by"] == "caller"


def cancel_of(caller: Phone, invite: Sip) -> str:
    """The caller's CANCEL; its own branch is the one below the proxy's in the INVITE that arrived."""
    branch = invite.all("via")[-1].split("branch=")[1].split(";")[0]
    sender, call_id, uri = invite.header("from"), invite.header("call-id"), "sip:600@acme.test"
    return caller.build("CANCEL", uri, branch=branch, sender=sender, call_id=call_id)


async def test_a_member_whose_time_is_over_falls_silent_alone(agent: StubAgent, phones: Phones) -> None:
    ringing = await group(agent, phones, size=3, first=3)
    await ringing.dial()
    for member in range(3):
        await ringing.rings(member)
    ringing.over(1)
    await ringing.cancelled(1)
    await ringing.stays_quiet(0)
    ringing.over(1)
    await ringing.stays_quiet(1)
    await ringing.answers(2)
    await ringing.cancelled(0)


async def test_a_lost_cancel_is_said_again(agent: StubAgent, phones: Phones) -> None:
    ringing = await group(agent, phones, size=2, first=2)
    await ringing.dial()
    await ringing.rings(0)
    await ringing.rings(1)
    ringing.over(1)
    await ringing.members[1].request("CANCEL")
    ringing.over(1)
    await ringing.cancelled(1)
    await ringing.answers(0)


async def test_all_whose_time_is_over_are_no_answer(agent: StubAgent, phones: Phones) -> None:
    ringing = await group(agent, phones, size=2)
    await ringing.dial()
    await ringing.rings(0)
    ringing.join(1)
    await ringing.rings(1)
    for member in (0, 1):
        ringing.over(member)
        await ringing.cancelled(member)
    assert await ringing.outcome() == ("no_answer", "0,1,")
    assert (await ringing.caller.final("INVITE")).status == 480


async def test_a_held_question_is_resumed_with_the_next_members(agent: StubAgent, phones: Phones) -> None:
    ringing = await group(agent, phones)
    usual, agent.route = agent.route, lambda q: None if q["outcome"] else usual(q)
    await ringing.dial()
    await ringing.rings(0, 486)
    assert await ringing.outcome() == ("busy", "0,")
    # a message that crossed the question: the agent counts on `joined` and does not repeat itself
    ringing.join(1)
    await ringing.stays_quiet(1)
    agent.send({"tm": ringing.tm, "do": "ring", "from": 1, "until": 2})
    await ringing.rings(1)
    ringing.join(2)
    await ringing.rings(2)
    await ringing.answers(1)
    await ringing.cancelled(2)


async def test_a_caller_who_hangs_up_while_nobody_rings(agent: StubAgent, phones: Phones) -> None:
    ringing = await group(agent, phones)
    usual, agent.route = agent.route, lambda q: None if q["outcome"] else usual(q)
    await ringing.dial()
    invite = await ringing.rings(0, 486)
    await ringing.outcome()
    ringing.caller.raw(cancel_of(ringing.caller, invite))
    assert (await ringing.caller.final("INVITE")).status == 487
    agent.send({"tm": ringing.tm, "do": "ring", "from": 1, "until": 2})
    ringing.join(2)
    await ringing.stays_quiet(1)
    await ringing.stays_quiet(2)
    assert (await agent.dialog_event("failed", ringing.call))["cause"] == "487"


async def test_a_member_of_another_node_joins(agent: StubAgent, phones: Phones) -> None:
    ringing = await group(agent, phones, size=2)
    elsewhere = await phones.open("elsewhere")
    await ringing.dial()
    await ringing.rings(0)
    ringing.members[1] = elsewhere
    ringing.join(1, hop=f"sip:127.0.0.1:{elsewhere.port}")
    invite = await ringing.rings(1)
    assert invite.start.split(" ")[1] == "sip:dev_elsewhere@acme.test"
    ringing.over(1)
    await ringing.cancelled(1)


async def test_a_member_who_is_not_reachable_changes_nothing(agent: StubAgent, phones: Phones) -> None:
    ringing = await group(agent, phones, size=2)
    await ringing.dial()
    await ringing.rings(0)
    agent.send({"do": "add", "tm": ringing.tm, "route": "1", "uri": "sip:dev_nobody@acme.test", "hop": ""})
    await ringing.stays_quiet(0)
    await ringing.answers(0)


@pytest.mark.parametrize("what", ["answer", "cancel", "busy"])
async def test_additions_that_meet_an_end(agent: StubAgent, phones: Phones, node: Node, what: str) -> None:
    """At the same moment, again and again: no phone may go on ringing, no call be left over."""
    ours: set[str] = set()
    for _ in range(8 if what == "busy" else 30):
        ringing = await group(agent, phones, size=3, first=1)
        await ringing.dial()
        await ringing.rings(0)
        ours.add(ringing.invites[0].header("call-id"))
        ringing.join(1)
        ringing.join(2)
        if what == "answer":
            ringing.members[0].answer(ringing.invites[0], 200, body=sdp(5000))
        elif what == "cancel":
            ringing.caller.raw(cancel_of(ringing.caller, ringing.invites[0]))
        else:
            ringing.members[0].answer(ringing.invites[0], 486)
        played = [asyncio.create_task(play(phone)) for phone in ringing.members[1:]]
        if what == "cancel":
            await ringing.cancelled(0)
        final = await ringing.caller.final("INVITE", 8)
        assert final.status == {"answer": 200, "cancel": 487, "busy": 480}[what]
        if what == "busy":
            # all who joined declined it in the end; whoever came too late was never rung
            assert (await ringing.outcome())[0] == "busy"
        await asyncio.gather(*played)
        if what == "answer":
            dialog = ringing.caller.caller_dialog(final)
            ringing.caller.raw(ringing.caller.within(dialog, "ACK", cseq=1))
            await ringing.members[0].request("ACK")
            ringing.caller.raw(ringing.caller.within(dialog, "BYE"))
            ringing.members[0].answer(await ringing.members[0].request("BYE"), 200)
            await ringing.caller.final("BYE")
    await until(lambda: not ours & live_dialogs(node), 8)


async def play(phone: Phone) -> None:
    """A phone that rings late: it must be cancelled, and declines what nobody cancels for a second."""
    try:
        invite = await phone.request("INVITE", QUIET_SEC)
    except TimeoutError:
        return
    phone.answer(invite, 180)
    try:
        cancel = await phone.request("CANCEL", 1.0)
    except TimeoutError:
        phone.answer(invite, 486)
        return
    phone.answer(cancel, 200)
    phone.answer(invite, 487)
