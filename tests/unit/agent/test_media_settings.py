"""Ports and places of the embedded engine."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from edge_node.agent.config import Address
from edge_node.agent.media_engine.base import LegFailedError
from edge_node.agent.media_engine.embedded.settings import EmbeddedSettings

KAMAILIO = Address(port=5060)


def test_two_callers_share_a_process() -> None:
    settings = EmbeddedSettings(KAMAILIO, sip_port=5080, rtp_min=32_000, rtp_max=32_999, callers=5)
    assert settings.processes == 3
    assert settings.sip_ports == range(5080, 5083)


@pytest.mark.parametrize(
    ("changed", "complaint"),
    [
        ({"callers": 0}, "room for one"),
        ({"spare": 0}, "room for one"),
        ({"sip_port": 65_530}, "do not exist"),
        ({"rtp_max": 32_318}, "need 320 RTP ports"),
    ],
)
def test_what_does_not_suffice_is_said(changed: dict[str, Any], complaint: str) -> None:
    settings = EmbeddedSettings(KAMAILIO, sip_port=5080, rtp_min=32_000, rtp_max=32_319)
    with pytest.raises(ValueError, match=complaint):
        replace(settings, **changed)


@pytest.mark.parametrize(
    ("code", "outcome"),
    [(486, "busy"), (600, "busy"), (603, "busy"), (408, "no_answer"), (480, "no_answer"), (487, "no_answer")]
    + [(code, "failed") for code in (302, 401, 404, 488, 500, 503)],
)
def test_what_a_final_code_means(code: int, outcome: str) -> None:
    error = LegFailedError(code)
    assert (error.outcome, error.code) == (outcome, code)
