"""Calls whose media is gone end by themselves."""

from __future__ import annotations

from tests.e2e.conftest import Open
from tests.e2e.installation import Installation
from tests.e2e.phones import Phones


def test_a_relay_that_restarted_has_lost_the_calls(open_phone: Open, phones: Phones, tandem: Installation) -> None:
    """They end with their cause instead of staying silent; the next call is heard."""
    caller, callee = open_phone("1001"), open_phone("1002")
    phones.connect(caller, callee)
    phones.converse(caller, callee)
    tandem.kill("rtpengine")
    caller.wait_for("ended", 45)
    callee.wait_for("ended", 5)
    record = tandem.wait_record(lambda one: one["answered"] == 1 and one["end_ts"] is not None)
    assert (record["hangup_cause"], record["hangup_by"]) == ("no_media", "platform")
    phones.connect(caller, callee)
    phones.converse(caller, callee)
    caller.hang_up()
    callee.wait_for("ended", 5)
