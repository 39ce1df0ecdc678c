"""Whose a request is: the account that decides it, found by domain, by source address or by the number called.

The finding only says where to ask; the account's object decides again with its own replica.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

from tandem.contracts.errors import TandemError
from tandem.contracts.route import RouteRequest
from tandem.domain.numbers import addr_spec, candidates, parse_uri
from tandem.runtime import now_ms
from tandem.store.cache import HIT_MS, MISS_MS
from tandem.store.control import Control, Domain, TrunkRow

LONGEST_NUMBER: Final = 15
LONGEST_DOMAIN: Final = 255
PBX: Final = "pbx"


@dataclass(frozen=True, slots=True)
class Place:
    """The account to ask. `forget` drops what led there, when the account says that it is not its own."""

    account_id: str
    forget: Callable[[], None]


async def by_domain(control: Control, name: str) -> Place:
    """Raises `TandemError` `unknown_domain`."""
    found = await domain(control, name)
    return Place(found.account_id, partial(control.forget_domain, name))


async def domain(control: Control, name: str) -> Domain:
    found = await control.domain(name, now_ms()) if _may_be_domain(name) else None
    if found is None:
        raise TandemError("unknown_domain", "No account has this SIP domain.")
    return found


async def of_stranger(control: Control, asked: RouteRequest) -> Place | Domain:
    """The account that takes a call without credentials, or the domain for which the caller has to prove himself.

    In this order: the trunk that the source address belongs to, the caller's own domain, a number that takes calls from
    anywhere. A PBX takes no calls away from a domain of another account: whoever names that domain has to prove it.
    Raises `TandemError` `not_found`, which tells nobody what there is.
    """
    now = now_ms()
    name = asked.from_domain if _may_be_domain(asked.from_domain) else None
    number = plain_number(asked.ruri)
    known = None if name is None else control.remembered_domain(name, now)
    if known is None:
        await control.prepare(asked.source_ip, asked.source_port, name, number, now)
        known = None if name is None else control.remembered_domain(name, now)
    try:
        # A phone's address is no trunk's, call after call.
        patience = MISS_MS if known is None else HIT_MS
        trunks = await control.trunks(asked.source_ip, asked.source_port, now, patience)
    except TandemError:
        if known is None:
            raise
        return known
    place = await _by_trunk(control, trunks, asked, known)
    if place is not None:
        return place
    if known is not None:
        return known
    place = await _to_open_number(control, number)
    if place is None and await control.look_again(asked.source_ip, asked.source_port, _named(trunks, asked), now):
        trunks = await control.trunks(asked.source_ip, asked.source_port, now)
        place = await _by_trunk(control, trunks, asked, None) or await _to_open_number(control, number)
    if place is None:
        raise TandemError("not_found", "Nobody here takes this call.")
    return place


async def _by_trunk(
    control: Control, trunks: Sequence[TrunkRow], asked: RouteRequest, known: Domain | None
) -> Place | None:
    for trunk in _in_charge(trunks):
        if trunk.role == PBX and known is not None and trunk.account_id != known.account_id:
            continue
        place = await _through(control, trunk, asked)
        if place is not None:
            return place
    return None


async def _to_open_number(control: Control, number: str | None) -> Place | None:
    found = None if number is None else await control.did(number, now_ms())
    if number is None or found is None or not found.accept_any_source:
        return None
    return Place(found.account_id, partial(control.forget_did, number))


def _named(trunks: Sequence[TrunkRow], asked: RouteRequest) -> set[str]:
    """All numbers that the caller may mean."""
    found = {number for trunk in trunks for number in _numbers(_called(asked, trunk.number_from), trunk.country)}
    return found | {number for number in (plain_number(asked.ruri),) if number is not None}


def _in_charge(trunks: Sequence[TrunkRow]) -> list[TrunkRow]:
    """An address of the platform's carriers is no account's PBX, whatever an account wrote."""
    is_carrier_s = any(trunk.account_id is None for trunk in trunks)
    return [trunk for trunk in trunks if trunk.role != PBX or not is_carrier_s]


async def _through(control: Control, trunk: TrunkRow, asked: RouteRequest) -> Place | None:
    """A PBX calls as its account; a carrier brings calls to numbers, an account's own to that account's."""
    if trunk.role == PBX and trunk.account_id is not None:
        return Place(trunk.account_id, control.forget_trunks)
    for number in _numbers(_called(asked, trunk.number_from), trunk.country):
        found = await control.did(number, now_ms())
        if found is not None and trunk.account_id in (None, found.account_id):
            return Place(found.account_id, partial(control.forget_inbound, number))
    return None


def _called(asked: RouteRequest, number_from: str) -> str:
    match number_from:
        case "to":
            return asked.to
        case "p_called_party_id":
            return addr_spec(asked.headers.get("p-called-party-id", ""))
        case _:
            return asked.ruri


def _numbers(called: str, country: str | None) -> tuple[str, ...]:
    """What the peer may mean: the number in full, else as it is written in the country of the trunk's account."""
    plain = plain_number(called)
    others = () if country is None else candidates(called, country)
    return tuple(dict.fromkeys(number for number in (plain, *others) if number is not None))


def plain_number(uri: str) -> str | None:
    """E.164 digits when the number is written in full (`+15550100` or `15550100`); None for anything else."""
    digits = parse_uri(uri).user.removeprefix("+")
    return digits if digits.isascii() and digits.isdecimal() and len(digits) <= LONGEST_NUMBER else None


def _may_be_domain(name: str) -> bool:
    return len(name) <= LONGEST_DOMAIN and name.isascii()
