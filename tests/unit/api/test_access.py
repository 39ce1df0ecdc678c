"""Keys, logins, scopes, rates, and that secrets stay where they belong."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from typing import Any

import jwt
import pytest

from tandem.api.front import Front, make_front
from tandem.api.rates import BOUND, Buckets, Rate
from tandem.api.services import Services
from tandem.contracts.errors import TandemError
from tandem.contracts.signature import derive_key, node_credential
from tandem.contracts.v1.objects import OBJECTS
from tandem.domain.digest import make_secrets
from tandem.runtime import scrypt
from tests.support import seeds
from tests.support.local_brain import LocalBrain
from tests.unit.api.support import Api, Fields, World, populate

PASSWORD = "correct horse battery"
ULID = "0" * 26


async def _login(api: Api, email: str, password: str) -> tuple[int, Fields]:
    return await api.as_("").ask("POST", "/v1/login", {"email": email, "password": password})


async def _person(api: Api, email: str = "anna@acme.example", **fields: object) -> Fields:
    return await api.make("console-users", **{"email": email, "password": PASSWORD, "scopes": ["*"], **fields})


@pytest.mark.parametrize("key", ["", "sk_wrong", "sk_" + "x" * 3000, "no.jwt.here", "x" * 3000])
async def test_strangers_are_refused(acme: Api, key: str) -> None:
    for one in OBJECTS:
        await acme.as_(key).refused((401, "unauthenticated"), "GET", one.path)


async def test_a_missing_scope_is_named(world: World) -> None:
    for one in OBJECTS:
        other = "wallboard" if one.scope != "wallboard" else "cdr"
        api = world.operator if one.operator_only else world.acme
        limited = await world.scoped(api, other) if api is world.acme else await _operator_key(world, other)
        error = await limited.refused((403, "missing_scope"), "GET", one.path)
        assert one.scope in error["message"]
        granted = await world.scoped(api, one.scope) if api is world.acme else await _operator_key(world, one.scope)
        await granted.get(one.path)


async def _operator_key(world: World, scope: str) -> Api:
    _, reply = await world.operator.ask("POST", "/v1/keys", {"name": "x", "scopes": [scope]})
    assert reply["item"]["account_id"] is None
    return world.operator.as_(reply["key"])


async def test_nobody_grants_what_he_has_not(world: World) -> None:
    limited = await world.scoped(world.acme, "account", "users")
    mine = (await world.acme.get("/v1/keys"))["items"][0]
    for scopes in (["*"], ["users", "trunks"]):
        body = {"name": "x", "scopes": scopes}
        assert (await limited.refused((403, "forbidden"), "POST", "/v1/keys", body))["field"] == "scopes"
        change = {"scopes": [*scopes, "cdr"]}
        await limited.refused((403, "forbidden"), "PATCH", f"/v1/keys/{mine['id']}", change)
        person = {"email": "x@acme.example", "password": PASSWORD, "scopes": scopes}
        await limited.refused((403, "forbidden"), "POST", "/v1/console-users", person)
    await limited.make("keys", name="less", scopes=["users"])
    boss = await _person(world.acme)
    body = {"password": "another password"}
    await limited.refused((403, "forbidden"), "POST", f"/v1/console-users/{boss['id']}/password", body)


async def test_nobody_changes_or_deletes_who_may_do_more(world: World) -> None:
    """Whoever could write an owner's address could have his password sent to himself."""
    limited = await world.scoped(world.acme, "account", "users")
    boss, clerk = await _person(world.acme), await _person(world.acme, "clerk@acme.example", scopes=["users"])
    strong = (await world.acme.make("keys", name="strong", scopes=["account", "cdr"]))["id"]
    weak = (await world.acme.make("keys", name="weak", scopes=["account"]))["id"]
    for target in (f"/v1/console-users/{boss['id']}", f"/v1/keys/{strong}"):
        change = {"email": "mine@acme.example"} if "users" in target else {"name": "mine"}
        for body in (change, {"scopes": ["users"]}):
            assert (await limited.refused((403, "forbidden"), "PATCH", target, body))["field"] == "scopes"
        await limited.refused((403, "forbidden"), "DELETE", target)
    await limited.refused((403, "forbidden"), "POST", f"/v1/keys/{strong}/revoke")
    await limited.patch("console-users", clerk, email="new@acme.example")
    assert (await limited.ask("POST", f"/v1/keys/{weak}/revoke"))[0] == 200
    for target in (f"/v1/console-users/{clerk['id']}", f"/v1/keys/{weak}"):
        assert (await limited.ask("DELETE", target))[0] == 200
    assert (await world.acme.ask("DELETE", f"/v1/console-users/{boss['id']}"))[0] == 200


