"""`POST /auth`: challenges, digests, replay, who is let in (spec 10)."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from tandem.runtime.cpython import SqliteSql
from tandem.sip.book import Book
from tests.support import node, rows, scene, seeds
from tests.support.local_brain import LocalBrain
from tests.unit.brain import ACME, GLOBEX

ALICE = ACME.people["1001"]
URI = f"sip:{ACME.domain}"
LIVE_CONTACTS = "contact WHERE expires_at > 0"
OTHER_NODE = "node_00000000000000000000000002"


async def challenged(brain: LocalBrain, **changes: Any) -> dict[str, Any]:
    status, reply = await brain.post("/auth", node.register_body(ACME, "1001", **changes))
    assert (status, reply["ok"]) == (200, False)
    found: dict[str, Any] = reply["challenge"]
    return found


async def answered(brain: LocalBrain, credentials: dict[str, str], **changes: Any) -> tuple[int, dict[str, Any]]:
    return await brain.post("/auth", node.register_body(ACME, "1001", credentials, **changes))


def is_accepted(answer: tuple[int, dict[str, Any]]) -> bool:
    status, reply = answer
    return status == 200 and bool(reply["ok"])


def is_challenge(answer: tuple[int, dict[str, Any]], *, stale: bool) -> bool:
    status, reply = answer
    return status == 200 and not reply["ok"] and reply["challenge"]["stale"] is stale


async def test_a_first_challenge_names_the_canonical_realm_and_both_algorithms(brain: LocalBrain) -> None:
    for spelling in ("Acme.tandem.test", "acme.tandem.test", "ACME.TANDEM.TEST"):
        found = await challenged(brain, realm=spelling)
        assert found["realm"] == "Acme.tandem.test"
        assert found["algorithms"] == ["SHA-256", "MD5"]
        assert (found["qop"], found["stale"]) == ("auth", False)


@pytest.mark.parametrize("algorithm", ["MD5", "SHA-256"])
@pytest.mark.parametrize("qop", [True, False])
@pytest.mark.parametrize("username", ["1001", "1001@Acme.tandem.test"])
async def test_every_form_of_digest_is_accepted(brain: LocalBrain, algorithm: str, qop: bool, username: str) -> None:
    asked = await challenged(brain)
    credentials = node.respond_to(asked, ALICE, "REGISTER", URI, algorithm=algorithm, qop=qop, username=username)
    status, reply = await answered(brain, credentials)
    assert (status, reply["ok"]) == (200, True)
    assert (reply["account_id"], reply["user_id"], reply["device_id"]) == (
        ACME.account_id,
        ALICE.user_id,
        ALICE.device_id,
    )
    assert reply["context"] == {
        "aor": f"sip:{ALICE.device_id}@Acme.tandem.test",
        "domain": "Acme.tandem.test",
        "expires": 600,
    }


async def test_no_algorithm_means_md5(brain: LocalBrain) -> None:
    credentials = node.respond_to(await challenged(brain), ALICE, "REGISTER", URI, algorithm="MD5")
    del credentials["algorithm"]
    assert is_accepted(await answered(brain, credentials))


async def test_the_domain_s_case_does_not_matter_but_the_digest_s_does(brain: LocalBrain) -> None:
    asked = await challenged(brain)
    right = node.respond_to(asked, ALICE, "REGISTER", URI)
    assert is_accepted(await answered(brain, right, realm="ACME.tandem.test"))
    other = node.respond_to(asked, ALICE, "REGISTER", URI, realm="acme.tandem.test", cnonce="1")
    assert is_challenge(await answered(brain, other), stale=False)


async def test_a_quoted_pair_in_the_username_is_resolved(brain: LocalBrain) -> None:
    person = seeds.Person(ALICE.user_id, f"dev_{seeds.suffix(77)}", 'o"neil', "s")
    brain.write([seeds.device_row(ACME, person, person.device_id, 'o"neil')])
    credentials = node.respond_to(await challenged(brain), person, "REGISTER", URI)
    status, reply = await answered(brain, credentials | {"username": r"o\"neil"})
    assert (status, reply["device_id"]) == (200, person.device_id)


def _work(brain: LocalBrain) -> int:
    sql = brain.presence.live[ACME.account_id]._book.sql
    assert isinstance(sql, SqliteSql)
    return sql.statements


async def test_unknown_user_and_wrong_password_look_and_cost_the_same(brain: LocalBrain) -> None:
    await brain.register(ACME, "1002")
    seen = []
    for name, password in (("1001", "wrong"), ("nobody", "wrong"), ("nobody@Acme.tandem.test", "wrong")):
        asked = await challenged(brain)
        before = _work(brain)
        answer = await answered(brain, node.respond_to(asked, ALICE, "REGISTER", URI, username=name, password=password))
        assert is_challenge(answer, stale=False)
        challenge = answer[1]["challenge"]
        seen.append((sorted(answer[1]), sorted(challenge), len(challenge["nonce"]), _work(brain) - before))
    assert seen[0] == seen[1] == seen[2]


@pytest.mark.parametrize(
    "changes",
    [
        {"response": "0" * 64},
        {"response": ""},
        {"response": "ä"},
        {"realm": GLOBEX.domain},
        {"uri": "sip:elsewhere"},
        {"nc": "00000002"},
        {"nc": "zz"},
        {"cnonce": ""},
        {"qop": "auth-int"},
        {"algorithm": "MD5-sess"},
        {"username": "1002"},
    ],
)
async def test_tampered_credentials_get_a_fresh_challenge(brain: LocalBrain, changes: dict[str, str]) -> None:
    credentials = node.respond_to(await challenged(brain), ALICE, "REGISTER", URI)
    assert is_challenge(await answered(brain, credentials | changes), stale=False)
    assert is_accepted(await answered(brain, credentials))


async def test_a_digest_counts_for_its_own_method_only(brain: LocalBrain) -> None:
    credentials = node.respond_to(await challenged(brain), ALICE, "REGISTER", URI)
    assert is_challenge(await answered(brain, credentials, method="MESSAGE"), stale=False)


async def test_a_nonce_is_stale_after_300_seconds(brain: LocalBrain) -> None:
    asked = await challenged(brain)
    await brain.advance(299_999)
    assert is_accepted(await answered(brain, node.respond_to(asked, ALICE, "REGISTER", URI)))
    await brain.advance(1)
    answer = await answered(brain, node.respond_to(asked, ALICE, "REGISTER", URI, nc=2), cseq="2")
    assert is_challenge(answer, stale=True)
    again = node.respond_to(answer[1]["challenge"], ALICE, "REGISTER", URI)
    assert is_accepted(await answered(brain, again, cseq="3"))


async def test_a_wrong_password_over_an_old_nonce_is_not_called_stale(brain: LocalBrain) -> None:
    asked = await challenged(brain)
    await brain.advance(400_000)
    wrong = node.respond_to(asked, ALICE, "REGISTER", URI, password="wrong")
    assert is_challenge(await answered(brain, wrong), stale=False)


async def test_a_nonce_made_for_another_node_or_realm_or_by_nobody_is_stale(brain: LocalBrain) -> None:
    brain.write([("INSERT INTO node (id, region, status, created_at) VALUES (?, 'local', 'active', 0)", (OTHER_NODE,))])
    body = json.loads(node.register_body(ACME, "1001"))
    _, elsewhere = await scene.post_as(brain, OTHER_NODE, "/auth", body)
    _, globex = await brain.post("/auth", node.register_body(GLOBEX, "1001"))
    for nonce in (elsewhere["challenge"]["nonce"], globex["challenge"]["nonce"], "made-up", ""):
        asked = {"realm": ACME.domain, "nonce": nonce}
        answer = await answered(brain, node.respond_to(asked, ALICE, "REGISTER", URI))
        assert is_challenge(answer, stale=True), nonce


async def test_an_exact_repeat_within_32_seconds_gets_the_same_verdict(brain: LocalBrain) -> None:
    credentials = node.respond_to(await challenged(brain), ALICE, "REGISTER", URI)
    first = await answered(brain, credentials)
    await brain.advance(32_000)
    assert await answered(brain, credentials) == first
    await brain.advance(1)
    assert is_challenge(await answered(brain, credentials), stale=True)


@pytest.mark.parametrize(("ruri", "status"), [("sips:ACME.tandem.test:5061;lr", 200), ("sip:globex.tandem.test", 400)])
async def test_a_digest_for_another_host_is_a_bad_request(brain: LocalBrain, ruri: str, status: int) -> None:
    credentials = node.respond_to(await challenged(brain), ALICE, "REGISTER", URI)
    found, reply = await brain.post("/auth", node.register_body(ACME, "1001", credentials, ruri=ruri))
    assert found == status
    assert reply["ok"] is (status == 200)


@pytest.mark.parametrize("changes", [{"sourceIp": "192.0.2.8"}, {"cseq": "2"}])
async def test_a_repeat_that_is_not_exact_is_stale(brain: LocalBrain, changes: dict[str, str]) -> None:
    credentials = node.respond_to(await challenged(brain), ALICE, "REGISTER", URI)
    assert is_accepted(await answered(brain, credentials))
    assert is_challenge(await answered(brain, credentials, **changes), stale=True)
    assert is_accepted(await answered(brain, credentials))


async def test_the_nonce_count_must_grow(brain: LocalBrain) -> None:
    asked = await challenged(brain)
    for nc, accepted in ((2, True), (1, False), (2, False), (3, True), (17, True), (16, False)):
        credentials = node.respond_to(asked, ALICE, "REGISTER", URI, nc=nc)
        answer = await answered(brain, credentials, cseq=f"{nc}{accepted}")
        assert is_accepted(answer) is accepted, nc
        assert accepted or is_challenge(answer, stale=True)


async def test_another_client_nonce_counts_by_itself(brain: LocalBrain) -> None:
    asked = await challenged(brain)
    for cnonce in ("one", "two"):
        credentials = node.respond_to(asked, ALICE, "REGISTER", URI, cnonce=cnonce)
        assert is_accepted(await answered(brain, credentials, cseq=cnonce))


async def test_a_nonce_without_qop_serves_one_request(brain: LocalBrain) -> None:
    credentials = node.respond_to(await challenged(brain), ALICE, "REGISTER", URI, qop=False)
    assert is_accepted(await answered(brain, credentials))
    assert is_accepted(await answered(brain, credentials))
    assert is_challenge(await answered(brain, credentials, cseq="2"), stale=True)


async def test_a_client_nonce_that_no_digest_covers_does_not_reopen_a_used_nonce(brain: LocalBrain) -> None:
    credentials = node.respond_to(await challenged(brain), ALICE, "REGISTER", URI, qop=False)
    assert is_accepted(await answered(brain, credentials))
    for unused in ({"cnonce": "x"}, {"cnonce": "y", "nc": "00000007"}):
        answer = await answered(brain, credentials | unused, cseq="2", sourceIp="203.0.113.66")
        assert is_challenge(answer, stale=True)


async def test_replay_memory_survives_the_object(brain: LocalBrain) -> None:
    credentials = node.respond_to(await challenged(brain), ALICE, "REGISTER", URI)
    assert is_accepted(await answered(brain, credentials))
    brain.presence.evict(ACME.account_id)
    assert is_challenge(await answered(brain, credentials, cseq="2"), stale=True)


@pytest.mark.parametrize("status", ["suspended", "closed"])
async def test_a_suspended_account_registers_nobody(brain: LocalBrain, status: str) -> None:
    credentials = node.respond_to(await challenged(brain), ALICE, "REGISTER", URI)
    await scene.reconfigure(brain, ACME, "UPDATE account SET status = ? WHERE id = ?", status, ACME.account_id)
    http, reply = await answered(brain, credentials)
    assert (http, reply["error"]["code"]) == (403, "account_suspended")
    assert scene.rows(brain, ACME, "contact") == []
    await scene.reconfigure(brain, ACME, "UPDATE account SET status = 'active' WHERE id = ?", ACME.account_id)
    assert is_accepted(await answered(brain, credentials))


@pytest.mark.parametrize("table", ["sip_user", "sip_device"])
async def test_who_is_disabled_is_only_challenged(brain: LocalBrain, table: str) -> None:
    await scene.reconfigure(
        brain, ACME, f"UPDATE {table} SET status = 'disabled' WHERE account_id = ?", ACME.account_id
    )
    answer = await answered(brain, node.respond_to(await challenged(brain), ALICE, "REGISTER", URI))
    assert is_challenge(answer, stale=False)


@pytest.mark.parametrize(
    ("user_agent", "accepted"), [("Desk/1.0", True), ("Desk/1.1", False), ("", False), (None, False)]
)
async def test_a_device_may_be_locked_to_its_user_agent(
    brain: LocalBrain, user_agent: str | None, accepted: bool
) -> None:
    await scene.reconfigure(
        brain, ACME, "UPDATE sip_device SET user_agent_lock = 'Desk/1.0' WHERE id = ?", ALICE.device_id
    )
    credentials = node.respond_to(await challenged(brain), ALICE, "REGISTER", URI)
    changes = {} if user_agent is None else {"userAgent": user_agent}
    assert is_accepted(await answered(brain, credentials, **changes)) is accepted


async def test_a_register_makes_the_device_reachable_and_an_un_register_takes_it_away(brain: LocalBrain) -> None:
    await brain.register(ACME, "1001")
    await brain.register(ACME, "1002")
    assert (await brain.invite(ACME, "1001", "1002"))["action"] == "proxy"
    status, reply = await brain.register(ACME, "1002", expires=0, cseq="2")
    assert (status, reply["context"]["expires"]) == (200, 0)
    assert (await brain.invite(ACME, "1001", "1002"))["code"] == 480


async def test_a_star_takes_every_contact_of_the_device_on_the_node(brain: LocalBrain) -> None:
    await brain.register(ACME, "1002")
    await brain.register(ACME, "1002", contact="sip:1002@192.0.2.9", cseq="2")
    assert len(scene.rows(brain, ACME, LIVE_CONTACTS)) == 2
    await brain.register(ACME, "1002", contact="*", expires=0, cseq="3")
    assert scene.rows(brain, ACME, LIVE_CONTACTS) == []


@pytest.mark.parametrize("expires", [600, None])
async def test_a_star_registers_nothing(brain: LocalBrain, expires: int | None) -> None:
    credentials = node.respond_to(await challenged(brain), ALICE, "REGISTER", URI)
    body = json.loads(node.register_body(ACME, "1001", credentials, contact="*", expires=expires))
    status, reply = await brain.post("/auth", json.dumps({name: body[name] for name in body if body[name] is not None}))
    assert (status, reply["error"]["field"]) == (400, "expires")
    assert scene.rows(brain, ACME, "contact") == []


@pytest.mark.parametrize(("asked", "granted"), [(600, 600), (86_400, 3_600), (0, 0), (None, 600), (2**32, 3_600)])
async def test_the_brain_grants_at_most_an_hour(brain: LocalBrain, asked: int | None, granted: int) -> None:
    credentials = node.respond_to(await challenged(brain), ALICE, "REGISTER", URI)
    body = json.loads(node.register_body(ACME, "1001", credentials, expires=asked))
    if asked is None:
        del body["expires"]
    _, reply = await brain.post("/auth", json.dumps(body))
    assert reply["context"]["expires"] == granted


async def test_a_fetch_of_bindings_changes_none(brain: LocalBrain) -> None:
    credentials = node.respond_to(await challenged(brain), ALICE, "REGISTER", URI)
    body = json.loads(node.register_body(ACME, "1001", credentials))
    del body["contact"]
    _, reply = await brain.post("/auth", json.dumps(body))
    assert reply["ok"]
    assert scene.rows(brain, ACME, "contact") == []


async def test_other_methods_are_authenticated_and_register_nothing(brain: LocalBrain) -> None:
    credentials = node.respond_to(await challenged(brain), ALICE, "MESSAGE", URI)
    _, reply = await answered(brain, credentials, method="MESSAGE")
    assert reply["ok"]
    assert "expires" not in reply["context"]
    assert scene.rows(brain, ACME, "contact") == []


async def test_the_same_name_in_two_tenants_is_two_people(brain: LocalBrain) -> None:
    _, reply = await brain.register(GLOBEX, "1001")
    assert (reply["account_id"], reply["user_id"]) == (GLOBEX.account_id, GLOBEX.people["1001"].user_id)
    acme = node.respond_to(await challenged(brain), GLOBEX.people["1001"], "REGISTER", URI)
    assert is_challenge(await answered(brain, acme), stale=False)


async def test_a_domain_that_was_just_added_serves_without_its_poke(brain: LocalBrain) -> None:
    await brain.register(ACME, "1001")
    extra = seeds.Tenant(ACME.account_id, "new.acme.test", {"1001": seeds.Person(ALICE.user_id, "dev_new", "9", "s")})
    brain.write(
        [
            (
                "INSERT INTO sip_domain (id, account_id, domain) VALUES ('dom_new', ?, 'new.acme.test')",
                (ACME.account_id,),
            ),
            seeds.device_row(extra, extra.people["1001"], "dev_new", "9"),
        ]
    )
    status, reply = await brain.register(extra, "1001")
    assert (status, reply["ok"]) == (200, True), reply
    assert reply["context"]["aor"] == "sip:dev_new@new.acme.test"


async def test_a_domain_that_moved_is_asked_of_its_new_account(brain: LocalBrain) -> None:
    await brain.register(ACME, "1001")
    asked = await challenged(brain)
    # Rows stay in their account, so the other one gets rows of its own.
    for table in ("extension", "sip_device", "sip_user", "sip_domain"):
        brain.write([(f"DELETE FROM {table} WHERE account_id = ?", (ACME.account_id,))])
    owner, moved = GLOBEX.account_id, replace(ACME, account_id=GLOBEX.account_id)
    brain.write([rows.insert("sip_domain", id="dom_moved", account_id=owner, domain=ACME.domain)])
    brain.write([rows.insert("sip_user", id=ALICE.user_id, account_id=owner, username="2001")])
    brain.write([seeds.device_row(moved, ALICE, ALICE.device_id, ALICE.username)])
    await brain.post("/config/poke", json.dumps({"accountId": ACME.account_id}), scene.operator())
    status, reply = await answered(brain, node.respond_to(asked, ALICE, "REGISTER", URI))
    assert (status, reply.get("account_id")) == (200, GLOBEX.account_id), reply


def test_the_book_keeps_its_own_name() -> None:
    import sqlite3

    connection = sqlite3.connect(":memory:")
    book = Book(SqliteSql(connection), seeds.MASTER_KEY)
    assert book.account_id == ""
    book.belong_to("acc_1")
    assert Book(SqliteSql(connection), seeds.MASTER_KEY).account_id == "acc_1"
