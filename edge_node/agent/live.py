"""The node's view of what is live on it, per account: calls, contacts, and the digests that name their state.

Rebuilt from Kamailio now and then, moved by its events in between. A decision counts as a call from the moment that its
directive arrived; questions still with the brain are listed too, so that a snapshot never denies a call in the making.
"""

from __future__ import annotations

import hashlib
import time
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass, replace
from typing import Final, Literal

from tandem.contracts.events import NOTHING, AccountDigests, ContactState, DialogState

# How long Kamailio has to turn a directive into a dialog before a list without it means that there is none.
SETTLE_SEC: Final = 10.0
MAX_DIGESTS: Final = 10_000


@dataclass(frozen=True, slots=True)
class Call:
    """`since` is monotonic seconds."""

    call_id: str
    account_id: str
    sip_call_id: str
    from_tag: str
    cseq: str
    state: Literal["early", "answered"]
    since: float

    def wire(self) -> DialogState:
        return DialogState(
            call_id=self.call_id,
            sip_call_id=self.sip_call_id,
            from_tag=self.from_tag,
            cseq=self.cseq or None,
            state=self.state,
        )


@dataclass(frozen=True, slots=True)
class Asked:
    """A first question of a call that the brain has not answered yet. That of a leg names its account and itself."""

    domain: str
    sip_call_id: str
    from_tag: str
    cseq: str
    account_id: str = ""
    call_id: str = ""

    def wire(self) -> DialogState:
        return DialogState(
            call_id=self.call_id or None,
            sip_call_id=self.sip_call_id,
            from_tag=self.from_tag,
            cseq=self.cseq or None,
            state="early",
        )


@dataclass(frozen=True, slots=True)
class Snapshot:
    digests: AccountDigests
    dialogs: list[DialogState]
    contacts: list[ContactState]


def digest(lines: Iterable[str]) -> str:
    """First 16 hex digits of SHA-256 over the sorted lines, joined by line feeds."""
    return hashlib.sha256("\n".join(sorted(lines)).encode()).hexdigest()[:16]


