"""What can be done with an object besides the five verbs: new passwords and credentials, revoking a key."""

from __future__ import annotations

from fastapi import Response

from tandem.api import objects, passwords, rules_tenancy
from tandem.api.drafts import Draft
from tandem.api.rules_sip import give_password
from tandem.api.work import Remember, Work, reply
from tandem.store.config_tables import TABLES


async def device_password(work: Work, object_id: str, password: str | None) -> Response:
    draft = await _open(work, "devices", object_id)
    give_password(draft, password)
    return await _save(work, "devices", draft, "password")


async def console_password(work: Work, object_id: str, password: str) -> Response:
    """Ends all logins of this person, and unlocks the account."""
    draft = await _open(work, "console-users", object_id)
    work.principal.may_grant(draft.fields["scopes"])
    draft.hidden |= {"password_hash": passwords.hashed(password), "failed_logins": 0}
    draft.fields["locked_until"] = None
    return await _save(work, "console-users", draft, "password")


async def revoke_key(work: Work, object_id: str) -> Response:
    draft = await _open(work, "keys", object_id)
    draft.fields["revoked_at"] = draft.fields["revoked_at"] or work.now
    return await _save(work, "keys", draft, "revoke")


async def node_credential(work: Work, object_id: str) -> Response:
    """The old credential is refused as soon as the Worker's cache forgets it, within 60 s."""
    draft = await _open(work, "nodes", object_id)
    version = draft.fields["credential_version"] + 1
    draft.fields["credential_version"] = version
    draft.shown["credential"] = rules_tenancy.credential(work, object_id, version)
    return await _save(work, "nodes", draft, "credential")


async def _open(work: Work, name: str, object_id: str) -> Draft:
    before = await objects.find(work, TABLES[name], object_id)
    objects.match(work, before)
    return Draft({**before, "revision": before["revision"] + 1}, {}, before)


async def _save(work: Work, name: str, draft: Draft, action: str) -> Response:
    async def do(remember: Remember) -> Response:
        content = {"ok": True, "item": draft.fields, **draft.shown}
        draft.statements.extend(remember(200, content))
        await objects.save(
            work, TABLES[name], await objects.account_of(work, TABLES[name], draft.fields), draft, action
        )
        return reply(200, content, {"etag": f'"{draft.fields["revision"]}"'})

    return await work.once(do)
