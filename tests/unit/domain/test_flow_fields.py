"""What is wrong in a node's own fields."""

from __future__ import annotations

from typing import Any

import pytest

from tandem.domain.flows import Problem
from tests.support.flow_nodes import SPOKEN
from tests.support.flow_problems import of_node


@pytest.mark.parametrize(
    ("data", "fields"),
    [
        ({"kind": "say", "text": "{{"}, ["text"]),
        ({"kind": "menu", "prompt": {"text": "{{"}, "reprompt": {"text": "{{1}}"}}, ["prompt.text", "reprompt.text"]),
        (
            {
                "kind": "condition",
                "rules": [
                    {"variable": "x", "operator": "eq", "value": "{{", "handle": "a"},
                    {"variable": "x", "operator": "matches", "value": "[{]{2}", "handle": "a"},
                ],
            },
            ["rules.0.value"],
        ),
        (
            {
                "kind": "httpRequest",
                "method": "POST",
                "url": "https://x.example/{{",
                "headers": {"A": "{{"},
                "body": "{{",
            },
            ["url", "headers.A", "body"],
        ),
        ({"kind": "dial", "targets": [{"number": "{{"}], "callerId": "{{"}, ["targets.0.number", "callerId"]),
        ({"kind": "transfer", "target": {"number": "{{"}}, ["target.number"]),
        ({"kind": "enqueue", "queueId": "q", "variables": {"v": "{{"}}, ["variables.v"]),
        ({"kind": "conference", "conferenceId": "c", "pin": "{{"}, ["pin"]),
        ({"kind": "subflow", "flowId": "f", "inputs": {"v": "{{"}}, ["inputs.v"]),
    ],
)
def test_bad_templates(data: dict[str, Any], fields: list[str]) -> None:
    assert [(one.code, one.field) for one in of_node(data)] == [("bad_template", field) for field in fields]


@pytest.mark.parametrize(
    ("data", "code", "field", "message"),
    [
        (
            {"kind": "collect", "variable": "v", "prompt": SPOKEN, "regex": "(a"},
            "bad_pattern",
            "regex",
            "This is no regular expression: a group is not closed.",
        ),
        (
            {"kind": "condition", "rules": [{"variable": "x", "operator": "matches", "value": r"\1", "handle": "a"}]},
            "bad_pattern",
            "rules.0.value",
            "This is no regular expression: there is no \\1.",
        ),
        (
            {
                "kind": "setVariable",
                "assignments": [{"variable": "a", "expression": "1"}, {"variable": "b", "expression": "a.b"}],
            },
            "bad_expression",
            "assignments.1.expression",
            "This is no expression: cannot be read from character 2 on.",
        ),
        (
            {"kind": "httpRequest", "url": "ftp://x"},
            "bad_url",
            "url",
            "This cannot be requested: it begins with no http:// or https:// and a host.",
        ),
        (
            {"kind": "httpRequest", "url": "http://192.168.1.7:8080/crm"},
            "bad_url",
            "url",
            "192.168.1.7 is not a public address.",
        ),
        ({"kind": "httpRequest", "url": "https://localhost/"}, "bad_url", "url", "localhost is a local name."),
        (
            {"kind": "httpRequest", "url": "https://x.example", "body": "{}"},
            "bad_body",
            "body",
            "A GET has no body.",
        ),
        (
            {"kind": "dial", "targets": [{"number": "1"}, {"number": " "}]},
            "incomplete",
            "targets.1.number",
            "There is no number to dial.",
        ),
        (
            {"kind": "transfer", "target": {"number": ""}},
            "incomplete",
            "target.number",
            "There is no number to dial.",
        ),
        (
            {"kind": "httpRequest", "url": "http://x.example", "headers": {"Host": "y"}},
            "bad_header",
            "headers.Host",
            "Host: it is not for a flow to set.",
        ),
        (
            {"kind": "collect", "variable": "v", "prompt": SPOKEN, "minDigits": 5, "maxDigits": 4},
            "bad_digits",
            "minDigits",
            "minDigits is above maxDigits.",
        ),
        (
            {"kind": "switch", "variable": "x", "cases": ["1", "1"]},
            "duplicate_case",
            "cases",
            "The case 1 is there twice.",
        ),
        (
            {"kind": "switch", "variable": "x", "cases": ["else"]},
            "duplicate_case",
            "cases",
            "The case else is what no case is for.",
        ),
        (
            {"kind": "conference"},
            "incomplete",
            "conferenceId",
            "A conference has conferenceId or roomVariable.",
        ),
        (
            {"kind": "dial", "targets": [{"number": "1"}], "record": True},
            "not_available",
            "record",
            "Calls cannot be recorded yet.",
        ),
    ],
)
def test_what_is_in_a_node(data: dict[str, Any], code: str, field: str, message: str) -> None:
    assert of_node(data) == [Problem(code, message, node_id="node", field=field)]


@pytest.mark.parametrize(
    "data",
    [
        {"kind": "collect", "variable": "v", "prompt": SPOKEN, "regex": r"\d{4}"},
        {"kind": "conference", "roomVariable": "v"},
        {"kind": "httpRequest", "url": "http://x/{{y}}", "headers": {"X-A": "{{b}}"}},
        {"kind": "httpRequest", "method": "POST", "url": "http://x.example/", "body": ""},
    ],
)
def test_what_is_right_in_a_node(data: dict[str, Any]) -> None:
    assert of_node(data) == []