class Live:
    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._calls: dict[str, Call] = {}
        self._contacts: dict[tuple[str, str], ContactState] = {}
        self._account_calls: dict[str, set[str]] = defaultdict(set)
        self._account_contacts: dict[str, set[tuple[str, str]]] = defaultdict(set)
        self._devices: dict[str, str] = {}
        self._domains: dict[str, str] = {}
        self._asked: dict[str, Asked] = {}
        self._digests: dict[str, AccountDigests] = {}
        self._dirty: set[str] = set()
        # What events and decisions moved while a list was on its way: newer than the list.
        self._moved: set[Hashable] | None = None

    @property
    def calls(self) -> int:
        return len(self._calls)

    @property
    def contacts(self) -> int:
        return len(self._contacts)

    def call(self, call_id: str) -> Call | None:
        return self._calls.get(call_id)

    def find_call(self, sip_call_id: str, from_tag: str, cseq: str) -> Call | None:
        """An unanswered call by the identifiers of its INVITE; an empty `cseq` leaves that out."""
        for call in self._calls.values():
            same_dialog = (call.sip_call_id, call.from_tag, call.state) == (sip_call_id, from_tag, "early")
            if same_dialog and (not cseq or not call.cseq or call.cseq == cseq):
                return call
        return None

    def account_of_device(self, device_id: str) -> str | None:
        return self._devices.get(device_id)

    def account_of_domain(self, domain: str) -> str | None:
        return self._domains.get(domain.lower())

    def learn(self, device_id: str, account_id: str, domain: str) -> bool:
        """Whose the device and the domain are, by the brain's verdict; True when that was news."""
        news = self._devices.get(device_id) != account_id
        self._devices[device_id] = account_id
        self._domains[domain.lower()] = account_id
        return news

    def asked(self, tm: str, question: Asked) -> None:
        self._asked[tm] = question

    def answered(self, tm: str) -> None:
        self._asked.pop(tm, None)

    def put_call(self, call: Call) -> None:
        known = self._calls.get(call.call_id)
        if known is not None:
            # An event that was overtaken does not make an answered call ring again.
            call = replace(call, since=known.since)
            if known.state == "answered":
                call = replace(call, state="answered")
        self._note(call.call_id)
        self._set_call(call)

    def end_call(self, call_id: str) -> None:
        self._note(call_id)
        self._drop_call(call_id)

    def put_contact(self, account_id: str, contact: ContactState) -> None:
        self._devices[contact.device_id] = account_id
        self._note((contact.device_id, contact.contact))
        self._set_contact(account_id, contact)

    def drop_contact(self, device_id: str, contact: str) -> None:
        """`contact` `*` or empty: all of the device's (RFC 3261 section 10.2.2)."""
        for key in [key for key in self._contacts_of(device_id) if contact in ("", "*", key[1])]:
            self._note(key)
            self._drop_contact(key)

    def begin_rebuild(self) -> None:
        """From now on, what moves is newer than the list that is being fetched."""
        self._moved = set()

    def cancel_rebuild(self) -> None:
        self._moved = None

    def rebuild(self, calls: Iterable[Call], contacts: Iterable[ContactState], settle: float = SETTLE_SEC) -> None:
        """Takes Kamailio's lists as the truth, but for what moved since `begin_rebuild`, and for directives younger
        than `settle` seconds. Contacts of devices whose account is not known are left out until they register again.
        """
        moved, self._moved = self._moved or set(), None
        listed = {call.call_id: call for call in calls}
        settled = self._clock() - settle
        for call in list(self._calls.values()):
            if call.call_id not in listed and call.call_id not in moved and call.since <= settled:
                self._drop_call(call.call_id)
        for call in listed.values():
            known = self._calls.get(call.call_id)
            if call.call_id not in moved:
                self._set_call(call if known is None else replace(call, since=known.since))
        by_key = {(contact.device_id, contact.contact): contact for contact in contacts}
        for key in list(self._contacts):
            if key not in by_key and key not in moved:
                self._drop_contact(key)
        for key, contact in by_key.items():
            account_id = self._devices.get(contact.device_id)
            if account_id is not None and key not in moved:
                self._set_contact(account_id, contact)

    def digests(self) -> dict[str, AccountDigests]:
        """Of every account that had something live since the start (its last digests say that nothing is left)."""
        for account_id in self._dirty:
            self._digests[account_id] = AccountDigests(
                dialogs=digest(self._account_calls.get(account_id, ())),
                contacts=digest(f"{device} {uri}" for device, uri in self._account_contacts.get(account_id, ())),
            )
        self._dirty.clear()
        if len(self._digests) > MAX_DIGESTS:
            self._forget_idle()
        return self._digests

    def snapshot(self, account_id: str) -> Snapshot:
        dialogs = [self._calls[call_id].wire() for call_id in sorted(self._account_calls.get(account_id, ()))]
        dialogs += [
            one.wire()
            for one in self._asked.values()
            if (one.account_id or self._domains.get(one.domain)) == account_id
        ]
        contacts = [self._contacts[key] for key in sorted(self._account_contacts.get(account_id, ()))]
        digests = self.digests().get(account_id) or NOTHING
        return Snapshot(digests, dialogs, contacts)

    def _forget_idle(self) -> None:
        for account_id in list(self._digests):
            if not self._account_calls.get(account_id) and not self._account_contacts.get(account_id):
                del self._digests[account_id]

    def _contacts_of(self, device_id: str) -> list[tuple[str, str]]:
        account_id = self._devices.get(device_id, "")
        return [key for key in self._account_contacts.get(account_id, ()) if key[0] == device_id]

    def _note(self, key: Hashable) -> None:
        if self._moved is not None:
            self._moved.add(key)

    def _set_call(self, call: Call) -> None:
        self._calls[call.call_id] = call
        self._account_calls[call.account_id].add(call.call_id)
        self._dirty.add(call.account_id)

    def _drop_call(self, call_id: str) -> None:
        call = self._calls.pop(call_id, None)
        if call is not None:
            self._account_calls[call.account_id].discard(call_id)
            self._dirty.add(call.account_id)

    def _set_contact(self, account_id: str, contact: ContactState) -> None:
        key = (contact.device_id, contact.contact)
        self._contacts[key] = contact
        self._account_contacts[account_id].add(key)
        self._dirty.add(account_id)

    def _drop_contact(self, key: tuple[str, str]) -> None:
        del self._contacts[key]
        account_id = self._devices.get(key[0], "")
        self._account_contacts[account_id].discard(key)
        self._dirty.add(account_id)
