"""`python -m edge_node.agent --config FILE.json`: runs one node-agent in the foreground until SIGTERM or SIGINT."""

from __future__ import annotations

import argparse
import asyncio
import gc
import signal
import sys
from pathlib import Path

from edge_node.agent.app import Agent
from edge_node.agent.config import Config, ConfigError, load
from edge_node.agent.log import Log


async def serve(config: Config) -> int:
    """0 after a signal, 1 when a part failed: the supervisor starts the agent again."""
    log = Log(level=config.log_level)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with Agent(config, log) as agent:
        # What was built until now lives as long as the process: the collector need not look at it again.
        gc.freeze()
        waits = [asyncio.create_task(stop.wait()), asyncio.create_task(agent.failed.wait())]
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()
    log.info("agent stopped")
    return 0 if stop.is_set() else 1


def main() -> int:
    parser = argparse.ArgumentParser(prog="edge_node.agent", description=__doc__)
    parser.add_argument("--config", type=Path, required=True, help="the JSON configuration file")
    arguments = parser.parse_args()
    try:
        return asyncio.run(serve(load(arguments.config)))
    except ConfigError as error:
        sys.stderr.write(f"{error}\n")
    except OSError as error:
        sys.stderr.write(f"The agent cannot start: {error}\n")
    return 2


if __name__ == "__main__":
    sys.exit(main())
