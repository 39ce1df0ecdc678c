"""A node as the brain sees one: signs its requests, answers challenges as its phones would."""

from __future__ import annotations

import hashlib
import itertools
import json
import os
from typing import Any

from tandem.contracts.ids import new_id, ulid
from tandem.contracts.signature import sign_headers
from tandem.domain.digest import HASHES
from tests.support.seeds import NODE_ID, Person, Tenant, credential

_numbers = itertools.count(1)


def request_id(now: int) -> str:
    return ulid(now, os.urandom(10))


def signed(method: str, path: str, body: str, now: int) -> dict[str, str]:
    return signed_bytes(method, path, body.encode(), now)


def signed_bytes(method: str, path: str, body: bytes, now: int) -> dict[str, str]:
    return sign_headers(credential(), method, path, body, now, request_id(now), NODE_ID)


def respond_to(
    challenge: dict[str, Any],
    person: Person,
    method: str,
    uri: str,
    *,
    algorithm: str = "SHA-256",
    nc: int = 1,
    cnonce: str = "0a4f113b",
    qop: bool = True,
    username: str | None = None,
    password: str | None = None,
    realm: str | None = None,
) -> dict[str, str]:
    """The credentials of a phone that answers `challenge`, computed here from RFC 7616 section 3.4."""
    hash_ = HASHES[algorithm]
    name = username or person.username
    realm = realm or str(challenge["realm"])
    ha1 = hash_(f"{name}:{realm}:{password or person.password}")
    ha2 = hash_(f"{method}:{uri}")
    found = {"username": name, "realm": realm, "nonce": challenge["nonce"], "uri": uri, "algorithm": algorithm}
    if not qop:
        return {**found, "response": hash_(f"{ha1}:{challenge['nonce']}:{ha2}")}
    middle = f"{challenge['nonce']}:{nc:08x}:{cnonce}:auth"
    return {
        **found,
        "qop": "auth",
        "nc": f"{nc:08x}",
        "cnonce": cnonce,
        "response": hash_(f"{ha1}:{middle}:{ha2}"),
    }


def register_body(tenant: Tenant, digits: str, credentials: dict[str, str] | None = None, **changes: Any) -> str:
    person = tenant.people[digits]
    fields: dict[str, Any] = {
        "method": "REGISTER",
        "realm": tenant.domain,
        "sourceIp": "192.0.2.7",
        "sourcePort": 5060,
        "transport": "udp",
        "node": NODE_ID,
        "sipCallId": f"reg-{person.device_id}",
        "fromTag": "r",
        "cseq": "1",
        "contact": f"sip:{digits}@192.0.2.7:5060",
        "expires": 600,
    }
    if credentials is not None:
        fields["credentials"] = credentials
    return json.dumps(fields | changes)


def invite_body(
    tenant: Tenant, caller: str, callee: str, credentials: dict[str, str] | None = None, **changes: Any
) -> str:
    number = next(_numbers)
    fields: dict[str, Any] = {
        "sipCallId": f"call-{number}-{hashlib.sha256(os.urandom(8)).hexdigest()[:8]}",
        "fromTag": f"t{number}",
        "cseq": "2",
        "from": f"sip:{caller}@{tenant.domain}",
        "fromDomain": tenant.domain,
        "to": f"sip:{callee}@{tenant.domain}",
        "ruri": f"sip:{callee}@{tenant.domain}",
        "sourceIp": "192.0.2.7",
        "sourcePort": 5060,
        "transport": "udp",
        "node": NODE_ID,
    }
    if credentials is not None:
        fields["credentials"] = credentials
    return json.dumps(fields | changes)


def event_id(now: int) -> str:
    return new_id("ev", now, os.urandom(10))
