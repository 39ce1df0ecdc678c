"""No request crosses from one tenant to another, whatever is asked in whatever mixture of names."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from tandem.runtime.cpython import clock
from tests.support import node, rows, scene, seeds
from tests.support.local_brain import LocalBrain

EXTENSIONS = ("1001", "1002", "1003")
TENANTS = [seeds.tenant(number, f"t{number}.tandem.test", EXTENSIONS) for number in (1, 2, 3)]
# It says that the address of every phone is its own PBX's, which is to help it to nothing.
HOSTILE = seeds.tenant(9, "hostile.tandem.test", EXTENSIONS)
TENANT = st.sampled_from(TENANTS)
OTHER = st.one_of(st.none(), st.none(), st.none(), TENANT)  # mostly the account itself, or no call is ever made
DIGITS = st.sampled_from(EXTENSIONS)


class Tenants(RuleBasedStateMachine):
    """Each draw takes every part of a request from any tenant."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.brain = LocalBrain()
        self.calls: list[tuple[seeds.Tenant, dict[str, Any]]] = []
        self.brain.write(seeds.rows_of(HOSTILE))
        self.brain.write(rows.trunk(HOSTILE, 1, "0.0.0.0/0", "192.0.2.0/24", "192.0.2.7/32", role="pbx"))
        for tenant in TENANTS:
            self.brain.write(seeds.rows_of(tenant))
            for digits in EXTENSIONS[:2]:
                self._wait(self.brain.register(tenant, digits))

    def teardown(self) -> None:
        self.loop.close()
        clock.fixed = None
        connections = [self.brain.control.connection]
        connections += [context.connection for context in self.brain.presence.contexts.values()]
        for connection in connections:
            connection.close()

    def _wait(self, work: Any) -> Any:
        return self.loop.run_until_complete(work)

    @rule(account=TENANT, persons=OTHER, realms=OTHER, uris=OTHER, caller=DIGITS, callee=DIGITS)
    def call(
        self,
        account: seeds.Tenant,
        persons: seeds.Tenant | None,
        realms: seeds.Tenant | None,
        uris: seeds.Tenant | None,
        caller: str,
        callee: str,
    ) -> None:
        person, realm, uri = persons or account, realms or account, uris or account
        body = json.loads(node.invite_body(account, caller, callee))
        body["ruri"] = f"sip:{callee}@{uri.domain}"
        _, asked = self._wait(self.brain.post("/route", json.dumps(body)))
        body["credentials"] = node.respond_to(
            asked["challenge"], person.people[caller], "INVITE", body["ruri"], realm=realm.domain
        )
        status, reply = self._wait(self.brain.post("/route", json.dumps(body)))
        assert status == 200
        if "challenge" in reply:
            assert not account == person == realm
            return
        found = reply["rtjson"]
        assert account == person == realm
        assert found["account_id"] == account.account_id
        if found["action"] == "reject":
            assert account != uri or callee == "1003"
            return
        assert account == uri
        own = {f"sip:{one.device_id}@{account.domain}" for one in account.people.values()}
        assert {branch["uri"] for branch in found["routes"]} <= own
        self.calls.append((account, found | {"asked": body}))

    @rule(account=TENANT, persons=OTHER, realms=OTHER, digits=DIGITS)
    def register(
        self, account: seeds.Tenant, persons: seeds.Tenant | None, realms: seeds.Tenant | None, digits: str
    ) -> None:
        person, realm = persons or account, realms or account
        _, asked = self._wait(self.brain.post("/auth", node.register_body(account, "1001")))
        credentials = node.respond_to(
            asked["challenge"], person.people[digits], "REGISTER", "sip:x", realm=realm.domain
        )
        body = node.register_body(account, "1002", credentials, contact=f"sip:{person.account_id}@192.0.2.1")
        _, reply = self._wait(self.brain.post("/auth", body))
        assert reply["ok"] is (account == person == realm)
        if reply["ok"]:
            assert reply["account_id"] == account.account_id
            assert reply["device_id"] == account.people[digits].device_id

    @rule(data=st.data(), claimed=TENANT, state=st.sampled_from(["answer", "end", "failed"]))
    def report(self, data: st.DataObject, claimed: seeds.Tenant, state: str) -> None:
        """A report about any call in any account's name touches that account's calls alone."""
        if not self.calls:
            return
        owner, routed = data.draw(st.sampled_from(self.calls))
        before = {tenant.account_id: self._held(tenant) for tenant in TENANTS}
        self._wait(scene.send(self.brain, scene.dialog(self.brain, claimed, routed, state, 9)))
        for tenant in TENANTS:
            if tenant != claimed or claimed != owner:
                assert self._held(tenant) == before[tenant.account_id]

    @rule(data=st.data(), claimed=TENANT)
    def outcome(self, data: st.DataObject, claimed: seeds.Tenant) -> None:
        if not self.calls:
            return
        owner, routed = data.draw(st.sampled_from(self.calls))
        changes = {"callId": routed["call_id"], "outcome": "busy", "fromDomain": claimed.domain}
        before = self._held(owner)
        status, _ = self._wait(self.brain.post("/route", json.dumps(routed["asked"] | changes)))
        assert status == (200 if claimed == owner else 404)
        assert claimed == owner or self._held(owner) == before

    @rule(claimed=TENANT, listed=TENANT, digits=DIGITS)
    def snapshot(self, claimed: seeds.Tenant, listed: seeds.Tenant, digits: str) -> None:
        """A list in one account's name with another's calls and devices."""
        if claimed == listed:
            return
        calls = [scene.listing(routed) for owner, routed in self.calls if owner == listed]
        contacts = [scene.contact_of(listed, digits, self.brain.now + 60_000)]
        own = [scene.contact_of(claimed, one, self.brain.now + 10**8) for one in EXTENSIONS[:2]]
        own_calls = [scene.listing(routed) for owner, routed in self.calls if owner == claimed]
        whole = scene.snapshot(self.brain, claimed, calls + own_calls, contacts + own)
        before = self._held(listed)
        self._wait(scene.send(self.brain, whole))
        assert self._held(listed) == before

    @rule()
    def time_passes(self) -> None:
        self._wait(self.brain.advance(1_000))

    @invariant()
    def every_object_holds_only_its_own_people_and_calls(self) -> None:
        for tenant in TENANTS:
            own = {person.user_id for person in tenant.people.values()}
            for row in scene.rows(self.brain, tenant, "holding"):
                assert row[3] in own
            for name in ("sip_user", "sip_domain", "extension", "sip_device"):
                assert len(scene.rows(self.brain, tenant, name)) == (1 if name == "sip_domain" else 3)

    @invariant()
    def who_claims_every_address_is_asked_nothing(self) -> None:
        assert HOSTILE.account_id not in self.brain.presence.contexts

    def _held(self, tenant: seeds.Tenant) -> list[tuple[Any, ...]]:
        return scene.rows(self.brain, tenant, "holding")


TestTenants = Tenants.TestCase
TestTenants.settings = settings(
    max_examples=60, stateful_step_count=30, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
