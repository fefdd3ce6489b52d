"""A Ray cluster with job service, of two machines with one CPU each, played by this one: other Rays are not touched.

python ray_machines.py PORT     says when it is up; a line on stdin loses the second machine and adds another
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

STARTS = 3
"""Attempts at a machine: Ray gives one 30 seconds to come up."""


class RayMachines:
    """The process that holds the cluster. Use it as a context manager.

    `address` is that of its job service; `environment` is for who wants to talk to it: a token of its own.
    """

    def __enter__(self) -> RayMachines:
        self._folder = Path(tempfile.mkdtemp(prefix="rays-", dir="/tmp"))  # sockets want short paths
        token = self._folder / "token"
        token.write_text(os.urandom(32).hex())
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("RAY_")},
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "OMP_NUM_THREADS": "1",
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN_PATH": str(token),
            "RAY_USAGE_STATS_ENABLED": "0",
            "RAY_TMPDIR": str(self._folder),
        }
        port = _free_port()
        self.address = f"http://127.0.0.1:{port}"
        self._process = subprocess.Popen(
            [sys.executable, __file__, str(port)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=self.environment,
        )
        try:
            assert self._answer() == "up"
        except AssertionError:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(timeout=120)
        shutil.rmtree(self._folder, ignore_errors=True)

    def replace_second(self) -> None:
        """Kill all processes of the second machine, SIGKILL, no farewell, and add another machine."""
        assert self._process.stdin is not None
        self._process.stdin.write("replace\n")
        self._process.stdin.flush()
        assert self._answer() == "replaced"

    def ranks(self) -> list[int]:
        """Processes that train, without those that load for them."""
        known, found = {self._process.pid}, []
        for process in sorted(int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()):
            try:
                title = Path(f"/proc/{process}/cmdline").read_bytes()
                parent = int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue
            if parent in known:
                known.add(process)
                if title.startswith(b"ray::RayTrainWorker") and parent not in found:
                    found.append(process)
        return found

    def _answer(self) -> str:
        assert self._process.stdout is not None
        for line in self._process.stdout:  # Ray may say something too
            if line.startswith("{"):
                return str(json.loads(line)["said"])
        raise AssertionError("the cluster ended")


def _serve(port: int) -> None:
    from ray.cluster_utils import Cluster

    cluster = Cluster()

    def add(**more: object) -> object:
        for left in range(STARTS - 1, -1, -1):
            try:
                return cluster.add_node(num_cpus=1, dashboard_agent_listen_port=_free_port(), **more)
            except Exception as error:  # Ray raises a bare Exception when a busy machine is slow to start it
                if "timed out" not in str(error) or not left:
                    raise
        raise AssertionError("the last round returns or raises")

    add(include_dashboard=True, dashboard_port=port)
    second = add()
    _say("up")
    for _ in sys.stdin:
        cluster.remove_node(second, allow_graceful=False)
        second = add()
        _say("replaced")
    cluster.shutdown()


def _free_port() -> int:
    with socket.socket() as door:
        door.bind(("127.0.0.1", 0))
        return int(door.getsockname()[1])


def _say(text: str) -> None:
    sys.stdout.write(json.dumps({"said": text}) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    _serve(int(sys.argv[1]))
