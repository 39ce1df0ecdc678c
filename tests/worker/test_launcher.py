"""The local brain as a process: it comes back where it was, and never leaves half of itself behind."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge_node.local.waiting import wait_until
from tests.worker.brain import Brain


@pytest.fixture(scope="module")
def brain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Brain]:
    with Brain(tmp_path_factory.mktemp("launcher"), {"MASTER_KEY": "00" * 32, "TANDEM_VERSION": "launcher"}) as brain:
        yield brain


def test_it_answers_with_the_variables_that_it_was_given(brain: Brain) -> None:
    status, text = brain.get("/healthz")
    assert (status, json.loads(text)["version"]) == (200, "launcher")


def test_triggers_write_the_change_log_in_the_same_batch(brain: Brain) -> None:
    insert = "INSERT INTO account (id, name, created_at) VALUES (?, ?, 0)"
    log = "SELECT table_name, version FROM config_change WHERE account_id = 'acc_log' ORDER BY version"
    *_, logged = brain.d1_batch(
        (insert, ("acc_log", "Acme")),
        ("UPDATE account SET name = 'Acme Ltd' WHERE id = 'acc_log'", ()),
        (log, ()),
    )
    assert logged == [{"table_name": "account", "version": 2}]
    with pytest.raises(ValueError, match="UNIQUE"):
        brain.d1_batch(("UPDATE account SET name = 'Other' WHERE id = 'acc_log'", ()), (insert, ("acc_log", "Acme")))
    assert brain.d1(log) == logged


def test_what_was_written_survives_kill_9(brain: Brain) -> None:
    brain.d1("INSERT INTO account (id, name, created_at) VALUES (?, ?, 0)", "acc_kept", "Kept")
    brain.kill9()
    brain.start()
    assert brain.d1("SELECT name FROM account WHERE id = ?", "acc_kept") == [{"name": "Kept"}]


def test_a_killed_launcher_takes_workerd_with_it(brain: Brain) -> None:
    launcher, workerd = brain.pids()
    os.kill(launcher, signal.SIGKILL)
    wait_until(lambda: not _runs(workerd), 10, "workerd to end")
    brain.restart()
    assert brain.get("/healthz")[0] == 200


def _runs(pid: int) -> bool:
    """Whether the process runs; one that ended and waits to be reaped does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False
