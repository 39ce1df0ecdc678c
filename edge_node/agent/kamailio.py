"""Kamailio's JSON-RPC interface over HTTP on loopback: what is live, and the end of a call.

Shapes as Kamailio 5.6 prints them: `dlg.list` (modules/dialog), `ul.dump` (modules/usrloc).
"""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final, get_args

import aiohttp

from edge_node.agent.live import Call
from tandem.contracts.auth import Transport
from tandem.contracts.events import ContactState

_TIMEOUT_SEC: Final = 5.0
# dlg states of modules/dialog/dlg_hash.h: 3 and 4 are answered, 5 is over.
_ANSWERED: Final = (3, 4)
_ENDED: Final = 5
# As the route OUR_REASON of Kamailio's configuration reads it back.
_WORD: Final = re.compile(r"[a-z_]{1,40}")
_TRANSPORTS: Final[dict[str, Transport]] = {name: name for name in get_args(Transport)}


class KamailioError(Exception):
    """Kamailio is not there, or does not understand."""


@dataclass(frozen=True, slots=True)
class MediaCall:
    """`entry` and `number` name the dialog to Kamailio; `tags` are the caller's and the callee's, without those of the
    media engine: what it sends is nobody's sign of life, and past whom the audio goes it sends nothing."""

    call_id: str
    sip_call_id: str
    tags: tuple[str, ...]
    entry: int
    number: int


@dataclass(frozen=True, slots=True)
class EngineCall:
    """A call with the media engine on one side; `call.state` tells whether it was answered."""

    call: Call
    entry: int
    number: int


class NotAnsweredError(KamailioError):
    """The call still rings: it is not for `dlg.end_dlg`."""

    def __init__(self, call: Call) -> None:
        super().__init__("the call is not answered yet")
        self.call = call


