"""Which URLs an HTTP node may ask, in every notation that a parser takes."""

from __future__ import annotations

import pytest

from tandem.domain.flows.addresses import refusal


@pytest.mark.parametrize(
    "url",
    [
        "https://api.example.com",
        "https://api.example.com/",
        "https://API.example.com./v1?x=1&y=%20#".removesuffix("#"),
        "http://api.example.com:8080/x",
        "HTTP://crm_1.example.com:65535",
        "https://8.8.8.8/",
        "https://0x08080808/",
        "https://010.8.8.8/",
        "https://134744072/",
        "https://[2606:4700:4700::1111]/dns",
        "https://[::ffff:8.8.8.8]/",
        "https://[64:ff9b::8.8.8.8]/",
        "https://[2002:808:808::1]/",
        "https://localhost.example.com",
        "https://local.example.com",
        "https://1.example.com",
        "https://10.0.0.1.example.com",
    ],
)
def test_the_public_internet(url: str) -> None:
    assert refusal(url) is None


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1", "127.1", "127.0.1", "2130706433", "0x7f000001", "0x7F.1", "0177.0.0.1", "017700000001",
        "127.0.0.1.", "0", "0x", "0.0.0.0", "00", "10.1.2.3", "10.65793", "172.16.0.1", "172.31.255.255",
        "192.168.0.1", "0xc0.0xa8.0.1", "169.254.169.254", "0xa9fea9fe", "2852039166", "100.64.0.1", "192.0.0.8",
        "192.0.2.1", "198.18.0.1", "203.0.113.5", "224.0.0.1", "240.0.0.1", "255.255.255.255",
        "[::]", "[::1]", "[0:0:0:0:0:0:0:1]", "[fe80::1]", "[fc00::1]", "[fd12:3456::1]", "[ff02::1]",
        "[2001:db8::1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[::7f00:1]", "[::ffff:0:10.0.0.1]",
        "[64:ff9b::10.0.0.1]", "[64:ff9b:1::10.0.0.1]", "[2002:7f00:1::]", "[2002:a00:1::1]", "[fec0::1]",
    ],
)  # fmt: skip
def test_addresses_that_are_not_public(host: str) -> None:
    for url in (f"http://{host}", f"https://{host}/x", f"http://{host}:8080/"):
        assert refusal(url) is not None
        assert "public address" in str(refusal(url))


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST", "localhost.", "a.localhost", "printer", "nas.local", "metadata.google.internal",
             "db.corp", "router.lan", "x.home.arpa", "x.localdomain", "hidden.onion"]
)  # fmt: skip
def test_local_names(host: str) -> None:
    assert "local name" in str(refusal(f"http://{host}/latest"))


@pytest.mark.parametrize(
    "url",
    [
        "",
        "api.example.com",
        "//api.example.com",
        "ftp://api.example.com",
        "file:///etc/passwd",
        "data:text/plain,x",
        "javascript:alert(1)",
        "http://",
        "http:///api.example.com",
        "http:/api.example.com",
        "http:api.example.com",
        "http:\\\\127.0.0.1\\",
        "http://api.example.com\\@127.0.0.1/",
        "http://api.example.com@127.0.0.1/",
        "http://user:secret@api.example.com/",
        "http://127.0.0.1%2f.example.com/",
        "http://%31%32%37.0.0.1/",
        "http://\uff11\uff12\uff17.0.0.1/",
        "http://127。0。0。1/",
        "http://münchen.example/",
        " http://api.example.com/",
        "http://api.example.com/ x",
        "http://api.example.com/\r\nHost: x",
        "http://api.\texample.com/",
        "http://api.example.com/ü",
        "http://api.example.com/x\\y",
        "http://api.example.com#x",
        "http://api.example.com:/",
        "http://api.example.com:123456/",
        "http://[::1",
        "http://[fe80::1%25eth0]/",
        "http://[]/",
        "http://[:]/",
        "http://[1.2.3.4]/",
        "http://[::ffff:999.0.0.1]/",
        "http://a..example.com/",
        "http://.example.com/",
        "http://-a.example.com/",
        "http://a-.example.com/",
        f"http://{'a' * 64}.example.com/",
        f"http://{'a.' * 150}example.com/",
        "http://256.1.1.1/",
        "http://1.2.3.256/",
        "http://1.2.65536/",
        "http://4294967296/",
        "http://1.2.3.4.5/",
        "http://08.8.8.8/",
        "http://0x.0xg.1/",
        "http://example.1/",
    ],
)
def test_what_parsers_could_read_differently(url: str) -> None:
    assert refusal(url) is not None


@pytest.mark.parametrize("port", [0, 1, 22, 25, 53, 111, 445, 1023, 65536, 99999])
def test_ports_that_speak_something_else(port: int) -> None:
    assert refusal(f"http://api.example.com:{port}/") == f"Port {port} is not for HTTP."


def test_an_installation_may_allow_its_own() -> None:
    allowed = frozenset({"127.0.0.1:8099", "crm:80", "[::1]:443"})
    assert refusal("http://127.0.0.1:8099/x", allowed) is None
    assert refusal("http://CRM/x", allowed) is None
    assert refusal("https://[::1]/", allowed) is None
    for other in ("http://127.0.0.1:8098/", "https://crm/", "http://127.1:8099/", "http://[::1]/"):
        assert refusal(other, allowed) is not None
