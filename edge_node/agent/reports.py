"""What happened on the node, as the brain's events: Kamailio's reports, and what became of decisions."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable, Mapping
from typing import Any, Final, Literal

from pydantic import ValidationError

from edge_node.agent import seam
from edge_node.agent.clock import Clock
from edge_node.agent.events import EventBuffer
from edge_node.agent.live import Call, Live
from edge_node.agent.log import Log
from edge_node.agent.metrics import Metrics
from edge_node.agent.questions import domain_of
from edge_node.agent.seam import MalformedError, Question, Report
from edge_node.agent.sip_text import SipTextError, parse_uri
from edge_node.agent.store import Store
from tandem.contracts.events import ContactState, DialogEvent, LegStats, MediaEvent, RegisterEvent, SnapshotEvent
from tandem.contracts.ids import RANDOM_BYTES, new_id

# Kamailio numbers the steps of a call by their kind: start 0, early 1, answer 2, end and failed 3.
_LAST_SEQ: Final = 3
MediaState = Literal["held", "released", "ended"]
_REMEMBER: Final = (
    "INSERT INTO device (device_id, account_id, domain) VALUES (?, ?, ?)"
    " ON CONFLICT (device_id) DO UPDATE SET account_id = excluded.account_id, domain = excluded.domain"
)


class _NobodysError(Exception):
    """The event concerns no account that this node ever served."""


class Reports:
    """Moves the live view and fills the event buffer, in the same breath, so that both tell one story."""

    def __init__(
        self, node: str, live: Live, buffer: EventBuffer, store: Store, clock: Clock, metrics: Metrics, log: Log
    ) -> None:
        self._node = node
        self._live = live
        self._buffer = buffer
        self._store = store
        self._clock = clock
        self._metrics = metrics
        self._log = log

    async def open(self) -> None:
        """Recalls whose the devices are."""
        rows = await self._store.run(
            lambda db: db.execute("SELECT device_id, account_id, domain FROM device").fetchall()
        )
        for device_id, account_id, domain in rows:
            self._live.learn(device_id, account_id, domain)

    def learned(self, device_id: str, account_id: str, domain: str) -> None:
        if self._live.learn(device_id, account_id, domain):
            remembered = self._store.run(lambda db: db.execute(_REMEMBER, (device_id, account_id, domain)).rowcount)
            remembered.add_done_callback(lambda done: self._check_write(done.exception()))

    def not_executed(self, question: Question, call_id: str | None, account_id: str | None, cause: str) -> None:
        """The brain may have admitted a call that this node never set up: it must let go of it."""
        account = account_id or question.our_account_id or self._live.account_of_domain(domain_of(question))
        call_id = call_id or question.leg_id or None
        self._log.warning("call not executed", call_id=call_id, account_id=account, cause=cause)
        if account is None:
            # Nobody of that domain was ever let in through this node: the call's lease is what ends it.
            return
        identity = (question.call_id, question.from_tag, question.cseq)
        self._over(account, call_id, identity, "failed", cause)

    def ended_by_command(self, call: Call, cause: str) -> None:
        """An answered call that the platform ended; a later report of Kamailio's says the same again."""
        self._live.end_call(call.call_id)
        self._over(call.account_id, call.call_id, (call.sip_call_id, call.from_tag, call.cseq), "end", cause)

    def media(self, call_id: str, account_id: str, state: MediaState, media_app_ms: int) -> None:
        """What the media engine has to do with a call; `media_app_ms` so far."""
        event = MediaEvent(
            event_id=self._new_id(),
            account_id=account_id,
            at=self._clock.now(),
            call_id=call_id,
            state=state,
            media_app_ms=media_app_ms,
        )
        self._buffer.add(event)

    def _over(
        self,
        account_id: str,
        call_id: str | None,
        identity: tuple[str, str, str],
        state: Literal["end", "failed"],
        cause: str,
    ) -> None:
        event = DialogEvent(
            event_id=self._new_id(),
            account_id=account_id,
            at=self._clock.now(),
            call_id=call_id,
            sip_call_id=identity[0],
            from_tag=identity[1],
            cseq=identity[2] or None,
            seq=_LAST_SEQ,
            state=state,
            cause=cause,
            hung_up_by="platform",
        )
        self._buffer.add(event)

    def snapshot(self, account_id: str) -> None:
        now = self._clock.now()
        live = self._live.snapshot(account_id)
        event = SnapshotEvent(
            event_id=self._new_id(),
            account_id=account_id,
            at=now,
            as_of=now,
            digests=live.digests,
            dialogs=live.dialogs,
            contacts=live.contacts,
        )
        self._buffer.add(event)

    def take(self, report: Report, acknowledge: Callable[[], None]) -> None:
        """`acknowledge` is called when the event is on disk, or is nobody's. Raises `MalformedError`."""
        try:
            event = self._dialog(report) if report.kind == "dialog" else self._register(report)
        except _NobodysError as error:
            self._log.info("event of no account", event_id=report.id, kind=report.kind, because=str(error))
            acknowledge()
            return
        except (ValidationError, KeyError) as error:
            raise MalformedError(f"event {report.id}: {_where(error)}") from error
        self._buffer.add(event, acknowledge)

    def _dialog(self, report: Report) -> DialogEvent:
        """A call that failed before Kamailio had its ids is known by its SIP identifiers, or at least by its domain."""
        values = report.values
        sip_ids = values.get("callid", ""), values.get("ftag", ""), values.get("cseq", "")
        call_id = values.get("call", "")
        known = self._live.call(call_id) if call_id else self._live.find_call(*sip_ids)
        if known is not None:
            call_id = known.call_id
        account_id = values.get("account") or (known.account_id if known else _account_of(values, self._live))
        event = DialogEvent.model_validate(
            {
                **self._base(report, account_id),
                "call_id": call_id or None,
                "sip_call_id": sip_ids[0] or (known.sip_call_id if known else ""),
                "from_tag": sip_ids[1] or (known.from_tag if known else ""),
                "cseq": sip_ids[2] or (known.cseq if known else None) or None,
                "seq": seam.number(values.get("seq", "")) or 0,
                "state": values["state"],
                "cause": values.get("cause") or None,
                "target": values.get("target") or None,
                "hung_up_by": values.get("by") or None,
                "stats": _stats(values),
            }
        )
        if event.state in ("end", "failed"):
            self._live.end_call(call_id)
        elif call_id:
            self._live.put_call(
                Call(
                    call_id,
                    event.account_id,
                    event.sip_call_id,
                    event.from_tag,
                    event.cseq or "",
                    "answered" if event.state == "answer" else "early",
                    time.monotonic(),
                )
            )
        return event

    def _register(self, report: Report) -> RegisterEvent:
        values = report.values
        device_id = values["device"]
        account_id = values.get("account") or self._live.account_of_device(device_id) or ""
        expires = seam.number(values.get("expires", "")) or 0
        event = RegisterEvent.model_validate(
            {
                **self._base(report, account_id),
                "state": values["state"],
                "device_id": device_id,
                "contact": values.get("contact", ""),
                "expires_at": self._clock.translate(expires * 1000),
                "transport": values.get("proto", "").lower() or "udp",
                "user_agent": values.get("ua") or None,
                "path": values.get("path") or None,
                "source_ip": values.get("src") or None,
                "source_port": seam.number(values.get("sport", "")),
            }
        )
        if event.state in ("added", "refreshed"):
            self._live.put_contact(account_id, ContactState.model_validate(event.model_dump(exclude={"state"})))
        else:
            self._live.drop_contact(device_id, event.contact)
        return event

    def _base(self, report: Report, account_id: str) -> dict[str, Any]:
        if not account_id:
            raise _NobodysError("no account is known for it")
        at = self._clock.now() if report.at is None else self._clock.translate(report.at)
        # Kamailio's ids are unique on their node only.
        return {"event_id": f"{self._node}:{report.id}", "account_id": account_id, "at": at}

    def _new_id(self) -> str:
        return new_id("ev", self._clock.local(), os.urandom(RANDOM_BYTES))

    def _check_write(self, error: BaseException | None) -> None:
        if isinstance(error, sqlite3.Error):
            self._log.error("device not remembered", error=str(error))


def _account_of(values: Mapping[str, str], live: Live) -> str:
    """By the domain of the From URI (`fromu`), where Kamailio gives it."""
    try:
        return live.account_of_domain(parse_uri(values.get("fromu", "")).host) or ""
    except SipTextError:
        return ""


def _stats(values: Mapping[str, str]) -> LegStats | None:
    found: dict[str, float] = {}
    for name in ("mos", "jitter", "loss"):
        try:
            found[name] = float(values[name])
        except (KeyError, ValueError):
            continue
    return LegStats(**found) if found else None


def _where(error: ValidationError | KeyError) -> str:
    if isinstance(error, ValidationError):
        first = error.errors(include_url=False, include_input=False)[0]
        return f"{first['loc']}: {first['msg']}"
    return f"no {error.args[0]}"
