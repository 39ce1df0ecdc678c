"""Which objects have rules of their own, and whose replicas a change concerns."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from tandem.api import rules_flows, rules_sip, rules_tenancy
from tandem.api.drafts import Finish
from tandem.api.work import Work
from tandem.runtime.log import log
from tandem.store import pokes
from tandem.store.config import SQL, Guard
from tandem.store.config_tables import Table

FINISH: Final[dict[str, Finish]] = {
    "accounts": rules_tenancy.accounts,
    "domains": rules_tenancy.domains,
    "keys": rules_tenancy.keys,
    "console-users": rules_tenancy.console_users,
    "nodes": rules_tenancy.nodes,
    "devices": rules_sip.devices,
    "trunks": rules_sip.trunks,
    "carriers": rules_sip.trunks,
    "verified-numbers": rules_sip.verified_numbers,
    "flows": rules_flows.flows,
}
# What may not go, or not by this credential: guards of the deletion.
DELETE: Final[dict[str, Callable[[Work, Mapping[str, Any]], list[Guard]]]] = {
    "domains": rules_tenancy.domain_goes,
    "keys": rules_tenancy.credential_goes,
    "console-users": rules_tenancy.credential_goes,
}
# What no decision about a call reads.
_NOT_REPLICATED: Final = ("keys", "console-users", "nodes", "carrier-rates", "outbound-routes")


async def poke(work: Work, table: Table, item: Mapping[str, Any]) -> None:
    """Tells whoever has the item in its replica: its account, all below an account, or all for the platform's.

    The write is done, so nothing here fails the request: an object that did not hear of it looks again within 30 s.
    """
    try:
        if table.name == "sip_trunk":
            work.forget_trunks()
        await pokes.poke(work.env, await _concerned(work, table, item))
    except Exception as error:
        log("warning", "poke_failed", error=f"{type(error).__name__}: {error}"[:300])


async def _concerned(work: Work, table: Table, item: Mapping[str, Any]) -> list[str]:
    name = table.object.name
    if name in _NOT_REPLICATED:
        return []
    if name == "accounts":
        return await pokes.below(work.env.control, item["id"])
    if name == "carriers":
        return [str(row["id"]) for row in (await work.rows((SQL["all_accounts"], ())))[0]]
    return [str(item["account_id"])]
