"""Rows of the replica, as its look-ups give them, in the words of routing."""

from __future__ import annotations

import json
from typing import Any

from tandem.domain.account import AccountRow
from tandem.domain.routing import Attached, Device, Extension, Member, Target, User


def user(
    user_id: str,
    username: str,
    display_name: str,
    max_simultaneous: int | None,
    ring_timeout_sec: int,
    dnd: int,
    active: int,
    ring_strategy: str = "simultaneous",
    voicemail_id: str | None = None,
    always_kind: str | None = None,
    always_id: str | None = None,
    busy_kind: str | None = None,
    busy_id: str | None = None,
    noanswer_kind: str | None = None,
    noanswer_id: str | None = None,
    allows_outside: int = 0,
    out_cid_number: str | None = None,
    out_cid_name: str | None = None,
) -> User:
    return User(
        user_id,
        username,
        display_name,
        max_simultaneous,
        ring_timeout_sec,
        bool(dnd),
        bool(active),
        ring_strategy,
        voicemail_id,
        target(always_kind, always_id),
        target(busy_kind, busy_id),
        target(noanswer_kind, noanswer_id),
        bool(allows_outside),
        out_cid_number,
        out_cid_name,
    )


def device(device_id: str, realm: str, is_webrtc: int, ring_specific: int, node_id: str) -> Device:
    return Device(device_id, realm, bool(is_webrtc), node_id, bool(ring_specific))


def member(member_id: str, delay_sec: int, timeout_sec: int | None, *rest: Any) -> Member:
    *fields, devices = rest
    return Member(member_id, user(*fields), tuple(device(*row) for row in devices), delay_sec, timeout_sec)


def extension(found: list[list[Any]]) -> Extension | None:
    if not found:
        return None
    extension_id, digits, *rest = found[0]
    return Extension(extension_id, digits, attached(*rest))


def attached(
    kind: str | None,
    id_: str | None,
    xform: str | None,
    schedule_id: str | None,
    closed_kind: str | None,
    closed_id: str | None,
    closed_xform: str | None,
    holiday_kind: str | None,
    holiday_id: str | None,
    holiday_xform: str | None,
) -> Attached:
    return Attached(
        target(kind, id_, xform),
        schedule_id,
        target(closed_kind, closed_id, closed_xform),
        target(holiday_kind, holiday_id, holiday_xform),
    )


def target(kind: str | None, id_: str | None, xform: str | None = None) -> Target | None:
    if not kind:
        return None
    return Target(kind, id_ or "", variables(xform) if xform else ())


def variables(xform: str) -> tuple[tuple[str, str], ...]:
    """A JSON object's members as texts: numbers and booleans as JSON writes them, null as nothing."""
    return tuple(
        (name, value if isinstance(value, str) else "" if value is None else json.dumps(value))
        for name, value in json.loads(xform).items()
    )


def account_row(
    account_id: str,
    parent_id: str | None,
    name: str,
    status: str,
    timezone: str | None,
    language: str | None,
    voice_gender: str | None,
    brand_name: str | None,
    country: str,
    max_in: int | None,
    max_out: int | None,
    max_dialer: int | None,
    default_cid_number: str | None,
    did_default_kind: str | None,
    did_default_id: str | None,
    media_engine: str,
    emergency_numbers: str | None,
) -> AccountRow:
    return AccountRow(
        account_id,
        parent_id,
        name,
        status,
        timezone,
        language,
        voice_gender,
        brand_name,
        country,
        max_in,
        max_out,
        max_dialer,
        default_cid_number,
        target(did_default_kind, did_default_id),
        media_engine,
        None if emergency_numbers is None else frozenset(map(str, json.loads(emergency_numbers))),
    )