class Rpc:
    """JSON-RPC 2.0 by HTTP POST. Use as an asynchronous context manager."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Rpc:
        self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=_TIMEOUT_SEC))
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._session is not None:
            await self._session.close()

    async def call(self, method: str, *params: str | int) -> Any:
        """The result. Raises `KamailioError`."""
        assert self._session is not None, "used outside of its context"
        request = {"jsonrpc": "2.0", "id": 1, "method": method, "params": list(params)}
        try:
            async with self._session.post(self._url, json=request) as response:
                reply = await response.json(content_type=None)
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise KamailioError(f"{method}: {error or type(error).__name__}") from error
        if not isinstance(reply, dict) or "result" not in reply:
            error_body = reply.get("error") if isinstance(reply, dict) else None
            raise KamailioError(f"{method}: {error_body or 'not a JSON-RPC reply'}")
        return reply["result"]


class Kamailio:
    def __init__(self, rpc: Rpc) -> None:
        self._rpc = rpc

    async def calls(self) -> list[Call]:
        return list(read_dialogs(await self._rpc.call("dlg.list")))

    async def contacts(self, now_ms: int) -> list[ContactState]:
        """`now_ms` (epoch ms, the brain's clock) dates the seconds that Kamailio says are left."""
        return list(read_contacts(await self._rpc.call("ul.dump"), now_ms))

    async def media_calls(self, before: float) -> list[MediaCall]:
        """The answered calls that began before then (epoch s) and go through rtpengine."""
        return list(read_media_calls(await self._rpc.call("dlg.list"), before))

    async def end_dialog(self, entry: int, number: int, cause: str) -> None:
        """BYE both ways; Kamailio reports the end with this cause (a word of `[a-z_]`). Gone already: nothing."""
        with contextlib.suppress(KamailioError):
            await self._rpc.call("dlg.end_dlg", entry, number, _reason(cause))

    async def engine_calls(self, before: float) -> list[EngineCall]:
        """The calls in the media engine that began before then (epoch s). Raises `KamailioError`."""
        return list(read_engine_calls(await self._rpc.call("dlg.list"), before))

    async def end_call(self, call_id: str, cause: str) -> Call | None:
        """BYE both ways for an answered call; the call as it was, None without one. Raises `KamailioError`. Kamailio
        reports the end with the cause if that is a word of `[a-z_]`.

        One that still rings cannot be ended this way: `tm.cancel` over HTTP releases the transaction once too often
        (t_lookup_callid sets it as the HTTP request's own, 5.6).
        """
        for call, dialog in _dialogs(await self._rpc.call("dlg.list")):
            if call.call_id != call_id:
                continue
            if call.state == "early":
                raise NotAnsweredError(call)
            reason = [_reason(cause)] if _WORD.fullmatch(cause) else []
            await self._rpc.call("dlg.end_dlg", int(dialog["h_entry"]), int(dialog["h_id"]), *reason)
            return call
        return None


def read_dialogs(result: Any) -> Iterator[Call]:
    """The calls in a `dlg.list`: those whose variables carry our ids. The others are none of the platform's."""
    return (call for call, _ in _dialogs(result))


def _dialogs(result: Any) -> Iterator[tuple[Call, dict[str, Any]]]:
    for dialog in result if isinstance(result, list) else []:
        if not isinstance(dialog, dict) or dialog.get("state") == _ENDED:
            continue
        variables = _merged(dialog.get("variables"))
        call_id, account_id = variables.get("call"), variables.get("account")
        if not call_id or not account_id:
            continue
        call = Call(
            call_id=call_id,
            account_id=account_id,
            sip_call_id=str(dialog.get("call-id", "")),
            from_tag=_text(dialog, "caller", "tag"),
            # The INVITE's number, which the script keeps: the dialog's own count goes on.
            cseq=variables.get("cseq", ""),
            state="answered" if dialog.get("state") in _ANSWERED else "early",
            since=time.monotonic(),
        )
        yield call, dialog


def read_engine_calls(result: Any, before: float) -> Iterator[EngineCall]:
    for call, dialog in _dialogs(result):
        variables, began = _merged(dialog.get("variables")), dialog.get("init_ts")
        in_engine = variables.get("engine_a") or variables.get("engine_b")
        if in_engine and isinstance(began, int) and began < before:
            yield EngineCall(call, int(dialog["h_entry"]), int(dialog["h_id"]))


def _reason(cause: str) -> str:
    return f'Reason: SIP;cause=200;text="{cause}"\r\n'


def read_media_calls(result: Any, before: float) -> Iterator[MediaCall]:
    for call, dialog in _dialogs(result):
        started = dialog.get("start_ts")
        relayed = call.state == "answered" and _merged(dialog.get("variables")).get("flags_b")
        if relayed and isinstance(started, int) and started < before:
            engine = _merged(dialog.get("variables"))
            sides = (("caller", "engine_a"), ("callee", "engine_b"))
            tags = tuple(_text(dialog, side, "tag") for side, name in sides if not engine.get(name))
            yield MediaCall(call.call_id, call.sip_call_id, tags, int(dialog["h_entry"]), int(dialog["h_id"]))


def _text(dialog: dict[str, Any], leg: str, name: str) -> str:
    values = dialog.get(leg)
    return str(values.get(name, "")) if isinstance(values, dict) else ""


def read_contacts(result: Any, now_ms: int) -> Iterator[ContactState]:
    """The device contacts in a `ul.dump`; an AOR is `<device id>` or `<device id>@<domain>`."""
    for info in _infos(result):
        device_id = str(info.get("AoR", "")).partition("@")[0]
        for holder in info.get("Contacts") or []:
            contact = holder.get("Contact", holder) if isinstance(holder, dict) else {}
            left = contact.get("Expires")
            # "permanent", "deleted" and "expired" are words, not seconds.
            if not isinstance(left, int) or left <= 0 or not device_id.startswith("dev_"):
                continue
            transport = str(contact.get("Socket", "")).partition(":")[0].lower()
            yield ContactState(
                device_id=device_id,
                contact=str(contact.get("Address", ""))[:1024],
                expires_at=now_ms + left * 1000,
                transport=_TRANSPORTS.get(transport, "udp"),
                user_agent=_set(contact.get("User-Agent")),
                path=_set(contact.get("Path")),
            )


def _infos(result: Any) -> Iterator[dict[str, Any]]:
    domains = result.get("Domains") if isinstance(result, dict) else None
    for holder in domains or []:
        domain = holder.get("Domain", {}) if isinstance(holder, dict) else {}
        for aor in domain.get("AoRs") or []:
            info = aor.get("Info", aor) if isinstance(aor, dict) else None
            if isinstance(info, dict):
                yield info


def _merged(variables: Any) -> dict[str, str]:
    """`[{"a": "1"}, {"b": "2"}]` or `{"a": "1"}`."""
    parts: Iterable[Any] = variables if isinstance(variables, list) else [variables]
    return {str(name): str(value) for part in parts if isinstance(part, dict) for name, value in part.items()}


def _set(value: Any) -> str | None:
    text = str(value or "")
    return None if text in ("", "[not set]", "<null>") else text[:1024]
