"""A call from outside: by a peer that is known by its address, or by anybody to a number that takes such calls."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from tandem.domain.callerid import UNKNOWN, Caller, identity, is_anonymous, peer_user, shown_number
from tandem.domain.calls import Direction
from tandem.domain.numbers import addr_spec, candidates, normalise
from tandem.domain.routing.admission import take_call
from tandem.domain.routing.context import Context
from tandem.domain.routing.decisions import ANONYMITY_DISALLOWED, NOT_FOUND, Decision, Reject
from tandem.domain.routing.dialled import dial
from tandem.domain.routing.model import Did, Trunk
from tandem.domain.routing.plan import Plan
from tandem.domain.routing.targets import follow, resolve

CALLED_PARTY = "p-called-party-id"


@dataclass(frozen=True, slots=True)
class Arrival:
    """An INVITE without credentials, as the node saw it. `headers` by lower-case name."""

    source_ip: str
    source_port: int
    ruri: str
    to: str
    from_uri: str
    asserted: str | None = None
    privacy: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Peer:
    """Who sent it: a trunk, with the DID that it is for unless it is a PBX; or a stranger (no trunk) with a DID."""

    trunk: Trunk | None
    did: Did | None
    called: str


def recognise(context: Context, arrival: Arrival) -> Peer | None:
    """None: neither address nor number has to do with this account, which is all that the sender may learn."""
    for trunk in context.directory.trunks_at(arrival.source_ip, arrival.source_port):
        context.note("trunk", trunk=trunk.name, role=trunk.role)
        if trunk.role == "pbx":
            return Peer(trunk, None, arrival.ruri)
        called = _called(arrival, trunk)
        did = _did(context, called)
        if did is not None:
            return Peer(trunk, did, called)
        context.note("number", number=called, result="not of this account")
    did = _did(context, arrival.ruri)
    if did is not None and did.accept_any_source:
        return Peer(None, did, arrival.ruri)
    context.note("number", number=arrival.ruri, result="not of this account" if did is None else "not from anywhere")
    return None


def arrive(context: Context, arrival: Arrival, peer: Peer) -> Decision:
    """The first decision of a call from outside."""
    if peer.did is None and peer.trunk is not None:
        return dial(context, pbx_caller(context, arrival, peer.trunk), None, arrival.ruri, peer.trunk)
    return _inbound(context, arrival, peer, peer.did)


def _inbound(context: Context, arrival: Arrival, peer: Peer, did: Did | None) -> Decision:
    context.direction = Direction.INBOUND
    context.trunk_id = None if peer.trunk is None else peer.trunk.trunk_id
    if did is None:
        return NOT_FOUND
    context.did_id = did.did_id
    context.note("number", number=did.e164, status=did.status)
    if did.status != "active":
        return NOT_FOUND
    caller = outside_caller(context, arrival, trusted=peer.trunk is not None)
    if caller.anonymous and not did.allow_anonymous:
        context.note("anonymous", result="not allowed")
        return ANONYMITY_DISALLOWED
    attached = did.attached
    if attached.target is None and context.account.did_default is not None:
        context.note("default_target", to=context.account.did_default)
        attached = replace(attached, target=context.account.did_default)
    refusal = take_call(context, did.e164, None, did, peer.trunk)
    if refusal is not None:
        return refusal
    found = follow(context, Plan(caller), attached, f"+{did.e164}")
    return found if isinstance(found, Reject) else resolve(context, found.plan, found.target)


def outside_caller(context: Context, arrival: Arrival, *, trusted: bool) -> Caller:
    """Who is shown for a call from outside; only a trunk's P-Asserted-Identity is believed."""
    claimed = identity(arrival.from_uri, arrival.asserted if trusted else None)
    return Caller(
        peer_user(claimed.user, context.account.country),
        claimed.display,
        context.directory.primary_domain(),
        anonymous=is_anonymous(arrival.from_uri, arrival.privacy),
    )


def pbx_caller(context: Context, arrival: Arrival, trunk: Trunk) -> Caller:
    """A PBX's caller under the account's rules: its own number, else the account's, else the trunk's; whichever first
    the account owns or has verified."""
    claimed = identity(arrival.from_uri, arrival.asserted)
    account = context.account
    wanted = (normalise(claimed.user, account.country), account.default_cid_number, trunk.cid_number)
    number = shown_number(wanted, context.directory.owns_number)
    return Caller(
        UNKNOWN if number is None else f"+{number}",
        claimed.display or trunk.name,
        context.directory.primary_domain(),
        anonymous=is_anonymous(arrival.from_uri, arrival.privacy),
    )


def _called(arrival: Arrival, trunk: Trunk) -> str:
    """The URI with the number, where the trunk puts it."""
    if trunk.number_from == "to":
        return arrival.to
    if trunk.number_from == "p_called_party_id":
        return addr_spec(arrival.headers.get(CALLED_PARTY, ""))
    return arrival.ruri


def _did(context: Context, called: str) -> Did | None:
    """The number as the account knows it."""
    for digits in candidates(called, context.account.country):
        found = context.directory.did(digits)
        if found is not None:
            return found
    return None
