"""`make down` and `make clean` with two nodes: what they stop, and what they leave, under the real supervisor."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from edge_node.local.__main__ import main
from edge_node.local.settings import Settings, load
from edge_node.local.supervise import Program, Supervisor
from edge_node.local.waiting import wait_until

SLEEPER = [Program("kamailio", ["sleep", "1000"])]


class Machine:
    """Two nodes of one installation; a program that only sleeps stands for the parts of each."""

    def __init__(self, state: Path) -> None:
        self.nodes = [load({"TANDEM_STATE": str(state), "TANDEM_NODE": str(number)}) for number in (1, 2)]
        self.supervisors = [Supervisor(node) for node in self.nodes]
        for node in self.nodes:
            (node.node_state / "run").mkdir(parents=True)
        self.nodes[0].secrets.mkdir()
        (self.nodes[0].secrets / "node2.json").write_text("{}")
        for supervisor in self.supervisors:
            supervisor.start(SLEEPER)
            wait_until(lambda it=supervisor: it.log_file("kamailio").exists(), 10, "a log")  # type: ignore[misc]  # mypy cannot infer a lambda's default

    @property
    def running(self) -> list[bool]:
        return [supervisor.is_running() for supervisor in self.supervisors]

    def logs(self, node: int) -> Path:
        return self.supervisors[node - 1].log_file("kamailio").parent


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Machine]:
    state = tmp_path / "state"
    monkeypatch.setenv("TANDEM_STATE", str(state))
    monkeypatch.delenv("TANDEM_NODE", raising=False)
    found = Machine(state)
    try:
        yield found
    finally:
        for supervisor in found.supervisors:
            supervisor.stop()


def _pids(settings: Settings) -> list[int]:
    return [state.pid for state in Supervisor(settings).states().values()]


def _lives(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


def test_down_stops_both_nodes(machine: Machine) -> None:
    pids = [pid for node in machine.nodes for pid in _pids(node)]
    assert main(["down"]) == 0
    assert machine.running == [False, False]
    assert not any(map(_lives, pids))
    assert [node.node_state.exists() for node in machine.nodes] == [True, True]
    assert main(["down"]) == 0


def test_down_of_the_second_node_stops_it_alone(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TANDEM_NODE", "2")
    assert main(["down"]) == 0
    assert machine.running == [True, False]


def test_clean_leaves_nothing_of_either_node(machine: Machine) -> None:
    pids = [pid for node in machine.nodes for pid in _pids(node)]
    assert main(["clean"]) == 0
    assert not any(map(_lives, pids))
    assert not machine.nodes[0].state.exists()


def test_clean_of_the_second_node_leaves_the_first(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    before = _pids(machine.nodes[0])
    monkeypatch.setenv("TANDEM_NODE", "2")
    assert main(["clean"]) == 0
    assert machine.running == [True, False]
    assert _pids(machine.nodes[0]) == before
    assert [node.node_state.exists() for node in machine.nodes] == [True, False]
    assert (machine.logs(1).exists(), machine.logs(2).exists()) == (True, False)
    assert (machine.nodes[0].secrets / "node2.json").exists(), "the second node can come back"
