"""What is special about accounts, domains, credentials and nodes."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, Final

from tandem.api import passwords
from tandem.api.drafts import Draft
from tandem.api.work import Work
from tandem.contracts.errors import TandemError
from tandem.contracts.signature import node_credential
from tandem.runtime import Row, random_bytes
from tandem.store.config import SQL, Guard

# What an account cannot change of itself: its reseller's and the platform's business.
ABOVE: Final = (
    "status",
    "is_reseller",
    "max_in",
    "max_out",
    "max_dialer",
    "media_engine",
    "emergency_numbers",
    "billing_mode",
    "credit_limit_micros",
    "currency",
)
KEY_BYTES: Final = 24


async def accounts(work: Work, account: Row | None, drafts: Sequence[Draft]) -> None:
    for draft in drafts:
        if draft.before is None:
            draft.fields |= {"parent_id": None if account is None else account["id"], "home_region": "local"}
        elif draft.fields["id"] == work.principal.account_id:
            for name in ABOVE:
                if draft.fields[name] != draft.before[name]:
                    message = f"Field {name}: only the account above, or an operator, can change it."
                    raise TandemError("forbidden", message, name)


async def domains(work: Work, account: Row | None, drafts: Sequence[Draft]) -> None:
    """The first domain of an account is its primary one; there is always one, and never two."""
    assert account is not None
    for draft in drafts:
        if draft.before is None and account["domain"] is None:
            draft.fields["is_primary"] = True
        if draft.before is not None and draft.before["is_primary"] and not draft.fields["is_primary"]:
            message = "Field is_primary: make another domain the primary one instead."
            raise TandemError("conflict", message, "is_primary")
        if draft.fields["is_primary"]:
            draft.statements.append((SQL["no_other_primary"], (account["id"], draft.fields["id"])))


async def keys(work: Work, account: Row | None, drafts: Sequence[Draft]) -> None:
    for draft in drafts:
        _may_change(work, draft)
        if draft.before is None:
            key = f"sk_{base64.urlsafe_b64encode(random_bytes(KEY_BYTES)).decode()}"
            draft.hidden["hash"] = hashlib.sha256(key.encode()).hexdigest()
            draft.shown["key"] = key


async def console_users(work: Work, account: Row | None, drafts: Sequence[Draft]) -> None:
    for draft in drafts:
        if draft.fields["user_id"] is not None and account is None:
            raise TandemError("invalid_request", "Field user_id: a platform operator has none.", "user_id")
        _may_change(work, draft)
        if draft.before is None:
            draft.hidden["password_hash"] = passwords.hashed(draft.given["password"])


def _may_change(work: Work, draft: Draft) -> None:
    if draft.before is not None:
        work.principal.may_govern(draft.before["scopes"])
    work.principal.may_grant(draft.given.get("scopes", ()))


def credential_goes(work: Work, before: Mapping[str, Any]) -> list[Guard]:
    work.principal.may_govern(before["scopes"])
    return []


def domain_goes(work: Work, before: Mapping[str, Any]) -> list[Guard]:
    """The primary one goes last."""
    if not before["is_primary"]:
        return []
    message = "Field is_primary: make another domain the primary one first."
    return [Guard(SQL["other_domains"], (before["account_id"], before["id"]), "conflict", message, "is_primary")]


async def nodes(work: Work, account: Row | None, drafts: Sequence[Draft]) -> None:
    for draft in drafts:
        if draft.before is None:
            draft.fields["credential_version"] = 1
            draft.shown["credential"] = credential(work, draft.fields["id"], 1)


def credential(work: Work, node_id: str, version: int) -> str:
    """What the node signs with (docs/decisions/0003-node-credentials.md), as hex."""
    return node_credential(work.env.master_key, node_id, version)