async def test_a_key_is_shown_once_and_kept_as_its_digest(acme: Api) -> None:
    _, made = await acme.ask("POST", "/v1/keys", {"name": "x", "scopes": ["users"]})
    key, item = made["key"], made["item"]
    assert key.startswith("sk_")
    assert len(key) >= 35
    rows = acme.brain.control.connection.execute("SELECT * FROM api_key WHERE id = ?", (item["id"],)).fetchall()
    assert hashlib.sha256(key.encode()).hexdigest() in tuple(rows[0])
    assert key not in str(tuple(rows[0]))
    assert "hash" not in item


async def test_a_revoked_key_ends_at_once(acme: Api) -> None:
    _, made = await acme.ask("POST", "/v1/keys", {"name": "x", "scopes": ["users"]})
    spare = acme.as_(made["key"])
    await spare.get("/v1/users")
    status, reply = await acme.ask("POST", f"/v1/keys/{made['item']['id']}/revoke")
    assert (status, reply["item"]["revoked_at"]) == (200, acme.brain.now)
    await spare.refused((401, "unauthenticated"), "GET", "/v1/users")
    await acme.brain.advance(5)
    again = await acme.ask("POST", f"/v1/keys/{made['item']['id']}/revoke")
    assert (again[0], again[1]["item"]["revoked_at"]) == (200, reply["item"]["revoked_at"])


async def test_the_last_use_is_noted_once_a_minute(acme: Api) -> None:
    _, made = await acme.ask("POST", "/v1/keys", {"name": "x", "scopes": ["*"]})
    spare, single = acme.as_(made["key"]), f"/v1/keys/{made['item']['id']}"
    first = acme.brain.now
    await spare.get("/v1/users")
    await acme.brain.advance(59_000)
    assert (await spare.raw("GET", "/v1/users")).afterwards is None
    assert (await acme.get(single))["item"]["last_used_at"] == first
    await acme.brain.advance(1_000)
    await spare.get("/v1/users")
    assert (await acme.get(single))["item"]["last_used_at"] == first + 60_000
    assert (await acme.get(single))["item"]["revision"] == 1


async def test_a_login_is_good_for_twelve_hours(acme: Api) -> None:
    await _person(acme, role="admin", scopes=["users"])
    status, reply = await _login(acme, "ANNA@acme.example", PASSWORD)
    assert (status, reply["role"], reply["scopes"]) == (200, "admin", ["users"])
    anna = acme.as_(reply["token"])
    await anna.make("users", username="u")
    await anna.refused((403, "missing_scope"), "GET", "/v1/keys")
    assert reply["expires_at"] == acme.brain.now + 12 * 3_600_000
    await acme.brain.advance(12 * 3_600_000 - 1)
    await anna.get("/v1/users")
    await acme.brain.advance(1)
    await anna.refused((401, "unauthenticated"), "GET", "/v1/users")


async def test_five_wrong_passwords_lock_a_login(acme: Api) -> None:
    await _person(acme)
    wrong = await _login(acme, "anna@acme.example", "wrong")
    for _ in range(3):
        await _login(acme, "anna@acme.example", "wrong")
    assert (await _login(acme, "anna@acme.example", PASSWORD))[0] == 200
    for _ in range(5):
        await _login(acme, "anna@acme.example", "wrong")
    locked = await _login(acme, "anna@acme.example", PASSWORD)
    unknown = await _login(acme, "nobody@acme.example", PASSWORD)
    assert _same(wrong) == _same(locked) == _same(unknown)
    await acme.brain.advance(15 * 60_000)
    assert (await _login(acme, "anna@acme.example", PASSWORD))[0] == 200


def _same(answer: tuple[int, Fields]) -> tuple[int, str, str]:
    return answer[0], answer[1]["error"]["code"], answer[1]["error"]["message"]


