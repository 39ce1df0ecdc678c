"""`make status` and `make logs`."""

from __future__ import annotations

import subprocess

from edge_node.local import probe
from edge_node.local.settings import Settings
from edge_node.local.supervise import Supervisor

NOT_BUILT = ("tls", "wss")


def show(settings: Settings) -> bool:
    """One line a part: up or down, version, port, pid, last error; True when all are up."""
    supervisor = Supervisor(settings)
    states = supervisor.states()
    ports = {
        "brain": settings.brain_port,
        "rtpengine": settings.ng_port,
        "kamailio": settings.sip_port,
        "agent": settings.agent_port,
        "engine": settings.media_sip_port,
        "freeswitch": settings.media_sip_port,
    }
    all_up = True
    print(f"{'part':<12} {'state':<6} {'version':<34} {'port':<6} {'pid':<8} last error")
    for name, check in probe.checks(settings).items():
        version = check()
        all_up = all_up and version is not None
        state = states.get(name)
        pid = str(state.pid) if state and state.pid else "-"
        error = "" if version is not None else _last_error(supervisor, name)
        word = "down" if version is None else "up"
        print(f"{name:<12} {word:<6} {version or '-':<34.34} {ports[name]:<6} {pid:<8} {error}")
    off = [*NOT_BUILT, *(["freeswitch"] if settings.media_engine != "freeswitch" else [])]
    for name in off:
        print(f"{name:<12} {'off':<6} {'-':<34} {'-':<6} {'-':<8}")
    return all_up


def follow_logs(settings: Settings) -> int:
    """Follows the logs of all parts, each line with its part in front, until interrupted."""
    logs = sorted(settings.logs.glob("*/current"))
    if not logs:
        print(f"There are no logs below {settings.logs} yet; run `make up`.")
        return 1
    folder = len(str(settings.logs)) + 2
    name = f'/^==> / {{ part = substr($2, {folder}); sub("/current$", "", part); next }}'
    prefix = name + ' NF { print part ": " $0; fflush() }'
    tail = subprocess.Popen(
        ["tail", "-n", "20", "-F", *map(str, logs)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    try:
        return subprocess.run(["awk", prefix], stdin=tail.stdout, check=False).returncode
    except KeyboardInterrupt:
        return 0
    finally:
        tail.terminate()


def _last_error(supervisor: Supervisor, name: str) -> str:
    if name == "engine":
        name = "agent"
    if name not in supervisor.states():
        return "not started (run `make up`)"
    log = supervisor.log_file(name)
    lines = log.read_text(errors="replace").strip().splitlines() if log.is_file() else []
    return lines[-1][:160] if lines else "it has said nothing"
