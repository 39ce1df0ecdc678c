"""A library of prompts over a stub brain, and what is asked of it."""

from __future__ import annotations

import wave
from pathlib import Path

import pytest

from edge_node.agent.brain import Brain
from edge_node.agent.log import Log
from edge_node.agent.metrics import Metrics
from edge_node.agent.prompts.cache import Cache
from edge_node.agent.prompts.library import Library
from edge_node.agent.prompts.speech import Synthesiser
from tandem.contracts.flow import Speech
from tests.unit.agent.stubs import StubBrain

RATE = 8_000
KEY = "acc_1/media/med_1.wav"


def speech(
    text: str = "Hello there.", language: str = "en-US", hash_: str = "0123456789abcdef", shared: bool = True
) -> Speech:
    return Speech(text=text, language=language, voice="female", hash=hash_, shared=shared)


class Shelf:
    """A library over a stub brain, and what a test looks at."""

    def __init__(
        self,
        brain: StubBrain,
        client: Brain,
        folder: Path,
        synthesiser: Synthesiser | None,
        patience: float = 0.5,
        limit: int = 100 * 2**20,
    ) -> None:
        self.brain = brain
        self.metrics = Metrics()
        self.lines: list[str] = []
        self.folder = folder
        self.cache = Cache(folder, limit)
        self.library = Library(client, self.cache, synthesiser, RATE, patience, self.metrics, Log(self.lines.append))

    def left(self) -> list[str]:
        return [path.name for path in self.folder.iterdir()]

    def count(self, source: str) -> float:
        return self.metrics.registry.get_sample_value("tandem_agent_prompts_total", {"source": source}) or 0


def check(path: Path, seconds: float) -> None:
    """What an engine plays: 16-bit mono of its rate."""
    with wave.open(str(path)) as file:
        assert (file.getframerate(), file.getsampwidth(), file.getnchannels()) == (RATE, 2, 1)
        assert file.getnframes() == pytest.approx(seconds * RATE, rel=0.1)
