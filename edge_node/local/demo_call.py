"""The demo calls with real phones: 1001 calls 1002; 1002 calls the main flow, which connects him with 1001.

Each must hear the other's tone, and both calls must be on record.
"""

from __future__ import annotations

import json
import sqlite3
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Any

from edge_node.local import audio
from edge_node.local.demo_data import MAIN_FLOW
from edge_node.local.phone import Phone
from edge_node.local.settings import Settings
from edge_node.local.waiting import wait_until

CALLER_HZ = 440
CALLEE_HZ = 1000
TALK_SEC = 2.0
GREETING_SEC = 1.5


class DemoError(Exception):
    """The demo call did not do what it shows; the message says which step."""


def was_heard(settings: Settings) -> bool:
    return (settings.state / "demo-call.json").is_file()


def place(settings: Settings, demo: dict[str, Any]) -> None:
    """Places both calls and prints each step. Raises `DemoError`."""
    account = demo["accounts"][0]
    first, second = account["users"][0], account["users"][1]
    with (
        tempfile.TemporaryDirectory(prefix="tandem-demo-") as name,
        _phone(first, account, demo) as alice,
        _phone(second, account, demo) as bob,
    ):
        print(f"Demo call: {account['name']} {first['extension']} calls {second['extension']}")
        for phone, user in ((alice, first), (bob, second)):
            phone.register()
            _say(f"{user['extension']} registered (digest authentication)")
        began = time.time_ns() // 1_000_000
        _ring(Path(name), alice, bob, demo, account)
        record = _record(settings, account["id"], began)
        _say(f"on record: {record['from_num']} -> {record['to_num']} {record['disposition']}, {record['billsec']} s")
        print(f"Demo call: {account['name']} {second['extension']} calls {MAIN_FLOW}, the main flow")
        began = time.time_ns() // 1_000_000
        _through_the_menu(Path(name), bob, alice, demo, account)
        answered = _record(settings, account["id"], began)
        _say(
            f"on record: {answered['from_num']} -> {answered['to_num']} {answered['disposition']}, "
            f"{answered['billsec']} s, of which the media engine had {answered['media_app_ms'] / 1000:.1f} s"
        )
    (settings.state / "demo-call.json").write_text(json.dumps([record, answered]) + "\n")


def _ring(folder: Path, alice: Phone, bob: Phone, demo: dict[str, Any], account: dict[str, Any]) -> None:
    """A plain call: the media engine has no part in it."""
    caller, callee = alice.config.user, bob.config.user
    _speak(folder / "plain", alice, bob)
    bob.auto_answer(0.5)
    alice.call(callee)
    alice.wait_for("ringing", 10)
    _say(f"{callee} rings")
    alice.wait_for("answered", 10)
    bob.wait_for("answered", 10)
    _say("answered")
    _show_cac(demo, account, live=1)
    _talk(alice, bob)
    alice.hang_up()
    for phone in (alice, bob):
        phone.wait_for("ended", 10)
    _say("hung up")
    _hush(alice, bob)
    _check_heard(folder / "plain-caller.wav", CALLEE_HZ, f"{caller} hears {callee}")
    _check_heard(folder / "plain-callee.wav", CALLER_HZ, f"{callee} hears {caller}")
    _show_cac(demo, account, live=0)


def _through_the_menu(folder: Path, bob: Phone, alice: Phone, demo: dict[str, Any], account: dict[str, Any]) -> None:
    """The platform answers, and connects the caller with the front desk; then the engine is out of the audio."""
    caller, callee = bob.config.user, alice.config.user
    greeting = folder / "greeting.wav"
    bob.record(greeting)
    alice.auto_answer(0.5)
    call = bob.call(MAIN_FLOW)
    bob.wait_for("answered", 10, call=call)
    _say("the media engine answers")
    wait_until(lambda: audio.loud(greeting) >= GREETING_SEC, 15, "the greeting")
    _say(f"{caller} hears the greeting and presses 2")
    _speak(folder / "flow", bob, alice)
    bob.send_dtmf("2", call)
    alice.wait_for("answered", 15)
    _say(f"{callee} rings, and answers")
    _show_cac(demo, account, live=1)
    _talk(bob, alice)
    bob.hang_up(call)
    alice.wait_for("ended", 10)
    _say("hung up")
    _hush(bob, alice)
    _check_heard(folder / "flow-caller.wav", CALLEE_HZ, f"{caller} hears {callee}")
    _check_heard(folder / "flow-callee.wav", CALLER_HZ, f"{callee} hears {caller}")
    _show_cac(demo, account, live=0)


def _speak(at: Path, caller: Phone, callee: Phone) -> None:
    """Each plays a tone of its own, and what each hears is recorded."""
    for phone, hz, who in ((caller, CALLER_HZ, "caller"), (callee, CALLEE_HZ, "callee")):
        phone.play_tone(hz)
        phone.record(at.with_name(f"{at.name}-{who}.wav"))


def _hush(*phones: Phone) -> None:
    for phone in phones:
        phone.stop_playing()
        phone.stop_recording()


def _phone(user: dict[str, Any], account: dict[str, Any], demo: dict[str, Any]) -> Phone:
    return Phone(user["auth_username"], user["password"], account["domain"], demo["sip"])


def _talk(alice: Phone, bob: Phone) -> None:
    """Lets both speak until each has received two seconds of the other's packets (50 a second)."""
    enough = int(TALK_SEC * 50)
    wait_until(
        lambda: min(alice.packets().received, bob.packets().received) >= enough,
        TALK_SEC + 10,
        "audio in both directions",
    )


def _check_heard(recording: Path, hz: int, who: str) -> None:
    found = audio.heard(recording, hz)
    if not found.lasted(TALK_SEC / 2):
        raise DemoError(f"The demo call failed: not heard that {who} ({found.total:.1f} s of {hz} Hz).")
    _say(f"{who}: {found.longest:.1f} s of {hz} Hz at {found.level_dbfs:.0f} dBFS")


def _show_cac(demo: dict[str, Any], account: dict[str, Any], live: int) -> None:
    """The brain counts the call while it is up, and lets go of it afterwards."""
    request = urllib.request.Request(  # noqa: S310 - always http to loopback
        f"{demo['brain']}/cac?accountId={account['id']}", headers={"x-api-key": demo["api_key"]}
    )

    def counted() -> bool:
        with urllib.request.urlopen(request, timeout=5) as reply:  # noqa: S310 - always http to loopback
            return int(json.loads(reply.read())["live_calls"]) == live

    wait_until(counted, 10, f"the brain to count {live} live calls")
    _say(f"the brain counts {live} live call" + ("" if live == 1 else "s"))


def _record(settings: Settings, account_id: str, since: int) -> dict[str, Any]:
    """The record of the call made since then (epoch ms), in D1, where it arrives within 5 s of the end."""
    found: list[dict[str, Any]] = []

    def arrived() -> bool:
        for path in settings.brain_state.glob("v3/d1/*/*.sqlite"):
            with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as connection:
                connection.row_factory = sqlite3.Row
                try:
                    rows = connection.execute(
                        "SELECT * FROM call_cdr WHERE account_id = ? AND start_ts >= ? AND end_ts IS NOT NULL",
                        (account_id, since),
                    ).fetchall()
                except sqlite3.OperationalError:
                    continue
                found.extend(dict(row) for row in rows)
        return bool(found)

    wait_until(arrived, 10, "the call's record")
    return found[0]


def _say(text: str) -> None:
    print(f"  {time.strftime('%H:%M:%S')} {text}", flush=True)
