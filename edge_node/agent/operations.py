"""What a node can be told to do: `ping`, `reconcile`, `hangup`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from edge_node.agent import seam
from edge_node.agent.clock import Clock
from edge_node.agent.commands import Operation, OperationError
from edge_node.agent.config import Config
from edge_node.agent.decisions import Decisions
from edge_node.agent.evapi import Evapi
from edge_node.agent.heartbeat import Heartbeat
from edge_node.agent.kamailio import Kamailio, KamailioError, NotAnsweredError
from edge_node.agent.live import Live
from edge_node.agent.rebuild import Rebuilder
from edge_node.agent.reports import Reports
from tandem.contracts.commands import ReconcileResult


class Operations:
    def __init__(
        self,
        config: Config,
        live: Live,
        rebuilder: Rebuilder,
        kamailio: Kamailio | None,
        heartbeat: Heartbeat,
        reports: Reports,
        decisions: Decisions,
        evapi: Evapi,
        clock: Clock,
    ) -> None:
        self._config = config
        self._live = live
        self._rebuilder = rebuilder
        self._kamailio = kamailio
        self._heartbeat = heartbeat
        self._reports = reports
        self._decisions = decisions
        self._evapi = evapi
        self._clock = clock

    def table(self) -> Mapping[str, Operation]:
        return {"ping": self.ping, "reconcile": self.reconcile, "hangup": self.hangup}

    async def ping(self, _: dict[str, Any]) -> dict[str, Any]:
        """`{node, version, now, boot_ids}`."""
        boot_ids = self._heartbeat.boot_ids().model_dump()
        config = self._config
        return {"node": config.node, "version": config.version, "now": self._clock.now(), "boot_ids": boot_ids}

    async def reconcile(self, args: dict[str, Any]) -> dict[str, Any]:
        """With `account_id`, what is live for it (`ReconcileResult`); without, the node says hello again."""
        try:
            await self._rebuilder.now()
        except KamailioError as error:
            raise OperationError("kamailio_unavailable", f"Kamailio did not list its calls: {error}") from error
        account_id = args.get("account_id")
        if account_id is None:
            self._heartbeat.hello_soon()
            return {"calls": self._live.calls, "contacts": self._live.contacts}
        live = self._live.snapshot(_text(account_id, "account_id"))
        result = ReconcileResult(
            as_of=self._clock.now(), digests=live.digests, dialogs=live.dialogs, contacts=live.contacts
        )
        return result.model_dump(by_alias=True, exclude_none=True)

    async def hangup(self, args: dict[str, Any]) -> dict[str, Any]:
        """Ends an answered call by BYE both ways, one that rings by CANCEL. One that is not live is a success:
        `{"live": false}`.

        The end of an answered one is told here: Kamailio's own event is lost when both BYEs are answered before
        `dlg.end_dlg` has returned (dlg_bye_all of its dialog module reads the state too late). Two ends do no harm.
        """
        call_id, cause = _text(args.get("call_id"), "call_id"), _text(args.get("cause", "command"), "cause")
        if self._kamailio is None:
            raise OperationError("kamailio_unavailable", "This node has no JSON-RPC to Kamailio.")
        try:
            call = await self._kamailio.end_call(call_id, cause)
        except NotAnsweredError as error:
            ringing = error.call
            self._evapi.send(seam.hangup(ringing.sip_call_id, ringing.from_tag, ringing.cseq, cause))
            self._decisions.staggered.nudge(call_id)
            return {"live": True}
        except KamailioError as error:
            raise OperationError("kamailio_refused", f"Kamailio did not end the call: {error}") from error
        if call is None:
            return {"live": False}
        self._reports.ended_by_command(call, cause)
        return {"live": True}


def _text(value: object, name: str) -> str:
    if not isinstance(value, str) or not value:
        raise OperationError("invalid_request", f"{name} must be given as text.")
    return value
