"""Nodes that connect a caller otherwise than `dial` does, and a flow within a flow; with phones."""

from __future__ import annotations

import pytest

from edge_node.local.phone import Phone
from tests.e2e.conftest import ANSWER_SEC, Dial, Open
from tests.e2e.flow_house import ENDS, Fields, House
from tests.e2e.installation import Installation
from tests.e2e.phones import Phones


@pytest.fixture
def bob(open_phone: Open) -> Phone:
    return open_phone("1002")


def published(house: House, node: Fields, *edges: str) -> str:
    return house.flow("entry>node", *edges, *ENDS, **house.ends(node=node))


def test_a_group_rings_one_after_the_other(
    house: House, caller: Phone, bob: Phone, dial: Dial, open_phone: Open, phones: Phones, tandem: Installation
) -> None:
    carol = open_phone("1003")
    group = {"kind": "ringGroup", "ringGroupId": house.ring_group({"1002": 0, "1003": 1})}
    digits = published(house, group, "node:answered>first", "node:exit>sorry")
    before = tandem.engine_seconds()
    dial(digits)
    rung, incoming = bob.wait_for("incoming", ANSWER_SEC), carol.wait_for("incoming", ANSWER_SEC)
    assert incoming.at - rung.at > 0.8
    carol.answer(incoming.call)
    bob.wait_for("ended", ANSWER_SEC)
    phones.converse(caller, carol)
    tandem.wait_released(before)
    caller.hang_up()
    carol.wait_for("ended", ANSWER_SEC)
    found = tandem.wait_ended(to_num=digits)
    assert found["callee_user_id"] == house.users["1003"]


def test_a_caller_waits_with_music_until_he_is_put_through(
    house: House, caller: Phone, bob: Phone, dial: Dial, phones: Phones, tandem: Installation
) -> None:
    to_bob = {"kind": "user", "id": house.users["1002"]}
    transfer = {"kind": "transfer", "mode": "attended", "target": to_bob, "music": house.media["menu"]}
    digits = published(house, transfer, "node:answered>first", "node:failed>sorry")
    before = tandem.engine_seconds()
    ear = dial(digits)
    incoming = bob.wait_for("incoming", ANSWER_SEC)
    ear.hears("menu")
    bob.answer(incoming.call)
    bob.wait_for("media_active", ANSWER_SEC)
    phones.converse(caller, bob)
    tandem.wait_released(before)
    caller.hang_up()
    bob.wait_for("ended", ANSWER_SEC)


@pytest.mark.parametrize(("way", "prompt"), [("vip", "first"), ("other", "sorry")])
def test_a_flow_within_a_flow(house: House, dial: Dial, way: str, prompt: str) -> None:
    """It plays, and returns by the exit that what it was given leads to."""
    which = {"kind": "switch", "variable": "way", "cases": ["vip"]}
    inner = ("entry>hello", "hello>which", "which:vip>exit:vip", "which:else>exit:other")
    flow_id = house.publish(None, *inner, hello=house.play("again"), which=which)
    within = {"kind": "subflow", "flowId": flow_id, "inputs": {"way": way}}
    ear = dial(published(house, within, "node:vip>first", "node:other>sorry"))
    ear.hears("again")
    ear.hears_only(prompt)
