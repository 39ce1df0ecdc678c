"""Renders the local edge node with the Ansible roles that provision a server, and says how to start its daemons."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from edge_node.local.settings import LOOPBACK, MEDIA_SIP_PORTS, REPOSITORY, Settings

ANSIBLE: Final = REPOSITORY / "edge_node/ansible"
_INPUTS: Final = ("edge_node/ansible", "edge_node/kamailio", "edge_node/rtpengine", "edge_node/freeswitch")
_OUTPUTS: Final = (
    "etc/kamailio/kamailio.cfg",
    "etc/rtpengine.conf",
    "etc/agent.json",
    "etc/credential",
    "etc/kamailio/start.py",
    "data/kamailio",
)
_SHARED_MEMORY_MB: Final = 256
_PRIVATE_MEMORY_MB: Final = 16


class RenderError(Exception):
    """What Ansible could not do, in its own words."""


def kamailio_command(settings: Settings) -> list[str]:
    """In the foreground, logging to stderr; SIGTERM ends it. start.py becomes Kamailio: one process."""
    run = settings.node_state / "run"
    etc = settings.node_state / "etc/kamailio"
    return [
        sys.executable,
        str(etc / "start.py"),
        str(settings.node_state / "data/kamailio"),
        "/usr/sbin/kamailio",
        "-DD",
        "-E",
        "-f",
        str(etc / "kamailio.cfg"),
        "-Y",
        str(run),
        "-P",
        str(run / "kamailio.pid"),
        "-m",
        str(_SHARED_MEMORY_MB),
        "-M",
        str(_PRIVATE_MEMORY_MB),
    ]


def rtpengine_command(settings: Settings) -> list[str]:
    """In the foreground, logging to stderr: both are said in the file."""
    return ["/usr/bin/rtpengine", f"--config-file={settings.node_state / 'etc/rtpengine.conf'}"]


def freeswitch_command(settings: Settings) -> list[str]:
    """In the foreground, logging to standard output; SIGTERM ends it, within seven seconds."""
    etc, data, run = (settings.node_state / folder / "freeswitch" for folder in ("etc", "data", "run"))
    folders = [("-conf", etc), ("-run", run)]
    folders += [(f"-{name}", data) for name in ("log", "db", "storage", "recordings", "cache", "temp")]
    return [settings.freeswitch, "-nonat", "-nf", *(str(part) for pair in folders for part in pair)]


def render(settings: Settings, overrides: Mapping[str, Any] | None = None, *, role: str | None = None) -> bool:
    """Writes etc/, data/ and run/ of the node; False when nothing had changed since the last time.

    `overrides` are role variables (tests shorten timers with them); `role`: this one alone. Raises `RenderError`.
    """
    target = settings.node_state
    variables = {**_variables(settings), **(overrides or {})}
    if role is not None:
        target.mkdir(parents=True, exist_ok=True)
        _play(target, variables, "--tags", role)
        return True
    stamp = target / "etc/.rendered"
    wanted = _digest(variables)
    if _read(stamp) == wanted and all((target / name).exists() for name in _outputs(settings)):
        return False
    stamp.unlink(missing_ok=True)
    target.mkdir(parents=True, exist_ok=True)
    _play(target, variables)
    stamp.write_text(wanted)
    return True


def _outputs(settings: Settings) -> tuple[str, ...]:
    more = ("etc/event-socket", "etc/freeswitch/freeswitch.xml") if settings.media_engine == "freeswitch" else ()
    return _OUTPUTS + more


def _variables(settings: Settings) -> dict[str, Any]:
    target = settings.node_state
    identity = _identity(settings)
    return {
        "tandem_etc": str(target / "etc"),
        "tandem_data": str(target / "data"),
        "tandem_run": str(target / "run"),
        "tandem_address": LOOPBACK,
        "tandem_sip_port": settings.sip_port,
        "tandem_evapi_port": settings.evapi_port,
        "tandem_rpc_port": settings.rpc_port,
        "tandem_agent_port": settings.agent_port,
        "tandem_ng_port": settings.ng_port,
        "tandem_rtp_min": settings.rtp_min,
        "tandem_rtp_max": settings.rtp_max,
        "tandem_media_engine": settings.media_engine,
        "tandem_media_address": LOOPBACK,
        "tandem_media_sip_port": settings.media_sip_port,
        "tandem_media_sip_ports": MEDIA_SIP_PORTS,
        "tandem_media_rtp_min": settings.media_rtp_min,
        "tandem_media_rtp_max": settings.media_rtp_max,
        "tandem_esl_port": settings.esl_port,
        "tandem_socket_port": settings.socket_port,
        # The supervisor keeps what the switch says.
        "freeswitch_log_file": "/dev/stdout",
        "freeswitch_log_bytes": 0,
        "kamailio_workers": 4,
        "kamailio_tcp_workers": 2,
        "kamailio_answer_workers": 4,
        "rtpengine_threads": 2,
        "node_agent_node": identity["node_id"],
        "node_agent_region": identity["region"],
        "node_agent_credential": identity["credential"],
        "node_agent_brain_url": settings.brain_url,
        "node_agent_version": "local",
    }


def _identity(settings: Settings) -> dict[str, str]:
    """`node_id`, `region` and `credential`, as the enrolment of the demo data left them."""
    path = settings.secrets / f"node{settings.node}.json"
    try:
        found: dict[str, str] = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise RenderError(f"The credential of node {settings.node} is missing or broken ({path}).") from error
    return found


def _digest(variables: Mapping[str, Any]) -> str:
    """Of the variables and of every file that takes part in the rendering."""
    total = hashlib.sha256(json.dumps(variables, sort_keys=True).encode())
    for folder in _INPUTS:
        for path in sorted((REPOSITORY / folder).rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                total.update(f"\n{path.relative_to(REPOSITORY)}\n".encode())
                total.update(path.read_bytes())
    return total.hexdigest()


def _read(path: Path) -> str | None:
    try:
        return path.read_text()
    except OSError:
        return None


def _play(target: Path, variables: Mapping[str, Any], *options: str) -> None:
    """The variables carry the node's credential: they travel in a private file, never on the command line."""
    with tempfile.TemporaryDirectory(dir=target) as folder:
        private = Path(folder) / "variables.json"
        private.write_text(json.dumps({**variables, "ansible_python_interpreter": sys.executable}))
        command = [
            str(Path(sys.executable).with_name("ansible-playbook")),
            "--inventory",
            "localhost,",
            "--extra-vars",
            f"@{private}",
            *options,
            str(ANSIBLE / "local.yml"),
        ]
        environment = {
            **os.environ,
            "ANSIBLE_CONFIG": str(ANSIBLE / "ansible.cfg"),
            "ANSIBLE_HOME": str(Path(folder) / "home"),
            "ANSIBLE_LOCAL_TEMP": str(Path(folder) / "tmp"),
            "ANSIBLE_REMOTE_TEMP": str(Path(folder) / "remote"),
            "ANSIBLE_LOCALHOST_WARNING": "false",
            "ANSIBLE_INVENTORY_UNPARSED_WARNING": "false",
            "ANSIBLE_NOCOLOR": "true",
            "PYTHONWARNINGS": "ignore",
            "LC_ALL": "C.UTF-8",
        }
        done = subprocess.run(command, env=environment, cwd=ANSIBLE, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        lines = [line for line in (done.stdout + done.stderr).splitlines() if "fatal:" in line or "ERROR" in line]
        raise RenderError(f"Ansible could not render the edge node: {' '.join(lines[:3]) or done.stdout[-500:]}")
