"""The SIPp runner itself: what it reports, and how it gets past a challenge that SIPp does not know."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.edge import sipp
from tests.edge.raw_sip import LOOPBACK, Message, RawPhone, reply

DOMAIN = "acme.tandem.test"
ACCOUNT = sipp.Account("1001", "secret", DOMAIN)


def _register(registrar: RawPhone, last_code: int) -> Message:
    """Challenge a REGISTER with SHA-256 and MD5, answer the repeated one with a code; returns that one."""
    offers = [f'Digest realm="{DOMAIN}", nonce="n", algorithm={name}, qop="auth"' for name in ("SHA-256", "MD5")]
    first = registrar.receive(5)
    assert first is not None
    challenges = [("WWW-Authenticate", offer) for offer in offers]
    registrar.send(reply(first, 401, "Unauthorized", to_tag="r", extra=challenges), registrar.source)
    second = registrar.receive(5, lambda message: message.cseq > first.cseq)
    assert second is not None
    registrar.send(reply(second, last_code, "Decided", to_tag="r"), registrar.source)
    return second


def test_the_stronger_challenge_is_kept_from_sipp(tmp_path: Path) -> None:
    with RawPhone("registrar", "", DOMAIN, (LOOPBACK, 9)) as registrar, ThreadPoolExecutor() as pool:
        decided = pool.submit(_register, registrar, 200)
        edge = (LOOPBACK, registrar.port)
        result = sipp.run("uac_register", edge=edge, callers=[ACCOUNT], folder=tmp_path, timeout=5)
        given = decided.result().get("Authorization")
    assert result.clean
    assert (result.created, result.successful, result.failed) == (1, 1, 0)
    assert "algorithm=MD5" in given
    assert f'uri="sip:{DOMAIN}"' in given


def test_an_unexpected_answer_is_a_failure_with_its_text(tmp_path: Path) -> None:
    with RawPhone("registrar", "", DOMAIN, (LOOPBACK, 9)) as registrar, ThreadPoolExecutor() as pool:
        pool.submit(_register, registrar, 403)
        edge = (LOOPBACK, registrar.port)
        result = sipp.run("uac_register", edge=edge, callers=[ACCOUNT], folder=tmp_path, timeout=5)
    assert not result.clean
    assert result.failed == 1
    assert "403 Decided" in result.errors


def test_silence_ends_with_the_time_out(tmp_path: Path) -> None:
    with RawPhone("registrar", "", DOMAIN, (LOOPBACK, 9)) as registrar:
        edge = (LOOPBACK, registrar.port)
        result = sipp.run("uac_register", edge=edge, callers=[ACCOUNT], folder=tmp_path, timeout=1)
    assert not result.clean
    assert "timed out" in result.errors
