"""The documents tell the truth: links lead somewhere, the settings page is current, commands and options exist."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "benchmarks").glob("*.md")])
TOOLS = ("curate", "trainer", "distill")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    prose = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", prose):
        if "://" not in target:
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_the_settings_page_is_current() -> None:
    script = "import runpy; print(runpy.run_path('docs/write_configuration.py')['page'](), end='')"
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert (ROOT / "docs" / "configuration.md").read_text() == done.stdout, "run: python docs/write_configuration.py"


def test_the_commands_page_is_current() -> None:
    script = "import runpy; print(runpy.run_path('docs/write_cli.py')['page'](), end='')"
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert (ROOT / "docs" / "cli.md").read_text() == done.stdout, "run: python docs/write_cli.py"


def test_the_site_builds_without_a_dead_link_or_a_page_that_is_nowhere_in_its_menu(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path / "site")]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    home = (tmp_path / "site" / "index.html").read_text()
    assert "Winnow" in home and "fonts.googleapis.com" not in home


@cache
def help_of(tool: str, command: str = "") -> str:
    script = f"from {'curation' if tool == 'curate' else tool}.cli import app; app()"
    words = [*([command] if command else []), "--help"]
    done = subprocess.run(
        [sys.executable, "-c", script, *words],
        capture_output=True,
        text=True,
        check=True,
        env={"COLUMNS": "240", "TERM": "dumb", "NO_COLOR": "1", "PATH": ""},
    )
    return re.sub(r"\x1b\[[0-9;]*m", "", done.stdout)


def commands_in(page: Path) -> set[tuple[str, str, tuple[str, ...]]]:
    """(tool, command, options) of every line of a code block that calls one of the tools."""
    found = set()
    for block in re.findall(r"```(?:bash|sh|console)\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL):
        for line in block.replace("\\\n", " ").splitlines():
            for call in re.split(r"&&|;|\|", line.split("  #")[0]):
                words = call.removeprefix("$ ").split()
                if len(words) > 1 and words[0] in TOOLS and not words[1].startswith("-"):
                    options = tuple(sorted({w.split("=")[0] for w in words[2:] if w.startswith("--")}))
                    found.add((words[0], words[1], options))
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_and_options_exist(page: Path) -> None:
    for tool, command, options in sorted(commands_in(page)):
        assert re.search(rf"^\W*{command}\b", help_of(tool), re.MULTILINE), f"{page.name}: {tool} {command}"
        for option in options:
            assert re.search(rf"{option}\b", help_of(tool, command)), f"{page.name}: {tool} {command} {option}"


def test_the_readme_names_the_four_commands() -> None:
    text = (ROOT / "README.md").read_text()
    for command in (
        "curate dedup --index faiss",
        "curate retrieve --seed imagenet",
        "trainer pretrain",
        "distill run --student vits14",
        "make demo",
        "make test",
    ):
        assert command in text
