"""What is special about devices, trunks and verified numbers."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from typing import Final

from tandem.api.drafts import Draft, LineError
from tandem.api.work import Work
from tandem.contracts.errors import TandemError
from tandem.domain.digest import make_secrets
from tandem.runtime import Param, Row, Statement, random_bytes
from tandem.store.config import SQL, insert
from tandem.store.config_addresses import WIDEST, apart, rows_of, too_wide

PASSWORD_BYTES: Final = 15


async def devices(work: Work, account: Row | None, drafts: Sequence[Draft]) -> None:
    """User name and realm by default those of the user and the account; only digests of the password are kept."""
    fresh = [draft for draft in drafts if draft.before is None]
    if not fresh:
        return
    assert account is not None
    ids = json.dumps(sorted({draft.fields["user_id"] for draft in fresh}))
    users, domains = await work.rows((SQL["usernames"], (account["id"], ids)), (SQL["domains"], (account["id"],)))
    names = {row["id"]: row["username"] for row in users}
    realms = {row["domain"].lower(): row["domain"] for row in domains}
    for index, draft in enumerate(fresh):
        fields = draft.fields
        # An unknown user is refused as such by the guards of the write.
        fields["auth_username"] = fields["auth_username"] or names.get(fields["user_id"], "unknown")
        realm = fields["realm"] or account["domain"]
        if realm is None:
            error = TandemError(
                "invalid_request", "Field realm: the account has no SIP domain; make one first.", "realm"
            )
            raise LineError(error, index)
        fields["realm"] = realms.get(realm.lower(), realm)
        give_password(draft, draft.given["password"])


def give_password(draft: Draft, password: str | None) -> None:
    """Sets the digests; the password itself is shown once."""
    plain = password or base64.urlsafe_b64encode(random_bytes(PASSWORD_BYTES)).decode()
    secrets = make_secrets(draft.fields["auth_username"], draft.fields["realm"], plain)
    draft.hidden |= {
        "ha1": secrets.ha1,
        "ha1b": secrets.ha1b,
        "ha1_sha256": secrets.ha1_sha256,
        "ha1b_sha256": secrets.ha1b_sha256,
    }
    draft.shown["password"] = plain


async def trunks(work: Work, account: Row | None, drafts: Sequence[Draft]) -> None:
    """Keeps the index of addresses by which the Worker recognises a trunk (docs/decisions/0020-whose-address.md)."""
    rows: list[dict[str, Param]] = []
    claimed: dict[str, list[str]] = {}
    for index, draft in enumerate(drafts):
        if draft.before is not None:
            draft.statements.append((SQL["forget_addresses"], (draft.fields["id"],)))
        if draft.fields["inbound_auth"] == "ip" and draft.fields["status"] == "active":
            rows.extend(rows_of(draft.fields["id"], draft.fields["inbound_ips"]))
            if account is not None and not work.principal.is_operator and _claims(draft):
                _check_width(draft, index)
                claimed.setdefault(draft.fields["role"], []).extend(draft.fields["inbound_ips"])
    for role, addresses in claimed.items():
        assert account is not None
        drafts[-1].guards.append(apart(account["id"], role, addresses))
    if drafts:
        drafts[-1].statements.extend(insert("trunk_address", rows))


def _claims(draft: Draft) -> bool:
    """Whether the trunk asks for addresses that it did not have, or for more with them."""
    before = draft.before
    return before is None or any(
        draft.fields[name] != before[name] for name in ("inbound_ips", "inbound_auth", "role", "status")
    )


def _check_width(draft: Draft, index: int) -> None:
    for address in draft.fields["inbound_ips"]:
        if too_wide(address):
            widest = f"/{WIDEST[4]} (IPv6: /{WIDEST[6]})"
            message = f"Field inbound_ips: {address} is wider than {widest}; only an operator may write such networks."
            raise LineError(TandemError("forbidden", message, "inbound_ips"), index)


def forget_addresses(trunk_id: str) -> list[Statement]:
    return [(SQL["forget_addresses"], (trunk_id,))]


async def verified_numbers(work: Work, account: Row | None, drafts: Sequence[Draft]) -> None:
    """Whoever could verify his own numbers could call as anybody."""
    for draft in drafts:
        before = None if draft.before is None else draft.before["verified_at"]
        if draft.fields["verified"] != (before is not None) and not work.principal.is_operator:
            raise TandemError("forbidden", "Field verified: only a platform operator can set it.", "verified")
        draft.fields["verified_at"] = (before or work.now) if draft.fields["verified"] else None
