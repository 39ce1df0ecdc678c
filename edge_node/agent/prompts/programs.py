"""Helper programs over files that strangers made: with limits, and never longer than allowed."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from typing import Final

# Of address space, and of a file written.
_MEMORY_BYTES: Final = 1024 * 1024 * 1024
_FILE_BYTES: Final = 128 * 1024 * 1024
_SAID_CHARS: Final = 300


class ProgramError(Exception):
    """It is not installed, failed, or took too long; the message has its own last words."""


async def run(command: Sequence[str], within: float, stdin: bytes = b"") -> bytes:
    """What it wrote to its output; `within` in seconds. Raises `ProgramError`."""
    limits = ["prlimit", f"--as={_MEMORY_BYTES}", f"--fsize={_FILE_BYTES}", f"--cpu={max(1, int(within))}", "--core=0"]
    try:
        process = await asyncio.create_subprocess_exec(
            *limits,
            "--",
            *command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
    except OSError as error:
        raise ProgramError(f"{command[0]}: {error.strerror}") from error
    try:
        async with asyncio.timeout(within):
            output, said = await process.communicate(stdin)
    except TimeoutError as error:
        raise ProgramError(f"{command[0]} took longer than {within:g} s") from error
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
    if process.returncode != 0:
        words = said.decode(errors="replace").strip()[-_SAID_CHARS:]
        raise ProgramError(f"{command[0]} ended with {process.returncode}: {words}")
    return output
