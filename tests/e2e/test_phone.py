"""The test phones themselves, one against the other with nothing between: what they prove must be provable."""

from __future__ import annotations

import asyncio
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from edge_node.local.phone import CallEndedError, Phone, PhoneError, PhoneGoneError, RegistrationError
from edge_node.local.settings import LOOPBACK, REPOSITORY
from tests.e2e.phones import Phones, until
from tests.edge.raw_sip import RawPhone, reply
from tests.edge.sip_digest import Challenge, answer, parse_challenge

DOMAIN = "acme.tandem.test"


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[tuple[Phones, Phone, Phone]]:
    """A caller whose outbound proxy is the callee: no edge between them."""
    bob_port = _free_port()
    with Phones(f"{LOOPBACK}:{bob_port}", tmp_path) as phones:
        alice = phones.open("1001", "secret", DOMAIN, registered=False)
        bob = phones.open("1002", "secret", DOMAIN, registered=False, port=bob_port)
        yield phones, alice, bob


def test_both_hear_each_other_also_after_hold(pair: tuple[Phones, Phone, Phone]) -> None:
    phones, alice, bob = pair
    phones.connect(alice, bob)
    phones.converse(alice, bob)
    alice.hold()
    alice.wait_for("media_held", 5)
    bob.wait_for("media_remote_held", 5)
    phones.hears_nobody(bob)
    phones.hears_nobody(alice)
    alice.unhold()
    alice.wait_for("media_active", 5)
    bob.wait_for("media_active", 5)
    phones.converse(alice, bob)
    bob.send_dtmf("7")
    assert alice.wait_for("dtmf", 5).digit == "7"
    bob.hang_up()
    assert not alice.wait_for("ended", 5).local
    assert bob.wait_for("ended", 5).local


def test_a_deaf_phone_is_noticed(pair: tuple[Phones, Phone, Phone]) -> None:
    phones, alice, bob = pair
    phones.connect(alice, bob)
    bob.stop_playing()
    phones.hears(bob, alice)
    phones.hears_nobody(alice)


def test_late_offer_and_update(pair: tuple[Phones, Phone, Phone]) -> None:
    phones, alice, bob = pair
    phones.connect(alice, bob, late_offer=True)
    phones.converse(alice, bob)
    alice.update()
    assert alice.wait_for("transaction", 5, method="UPDATE").code == 200
    alice.reinvite(late_offer=True)
    assert alice.wait_for("transaction", 5, method="INVITE").code == 200
    phones.converse(alice, bob)


def test_a_refusal_ends_the_wait_with_its_code(pair: tuple[Phones, Phone, Phone]) -> None:
    _, alice, bob = pair
    bob.auto_answer(code=486)
    alice.call("1002")
    with pytest.raises(CallEndedError, match="486 Busy Here"):
        alice.wait_for("answered", 5)
    assert alice.wait_for("ended", 5).code == 486
    bob.auto_answer(code=0)
    alice.call("1002")
    alice.wait_for("ringing", 5)
    alice.hang_up()
    assert alice.wait_for("ended", 5).code == 487
    assert bob.wait_for("ended", 5, local=False).code == 487


@pytest.mark.parametrize(
    ("offered", "chosen"),
    # Of two challenges for one realm PJSIP 2.15 answers the later one.
    [(["SHA-256", "MD5"], "MD5"), (["MD5", "SHA-256"], "SHA-256"), (["MD5"], "MD5"), (["SHA-256"], "SHA-256")],
    ids=["both", "both reversed", "MD5", "SHA-256"],
)
@pytest.mark.parametrize("qop", ["auth", ""])
def test_a_registration_answers_a_challenge(offered: list[str], chosen: str, qop: str) -> None:
    with (
        RawPhone("registrar", "", DOMAIN, (LOOPBACK, 9)) as registrar,
        Phone("1001", "secret", DOMAIN, f"{LOOPBACK}:{registrar.port}") as alice,
        ThreadPoolExecutor() as pool,
    ):
        challenges = [Challenge(DOMAIN, f"nonce-{one}", one, qop) for one in offered]
        asked = pool.submit(_challenge_and_judge, registrar, challenges)
        event = alice.register(5)
        assert (event.name, event.code) == ("registered", 200)
        assert f"algorithm={chosen}" in asked.result().replace('"', "")


