"""A Ray cluster of two nodes on this machine, in a process and a folder of its own: other Rays are not touched.

python two_nodes.py     prints the address; a line on stdin loses the second node; the end of stdin ends the cluster
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

STARTS = 3
"""Ray gives its own start 30 s, which is too little on a busy machine."""


class ClusterEnded(Exception):
    """The process that holds the cluster said nothing more."""


class TwoNodes:
    """The process that holds the cluster: a head and a second node with one CPU each. Use it as a context manager."""

    def __enter__(self) -> TwoNodes:
        for _ in range(STARTS - 1):
            try:
                return self._start()
            except ClusterEnded:
                self.__exit__()
        return self._start()

    def _start(self) -> TwoNodes:
        self._folder = tempfile.mkdtemp(prefix="rays-", dir="/tmp")  # sockets want short paths
        environment = {**os.environ, "RAY_TMPDIR": self._folder, "RAY_USAGE_STATS_ENABLED": "0"}
        environment.pop("RAY_ADDRESS", None)
        self._process = subprocess.Popen(
            [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )
        self.address = self._answer()
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(timeout=120)
        shutil.rmtree(self._folder, ignore_errors=True)

    def lose_second_node(self) -> None:
        """Kill all processes of the second node: SIGKILL, no farewell."""
        assert self._process.stdin is not None
        self._process.stdin.write("lose\n")
        self._process.stdin.flush()
        assert self._answer() == "lost"

    def actors(self) -> list[int]:
        """Processes of the actors that work in the cluster."""
        known, found = {self._process.pid}, []
        for process in sorted(int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()):
            try:
                title = Path(f"/proc/{process}/cmdline").read_bytes()
                parent = int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue
            if parent in known:
                known.add(process)
                found += [process] if title.startswith(b"ray::_Worker") else []
        return found

    def _answer(self) -> str:
        assert self._process.stdout is not None
        for line in self._process.stdout:  # Ray may say something too
            if line.startswith("{"):
                return str(json.loads(line)["said"])
        raise ClusterEnded


def _serve() -> None:
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    second = cluster.add_node(num_cpus=1)
    _say(cluster.address)
    for _ in sys.stdin:
        cluster.remove_node(second, allow_graceful=False)
        _say("lost")
    cluster.shutdown()


def _say(text: str) -> None:
    sys.stdout.write(json.dumps({"said": text}) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    _serve()
