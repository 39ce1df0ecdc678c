"""What the documents tell people to type exists, and so do the files that they point to."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from edge_node.local.settings import PORTS, REPOSITORY

DOCUMENTS = [REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").rglob("*.md")), REPOSITORY / "bench/README.md"]
NAMES = [str(path.relative_to(REPOSITORY)) for path in DOCUMENTS]
TARGETS = {
    name
    for line in (REPOSITORY / "Makefile").read_text().splitlines()
    if re.match(r"[a-z][a-z0-9 -]*:", line)
    for name in line.split(":")[0].split()
}


def _told(path: Path, pattern: str) -> set[str]:
    """What the code in a document names: indented and fenced blocks, and what stands between backticks."""
    text = path.read_text()
    code = re.findall(r"```.*?```|`[^`\n]+`|^    \S.*$", text, re.DOTALL | re.MULTILINE)
    return {found for part in code for found in re.findall(pattern, part)}


@pytest.mark.parametrize("path", DOCUMENTS, ids=NAMES)
def test_every_make_command_is_a_target(path: Path) -> None:
    assert _told(path, r"\bmake ([a-z][a-z-]*)") - TARGETS - {"git"} == set()


@pytest.mark.parametrize("path", DOCUMENTS, ids=NAMES)
def test_every_link_leads_somewhere(path: Path) -> None:
    links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", path.read_text())
    assert [link for link in links if not (path.parent / link).exists()] == []


def test_the_readme_starts_an_installation_and_its_tests() -> None:
    assert {"up", "test", "down"} <= _told(REPOSITORY / "README.md", r"\bmake ([a-z-]+)")


def test_operating_names_every_port_with_its_default() -> None:
    text = (REPOSITORY / "docs/operate.md").read_text()
    assert [name for name in PORTS if name not in text or str(PORTS[name]) not in text] == []