async def test_an_unknown_address_costs_the_same_work(acme: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same number of hashes and of queries, so the time tells nothing."""
    await _person(acme)
    work: list[str] = []

    def hashing(password: str, salt: str, cost: int, block: int, parallel: int) -> str:
        work.append("hash")
        return scrypt(password, salt, cost, block, parallel)

    monkeypatch.setattr("tandem.api.passwords.scrypt", hashing)
    batch = acme.brain.control.batch

    async def counting(statements: Any) -> Any:
        work.append("query")
        return await batch(statements)

    monkeypatch.setattr(acme.brain.control, "batch", counting)
    found = []
    for email in ("anna@acme.example", "nobody@acme.example"):
        work.clear()
        await _login(acme, email, "wrong")
        found.append(list(work))
    assert found[0] == found[1] == ["query", "hash", "query"]


async def test_what_ends_a_login(acme: Api) -> None:
    person = await _person(acme)
    single = f"/v1/console-users/{person['id']}"

    async def fresh(password: str) -> Api:
        return acme.as_((await _login(acme, "anna@acme.example", password))[1]["token"])

    old = await fresh(PASSWORD)
    assert (await acme.ask("POST", f"{single}/password", {"password": "another password"}))[0] == 200
    await old.refused((401, "unauthenticated"), "GET", "/v1/users")
    assert (await _login(acme, "anna@acme.example", PASSWORD))[0] == 401
    new = await fresh("another password")
    await new.get("/v1/users")
    await acme.patch("console-users", person, status="disabled")
    await new.refused((401, "unauthenticated"), "GET", "/v1/users")
    assert (await _login(acme, "anna@acme.example", "another password"))[0] == 401


async def test_forged_tokens_are_refused(acme: Api) -> None:
    person = await _person(acme)
    token = (await _login(acme, "anna@acme.example", PASSWORD))[1]["token"]
    payload = jwt.decode(token, options={"verify_signature": False})
    key = derive_key(seeds.MASTER_KEY, "console")
    assert payload["sub"] == person["id"]
    forged = [
        jwt.encode(payload, "x" * 32, "HS256"),
        jwt.encode(payload, "", "none"),
        jwt.encode(payload | {"aud": "other"}, key, "HS256"),
        jwt.encode(payload | {"sub": f"cu_{ULID}"}, key, "HS256"),
        jwt.encode(payload | {"exp": "never"}, key, "HS256"),
        jwt.encode({name: value for name, value in payload.items() if name != "exp"}, key, "HS256"),
        token[:-2],
    ]
    for one in forged:
        await acme.as_(one).refused((401, "unauthenticated"), "GET", "/v1/users")


async def test_too_many_requests_are_told_when_to_come_back(brain: LocalBrain) -> None:
    front = Front(Services(brain.env, Buckets(Rate(3, 0.5)), Buckets(Rate(1, 0.1))))
    api = Api(brain, seeds.OPERATOR_KEY, front)
    for _ in range(3):
        await api.get("/v1/users")
    reply = await api.raw("GET", "/v1/users")
    assert (reply.status, reply.headers["retry-after"]) == (429, "3")
    assert json.loads(reply.text)["error"]["code"] == "rate_limited"
    await api.as_("sk_other").refused((401, "unauthenticated"), "GET", "/v1/users")
    await brain.advance(3_000)
    await api.get("/v1/users")
    assert (await _login(api, "a@b.example", "x"))[0] == 401
    assert (await _login(api, "a@b.example", "x"))[0] == 429
    assert (await _login(api, "c@b.example", "x"))[0] == 401


async def test_the_platform_counts_too(brain: LocalBrain) -> None:
    class Nobody:
        async def allows(self, key: str) -> bool:
            return False

    api = Api(brain, seeds.OPERATOR_KEY, make_front(replace(brain.env, api_rate=Nobody())))
    reply = await api.raw("GET", "/v1/users")
    assert (reply.status, reply.headers["retry-after"]) == (429, "60")


def test_buckets_are_bounded() -> None:
    buckets = Buckets(Rate(1, 1.0))
    for number in range(3 * BOUND):
        buckets.take(str(number), number)
    assert len(buckets._buckets) <= BOUND
    with pytest.raises(TandemError, match="Too many"):
        buckets.take(str(3 * BOUND - 1), 3 * BOUND)


async def test_device_passwords(world: World) -> None:
    acme = world.acme
    user = await acme.make("users", username="1001")
    _, made = await acme.ask("POST", "/v1/devices", {"user_id": user["id"]})
    item = made["item"]
    assert (item["auth_username"], item["realm"]) == ("1001", "acme.example")
    assert _digests(acme, item["id"]) == _expected("1001", "acme.example", made["password"])
    _, given = await acme.ask("POST", f"/v1/devices/{item['id']}/password", {"password": PASSWORD})
    assert given["password"] == PASSWORD
    assert _digests(acme, item["id"]) == _expected("1001", "acme.example", PASSWORD)
    _, fresh = await acme.ask("POST", f"/v1/devices/{item['id']}/password", {})
    assert _digests(acme, item["id"]) == _expected("1001", "acme.example", fresh["password"])
    await acme.refused((400, "invalid_request"), "POST", f"/v1/devices/{item['id']}/password", {"password": "short"})
    assert fresh["item"]["revision"] == 3


def _digests(api: Api, device_id: str) -> tuple[str, ...]:
    statement = "SELECT ha1, ha1b, ha1_sha256, ha1b_sha256 FROM sip_device WHERE id = ?"
    return tuple(api.brain.control.connection.execute(statement, (device_id,)).fetchone())


def _expected(username: str, realm: str, password: str) -> tuple[str, ...]:
    made = make_secrets(username, realm, password)
    return made.ha1, made.ha1b, made.ha1_sha256, made.ha1b_sha256


async def test_a_device_needs_a_domain(world: World) -> None:
    account = await world.reseller.make("accounts", name="bare")
    user = await world.reseller.make("users", username="u", account_id=account["id"])
    body = {"user_id": user["id"], "account_id": account["id"]}
    assert (await world.reseller.refused((400, "invalid_request"), "POST", "/v1/devices", body))["field"] == "realm"


async def test_node_credentials(operator: Api) -> None:
    _, made = await operator.ask("POST", "/v1/nodes", {"name": "n", "region": "weur"})
    node_id = made["item"]["id"]
    assert made["credential"] == node_credential(seeds.MASTER_KEY, node_id, 1)
    _, rotated = await operator.ask("POST", f"/v1/nodes/{node_id}/credential")
    assert rotated["credential"] == node_credential(seeds.MASTER_KEY, node_id, 2)
    assert rotated["item"]["credential_version"] == 2


async def test_secrets_are_in_no_reply_but_their_own_and_in_no_log(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    acme = world.acme
    made = await populate(acme)
    shown = [acme.key, world.operator.key]
    for path in (f"/v1/devices/{made['devices']['id']}/password", "/v1/keys", "/v1/nodes"):
        body = {"/v1/keys": {"name": "x", "scopes": ["*"]}, "/v1/nodes": {"region": "weur"}}.get(path, {})
        api = world.operator if path == "/v1/nodes" else acme
        _, reply = await api.ask("POST", path, body)
        shown += [reply[name] for name in ("password", "key", "credential") if name in reply]
    _, login = await _login(acme, made["console-users"]["email"], PASSWORD)
    shown += [login["token"], PASSWORD]
    hidden = [*_digests(acme, made["devices"]["id"])]
    for table, column in (("console_user", "password_hash"), ("api_key", "hash")):
        rows = acme.brain.control.connection.execute(f"SELECT {column} FROM {table}").fetchall()
        hidden += [row[0] for row in rows]
    replies = []
    for one in OBJECTS:
        api = world.operator
        for item in (await api.get(f"{one.path}?limit=200"))["items"]:
            replies.append(json.dumps(item))
    said = "".join(replies) + capsys.readouterr().out
    assert [secret for secret in (*shown, *hidden, seeds.MASTER_KEY) if secret in said] == []


async def test_a_fault_of_ours_shows_nothing_of_the_inside(acme: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*arguments: object) -> None:
        raise RuntimeError("secret inside at file.py line 3")

    monkeypatch.setattr("tandem.store.config.page", broken)
    reply = await acme.raw("GET", "/v1/users")
    assert (reply.status, json.loads(reply.text)["error"]["code"]) == (500, "internal_error")
    assert "inside" not in reply.text
