"""Call flows, media and traces at the terminal, through the real API of a brain on CPython."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from click.shell_completion import ShellComplete

from cli.app import tandem
from tandem.api.front import make_front
from tandem.runtime.cpython import clock
from tests.support import seeds
from tests.support.flows import document
from tests.support.local_brain import LocalBrain
from tests.support.sounds import MP3, wav
from tests.unit.cli.brain import BrainTransport, Terminal

CALL = f"call_{'0' * 26}"


@pytest.fixture
def brain() -> Iterator[LocalBrain]:
    started = LocalBrain()
    started.control.connection.execute("UPDATE api_key SET scopes = '*'")
    yield started
    clock.fixed = None


@pytest.fixture
def tenant(brain: LocalBrain) -> Terminal:
    operator = Terminal(BrainTransport(make_front(brain.env)), seeds.OPERATOR_KEY)
    account = operator("accounts", "create", "--name", "Example")["id"]
    key = operator("--account", account, "keys", "create", "--name", "own", "--scopes", "*")["key"]
    return Terminal(operator.transport, key)


def menu(text: str = "Press one") -> dict[str, Any]:
    nodes: dict[str, Any] = {"menu": {"kind": "menu", "prompt": {"text": text}}, "bye": {"kind": "hangup"}}
    return document(nodes, {"menu digit:1": "bye", "menu timeout": "bye", "menu invalid": "bye"})


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "main.json"
    path.write_text(json.dumps({"name": "main", "graph": menu()}))
    return path


def test_a_flow_is_imported_published_changed_and_archived(tenant: Terminal, file: Path) -> None:
    made = tenant("flows", "import", str(file))
    assert (made["status"], made["graph"]) == ("draft", menu())
    assert tenant("flows", "validate", "main") == {"ok": True, "valid": True, "problems": []}
    assert tenant("flows", "publish", "main")["version"] == 1
    file.write_text(json.dumps(menu("Press two")))
    again = tenant("flows", "import", str(file), "--name", "main", "--publish")
    assert (again["id"], again["version"]) == (made["id"], 2)
    assert [one["version"] for one in tenant("flows", "versions", "main")] == [2, 1]
    assert [one["name"] for one in tenant("flows", "list")] == ["main"]
    assert tenant("flows", "archive", "main")["status"] == "archived"
    told = tenant.run("flows", "publish", "main")
    assert ("version" in told.stdout, "graph" in told.stdout) == (True, False)


def test_a_flow_is_exported_as_it_was_imported(tenant: Terminal, file: Path, tmp_path: Path) -> None:
    tenant("flows", "import", str(file), "--publish")
    tenant("flows", "update", "main", "--graph", json.dumps(menu("Drücken")))
    assert tenant("flows", "export", "main") == {"name": "main", "graph": menu("Drücken")}
    copy = tmp_path / "copy.json"
    tenant("flows", "export", "main", str(copy), "--version", "1")
    assert json.loads(copy.read_text()) == json.loads(file.read_text())
    tenant("flows", "import", str(copy), "--name", "copy")
    assert tenant("flows", "get", "copy")["graph"] == menu()


@pytest.mark.parametrize(
    ("content", "said"),
    [("{", "not JSON"), ("[]", "JSON object"), ('{"nodes":[]}', "--name"), ('{"graph":1}', "--name")],
)
def test_a_file_that_is_no_flow_is_refused(tenant: Terminal, file: Path, content: str, said: str) -> None:
    file.write_text(content)
    refused = tenant.run("flows", "import", str(file))
    assert (refused.exit_code, said in refused.stderr) == (1, True)
    assert tenant("flows", "list") == []


def test_problems_are_told_with_their_places(tenant: Terminal) -> None:
    graph = menu()
    graph["edges"].pop()
    graph["edges"][0]["target"] = "nowhere"
    tenant("flows", "create", "--name", "main", "--graph", json.dumps(graph))
    told = tenant.run("flows", "validate", "main")
    assert told.exit_code == 1
    assert "edge e0, target: There is no node nowhere." in told.stdout
    assert "node menu: Nothing follows the outcome invalid." in told.stdout
    assert tenant.run("--json", "flows", "validate", "main").exit_code == 1
    refused = tenant.run("flows", "publish", "main")
    assert refused.exit_code == 1
    assert "  node menu: Nothing follows the outcome invalid." in refused.stderr


def test_the_difference_is_told(tenant: Terminal, file: Path) -> None:
    tenant("flows", "import", str(file), "--publish")
    assert "no difference" in tenant.run("flows", "diff", "main").stdout
    graph = menu("Press two")
    graph["nodes"].append({"id": "more", "data": {"kind": "hangup"}})
    graph["start"] = "more"
    graph["edges"].pop()
    tenant("flows", "update", "main", "--graph", json.dumps(graph))
    told = tenant.run("flows", "diff", "main").stdout.splitlines()
    assert told == [
        "1 -> draft",
        "+ node more",
        '~ node menu data.prompt.text: "Press one" -> "Press two"',
        "- edge e2",
        '~ start: "menu" -> "more"',
    ]
    assert tenant("flows", "diff", "main", "--from", "draft", "--to", "1")["nodes"]["removed"] == ["more"]


def test_a_call_is_tried_out(tenant: Terminal, file: Path, tmp_path: Path) -> None:
    tenant("flows", "import", str(file), "--publish")
    asked = ("--from", "+4930901820", "--at", "2026-07-06T10:00:00", "--var", "vip=yes", "--version", "1")
    reply = tenant("flows", "simulate", "main", "--outcome", "menu/digits=7", "--outcome", "digits=1", *asked)
    assert [one["outcome"] for one in reply["trace"]][:2] == ["invalid", "digit:1"]
    assert [one["digits"] for one in reply["trace"] if one["digits"]] == ["7", "1"]
    told = tenant.run("flows", "simulate", "main", "--outcome", "digits=1").stdout.splitlines()
    assert told[0].split()[:3] == ["node_id", "kind", "outcome"]
    assert told[-1] == "  => completed"
    assert tenant.run("flows", "simulate", "main").stdout.splitlines()[-1] == "  => waits for the outcome of gather"
    script = tmp_path / "script.json"
    script.write_text(json.dumps({"outcomes": [{"outcome": "timeout"}] * 3}))
    reply = tenant("flows", "simulate", "main", "--script", str(script))
    assert reply["reason"] == "completed"
    assert "NAME=VALUE" in tenant.run("flows", "simulate", "main", "--var", "vip").stderr


def test_a_sound_file_is_uploaded_and_downloaded(tenant: Terminal, tmp_path: Path) -> None:
    path = tmp_path / "welcome.wav"
    path.write_bytes(wav(250))
    made = tenant("media", "upload", str(path), "--kind", "announcement")
    assert (made["name"], made["kind"], made["format"], made["duration_ms"]) == ("welcome", "announcement", "wav", 250)
    path.write_bytes(wav(500))
    assert tenant("media", "upload", str(path))["duration_ms"] == 500
    song = tmp_path / "song.MP3"
    song.write_bytes(MP3)
    by_id = tenant("media", "upload", str(song), "--name", made["id"])
    assert (by_id["id"], by_id["format"]) == (made["id"], "mp3")
    assert len(tenant("media", "list")) == 1
    copy = tmp_path / "copy.mp3"
    tenant("media", "download", "welcome", str(copy))
    assert copy.read_bytes() == MP3


def test_what_is_no_sound_is_refused(tenant: Terminal, tmp_path: Path) -> None:
    path = tmp_path / "song.wav"
    path.write_bytes(MP3)
    refused = tenant.run("media", "upload", str(path))
    assert (refused.exit_code, "is mp3" in refused.stderr) == (1, True)
    text = tmp_path / "notes.txt"
    text.write_text("x")
    assert ".wav" in tenant.run("media", "upload", str(text)).stderr
    missing = tenant.run("media", "download", "song", str(tmp_path / "copy"))
    assert (missing.exit_code, "no content" in missing.stderr) == (1, True)
    assert not (tmp_path / "copy").exists()


def test_a_trace_is_shown_step_by_step(brain: LocalBrain, tenant: Terminal) -> None:
    account = tenant("accounts", "list")[0]["id"]
    brain.write(
        [
            (
                "INSERT INTO call_cdr (call_id, account_id, row_version, direction, from_num, to_num, start_ts)"
                " VALUES (?, ?, 1, 'inbound', '1', '2', 5)",
                (CALL, account),
            ),
            *(
                (
                    "INSERT INTO call_trace VALUES (?, ?, 'flow', ?, ?, 'menu', 'hello', ?)",
                    (account, CALL, seq, seq * 1_000, json.dumps({"outcome": f"digit:{seq}"})),
                )
                for seq in range(1, 252)
            ),
        ]
    )
    assert [one["seq"] for one in tenant("calls", "trace", CALL)] == list(range(1, 252))
    assert len(tenant("calls", "trace", CALL, "--limit", "3")) == 3
    told = tenant.run("calls", "trace", CALL, "--limit", "1").stdout.splitlines()
    assert told[0].split() == ["at", "source", "seq", "kind", "node_id", "data"]
    assert "digit:1" in told[1]
    assert tenant.run("calls", "trace", "call_x").exit_code == 1


def test_names_are_completed(tenant: Terminal, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tenant("flows", "import", str(file))
    client = httpx.Client
    monkeypatch.setattr("cli.client.httpx.Client", lambda **how: client(**{**how, "transport": tenant.transport}))
    complete = ShellComplete(tandem, {}, "tandem", "_TANDEM_COMPLETE")
    words = [*tenant.before, "flows"]
    commands = {one.value for one in complete.get_completions(words, "")}
    assert {"validate", "publish", "archive", "versions", "diff", "simulate", "import", "export"} <= commands
    for command in ("publish", "diff", "simulate", "export"):
        assert [one.value for one in complete.get_completions([*words, command], "m")] == ["main"]
