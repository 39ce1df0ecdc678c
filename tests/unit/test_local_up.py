"""What `make up` says when something is in the way: a port, Debian's packages, the disk, the bootstrap's own needs.

The programs of the system (apt-get, sudo, systemctl …) are scripts of the test's own, found first on the PATH.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from edge_node.local import packages, ports, up
from edge_node.local.packages import PackagesError
from edge_node.local.ports import PortError
from edge_node.local.settings import LOOPBACK, MEDIA_SIP_PORTS, PORTS, REPOSITORY, Settings, load
from edge_node.local.up import UpError
from tests.support import ports as own

NO_SERVICE = 101  # policy-rc.d: "action forbidden by policy" (invoke-rc.d(8))


# --- ports


def free_settings(node: int = 1) -> Settings:
    """Ports that nobody holds."""
    environment = dict(zip(PORTS, map(str, own.free(len(PORTS))), strict=True))
    environment["TANDEM_MEDIA_SIP_PORT"] = str(12_000 + own.place() * MEDIA_SIP_PORTS)
    return load(environment | {"TANDEM_NODE": str(node)})


def test_free_ports_are_no_trouble() -> None:
    ports.check(free_settings())
    ports.check(free_settings(2))


@pytest.mark.parametrize(
    ("variable", "kind"),
    [
        ("TANDEM_SIP_PORT", socket.SOCK_DGRAM),
        ("TANDEM_SIP_PORT", socket.SOCK_STREAM),
        ("TANDEM_AGENT_PORT", socket.SOCK_STREAM),
        ("TANDEM_NG_PORT", socket.SOCK_DGRAM),
        ("TANDEM_EVAPI_PORT", socket.SOCK_STREAM),
        ("TANDEM_RPC_PORT", socket.SOCK_STREAM),
        ("TANDEM_BRAIN_PORT", socket.SOCK_STREAM),
    ],
)
def test_a_held_port_is_named_with_its_holder(variable: str, kind: socket.SocketKind) -> None:
    settings = free_settings()
    port = getattr(settings, variable.removeprefix("TANDEM_").lower())
    with socket.socket(socket.AF_INET, kind) as holder:
        holder.bind((LOOPBACK, port))
        if kind == socket.SOCK_STREAM:
            holder.listen()
        with pytest.raises(PortError) as said:
            ports.check(settings)
    protocol = "UDP" if kind == socket.SOCK_DGRAM else "TCP"
    name = Path("/proc/self/comm").read_text().strip()
    assert str(said.value) == (
        f"{protocol} port {port} of {LOOPBACK} is in use by another program ({name}, pid {os.getpid()}); "
        f"stop it, or set {variable} to a free port."
    )


def test_the_second_node_shares_the_brains_port() -> None:
    settings = free_settings(2)
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as brain:
        brain.bind((LOOPBACK, settings.brain_port))
        brain.listen()
        ports.check(settings)


# --- the disk


def test_a_small_disk_is_told_before_anything_is_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(up, "NEEDED_MB", 10**9)
    monkeypatch.setattr(packages, "install", lambda: pytest.fail("it went on"))
    with pytest.raises(UpError) as said:
        up.up(load({"TANDEM_STATE": str(tmp_path / "not/yet/there")}))
    assert str(said.value).startswith("Only ")
    assert str(said.value).endswith(f" MB of disk are free at {tmp_path}; Tandem needs 1000000000 MB for its state.")


def test_the_disk_of_the_state_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    full = tmp_path / "full"
    full.mkdir()
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=0) if path == full else usage)
    monkeypatch.setattr(up, "NEEDED_MB", 0 if usage.free < 2**20 else 1)
    up.check_disk(load({"TANDEM_STATE": str(tmp_path / "other")}))
    with pytest.raises(UpError, match="Only 0 MB"):
        up.check_disk(load({"TANDEM_STATE": str(full / "state")}))


# --- Debian's packages


class System:
    """A Debian without the packages: `says` holds the command lines that change anything, and what the policy said."""

    def __init__(self, folder: Path) -> None:
        self.bin = folder / "bin"
        self.policy = folder / "policy-rc.d"
        self.units = folder / "units"
        self.log = folder / "log"
        for made in (self.bin, self.units):
            made.mkdir()
        self.log.touch()
        self.tool("dpkg-query", "echo 'runit installed'")
        self.apt()
        self.tool(
            "systemctl",
            f'if [ $1 = is-enabled ]; then cat "{self.units}/$2"; else echo "systemctl $*" >>{self.log}; fi',
        )

    def tool(self, name: str, body: str) -> None:
        path = self.bin / name
        path.write_text(f"#!/bin/sh\n{body}\n")
        path.chmod(0o755)

    def apt(self, then: str = "") -> None:
        """apt-get: asks the policy as a maintainer script does, enables both units, and does `then`."""
        self.tool(
            "apt-get",
            f'echo "apt-get $*" >>{self.log}\n[ $1 = install ] || exit 0\n'
            f'{self.policy}; echo "policy $?" >>{self.log}\n'
            f"for unit in {' '.join(packages.UNITS)}; do echo enabled >{self.units}/$unit; done\n{then}",
        )

    def sudo(self, allowed: bool) -> None:
        self.tool(
            "sudo", f'[ $1 = -n ] || exit 9\nshift\necho "sudo $1" >>{self.log}\n' + ('"$@"' if allowed else "exit 1")
        )

    @property
    def says(self) -> list[str]:
        return self.log.read_text().splitlines()


@pytest.fixture
def system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> System:
    found = System(tmp_path)
    for name in ("sh", "cat", "mv", "rm", "tee", "chmod", "env", "true"):
        path = shutil.which(name)
        assert path is not None
        (found.bin / name).symlink_to(path)
    monkeypatch.setenv("PATH", str(found.bin))
    monkeypatch.setattr(packages, "POLICY", found.policy)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    return found


WANTED = ("kamailio", "runit")


def test_only_what_is_missing_is_installed_and_no_service_starts(system: System) -> None:
    assert packages.missing(WANTED) == ["kamailio"]
    assert packages.install(WANTED) is True
    assert system.says[:3] == [
        "apt-get update -qq",
        "apt-get install -y -qq --no-install-recommends kamailio",
        f"policy {NO_SERVICE}",
    ]
    assert not system.policy.exists()
    assert packages.install(("runit",)) is False


def test_a_unit_that_was_enabled_stays_so(system: System) -> None:
    (system.units / "kamailio").write_text("enabled\n")
    packages.install(WANTED)
    assert system.says[3:] == ["systemctl disable --quiet rtpengine-daemon"]


def test_no_systemd_is_no_trouble(system: System) -> None:
    (system.bin / "systemctl").unlink()
    assert packages.install(WANTED) is True


@pytest.mark.parametrize("then", ["", "echo 'E: one' >&2; echo 'E: no room' >&2; exit 100"])
@pytest.mark.parametrize("mine", ["#!/bin/sh\nexit 0\n", None])
def test_the_policy_that_was_there_is_back_afterwards(system: System, then: str, mine: str | None) -> None:
    if mine is not None:
        system.policy.write_text(mine)
        system.policy.chmod(0o755)
    system.apt(then)
    if then:
        with pytest.raises(PackagesError, match=r"apt-get install .* kamailio failed: E: one E: no room$"):
            packages.install(WANTED)
    else:
        packages.install(WANTED)
    assert f"policy {NO_SERVICE}" in system.says
    assert (system.policy.read_text() if system.policy.exists() else None) == mine
    assert mine is None or os.access(system.policy, os.X_OK)
    assert list(system.policy.parent.glob("policy-rc.d.*")) == []


@pytest.mark.parametrize("has_sudo", [True, False])
def test_without_root_it_says_what_to_do(system: System, monkeypatch: pytest.MonkeyPatch, has_sudo: bool) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    if has_sudo:
        system.sudo(allowed=False)
    with pytest.raises(PackagesError) as said:
        packages.install(WANTED)
    assert str(said.value) == (
        "Debian's packages kamailio are missing and installing them needs root: "
        "run `sudo apt-get install kamailio`, or start again as root."
    )
    assert "apt-get" not in " ".join(system.says)


def test_sudo_without_a_password_will_do(system: System, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    system.sudo(allowed=True)
    assert packages.install(WANTED) is True
    assert system.says.index("sudo apt-get") == system.says.index("apt-get update -qq") - 1
    assert f"policy {NO_SERVICE}" in system.says
    assert not system.policy.exists()


def test_what_is_no_debian_is_told(system: System) -> None:
    (system.bin / "dpkg-query").unlink()
    with pytest.raises(PackagesError, match="needs Debian's packages kamailio, runit; this is no Debian"):
        packages.install(WANTED)


# --- the bootstrap


@pytest.fixture
def bootstrap(tmp_path: Path, system: System) -> Callable[[], tuple[int, list[str]]]:
    """Runs bootstrap.sh in a bare checkout, where nothing is installed yet; its code, and the lines that it said."""
    checkout = tmp_path / "checkout"
    (checkout / "edge_node/local").mkdir(parents=True)
    (checkout / "requirements").mkdir()
    script = checkout / "edge_node/local/bootstrap.sh"
    shutil.copy(REPOSITORY / "edge_node/local/bootstrap.sh", script)
    for name in ("requirements/uv.lock", "requirements/dev.lock", "package.json", "package-lock.json"):
        (checkout / name).write_text("")
    for name in ("mkdir", "tail", "awk", "dirname", "sha256sum", "grep"):
        path = shutil.which(name, path=os.defpath)
        assert path is not None
        (system.bin / name).symlink_to(path)
    system.tool("id", "case $1 in -un) echo phil;; *) echo 0;; esac")
    system.tool("df", "echo 'Filesystem blocks used free'; echo '/dev/x 9 9 9000'")
    system.tool("python3", "exit 0")

    def run() -> tuple[int, list[str]]:
        done = subprocess.run(["sh", str(script)], capture_output=True, text=True, check=False)
        return done.returncode, (done.stdout + done.stderr).splitlines()

    return run


Bootstrap = Callable[[], tuple[int, list[str]]]


def test_the_bootstrap_wants_room(bootstrap: Bootstrap, system: System) -> None:
    system.tool("df", "echo 'Filesystem blocks used free'; echo '/dev/x 9 9 100'")
    assert bootstrap() == (1, ["Only 100 MB of disk are free here; the packages of Tandem need 1500 MB."])


def test_the_bootstrap_wants_to_write(bootstrap: Bootstrap, tmp_path: Path) -> None:
    (tmp_path / "checkout/.wrangler").write_text("in the way")
    assert bootstrap() == (1, [f"{tmp_path}/checkout cannot be written to by phil."])


def test_the_bootstrap_wants_a_new_python(bootstrap: Bootstrap, system: System) -> None:
    system.tool("python3", 'case "$*" in *version_info*) exit 1;; -V) echo Python 3.9.2;; esac')
    assert bootstrap() == (
        1,
        ["Tandem needs Python 3.11 or newer as python3, not Python 3.9.2 (Debian 12 has 3.11)."],
    )


def test_the_bootstrap_needs_root_for_venv(bootstrap: Bootstrap, system: System) -> None:
    system.tool("python3", "exit 1")
    system.tool("id", "echo 1000")
    code, said = bootstrap()
    assert (code, len(said)) == (1, 1)
    assert said[0].startswith("Debian's package python3-venv is missing and installing it needs root: run `apt-get ")
    (system.bin / "apt-get").unlink()
    assert bootstrap() == (1, ["Tandem needs Python 3.11 or newer with its venv module as python3."])


def test_the_bootstrap_passes_on_the_last_words_of_what_failed(bootstrap: Bootstrap, system: System) -> None:
    system.tool("python3", "exit 1")
    system.apt("echo one >&2; echo E: no such package >&2; exit 100")
    code, said = bootstrap()
    assert code == 1
    assert said[-2:] == [
        "E: no such package",
        "apt-get could not install python3-venv; its output is in .wrangler/bootstrap.log.",
    ]