def test_a_refused_registration_tells_its_code() -> None:
    with (
        RawPhone("registrar", "", DOMAIN, (LOOPBACK, 9)) as registrar,
        Phone("1001", "wrong", DOMAIN, f"{LOOPBACK}:{registrar.port}") as alice,
        ThreadPoolExecutor() as pool,
    ):
        pool.submit(_challenge_and_judge, registrar, [Challenge(DOMAIN, "nonce", "MD5", "auth")])
        with pytest.raises(RegistrationError, match="could not register: 403 Forbidden") as refused:
            alice.register(5)
        assert "Retry-After: 7" in refused.value.event.text


async def test_phones_work_beside_an_event_loop(pair: tuple[Phones, Phone, Phone]) -> None:
    _, alice, bob = pair
    alice.call("1002")
    await asyncio.gather(
        asyncio.to_thread(bob.wait_for, "incoming", 5), asyncio.to_thread(alice.wait_for, "ringing", 5)
    )


def test_a_dead_phone_says_so(pair: tuple[Phones, Phone, Phone]) -> None:
    phones, alice, bob = pair
    phones.connect(alice, bob)
    bob.die()
    with pytest.raises(PhoneGoneError):
        bob.wait_for("ended", 5)
    with pytest.raises(PhoneGoneError):
        bob.hang_up()
    before = alice.packets()
    until(lambda: alice.packets().sent > before.sent + 10, 5, "the survivor stopped talking")
    assert alice.packets().received <= before.received + 5
    assert not [event for event in alice.events() if event.name == "ended"]


def test_a_phone_complains_in_words() -> None:
    with Phone("1001", "secret", DOMAIN, f"{LOOPBACK}:9") as phone:
        with pytest.raises(PhoneError, match="cannot hang_up: no call"):
            phone.hang_up()
        with pytest.raises(PhoneError, match=r"saw no incoming in 0\.1 s, but: ready"):
            phone.wait_for("incoming", 0.1)


@pytest.mark.parametrize("from_thread", [False, True])
def test_phones_do_not_outlive_their_parent(from_thread: bool) -> None:
    script = f"""
import threading, time
from edge_node.local.phone import Phone
phones = []
start = lambda: phones.append(Phone("1001", "secret", "{DOMAIN}", "{LOOPBACK}:9"))
if {from_thread}:
    thread = threading.Thread(target=start)
    thread.start()
    thread.join()
else:
    start()
phones[0].stop_playing()  # it has survived its thread
print(phones[0].pid, flush=True)
time.sleep(60)
"""
    with subprocess.Popen([sys.executable, "-c", script], cwd=REPOSITORY, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        parent.send_signal(signal.SIGKILL)
    until(lambda: not _alive(pid), 5, "the phone outlived its parent")


def _challenge_and_judge(registrar: RawPhone, challenges: list[Challenge]) -> str:
    """Challenge one REGISTER, accept the repeated one if its answer is right; returns what it answered."""
    first = registrar.receive(5)
    assert first is not None
    source = registrar.source
    asking = [("WWW-Authenticate", _offer(challenge)) for challenge in challenges]
    registrar.send(reply(first, 401, "Unauthorized", to_tag="r", extra=asking), source)
    second = registrar.receive(5, lambda message: message.cseq > first.cseq)
    assert second is not None
    given = second.get("Authorization")
    fields = parse_challenge(given)
    challenge = next(one for one in challenges if one.nonce == fields.nonce)
    cnonce = given.partition('cnonce="')[2].partition('"')[0]
    right = answer(challenge, "1001", "secret", "REGISTER", second.uri, cnonce=cnonce or None)
    if right.partition("response=")[2].partition(",")[0] in given:
        contact = [("Contact", f"{second.get('Contact')};expires=600")]
        registrar.send(reply(second, 200, "OK", to_tag="r", extra=contact), source)
    else:
        registrar.send(reply(second, 403, "Forbidden", to_tag="r", extra=[("Retry-After", "7")]), source)
    return given


def _offer(challenge: Challenge) -> str:
    qop = f', qop="{challenge.qop}"' if challenge.qop else ""
    return f'Digest realm="{challenge.realm}", nonce="{challenge.nonce}", algorithm={challenge.algorithm}{qop}'


def _alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def _free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])
