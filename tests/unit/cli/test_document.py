"""Everything that docs/api.md tells people to type at a terminal does what it says."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge_node.local.settings import REPOSITORY
from tandem.api.front import make_front
from tandem.runtime.cpython import clock
from tests.support import seeds
from tests.support.local_brain import LocalBrain
from tests.support.sounds import wav
from tests.unit.cli.brain import BrainTransport, Terminal

DOCUMENT = (REPOSITORY / "docs/api.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", DOCUMENT, re.DOTALL)


@pytest.fixture
def brain() -> Iterator[LocalBrain]:
    started = LocalBrain()
    started.control.connection.execute("UPDATE api_key SET scopes = '*'")
    yield started
    clock.fixed = None


def test_what_is_to_be_typed_works(brain: LocalBrain, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Line by line; `us_…` is the id that was shown last."""
    monkeypatch.chdir(tmp_path)
    (flow,) = blocks("json")
    Path("main.json").write_text(flow)
    Path("welcome.wav").write_bytes(wav())
    transport, before = BrainTransport(make_front(brain.env)), list[str]()
    shown: dict[str, str] = {}
    typed: list[list[str]] = []
    for line in "".join(blocks("sh")).splitlines():
        words = shlex.split(line, comments=True)
        if words[:1] == ["export"]:
            before = ["--account", words[1].removeprefix("TANDEM_ACCOUNT=")]
        elif words[:1] == ["bin/tandem"]:
            named = [shown[word.removesuffix("_…")] if word.endswith("_…") else word for word in words[1:]]
            done = Terminal(transport, seeds.OPERATOR_KEY, *before).run(*named)
            assert done.exit_code == 0, (line, done.output)
            shown |= {found.partition("_")[0]: found for found in re.findall(r"\b[a-z]+_[0-9a-z]{26}\b", done.stdout)}
            typed.append(words[1:3])
    for command in ("import", "validate", "simulate", "publish", "diff", "versions"):
        assert ["flows", command] in typed
    assert ["media", "upload"] in typed


def test_the_flow_of_the_document_does_what_it_says(brain: LocalBrain, tmp_path: Path) -> None:
    (text,) = blocks("json")
    path = tmp_path / "main.json"
    path.write_text(text)
    operator = Terminal(BrainTransport(make_front(brain.env)), seeds.OPERATOR_KEY)
    operator("accounts", "create", "--name", "Example")
    terminal = Terminal(operator.transport, seeds.OPERATOR_KEY, "--account", "Example")
    assert terminal("flows", "import", str(path))["graph"] == json.loads(text)["graph"]
    reply = terminal(
        "flows", "simulate", "main", "--outcome", "digits=1", "--outcome", "no_answer", "--outcome", "done"
    )
    assert [one["node_id"] for one in reply["trace"]][:3] == ["welcome", "ann", "sorry"]
    assert reply["reason"] == "completed"
