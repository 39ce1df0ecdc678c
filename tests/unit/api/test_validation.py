"""What may not be written, with a message that names the field and the fault."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tandem.contracts.v1.fields import SENTENCES
from tandem.contracts.v1.objects import OBJECTS
from tests.unit.api.support import Api, populate

ULID = "0" * 26
USER = {"username": "x"}
RULE = {"kind": "weekly", "dow": 1}
# (object, a body that is right but for the last, the field to blame, words of the message)
WRONG: list[tuple[str, dict[str, Any], str, str]] = [
    ("users", {}, "username", "missing"),
    ("users", {"username": ""}, "username", "1 to 64 letters"),
    ("users", {"username": "a b"}, "username", "1 to 64 letters"),
    ("users", {"username": "x" * 65}, "username", "1 to 64 letters"),
    ("users", {"username": 1001}, "username", "string"),
    ("users", {**USER, "nickname": "y"}, "nickname", "no such field"),
    ("users", {**USER, "dnd": 1}, "dnd", "boolean"),
    ("users", {**USER, "dnd": "yes"}, "dnd", "boolean"),
    ("users", {**USER, "display_name": "a\u0000b"}, "display_name", "control characters"),
    ("users", {**USER, "display_name": "a\r\nX: y"}, "display_name", "control characters"),
    ("users", {**USER, "display_name": "x" * 256}, "display_name", "255"),
    ("users", {**USER, "ring_timeout_sec": 0}, "ring_timeout_sec", "greater than or equal to 1"),
    ("users", {**USER, "ring_timeout_sec": 3601}, "ring_timeout_sec", "3600"),
    ("users", {**USER, "ring_timeout_sec": 25.5}, "ring_timeout_sec", "integer"),
    ("users", {**USER, "max_simultaneous": -1}, "max_simultaneous", "greater"),
    ("users", {**USER, "max_simultaneous": 2**63}, "max_simultaneous", "1000000"),
    ("users", {**USER, "ring_strategy": "all"}, "ring_strategy", "'simultaneous', 'sequential' or 'specific'"),
    ("users", {**USER, "status": "gone"}, "status", "'active' or 'disabled'"),
    ("users", {**USER, "out_cid_number": "anna"}, "out_cid_number", "telephone number"),
    ("users", {**USER, "out_cid_number": "+1234"}, "out_cid_number", "telephone number"),
    ("users", {**USER, "voicemail_id": "box"}, "voicemail_id", "an id vm_…"),
    ("users", {**USER, "fwd_always_kind": "user"}, "fwd_always_id", "missing"),
    ("users", {**USER, "fwd_always_id": f"us_{ULID}"}, "fwd_always_kind", "missing"),
    ("users", {**USER, "fwd_busy_kind": "user", "fwd_busy_id": f"rg_{ULID}"}, "fwd_busy_id", "us_"),
    ("users", {**USER, "fwd_busy_kind": "user", "fwd_busy_id": "us_1"}, "fwd_busy_id", "id of a user"),
    ("users", {**USER, "fwd_busy_kind": "pstn", "fwd_busy_id": "x"}, "fwd_busy_kind", "forward"),
    ("users", {**USER, "fwd_busy_kind": "hangup", "fwd_busy_id": "200"}, "fwd_busy_id", "400 to 699"),
    ("users", {**USER, "fwd_busy_kind": "queue", "fwd_busy_id": "flow_x"}, "fwd_busy_id", "q_"),
    ("devices", {}, "user_id", "missing"),
    ("devices", {"user_id": "anna"}, "user_id", "an id us_…"),
    ("devices", {"user_id": "@users", "password": "short"}, "password", "at least 12"),
    ("devices", {"user_id": "@users", "auth_username": 'a"b'}, "auth_username", "begin with a letter"),
    ("devices", {"user_id": "@users", "transport": "sctp"}, "transport", "'udp', 'tcp', 'tls' or 'wss'"),
    ("extensions", {"dest_kind": "user", "dest_id": "@users"}, "digits", "missing"),
    ("extensions", {"digits": "12a", "dest_kind": "user", "dest_id": "@users"}, "digits", "1 to 20 digits, * and #"),
    ("extensions", {"digits": "1", "dest_kind": "user"}, "dest_id", "missing"),
    ("extensions", {"digits": "1", "dest_kind": None, "dest_id": ""}, "dest_kind", "'hangup'"),
    ("extensions", {"digits": "1", "dest_kind": "hangup", "dest_id": "", "dest_xform": {"a b": 1}},
     "dest_xform", "names variables by letters"),
    ("extensions", {"digits": "1", "dest_kind": "hangup", "dest_id": "", "dest_xform": {"a": [1]}}, "dest_xform", ""),
    ("extensions", {"digits": "1", "dest_kind": "hangup", "dest_id": "", "dest_xform": {f"a{n}": n for n in range(21)}},
     "dest_xform", "20"),
    ("extensions", {"digits": "1", "dest_kind": "hangup", "dest_id": "", "dest_xform": {"a": "x" * 3000}},
     "dest_xform", "2048"),
    ("numbers", {"e164": "1001"}, "e164", "telephone number"),
    ("numbers", {"e164": "+999999999999999999"}, "e164", "telephone number"),
    ("numbers", {"e164": "+442071838750", "fax_mode": "t30"}, "fax_mode", "t38"),
    ("numbers", {"e164": "+442071838750", "closed_dest_kind": "user"}, "closed_dest_id", "missing"),
    ("ring-groups", {"name": ""}, "name", "at least 1"),
    ("ring-groups", {"name": "x", "strategy": "random"}, "strategy", "round_robin"),
    ("ring-group-members", {"ring_group_id": "@ring-groups"}, "user_id", "either"),
    ("ring-group-members", {"ring_group_id": "@ring-groups", "user_id": "@users", "device_id": "@devices"},
     "user_id", "either"),
    ("ring-group-members", {"ring_group_id": "@ring-groups", "user_id": "@users", "delay_sec": 301},
     "delay_sec", "300"),
    ("forwards", {"name": "x"}, "e164", "missing"),
    ("forwards", {"name": "x", "e164": "+442071838750", "cid_mode": "none"}, "cid_mode", "caller"),
    ("schedules", {"name": "x", "timezone": "Berlin"}, "timezone", "IANA"),
    ("schedules", {"name": "x", "timezone": "../../etc/passwd"}, "timezone", "IANA"),
    ("schedule-rules", {"schedule_id": "@schedules", "kind": "weekly"}, "dow", "missing"),
    ("schedule-rules", {"schedule_id": "@schedules", "kind": "weekly", "dow": 7}, "dow", "6"),
    ("schedule-rules", {"schedule_id": "@schedules", **RULE, "start_time": "9:00"}, "start_time", "HH:MM"),
    ("schedule-rules", {"schedule_id": "@schedules", **RULE, "start_time": "24:00"}, "start_time", "before 24:00"),
    ("schedule-rules", {"schedule_id": "@schedules", **RULE, "end_time": "25:00"}, "end_time", "HH:MM"),
    ("schedule-rules", {"schedule_id": "@schedules", **RULE, "end_time": "00:00"}, "end_time", "24:00"),
    ("schedule-rules", {"schedule_id": "@schedules", **RULE, "start_date": "2026-01-01"}, "start_date", "weekly"),
    ("schedule-rules", {"schedule_id": "@schedules", "kind": "date"}, "start_date", "missing"),
    ("schedule-rules", {"schedule_id": "@schedules", "kind": "date", "dow": 1}, "dow", "weekly"),
    ("schedule-rules", {"schedule_id": "@schedules", "kind": "date", "start_date": "2026-02-29"}, "start_date", "date"),
    ("schedule-rules", {"schedule_id": "@schedules", "kind": "date", "start_date": "20260228"}, "start_date", "date"),
    ("schedule-rules", {"schedule_id": "@schedules", "kind": "date", "start_date": "2026-01-01",
                        "end_date": "2026-01-02"}, "end_date", "date_range"),
    ("schedule-rules", {"schedule_id": "@schedules", "kind": "date_range", "start_date": "2026-01-02"},
     "end_date", "missing"),
    ("schedule-rules", {"schedule_id": "@schedules", "kind": "date_range", "start_date": "2026-01-02",
                        "end_date": "2026-01-01"}, "end_date", "before"),
    ("flows", {}, "name", "missing"),
    ("flows", {"name": "x", "graph": []}, "graph", "dict"),
    ("flows", {"name": "x", "graph": None}, "graph", "dict"),
    ("flows", {"name": "x", "graph": {"a": "x" * 262_144}}, "graph", "262144 bytes"),
    ("flows", {"name": "x", "graph": {"a": "é" * 60_000 + "x" * 143_000}}, "graph", "262144 bytes"),
    ("flows", {"name": "x", "status": "published"}, "status", "no such field"),
    ("flows", {"name": "x", "version": 7}, "version", "no such field"),
    ("media", {"name": "x", "kind": "song"}, "kind", "'prompt', 'moh', 'greeting' or 'announcement'"),
    ("media", {"name": "x", "object_key": "acc_x/media/y"}, "object_key", "no such field"),
    ("playlists", {"name": "x", "media_ids": []}, "media_ids", "at least 1"),
    ("playlists", {"name": "x", "media_ids": ["song"]}, "media_ids.0", "must be an id"),
    ("playlists", {"name": "x", "media_ids": [f"media_{ULID}"] * 201}, "media_ids", "200"),
    ("trunks", {"name": "x", "inbound_auth": "ip"}, "inbound_ips", "empty"),
    ("trunks", {"name": "x", "inbound_ips": ["192.0.2.1/24"]}, "inbound_ips.0", "host bits"),
    ("trunks", {"name": "x", "inbound_ips": ["192.0.2.1:0"]}, "inbound_ips.0", "65535"),
    ("trunks", {"name": "x", "inbound_ips": ["192.0.2.1:"]}, "inbound_ips.0", "port"),
    ("trunks", {"name": "x", "inbound_ips": ["sip.example"]}, "inbound_ips.0", "IP address"),
    ("trunks", {"name": "x", "inbound_ips": ["fe80::1%eth0"]}, "inbound_ips.0", "zone"),
    ("trunks", {"name": "x", "inbound_ips": ["[2001:db8::1]5060"]}, "inbound_ips.0", "CIDR"),
    ("trunks", {"name": "x", "inbound_ips": ["192.0.2.1", "192.0.2.1/32"]}, "inbound_ips", "twice"),
    ("trunks", {"name": "x", "failover_codes": [200]}, "failover_codes.0", "300"),
    ("trunks", {"name": "x", "role": "peer"}, "role", "pbx"),
    ("trunks", {"name": "x", "number_format": "raw"}, "number_format", "e164"),
    ("outbound-routes", {"prefix": "+49", "trunk_id": "@trunks"}, "prefix", "at most 15 digits"),
    ("limits", {"scope_kind": "account", "period_sec": 0, "max_count": 1}, "period_sec", "1"),
    ("limits", {"scope_kind": "user", "period_sec": 60, "max_count": 1}, "scope_id", "us_"),
    ("limits", {"scope_kind": "user", "scope_id": "anna", "period_sec": 60, "max_count": 1}, "scope_id",
     "an id us_… or did_…"),
    ("limits", {"scope_kind": "user", "scope_id": "@numbers", "period_sec": 60, "max_count": 1}, "scope_id", "us_"),
    ("limits", {"scope_kind": "account", "scope_id": "@users", "period_sec": 60, "max_count": 1}, "scope_id", "not go"),
    ("limits", {"scope_kind": "number", "period_sec": 60, "max_count": 1}, "pattern", "number"),
    ("limits", {"scope_kind": "account", "pattern": "49", "period_sec": 60, "max_count": 1}, "pattern", "number"),
    ("verified-numbers", {"e164": ""}, "e164", "telephone number"),
    ("domains", {"domain": "acme"}, "domain", "such as sip.example.com"),
    ("domains", {"domain": "a b.example"}, "domain", "domain name"),
    ("keys", {"name": "x", "scopes": []}, "scopes", "at least 1"),
    ("keys", {"name": "x", "scopes": ["everything"]}, "scopes.0", "'account'"),
    ("console-users", {"email": "anna", "password": "correct horse battery"}, "email", "an e-mail address"),
    ("console-users", {"email": "anna@acme.example", "password": "secret", "scopes": ["*"]}, "password", "at least 12"),
    ("console-users", {"email": "anna@acme.example", "password": "correct horse battery", "scopes": ["*"],
                       "role": "root"}, "role", "owner"),
    ("console-users", {"email": "anna@acme.example", "password": "correct horse battery"}, "scopes", "missing"),
    ("accounts", {"name": "x", "timezone": "Mars/Olympus"}, "timezone", "IANA"),
    ("accounts", {"name": "x", "country": "Germany"}, "country", "such as DE"),
    ("accounts", {"name": "x", "currency": "usd"}, "currency", "such as EUR"),
    ("accounts", {"name": "x", "emergency_numbers": ["one"]}, "emergency_numbers.0", "1 to 15 digits"),
]  # fmt: skip


@pytest.fixture
async def made(acme: Api) -> dict[str, str]:
    return {name: str(item["id"]) for name, item in (await populate(acme)).items()}


async def test_each_wrong_field_is_named(acme: Api, made: dict[str, str]) -> None:
    """One world for all of them, since a refused request changes nothing, which is checked at the end."""
    before = await _everything(acme)
    for name, body, field, words in WRONG:
        filled = {key: made[value[1:]] if _names(value) else value for key, value in body.items()}
        status, reply = await acme.ask("POST", f"/v1/{name}", filled)
        assert (status, reply["ok"], reply["error"]["code"]) == (400, False, "invalid_request"), (name, body, reply)
        assert reply["error"]["field"].startswith(field), (name, body, reply)
        assert words in reply["error"]["message"], (name, body, reply)
        assert f"Field {field}" in reply["error"]["message"]
        assert re.search(r"\^|\{\d|\[0-", reply["error"]["message"]) is None, reply
    assert await _everything(acme) == before


def _names(value: Any) -> bool:
    return isinstance(value, str) and value.startswith("@")


async def _everything(api: Api) -> list[Any]:
    return [(await api.get(f"/v1/{name}"))["items"] for name in ("users", "devices", "extensions", "numbers", "audit")]


def test_every_pattern_is_told_in_words() -> None:
    """But for ids, whose prefix says it."""

    def patterns(schema: Any) -> set[str]:
        if isinstance(schema, list):
            return {found for one in schema for found in patterns(one)}
        if not isinstance(schema, dict):
            return set()
        own = {schema["pattern"]} if isinstance(schema.get("pattern"), str) else set()
        return own.union(*(patterns(one) for one in schema.values()))

    found = {
        pattern
        for one in OBJECTS
        for model in (one.create, one.patch)
        if model is not None
        for pattern in patterns(model.model_json_schema())
    }
    assert {pattern for pattern in found if not pattern.endswith("_[0-7][0-9a-hjkmnp-tv-z]{25}$")} <= set(SENTENCES)


async def test_rules_between_fields_hold_for_changes_too(acme: Api) -> None:
    made = await populate(acme)
    for name, change, field in (
        ("users", {"fwd_busy_kind": None}, "fwd_busy_kind"),
        ("users", {"fwd_busy_kind": "user"}, "fwd_busy_id"),
        ("ring-group-members", {"device_id": None}, "user_id"),
        ("schedule-rules", {"kind": "date"}, "dow"),
        ("trunks", {"inbound_ips": []}, "inbound_ips"),
        ("limits", {"scope_kind": "user"}, "scope_id"),
    ):
        error = await acme.refused((400, "invalid_request"), "PATCH", f"/v1/{name}/{made[name]['id']}", change)
        assert error["field"] == field, error


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("", "body is"),
        ("{", "not JSON"),
        ("[]", "must be a JSON object"),
        ("null", "must be a JSON object"),
        ('"x"', "must be a JSON object"),
        ('{"username":"x","max_simultaneous":NaN}', "not JSON"),
        ('{"username":"\\ud800"}', "not JSON"),
        ("[" * 50_000, "not JSON"),
        ('{"a":' * 12_000, "not JSON"),
    ],
)
async def test_a_body_that_is_no_object_is_refused(acme: Api, body: str, message: str) -> None:
    for method, target in (("POST", "/v1/users"), ("PATCH", f"/v1/users/us_{ULID}")):
        reply = await acme.raw(method, target, body)
        assert (reply.status, message in reply.text) == (400, True), reply


async def test_a_large_body_is_refused(acme: Api) -> None:
    for path, size in (("users", 70_000), ("flows", 600_000), ("media", 70_000)):
        reply = await acme.raw("POST", f"/v1/{path}", '{"name":"' + "x" * size + '"}')
        assert (reply.status, '"too_large"' in reply.text) == (413, True)


@pytest.mark.parametrize("limit", ["0", "201", "x", "-1", "1.5", ""])
async def test_a_wrong_limit_is_refused(acme: Api, limit: str) -> None:
    assert (await acme.refused((400, "invalid_request"), "GET", f"/v1/users?limit={limit}"))["field"] == "limit"


async def test_unknown_filters_are_refused(acme: Api) -> None:
    assert (await acme.refused((400, "invalid_request"), "GET", "/v1/users?nickname=x"))["field"] == "nickname"


@pytest.mark.parametrize("path", ["/v1", "/v1/", "/v1/nothing", "/v1/users/", "/v1/users/a/b", "/v1//users", "/v1/%00"])
async def test_unknown_paths_are_refused(acme: Api, path: str) -> None:
    await acme.refused((404, "not_found"), "GET", path)


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "TRACE"])
async def test_other_methods_are_refused(acme: Api, method: str) -> None:
    await acme.refused((405, "method_not_allowed"), method, "/v1/users")


@pytest.mark.parametrize("object_id", ["x", "us_1", "%27%20OR%201%3D1", "..", "us_" + "z" * 500, "%00", "ü"])
async def test_a_strange_id_is_nobody_s(acme: Api, object_id: str) -> None:
    for method, fields in (("GET", None), ("PATCH", {"dnd": True}), ("DELETE", None)):
        status, reply = await acme.ask(method, f"/v1/users/{object_id}", fields)
        assert (status, reply["error"]["code"]) == (404, "not_found")
