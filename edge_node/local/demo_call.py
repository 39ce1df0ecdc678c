"""The demo call: 1001 calls 1002 with real phones, each must hear the other's tone; then it must be on record."""

from __future__ import annotations

import json
import sqlite3
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Any

from edge_node.local import audio
from edge_node.local.phone import Phone
from edge_node.local.settings import Settings
from edge_node.local.waiting import wait_until

CALLER_HZ = 440
CALLEE_HZ = 1000
TALK_SEC = 2.0


class DemoError(Exception):
    """The demo call did not do what it shows; the message says which step."""


def was_heard(settings: Settings) -> bool:
    return (settings.state / "demo-call.json").is_file()


def place(settings: Settings, demo: dict[str, Any]) -> None:
    """Places the call and prints each step. Raises `DemoError`."""
    began = time.time_ns() // 1_000_000
    account = demo["accounts"][0]
    caller, callee = account["users"][0], account["users"][1]
    print(f"Demo call: {account['name']} {caller['extension']} calls {callee['extension']}")
    with tempfile.TemporaryDirectory(prefix="tandem-demo-") as name:
        folder = Path(name)
        with _phone(caller, account, demo) as alice, _phone(callee, account, demo) as bob:
            for phone, user in ((alice, caller), (bob, callee)):
                phone.register()
                _say(f"{user['extension']} registered (digest authentication)")
            bob.auto_answer(0.5)
            alice.play_tone(CALLER_HZ)
            bob.play_tone(CALLEE_HZ)
            alice.record(folder / "caller.wav")
            bob.record(folder / "callee.wav")
            alice.call(callee["extension"])
            alice.wait_for("ringing", 10)
            _say(f"{callee['extension']} rings")
            alice.wait_for("answered", 10)
            bob.wait_for("answered", 10)
            _say("answered")
            _show_cac(demo, account, live=1)
            _talk(alice, bob)
            alice.hang_up()
            bob.wait_for("ended", 10)
            _say("hung up")
        _check_heard(folder / "caller.wav", CALLEE_HZ, f"{caller['extension']} hears {callee['extension']}")
        _check_heard(folder / "callee.wav", CALLER_HZ, f"{callee['extension']} hears {caller['extension']}")
    _show_cac(demo, account, live=0)
    record = _record(settings, account["id"], began)
    _say(f"on record: {record['from_num']} -> {record['to_num']} {record['disposition']}, {record['billsec']} s")
    (settings.state / "demo-call.json").write_text(json.dumps(record) + "\n")


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
