"""Texts spoken by machine. One engine comes with the node (espeak-ng); others, such as a cloud's, fit the interface."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Final, Protocol

from edge_node.agent.prompts.programs import ProgramError, run
from tandem.contracts.flow import Speech

FALLBACK_LANGUAGE: Final = "en-US"
_SPEAK_SEC: Final = 20.0
_LIST_SEC: Final = 10.0
# Words a minute, and the variant files of espeak-ng that sound least like a machine.
_SPEED: Final = "160"
_VARIANTS: Final = {"female": "f2", "male": "m3"}
# More at once would only slow each other down.
_AT_ONCE: Final = 2


class Synthesiser(Protocol):
    @property
    def name(self) -> str: ...

    async def speaks(self, language: str) -> bool:
        """A BCP 47 tag, such as `en-US`."""
        ...

    async def speak(self, speech: Speech, language: str, target: Path) -> None:
        """Writes a WAV file. Raises `ProgramError`."""
        ...


class EspeakNg:
    """https://github.com/espeak-ng/espeak-ng: formants, small, no account, about a hundred languages."""

    name: Final = "espeak-ng"

    def __init__(self) -> None:
        self._voices: frozenset[str] | None = None
        self._at_once = asyncio.Semaphore(_AT_ONCE)

    async def speaks(self, language: str) -> bool:
        return await self._voice(language) is not None

    async def speak(self, speech: Speech, language: str, target: Path) -> None:
        voice = await self._voice(language)
        if voice is None:
            raise ProgramError(f"{self.name} does not speak {language}")
        chosen = f"{voice}+{_VARIANTS[speech.voice]}"
        command = [self.name, "-v", chosen, "-s", _SPEED, "-b", "1", "-w", str(target), "--stdin"]
        async with self._at_once:
            await run(command, _SPEAK_SEC, speech.text.encode())

    async def _voice(self, language: str) -> str | None:
        """The voice of the region (`pt-br`), else of the language (`pt`); `cmn` is Mandarin, `yue` Cantonese."""
        if self._voices is None:
            listed = (await run([self.name, "--voices"], _LIST_SEC)).decode(errors="replace").splitlines()[1:]
            self._voices = frozenset(line.split()[1] for line in listed if len(line.split()) > 1)
        tag = language.lower()
        candidates = (tag, tag.partition("-")[0])
        found = next((one for one in candidates if one in self._voices), None)
        if found is None and candidates[1] == "en":
            found = next((one for one in ("en-us", "en-gb") if one in self._voices), None)
        return found
