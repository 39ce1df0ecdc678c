"""The httpRequest node."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from tandem.domain.flows import Fetch
from tandem.domain.flows.commands import Answer, HangUp
from tandem.domain.flows.web import LARGEST_BODY, header_problem, url_problem
from tests.support.flows import Run, facts, graph

END = {"kind": "hangup"}
VARS = {"name": 'A&"B"\r\nX: y', "pin": "12"}


def run_of(**fields: Any) -> Run:
    nodes: dict[str, Mapping[str, Any]] = {"node": {"kind": "httpRequest", "url": "https://crm.example/x", **fields}}
    edges = {}
    for outcome in ("success", "error", "timeout"):
        nodes[outcome] = END
        edges[f"node {outcome}"] = outcome
    return Run(facts(graph(nodes, edges), vars=VARS))


def fetch_of(**fields: Any) -> Fetch:
    fetch = run_of(**fields).start()
    assert isinstance(fetch, Fetch)
    return fetch


def test_what_is_asked() -> None:
    fetch = fetch_of(method="PUT", headers={"X-Name": "{{name}}!"}, timeoutMs=1_500)
    assert (fetch.method, fetch.url, fetch.body, fetch.timeout_ms) == ("PUT", "https://crm.example/x", None, 1_500)
    assert fetch.headers == (("X-Name", 'A&"B"X: y!'),)


def test_no_value_leaves_its_place_in_the_url() -> None:
    url = "https://crm.example/{{pin}}/?name={{name}}&x=1"
    assert fetch_of(url=url).url == "https://crm.example/12/?name=A%26%22B%22%0D%0AX%3A%20y&x=1"


@pytest.mark.parametrize(
    ("headers", "body", "expected"),
    [
        ({}, '{"n":"{{name}}"}', '{"n":"A&\\"B\\"\\r\\nX: y"}'),
        ({"content-type": "application/vnd.x+json"}, '["{{name}}"]', '["A&\\"B\\"\\r\\nX: y"]'),
        ({"Content-Type": "application/x-www-form-urlencoded"}, "n={{name}}", "n=A%26%22B%22%0D%0AX%3A%20y"),
        ({"Content-Type": "text/plain"}, "{{name}}", VARS["name"]),
    ],
)
def test_values_are_escaped_for_the_body(headers: dict[str, str], body: str, expected: str) -> None:
    fetch = fetch_of(method="POST", headers=headers, body=body)
    assert fetch.body == expected
    assert fetch.headers == (tuple(headers.items()) or (("Content-Type", "application/json"),))


def save(*pairs: tuple[str, str], secret: bool = False) -> list[dict[str, Any]]:
    return [{"variable": name, "path": path, "secret": secret} for name, path in pairs]


BODY = json.dumps(
    {"a": {"b": [1, {"c": "deep"}]}, "t": True, "n": None, "f": 1.5, "l": [1, 2], "\ud800": 0, "s": "\ud800"}
)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("status", 201),
        ("a.b.0", 1),
        ("a.b.1.c", "deep"),
        ("a.b.2", ""),
        ("a.b.-1", ""),
        ("a.b.999999", ""),
        ("a.x.y", ""),
        ("f.x", ""),
        ("t", True),
        ("n", ""),
        ("f", 1.5),
        ("l", "[1,2]"),
        ("a", '{"b":[1,{"c":"deep"}]}'),
        ("s", "?"),
    ],
)
def test_what_is_saved(path: str, expected: object) -> None:
    run = run_of(save=save(("x", path)))
    run.start()
    assert run.fetched(201, BODY) == HangUp()
    assert run.outcomes[0] == ("node", "success")
    assert run.variables["x"] == expected
    assert run.trace[0].variables == {"x": expected}


def test_a_secret_of_the_reply() -> None:
    run = run_of(save=save(("x", "f"), ("y", "status"), secret=True))
    run.start()
    run.fetched(200, BODY)
    assert run.trace[0].variables == {"x": "***", "y": "***"}
    assert run.session.top.secrets == {"x", "y"}


def test_a_reply_that_nothing_is_saved_of_need_not_be_json() -> None:
    run = run_of(save=save(("x", "status")))
    run.start()
    run.fetched(204, "<html>")
    assert run.outcomes[0] == ("node", "success")


@pytest.mark.parametrize(
    ("reply", "outcome", "message"),
    [
        ({"status": 404, "body": BODY}, "error", "the server answered 404"),
        ({"status": 302}, "error", "the server answered 302"),
        ({"error": "no address"}, "error", "no address"),
        ({"timed_out": True}, "timeout", "the server took too long"),
        ({"timed_out": True, "error": "5 s"}, "timeout", "5 s"),
        ({"body": ""}, "error", "the reply is no JSON"),
        ({"body": "<html>"}, "error", "the reply is no JSON"),
        ({"body": "9" * 5_000}, "error", "the reply is no JSON"),
        ({"body": "[" * 51}, "error", "the reply is nested too deep"),
        ({"body": "[]" + " " * LARGEST_BODY}, "error", "the reply has more than 65536 characters"),
        ({"body": '{"f": NaN}'}, "error", "a number is out of range"),
        ({"body": '{"f": 1e400}'}, "error", "a number is out of range"),
        ({"body": '{"f": 9999999999999999}'}, "error", "a number is out of range"),
        ({"body": json.dumps({"f": "x" * 4_097})}, "error", "a text has more than 4096 characters"),
        ({"body": json.dumps({"f": ["x" * 4_097]})}, "error", "what is to be saved is too long"),
    ],
)
def test_a_hostile_reply(reply: dict[str, Any], outcome: str, message: str) -> None:
    run = run_of(save=save(("x", "f")))
    run.start()
    assert run.fetched(**reply) == HangUp()
    assert (run.trace[0].outcome, run.trace[0].error) == (outcome, message)
    assert "x" not in run.variables


def test_brackets_that_close_may_be_many() -> None:
    run = run_of(save=save(("x", "99")))
    run.start()
    run.fetched(200, json.dumps([[] for _ in range(100)]))
    assert run.variables["x"] == "[]"


def test_the_status_of_a_failure_is_saved() -> None:
    run = run_of(save=save(("x", "f"), ("code", "status")))
    run.start()
    run.fetched(503, BODY)
    assert run.outcomes[0] == ("node", "error")
    assert run.variables["code"] == 503
    assert "x" not in run.variables


def test_a_request_that_becomes_too_long() -> None:
    nodes: dict[str, Mapping[str, Any]] = {
        "set": {"kind": "setVariable", "assignments": [{"variable": "x", "expression": f"'{'%' * 900}'"}]},
        "node": {"kind": "httpRequest", "url": "https://crm.example/{{x}}{{x}}"},
    }
    run = Run(facts(graph(nodes, {"set": "node"})))
    assert run.start() == Answer()
    assert run.trace[-1].error == "a filled template has more than 4096 characters"


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("https://crm.example/{{x}}?y={{z}}", None),
        ("http://10.0.0.1:8080", None),
        ("https://[2001:db8::1]/", None),
        ("ftp://x/", "it begins with no http:// or https:// and a host"),
        ("https:///x", "it begins with no http:// or https:// and a host"),
        ("/x", "it begins with no http:// or https:// and a host"),
        ("{{url}}", "it begins with no http:// or https:// and a host"),
        ("https://{{host}}/", "its host cannot be a variable"),
        ("https://a{{x}}.example/", "its host cannot be a variable"),
        ("https://user:secret@x/", "it has a user name in it; use a header"),
        ("https://[x/", "it is no URL"),
        ("https://x:y/", "it is no URL"),
    ],
)
def test_urls(url: str, problem: str | None) -> None:
    assert url_problem(url) == problem


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("Authorization", None),
        ("X y", "it is no name of a header"),
        ("", "it is no name of a header"),
        ("Host", "it is not for a flow to set"),
        ("content-length", "it is not for a flow to set"),
    ],
)
def test_headers(name: str, problem: str | None) -> None:
    assert header_problem(name) == problem
