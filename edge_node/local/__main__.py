"""The commands of the contract: `python -m edge_node.local up|down|status|logs|clean|redeploy|deploy`."""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

from edge_node.local import deploy, migrate, probe, status, vendor, wrangler
from edge_node.local.bundle import BundleError
from edge_node.local.demo_call import DemoError
from edge_node.local.installation import prepare_command
from edge_node.local.packages import PackagesError
from edge_node.local.phone import PhoneError
from edge_node.local.ports import PortError
from edge_node.local.render import RenderError
from edge_node.local.settings import MOST_NODES, REPOSITORY, Settings, load
from edge_node.local.supervise import Supervisor, SupervisorError
from edge_node.local.up import UpError, up
from edge_node.local.vendor import VendorError
from edge_node.local.waiting import WaitError, wait_until
from edge_node.local.wrangler import WranglerError

_CLEAR = (
    UpError,
    BundleError,
    DemoError,
    PackagesError,
    PhoneError,
    PortError,
    RenderError,
    SupervisorError,
    VendorError,
    WaitError,
    WranglerError,
)


def main(arguments: list[str]) -> int:
    command = arguments[0] if arguments else ""
    try:
        settings = load()
        match command:
            case "up":
                up(settings)
            case "down":
                down(settings)
            case "status":
                return 0 if status.show(settings) else 1
            case "logs":
                return status.follow_logs(settings)
            case "clean":
                clean(settings)
            case "redeploy":
                redeploy(settings)
            case "deploy":
                return deploy.main(arguments[1:])
            case _:
                print(__doc__)
                return 2
    except (*_CLEAR, ValueError, OSError, subprocess.CalledProcessError) as error:
        print(f"\nmake {command}: {error}", file=sys.stderr)
        return 1
    return 0


def down(settings: Settings) -> None:
    """All that `make up` started; with `TANDEM_NODE=2` that node alone."""
    if settings.node == 1:
        for number in range(2, MOST_NODES + 1):
            Supervisor(replace(settings, node=number)).stop()
    Supervisor(settings).stop()
    print("Tandem is down." if settings.node == 1 else f"Node {settings.node} is down.")


def clean(settings: Settings) -> None:
    """Down, and the state wiped: all of it, or what the second node alone has. Its credential is the installation's."""
    down(settings)
    if settings.node == 1:
        shutil.rmtree(settings.state, ignore_errors=True)
    else:
        Supervisor(settings).wipe()


def redeploy(settings: Settings, source: Path = REPOSITORY) -> None:
    """The changed brain, from `source`, into the running installation; the edge keeps its processes.

    The old brain works until the new one has been started once, beside it. Raises `UpError` when it does not start.
    """
    supervisor = Supervisor(settings)
    if not supervisor.is_running():
        raise UpError("Nothing is running: `make up` starts the changed brain.")
    vendor.vendor()
    _prepare(settings, source)
    migrate.apply(settings)
    supervisor.restart("brain")
    wait_until(lambda: probe.brain_version(settings) is not None, 60, "the brain")
    print("The brain was redeployed; the edge was not touched.")


def _prepare(settings: Settings, source: Path) -> None:
    command = prepare_command(settings, source)
    done = subprocess.run(
        command, cwd=REPOSITORY, env=wrangler.environment(), capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        said = (done.stdout + done.stderr).strip()[-1500:]
        raise UpError(f"The changed brain does not start; the one that was there goes on. It said:\n{said}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
