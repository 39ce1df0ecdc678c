"""A fleet of two nodes: a call that enters at one rings a phone that is registered at the other."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from edge_node.local import probe
from edge_node.local.phone import Phone
from edge_node.local.settings import LOOPBACK, Settings
from tests.e2e.conftest import ANSWER_SEC, Dial, Open, OpenRaw
from tests.e2e.flow_house import ENDS, House
from tests.e2e.installation import Installation
from tests.e2e.phones import Phones
from tests.edge.raw_sip import RawPhone, reply


@pytest.fixture(scope="module")
def node2(installed: Installation) -> Iterator[Settings]:
    with installed.second_node() as settings:
        yield settings
    assert probe.checks(installed.settings)["kamailio"]() is not None, "only node 2 is taken away"


@pytest.fixture
def phones2(tandem: Installation, node2: Settings, tmp_path: Path) -> Iterator[Phones]:
    """Phones at node 2."""
    folder = tmp_path / "node2"
    folder.mkdir()
    with Phones(f"{LOOPBACK}:{node2.sip_port}", folder) as opened:
        yield opened
        opened.unregister()


@pytest.fixture
def raw2(tandem: Installation, node2: Settings) -> Iterator[RawPhone]:
    """1002 by hand, registered at node 2."""
    user, domain = tandem.user("1002"), tandem.account()["domain"]
    with RawPhone("1002", user["password"], domain, (LOOPBACK, node2.sip_port)) as phone:
        assert phone.register().status == 200
        yield phone
        assert phone.register(expires=0).status == 200


def test_a_call_crosses_nodes(tandem: Installation, open_phone: Open, phones2: Phones, phones: Phones) -> None:
    user, domain = tandem.user("1002"), tandem.account()["domain"]
    caller, callee = open_phone("1001"), phones2.open("1002", user["password"], domain)
    phones.adopt(callee)
    phones.connect(caller, callee)
    tandem.wait_live(1)
    phones.converse(caller, callee)
    callee.hang_up()
    caller.wait_for("ended", 5)
    tandem.wait_live(0)
    record = tandem.wait_record(lambda one: one["answered"] == 1 and one["end_ts"] is not None)
    assert (record["from_num"], record["to_num"], record["hangup_by"]) == ("1001", "1002", "callee")


def test_a_flow_rings_a_phone_at_the_other_node(
    tandem: Installation, house: House, caller: Phone, dial: Dial, phones2: Phones, phones: Phones
) -> None:
    """And its media goes past the engine."""
    callee = phones2.open("1002", tandem.user("1002")["password"], tandem.account()["domain"])
    phones.adopt(callee)
    edges = ("entry>bob", "bob:answered>first", "bob:busy>sorry", "bob:no_answer>sorry", "bob:failed>sorry")
    before = tandem.engine_seconds()
    dial(house.flow(*edges, *ENDS, **house.ends(bob=house.dial("1002"))))
    callee.answer(callee.wait_for("incoming", ANSWER_SEC).call)
    callee.wait_for("media_active", ANSWER_SEC)
    phones.converse(caller, callee)
    tandem.wait_released(before)
    caller.hang_up()
    callee.wait_for("ended", ANSWER_SEC)


def test_the_phone_sees_no_token_and_its_refusal_comes_back(
    tandem: Installation, open_raw: OpenRaw, raw2: RawPhone
) -> None:
    caller = open_raw("1001")
    invite = caller.request("INVITE", f"sip:1002@{caller.domain}", body=caller.sdp())
    invite = caller.authorised(invite, caller.final(invite))
    caller.send(invite)
    arrived = raw2.receive(5, lambda message: message.method == "INVITE" and not message.status)
    assert arrived is not None
    assert not [name for name, _ in arrived.headers if name.lower().startswith("x-tandem")]
    assert arrived.uri.startswith(f"sip:1002@{LOOPBACK}:{raw2.port}")
    raw2.send(reply(arrived, 486, "Busy Here", to_tag="callee"), raw2.source)
    assert caller.collect(invite, 5)[-1].status == 486


def test_a_cancel_crosses_nodes(tandem: Installation, open_raw: OpenRaw, raw2: RawPhone) -> None:
    caller = open_raw("1001")
    invite = caller.request("INVITE", f"sip:1002@{caller.domain}", body=caller.sdp())
    invite = caller.authorised(invite, caller.final(invite))
    caller.send(invite)
    arrived = raw2.receive(5, lambda message: message.method == "INVITE" and not message.status)
    assert arrived is not None
    raw2.send(reply(arrived, 180, "Ringing", to_tag="callee"), raw2.source)
    assert caller.receive(5, lambda message: message.status == 180) is not None
    caller.send(caller.cancel(invite))
    cancel = raw2.receive(5, lambda message: message.method == "CANCEL")
    assert cancel is not None
    raw2.send(reply(cancel, 200, "OK"), raw2.source)
    raw2.send(reply(arrived, 487, "Request Terminated", to_tag="callee"), raw2.source)
    assert caller.receive(5, lambda message: message.status == 487) is not None


def test_strangers_deliver_nothing(tandem: Installation, node2: Settings) -> None:
    user, domain = tandem.user("1001"), tandem.account()["domain"]
    with RawPhone("1001", user["password"], domain, (LOOPBACK, node2.sip_port)) as phone:
        token = ("X-Tandem-Deliver", f"call_1.4000000000.{'0' * 32}")
        uri = f"sip:dev_1@{domain}"
        assert phone.final(phone.request("INVITE", uri, body=phone.sdp(), extra=[token])).status == 403
        assert phone.final(phone.request("INVITE", uri, body=phone.sdp())).status == 407
    assert tandem.live_calls() == 0
