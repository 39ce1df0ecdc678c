"""The role that configures FreeSWITCH, rendered as for a one-machine installation."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import yaml  # type: ignore[import-untyped]
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from edge_node.local import render
from edge_node.local.settings import Settings, load
from tests.edge.kamailio_node import Node

ROLE = render.ANSIBLE / "roles/freeswitch"


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    folder = tmp_path_factory.mktemp("role")
    found = load({"TANDEM_STATE": str(folder), "TANDEM_MEDIA_ENGINE": "freeswitch", "TANDEM_ESL_PORT": "18021"})
    found.secrets.mkdir(parents=True)
    (found.secrets / "node1.json").write_text('{"node_id": "node_test", "region": "test", "credential": "none"}')
    render.render(found, role="freeswitch")
    return found


def _etc(settings: Settings) -> Path:
    return settings.node_state / "etc/freeswitch"


def _parameters(settings: Settings, name: str) -> dict[str, str]:
    tree = ElementTree.parse(_etc(settings) / f"configuration/{name}.conf.xml")
    return {one.get("name", ""): one.get("value", "") for one in tree.iter("param")}


def test_every_file_is_xml_and_nothing_of_the_vendors_comes_along(settings: Settings) -> None:
    files = sorted(path.relative_to(_etc(settings)) for path in _etc(settings).rglob("*.xml"))
    names = ("acl", "event_socket", "logfile", "modules", "sofia", "switch")
    assert [str(file) for file in files] == [
        *(f"configuration/{name}.conf.xml" for name in names),
        "dialplan.xml",
        "freeswitch.xml",
    ]
    text = ""
    for file in files:
        ElementTree.parse(_etc(settings) / file)
        text += (_etc(settings) / file).read_text()
    assert not re.search(r"ClueCon|voicemail|conference|<user |directory|xml_curl|0\.0\.0\.0|{{|}}", text)


def test_only_loopback_and_the_local_kamailio_get_in(settings: Settings) -> None:
    socket = _parameters(settings, "event_socket")
    assert (socket["listen-ip"], socket["listen-port"]) == ("127.0.0.1", "18021")
    assert socket["apply-inbound-acl"] == "node_agent"
    sofia = _parameters(settings, "sofia")
    assert sofia["sip-ip"] == sofia["rtp-ip"] == "127.0.0.1"
    assert (sofia["apply-inbound-acl"], sofia["auth-calls"], sofia["disable-register"]) == ("kamailio", "false", "true")
    assert sofia["disable-transfer"] == "true"
    acl = ElementTree.parse(_etc(settings) / "configuration/acl.conf.xml")
    assert {one.get("default") for one in acl.iter("list")} == {"deny"}
    assert {one.get("cidr") for one in acl.iter("node")} == {"127.0.0.1/32"}


def test_every_profile_has_a_port_and_a_digit_type_of_its_own(settings: Settings) -> None:
    sofia = ElementTree.parse(_etc(settings) / "configuration/sofia.conf.xml")
    found = []
    for profile in sofia.iter("profile"):
        told = {one.get("name", ""): one.get("value", "") for one in profile.iter("param")}
        found.append((profile.get("name"), int(told["sip-port"]), int(told["rfc2833-pt"])))
    assert found[0] == ("tandem", settings.media_sip_port, 101)
    assert [port for _, port, _ in found] == [settings.media_sip_port + number for number in range(len(found))]
    assert all(name == f"tandem-{kind}" for name, _, kind in found[1:])
    assert len(found) <= 32, "the ports that Kamailio takes for the engine's"


def test_the_dial_plan_hands_everything_to_the_node_agent(settings: Settings) -> None:
    tree = ElementTree.parse(_etc(settings) / "dialplan.xml")
    (condition,) = tree.iter("condition")
    assert not condition.attrib
    actions = [(one.get("application"), one.get("data")) for one in tree.iter("action")]
    assert actions == [
        ("socket", f"127.0.0.1:{settings.socket_port} async full"),
        ("respond", "503 Service Unavailable"),
    ]


def test_the_password_is_made_once_and_kept_from_others(settings: Settings) -> None:
    file = settings.node_state / "etc/event-socket"
    password = file.read_text().strip()
    assert re.fullmatch(r"[A-Za-z0-9]{40}", password)
    assert file.stat().st_mode & 0o777 == 0o600
    assert _parameters(settings, "event_socket")["password"] == password
    assert (_etc(settings) / "configuration/event_socket.conf.xml").stat().st_mode & 0o007 == 0
    before = {path: path.stat().st_mtime_ns for path in _etc(settings).rglob("*.xml")}
    render.render(settings, role="freeswitch")
    assert {path: path.stat().st_mtime_ns for path in _etc(settings).rglob("*.xml")} == before
    assert file.read_text().strip() == password


def test_modules_are_those_that_the_driver_needs(settings: Settings) -> None:
    tree = ElementTree.parse(_etc(settings) / "configuration/modules.conf.xml")
    modules = {one.get("module") for one in tree.iter("load")}
    needed = "commands dialplan_xml dptools event_socket logfile sndfile sofia tone_stream"
    assert modules == {f"mod_{name}" for name in needed.split()}


def test_a_node_that_has_another_engine_has_none_of_it(node: Node) -> None:
    assert not (node.settings.node_state / "etc/freeswitch").exists()
    assert not (node.settings.node_state / "etc/event-socket").exists()


def test_the_unit_starts_the_switch_as_it_is_started_here(settings: Settings) -> None:
    unit = _templated("tandem-freeswitch.service.j2")
    (command,) = re.findall(r"^ExecStart=(.*)$", unit, re.MULTILINE)
    here = render.freeswitch_command(settings)
    assert [word for word in command.split() if word.startswith("-")] == [word for word in here if word.startswith("-")]
    assert "User=tandem" in unit
    assert "/etc/tandem/freeswitch" in command


def test_the_vendors_repository_needs_the_operators_token() -> None:
    tasks = yaml.safe_load((ROLE / "tasks/package.yml").read_text())
    asserted = tasks[0]["ansible.builtin.assert"]["that"]
    assert "freeswitch_repository_token" in asserted
    secret = [one for one in tasks if "freeswitch_repository_token" in str(one)]
    assert secret
    assert all(one.get("no_log") for one in secret)
    assert _defaults()["freeswitch_repository_token"] == ""


def test_the_playbook_for_servers_is_sound(tmp_path: Path) -> None:
    inventory = tmp_path / "inventory.yml"
    inventory.write_text("edge: {hosts: {node: {ansible_connection: local, tandem_media_engine: freeswitch}}}\n")
    done = _playbook(tmp_path, "--inventory", str(inventory), "--syntax-check", str(render.ANSIBLE / "site.yml"))
    assert done.returncode == 0, done.stdout + done.stderr


def _playbook(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    environment = {
        **os.environ,
        "ANSIBLE_CONFIG": str(render.ANSIBLE / "ansible.cfg"),
        "ANSIBLE_HOME": str(folder / "home"),
        "LC_ALL": "C.UTF-8",
        "PYTHONWARNINGS": "ignore",
    }
    program = str(Path(sys.executable).with_name("ansible-playbook"))
    command = [program, *options]
    return subprocess.run(command, env=environment, cwd=render.ANSIBLE, capture_output=True, text=True, check=False)


def _defaults() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((ROLE / "defaults/main.yml").read_text())
    return found


def _templated(name: str) -> str:
    """A template of the server with the role's own defaults, as Ansible fills it in."""
    common: Mapping[str, Any] = yaml.safe_load((render.ANSIBLE / "group_vars/all.yml").read_text())
    environment = Environment(
        loader=FileSystemLoader(ROLE / "templates"), undefined=StrictUndefined, keep_trailing_newline=True
    )
    values = {**common, **_defaults()}
    for _ in range(3):
        values = {
            key: environment.from_string(value).render(values)
            if isinstance(value, str) and "unique" not in value
            else value
            for key, value in values.items()
        }
    return environment.get_template(name).render(values)
