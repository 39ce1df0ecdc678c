"""SIPp on both ends of the edge: methods and orders that a phone would not choose, each to its very last message."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.installation import Installation
from tests.edge import sipp
from tests.edge.raw_sip import LOOPBACK

Edge = tuple[str, int]


@pytest.fixture
def edge(tandem: Installation) -> Edge:
    return LOOPBACK, tandem.settings.sip_port


@pytest.fixture
def account(tandem: Installation) -> Callable[..., sipp.Account]:
    """`account("1001", "1002")`: Acme's 1001, calling 1002."""

    def account_(extension: str, calls: str = "") -> sipp.Account:
        user = tandem.user(extension)
        return sipp.Account(user["auth_username"], user["password"], tandem.account()["domain"], calls)

    return account_


@pytest.mark.parametrize(
    ("callee", "caller"),
    [
        ("uas_answer", "uac_call"),
        ("uas_answer", "uac_late_offer"),
        ("uas_answer", "uac_hold"),
        ("uas_answer", "uac_update"),
        ("uas_answer", "uac_bye_twice"),
        ("uas_answer", "uac_retransmit_invite"),
        ("uas_answer", "uac_reused_call_id"),
        ("uas_hangup", "uac_call_ended_by_callee"),
        ("uas_no_answer", "uac_cancel"),
    ],
)
def test_both_ends_see_the_whole_call(
    edge: Edge, account: Callable[..., sipp.Account], tmp_path: Path, callee: str, caller: str
) -> None:
    with (
        sipp.registered(account("1002"), edge) as port,
        sipp.start(callee, edge=edge, folder=tmp_path, port=port) as called,
    ):
        calling = sipp.run(caller, edge=edge, folder=tmp_path, callers=[account("1001", "1002")], timeout=15)
        assert calling.clean, calling.errors
        answered = called.wait(15)
    assert answered.clean, answered.errors


def test_busy_reaches_the_caller(edge: Edge, account: Callable[..., sipp.Account], tmp_path: Path) -> None:
    with (
        sipp.registered(account("1002"), edge) as port,
        sipp.start("uas_busy", edge=edge, folder=tmp_path, port=port) as called,
    ):
        calling = sipp.run("uac_refused", edge=edge, folder=tmp_path, callers=[account("1001", "1002")], timeout=15)
        assert called.wait(15).clean
    assert calling.clean, calling.errors
    assert re.search(r"^refused SIP/2\.0 486 ", calling.log, re.MULTILINE)


def test_registration(edge: Edge, account: Callable[..., sipp.Account], tmp_path: Path) -> None:
    result = sipp.run("uac_register", edge=edge, folder=tmp_path, callers=[account("1002")], timeout=10)
    assert result.clean, result.errors
