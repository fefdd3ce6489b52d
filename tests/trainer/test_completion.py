"""The shell completes commands and options of both tools."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    ("tool", "typed", "offered"),
    [
        ("trainer", "trainer pre", {"pretrain"}),
        ("trainer", "trainer evaluate --ta", {"--task"}),
        ("distill", "distill ", {"run", "evaluate", "export", "report"}),
    ],
)
def test_bash_completes(tool: str, typed: str, offered: set[str]) -> None:
    words = {f"_{tool.upper()}_COMPLETE": "complete_bash", "COMP_WORDS": typed, "COMP_CWORD": str(typed.count(" "))}
    script = f"import sys; sys.argv = [{tool!r}]; from {tool}.cli import main; main()"
    done = subprocess.run([sys.executable, "-c", script], env=os.environ | words, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert set(done.stdout.split()) >= offered
