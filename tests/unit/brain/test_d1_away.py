"""What the Worker in front does while D1 cannot be read (docs/decisions/0014-stale-lookups.md)."""

from __future__ import annotations

import pytest

from tests.support import node, scene
from tests.support.local_brain import LocalBrain
from tests.unit.brain import ACME

TEN_MINUTES = 600_000


@pytest.fixture
async def known(brain: LocalBrain) -> LocalBrain:
    for digits in ("1001", "1002"):
        await brain.register(ACME, digits, expires=3600)
    routed = await brain.invite(ACME, "1001", "1002")
    await scene.send(brain, scene.dialog(brain, ACME, routed, "end", 1))
    return brain


async def test_what_is_known_serves_for_ten_minutes(known: LocalBrain) -> None:
    begun = known.now
    known.control.available = False
    for passed in (59_000, 61_000, 300_000, TEN_MINUTES - 10_000):
        await known.advance(begun + passed - known.now)
        assert (await known.register(ACME, "1001", cseq=str(passed)))[0] == 200
        routed = await known.invite(ACME, "1001", "1002")
        assert routed["action"] == "proxy"
        await scene.send(known, scene.dialog(known, ACME, routed, "end", 1))
    await known.advance(10_001)
    status, reply = await known.post("/auth", node.register_body(ACME, "1001"))
    assert (status, reply["error"]["code"]) == (503, "unavailable")
    known.control.available = True
    assert (await known.register(ACME, "1001"))[0] == 200


async def test_d1_is_asked_again_every_two_seconds(known: LocalBrain, capsys: pytest.CaptureFixture[str]) -> None:
    known.control.available = False
    await known.advance(61_000)
    capsys.readouterr()
    for _ in range(10):
        await known.post("/auth", node.register_body(ACME, "1001"))
    assert capsys.readouterr().out.count("control_unreachable") == 2  # the node and the domain, once each
    await known.advance(2_000)
    await known.post("/auth", node.register_body(ACME, "1001"))
    assert capsys.readouterr().out.count("control_unreachable") == 2


async def test_a_revocation_counts_within_a_minute_of_d1_s_return(known: LocalBrain) -> None:
    known.control.available = False
    known.write([("UPDATE node SET credential_version = 2", ())])
    await known.advance(120_000)
    body = node.register_body(ACME, "1001")
    assert (await known.post("/auth", body))[0] == 200
    known.control.available = True
    await known.advance(2_000)
    assert (await known.post("/auth", body))[0] == 401


async def test_what_is_not_known_is_unavailable_and_not_absent(known: LocalBrain) -> None:
    known.control.available = False
    status, reply = await known.post("/auth", node.register_body(ACME, "1001", realm="new.tandem.test"))
    assert (status, reply["error"]["code"]) == (503, "unavailable")
    other = "node_00000000000000000000000009"
    body = node.register_body(ACME, "1001")
    status, _ = await known.post("/auth", body, scene.signed_as(other, "POST", "/auth", body, known.now))
    assert status == 503
    # Whether the address is a trunk's is not known, but a caller of a known domain may prove himself.
    _, reply = await known.post("/route", node.invite_body(ACME, "1001", "1002", sourceIp="198.51.100.1"))
    assert reply["challenge"]["realm"] == ACME.domain
    elsewhere = node.invite_body(ACME, "1001", "1002", sourceIp="198.51.100.1", fromDomain="elsewhere.test")
    status, _ = await known.post("/route", elsewhere)
    assert status == 503


async def test_keys_of_people_do_not_outlive_their_minute(known: LocalBrain) -> None:
    assert (await known.get("/ops/counters", scene.operator()))[0] == 200
    known.control.available = False
    assert (await known.get("/ops/counters", scene.operator()))[0] == 200
    await known.advance(60_000)
    assert (await known.get("/ops/counters", scene.operator()))[0] == 503
