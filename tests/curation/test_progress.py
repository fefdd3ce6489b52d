"""Progress: a bar with counts, rate and time left on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys

import pytest

from curation import progress
from curation.progress import PartProgress

SCRIPT = """
import time
from curation.progress import PartProgress
with PartProgress("embed", 4) as bar:
    for _ in range(4):
        time.sleep(0.3)
        bar.advance()
"""


def test_short_work_is_silent_elsewhere(capsys: pytest.CaptureFixture[str]) -> None:
    with PartProgress("embed", 2) as bar:
        bar.advance()
        bar.advance()
    assert capsys.readouterr() == ("", "")


def test_long_work_tells_counts_rate_and_time_left(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "SECONDS_BETWEEN_LINES", 0.0)
    with PartProgress("verify", 3, "shards") as bar:
        for _ in range(3):
            bar.advance()
    said = capsys.readouterr()
    lines = said.err.splitlines()
    assert len(lines) == 3 and not said.out
    assert re.fullmatch(r"verify: 2/3 shards, [\d.]+/s, \d+ s left", lines[1])


def test_a_terminal_gets_a_bar_that_goes_away() -> None:
    ours, theirs = pty.openpty()
    words = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "100"}
    process = subprocess.Popen([sys.executable, "-c", SCRIPT], stdout=subprocess.PIPE, stderr=theirs, env=words)
    os.close(theirs)
    shown = b""
    while True:
        try:
            piece = os.read(ours, 4096)
        except OSError:  # the other end is closed
            break
        if not piece:
            break
        shown += piece
    out, _ = process.communicate()
    os.close(ours)
    text = shown.decode()
    assert process.returncode == 0 and out == b""
    assert "embed" in text and re.search(r"[123]/4", text) and "parts/s" in text and "\x1b[" in text
