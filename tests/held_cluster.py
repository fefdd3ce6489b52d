"""A Ray cluster in a process and a folder of its own, so that no other Ray is touched."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).parents[1]


class ClusterEnded(Exception):
    """The process that holds the cluster said nothing more."""


class HeldCluster:
    """The process of a module that starts a cluster, answers each line on stdin with `say`, and ends it with stdin."""

    def __init__(self, module: str, *words: str, environment: Mapping[str, str], folder: Path) -> None:
        self._folder = folder
        self._process = subprocess.Popen(
            [sys.executable, "-m", module, *words],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**environment, "RAY_TMPDIR": str(folder), "RAY_USAGE_STATS_ENABLED": "0"},
        )

    def ask(self, word: str) -> str:
        """What the process answers."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{word}\n")
        self._process.stdin.flush()
        return self.answer()

    def answer(self) -> str:
        """What the process says next. Errors: ClusterEnded."""
        assert self._process.stdout is not None
        for line in self._process.stdout:  # Ray may say something too
            if line.startswith("{"):
                return str(json.loads(line)["said"])
        raise ClusterEnded

    def processes(self, title: str) -> list[int]:
        """Those of the cluster by the begin of their title, without their own children of that title."""
        known, found = {self._process.pid}, []
        for process in sorted(int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()):
            try:
                words = Path(f"/proc/{process}/cmdline").read_bytes()
                parent = int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue
            if parent in known:
                known.add(process)
                if words.startswith(title.encode()) and parent not in found:
                    found.append(process)
        return found

    def close(self) -> None:
        """End the cluster and remove its folder."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(timeout=120)
        shutil.rmtree(self._folder, ignore_errors=True)


def short_folder() -> Path:
    """A new one whose path is short enough for Ray's sockets."""
    return Path(tempfile.mkdtemp(prefix="rays-", dir="/tmp"))


def say(text: str) -> None:
    """Answer, in the process that holds the cluster."""
    sys.stdout.write(json.dumps({"said": text}) + "\n")
    sys.stdout.flush()
