"""The small parts: back-off, clock, log, configuration, load, Kamailio's lists, messages."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_node.agent import seam
from edge_node.agent.clock import Clock, backoff_sec
from edge_node.agent.config import Address, Config, ConfigError, load, read_credential
from edge_node.agent.kamailio import Kamailio, KamailioError, Rpc, read_contacts, read_dialogs
from edge_node.agent.load import Processors, RtpEngine
from edge_node.agent.log import Log
from edge_node.agent.ng import Ng
from tests.unit.agent.stubs import FakeKamailio, eventually, live_dialog, location

ROOT = Path(__file__).resolve().parents[3]
MINIMAL = {
    "node": "node_1",
    "brain_url": "http://127.0.0.1:1",
    "credential_file": "/nowhere",
    "evapi": {"port": 1},
    "listen": {"port": 0},
    "data": "/nowhere",
}


@settings(deadline=None)
@given(st.integers(1, 10_000), st.sampled_from([0.05, 1.0, 10.0]))
def test_a_pause_keeps_its_bounds(attempt: int, longest: float) -> None:
    ceiling = min(longest, 0.25 * 2 ** min(attempt - 1, 16))
    assert ceiling / 2 - 0.001 <= backoff_sec(attempt, longest) <= ceiling


def test_pauses_are_drawn() -> None:
    assert len({backoff_sec(3, 10.0) for _ in range(20)}) > 1


def test_the_clock_is_set_by_short_round_trips_only() -> None:
    clock = Clock(lambda: 1_000_000)
    assert (clock.now(), clock.known) == (1_000_000, False)
    clock.learn(9_999_999, 1_000_000, 1_000_900)
    clock.learn(9_999_999, 1_000_100, 1_000_000)
    assert not clock.known
    clock.learn(1_005_050, 1_000_000, 1_000_100)
    assert (clock.now(), clock.known) == (1_005_000, True)
    assert clock.translate(900_000) == 905_000


def test_the_clock_prefers_the_better_sample() -> None:
    clock = Clock(lambda: 0)
    clock.learn(90, 0, 160)
    assert clock.offset_ms == 10
    clock.learn(1_004, 1_000, 1_002)
    assert clock.offset_ms == 3, "1 ms of error beats 80"
    clock.learn(2_090, 2_000, 2_160)
    assert clock.offset_ms == 3, "and is not given up for 80"
    clock.learn(200_085, 200_000, 200_160)
    assert clock.offset_ms == 5, "but after minutes it has grown old"
    clock.learn(260_081, 200_000, 200_160)
    assert clock.offset_ms == 60_001, "and a clock that was set is believed"


def test_log_lines() -> None:
    lines: list[dict[str, Any]] = []
    now = [1_700_000_000.5]
    log = Log(lambda line: lines.append(json.loads(line)), "info", lambda: now[0])
    log.debug("not written")
    log.info("hello", call_id="call_1", account_id=None, key="secret", path=Path("/x"))
    assert lines == [
        {
            "at": "2023-11-14T22:13:20.500+00:00",
            "level": "info",
            "message": "hello",
            "call_id": "call_1",
            "key": "[removed]",
            "path": "/x",
        }
    ]
    for _ in range(100):
        log.warning("flood", text="line\nbreak")
    assert len(lines) == 21
    now[0] += 1
    log.error("after")
    assert lines[-2] | {"line": "flood", "count": 80} == lines[-2]
    assert lines[-1]["message"] == "after"


def test_configuration(tmp_path: Path) -> None:
    path = tmp_path / "agent.json"
    path.write_text(json.dumps(MINIMAL | {"listen": {"host": "127.0.0.1", "port": 8085}}))
    config = load(path)
    assert config.decision_timeout == 3.0
    assert config.command_address == "http://127.0.0.1:8085"
    assert config.model_copy(update={"command_url": "https://x"}).command_address == "https://x"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "the file"),
        (json.dumps(MINIMAL | {"brain_ulr": "x"}), "brain_ulr"),
        (json.dumps(MINIMAL | {"brain_url": "http://h/path"}), "brain_url"),
        (json.dumps(MINIMAL | {"evapi": {"port": 70_000}}), "evapi.port"),
        (json.dumps({}), "node"),
    ],
)
def test_a_wrong_configuration_is_one_sentence(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "agent.json"
    path.write_text(text)
    with pytest.raises(ConfigError, match=says):
        load(path)


def test_files_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        load(tmp_path / "none")
    with pytest.raises(ConfigError, match="enrol"):
        read_credential(tmp_path / "none")
    (tmp_path / "empty").write_text("\n")
    with pytest.raises(ConfigError, match="enrol"):
        read_credential(tmp_path / "empty")


def test_the_program_says_what_is_wrong(tmp_path: Path) -> None:
    path = tmp_path / "agent.json"
    path.write_text(json.dumps(MINIMAL))
    done = subprocess.run(
        [sys.executable, "-m", "edge_node.agent", "--config", str(path)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": "worker:."},
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr == "The node's credential /nowhere cannot be read; enrol the node.\n"


def test_processors(tmp_path: Path) -> None:
    stat = tmp_path / "stat"
    stat.write_text("cpu  100 0 100 700 100 0 0 0 0 0\ncpu0 1\n")
    processors = Processors(stat)
    assert processors.busy_percent() == 0.0
    stat.write_text("cpu  130 0 120 740 110 0 0 0 0 0\n")
    assert processors.busy_percent() == 50.0
    stat.write_text("nonsense")
    assert processors.busy_percent() == 0.0


STATISTICS = (
    b"d10:statisticsd17:currentstatisticsd13:sessionstotali%de9:byteratei0eee15:totalstatisticsd6:uptime2:%deee"
)


def test_rtpengine_boot_id_is_steady() -> None:
    engine = RtpEngine(None)
    engine.read(STATISTICS % (4, 10), 1_000_010.2)
    assert (engine.sessions, engine.boot_id, engine.up) == (4, "1000000", True)
    engine.read(STATISTICS % (5, 12), 1_000_013.9)
    assert (engine.sessions, engine.boot_id) == (5, "1000000")
    assert not engine.restarted.is_set()
    engine.read(STATISTICS % (0, 10), 1_000_100.0)
    assert engine.boot_id == "1000090"
    assert engine.restarted.is_set()
    engine.read(b"d6:result5:errore", 1_000_101.0)
    assert (engine.up, engine.boot_id) == (False, "1000090")


class _Ng(asyncio.DatagramProtocol):
    def connection_made(self, transport: asyncio.DatagramTransport) -> None:  # type: ignore[override]  # asyncio's stub
        self.transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        cookie, _, command = data.partition(b" ")
        assert command == b"d7:command10:statisticse"
        self.transport.sendto(b"stray d6:result4:ponge", addr)
        self.transport.sendto(cookie + b" " + STATISTICS % (7, 55), addr)


async def test_rtpengine_is_asked_by_ng() -> None:
    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(_Ng, local_addr=("127.0.0.1", 0))
    async with Ng(Address(port=transport.get_extra_info("sockname")[1])) as ng:
        engine = RtpEngine(ng)
        task = asyncio.create_task(engine.run())
        await eventually(engine.asked.is_set)
        task.cancel()
    transport.close()
    assert (engine.up, engine.sessions) == (True, 7)


def test_dialogs_as_kamailio_lists_them() -> None:
    [call] = read_dialogs([live_dialog("call_1"), live_dialog("x", state=5), {"state": 4}, "nonsense"])
    assert (call.call_id, call.sip_call_id, call.state, call.cseq) == ("call_1", "sip-call_1", "answered", "7")
    [early] = read_dialogs([live_dialog("call_1", state=2) | {"variables": {"call": "c", "account": "a"}}])
    assert (early.call_id, early.state) == ("c", "early")
    assert not list(read_dialogs({"nothing": 1}))


def test_contacts_as_kamailio_lists_them() -> None:
    [contact] = read_contacts(
        location([("dev_1", "sip:a@h", 60), ("dev_2", "sip:b@h", -3), ("1001", "sip:c@h", 9)]), 1_000
    )
    assert (contact.device_id, contact.contact, contact.expires_at) == ("dev_1", "sip:a@h", 61_000)
    assert (contact.transport, contact.path, contact.user_agent) == ("udp", None, "Phone/1.0")
    assert not list(read_contacts(None, 0))
    assert not list(
        read_contacts({"Domains": [{"Domain": {"AoRs": [{"Info": {"AoR": "dev_1", "Contacts": None}}]}}]}, 0)
    )


async def test_rpc_errors_have_one_type(kamailio: FakeKamailio) -> None:
    async with Rpc(f"http://127.0.0.1:{kamailio.rpc_port}/RPC") as rpc:
        assert await Kamailio(rpc).calls() == []
        kamailio.rpc_up = False
        with pytest.raises(KamailioError):
            await Kamailio(rpc).calls()
    async with Rpc("http://127.0.0.1:1/RPC") as rpc:
        with pytest.raises(KamailioError, match=r"dlg\.list"):
            await Kamailio(rpc).calls()


def test_numbers_are_numbers() -> None:
    assert [seam.number(text) for text in ("5", "", "-1", "٣", "9" * 30)] == [5, None, None, None, None]


@settings(deadline=None)
@given(
    st.binary(max_size=300)
    | st.recursive(
        st.none() | st.text() | st.integers(),
        lambda x: st.lists(x) | st.dictionaries(st.sampled_from(["ask", "ev", "tm", "auth64", "kind"]), x),
    ).map(lambda x: json.dumps(x).encode())
)
def test_no_message_breaks_the_decoder(payload: bytes) -> None:
    try:
        seam.decode(payload)
    except seam.MalformedError:
        seam.tm_of(payload)
        seam.event_id_of(payload)


def test_a_question_hides_its_credentials() -> None:
    raw = json.dumps({"ask": "auth", "tm": "1:2", "auth64": "RGlnZXN0IHNlY3JldA=="}).encode()
    question = seam.decode(raw)
    assert isinstance(question, seam.Question)
    assert question.authorization == "Digest secret"
    assert "secret" not in repr(question)


def test_config_is_frozen() -> None:
    with pytest.raises(ValueError, match="frozen"):
        Config.model_validate(MINIMAL).node = "other"  # type: ignore[misc]  # it is frozen
