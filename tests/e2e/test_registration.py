"""Canonical path 1: who may register, as a phone sees it."""

from __future__ import annotations

import pytest

from edge_node.local.phone import RegistrationError
from tests.e2e.conftest import Open, OpenRaw
from tests.e2e.installation import Installation
from tests.e2e.phones import Phones
from tests.edge.raw_sip import LOOPBACK, RawPhone

CALLEE_PORT = 19_871


def test_a_wrong_password_and_an_unknown_user_are_refused_alike(tandem: Installation, phones: Phones) -> None:
    domain = tandem.account()["domain"]
    codes = []
    for user in ("1001", "9999"):
        phone = phones.open(user, "not-the-password", domain, registered=False)
        with pytest.raises(RegistrationError) as refused:
            phone.register()
        codes.append(refused.value.code)
    assert codes[0] == codes[1]
    assert codes[0] in (401, 403)


@pytest.mark.parametrize("algorithm", ["MD5", "SHA-256"])
@pytest.mark.parametrize("qop", [True, False])
def test_every_digest_that_is_offered_is_taken(open_raw: OpenRaw, algorithm: str, qop: bool) -> None:
    phone = open_raw("1003")
    assert phone.register(algorithm=algorithm, use_qop=qop).status == 200
    assert phone.register(algorithm=algorithm, expires=0).status == 200


def test_both_algorithms_are_offered_strongest_first(open_raw: OpenRaw) -> None:
    phone = open_raw("1003")
    request = phone.request("REGISTER", f"sip:{phone.domain}", to=f"<sip:1003@{phone.domain}>")
    first = phone.final(request)
    assert first.status == 401
    assert [one.algorithm for one in first.challenges()] == ["SHA-256", "MD5"]


def test_an_unknown_domain_is_refused(tandem: Installation) -> None:
    edge = (LOOPBACK, tandem.settings.sip_port)
    with RawPhone("1001", "x", "nobody.tandem.test", edge) as phone:
        assert phone.register().status in (403, 404)


def test_a_phone_that_unregisters_is_not_rung(open_phone: Open, open_raw: OpenRaw, tandem: Installation) -> None:
    caller, callee = open_raw("1001"), open_phone("1002")
    callee.unregister()
    asked = tandem.proxy.passed["/route"]
    assert caller.call(f"sip:1002@{caller.domain}")[1].status == 480
    # The challenge and the refusal: had the brain let it ring anywhere, it would be asked on with the outcome.
    assert tandem.proxy.passed["/route"] - asked == 2
    record = tandem.wait_record(lambda one: one["to_num"] == "1002" and one["end_ts"] is not None)
    assert (record["disposition"], record["hangup_cause"]) == ("no_answer", "480")


def test_contacts_survive_the_edge(open_phone: Open, phones: Phones, tandem: Installation) -> None:
    caller, callee = open_phone("1001"), open_phone("1002", port=CALLEE_PORT)
    tandem.wait_contact_saved(CALLEE_PORT)
    tandem.kill("kamailio")
    tandem.wait_ready()
    phones.connect(caller, callee)
    phones.converse(caller, callee)
    caller.hang_up()
    callee.wait_for("ended", 5)
