"""What the terminal shows."""

from __future__ import annotations

from typing import Any

import pytest

from cli import output
from cli.errors import refusal


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("dnd", True, "yes"),
        ("dnd", False, "no"),
        ("label", None, ""),
        ("count", 0, "0"),
        ("start_ts", 1_700_000_000_000, "2023-11-14 22:13:20"),
        ("verified_at", 0, "1970-01-01 00:00:00"),
        ("at", 1_007, "1970-01-01 00:00:01.007"),
        ("ring_timeout_sec", 25, "25"),
        ("scopes", ["users", "*"], '["users", "*"]'),
        ("name", "Zoë", "Zoë"),
    ],
)
def test_a_value_reads_well(name: str, value: Any, shown: str) -> None:
    assert output.cell(name, value) == shown


def test_a_table_has_a_row_for_each_item(capsys: pytest.CaptureFixture[str]) -> None:
    output.show_table(("id", "name"), iter([{"id": "us_1", "name": "[bold]Ann"}, {"id": "us_2"}]))
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["id", "name"]
    assert lines[1].split() == ["us_1", "[bold]Ann"]
    assert lines[2].split() == ["us_2"]


def test_an_empty_list_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    output.show_table(("id",), [])
    assert capsys.readouterr().out == "None.\n"


def test_a_card_leaves_out_what_is_not_set(capsys: pytest.CaptureFixture[str]) -> None:
    output.show_card({"id": "us_1", "label": None, "dnd": False, "scopes": []})
    assert capsys.readouterr().out == "id   us_1\ndnd  no\n"


def test_a_refusal_names_what_is_in_the_way() -> None:
    reply = {
        "ok": False,
        "error": {
            "code": "in_use",
            "message": "The user is in use.",
            "referrers": [{"object": "extensions", "id": "ext_1", "field": "dest_id"}],
            "request_id": "req_1",
        },
    }
    assert refusal(409, reply).format_message().splitlines() == [
        "The user is in use.",
        "  extensions ext_1 (dest_id)",
        "  request req_1",
    ]
    assert "502" in refusal(502, {}).format_message()
