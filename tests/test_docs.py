"""Commands and links in the README and the model cards."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from agezoo.cli import build_parser
from agezoo.registry import BUNDLES

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "bundles").glob("*/docs/README.md"))]


def code_lines(page: Path) -> list[str]:
    """Lines of the page's code blocks, continued lines joined."""
    blocks = re.findall(r"^```[a-z]*\n(.*?)^```", page.read_text(), flags=re.M | re.S)
    return [line.strip() for block in blocks for line in block.replace("\\\n", " ").splitlines() if line.strip()]


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_every_agezoo_command_is_accepted_by_the_command_line(page: Path) -> None:
    commands = [line for line in code_lines(page) if line.startswith("agezoo ") and "VERB" not in line]
    for command in commands:
        build_parser().parse_args(shlex.split(command, comments=True)[1:])
    assert commands or page.parent.name == "docs"


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_every_config_that_a_command_names_is_there(page: Path) -> None:
    base = ROOT if page.parent == ROOT else page.parent.parent
    named = [path for line in code_lines(page) for path in re.findall(r"[\w/]*configs/\w+\.json", line)]
    assert named
    assert [path for path in named if not (base / path).is_file()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_every_relative_link_leads_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#]+)\)", page.read_text())
    assert [link for link in links if "://" not in link and not (page.parent / link).exists()] == []


def test_every_make_target_that_is_named_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), flags=re.M))
    named = {name for page in PAGES for name in re.findall(r"(?:`|^)make ([a-z-]+)", page.read_text(), flags=re.M)}
    assert named <= targets


def test_the_readme_tells_the_state_of_every_bundle() -> None:
    rows = [line for line in (ROOT / "README.md").read_text().splitlines() if line.startswith("| ")]
    for name, facts in BUNDLES.items():
        row = next(line for line in rows if f"`{name}`" in line)
        assert facts.state in row.rsplit("|", 2)[1]
