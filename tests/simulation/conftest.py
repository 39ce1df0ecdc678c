"""Markers of this layer."""

from __future__ import annotations

import pytest


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "simulation: many random events with a virtual clock (minutes, not seconds)")
