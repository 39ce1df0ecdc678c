"""Call records on their way to D1: upserts that a late, older version never undoes (spec 40, "CDR")."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from tandem.domain.calls import Call
from tandem.runtime import Database
from tandem.store.blocks import load

_SQL: Final = load("records")


async def ship(control: Database, account_id: str, calls: Sequence[Call]) -> None:
    """Writes the calls' records; repeating it, in any order, changes nothing."""
    await control.batch(
        [
            (
                _SQL["upsert"],
                (
                    call.call_id,
                    account_id,
                    call.row_version,
                    str(call.direction),
                    call.from_num,
                    call.to_num,
                    call.start_ts,
                    call.answer_ts,
                    call.end_ts,
                    call.duration_sec,
                    call.billsec,
                    int(call.answer_ts is not None),
                    None if call.disposition is None else str(call.disposition),
                    call.hangup_cause,
                    call.hangup_by,
                    call.user_id,
                    call.callee_user_id,
                    call.node_id,
                    call.region,
                    call.mos,
                    call.media_app_total_ms,
                    call.cac_refused_by,
                    call.did_id,
                    call.trunk_id,
                    call.ring_group_id,
                    " ".join(call.limit_warnings) or None,
                ),
            )
            for call in calls
        ]
    )
