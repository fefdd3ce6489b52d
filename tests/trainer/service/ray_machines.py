"""A Ray cluster with job service, of two machines with one CPU each, played by this one.

python -m tests.trainer.service.ray_machines PORT     says when it is up; a line on stdin replaces the second machine
"""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path

from tests.held_cluster import ClusterEnded, HeldCluster, say, short_folder

STARTS = 3
"""Attempts at a machine: Ray gives one 30 seconds to come up."""


class RayMachines:
    """The cluster. Use it as a context manager.

    `address` is that of its job service; `environment` is for who wants to talk to it: a token of its own.
    """

    def __enter__(self) -> RayMachines:
        folder = short_folder()
        token = folder / "token"
        token.write_text(os.urandom(32).hex())
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("RAY_")},
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "OMP_NUM_THREADS": "1",
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN_PATH": str(token),
            "RAY_USAGE_STATS_ENABLED": "0",
            "RAY_TMPDIR": str(folder),
        }
        port = _free_port()
        self.address = f"http://127.0.0.1:{port}"
        self._cluster = HeldCluster(
            "tests.trainer.service.ray_machines", str(port), environment=self.environment, folder=folder
        )
        try:
            assert self._cluster.answer() == "up"
        except (AssertionError, ClusterEnded):
            self._cluster.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._cluster.close()

    def replace_second(self) -> None:
        """Kill all processes of the second machine, SIGKILL, no farewell, and add another machine."""
        assert self._cluster.ask("replace") == "replaced"

    def ranks(self) -> list[int]:
        """Processes that train, without those that load for them."""
        return self._cluster.processes("ray::RayTrainWorker")


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
    say("up")
    for _ in sys.stdin:
        cluster.remove_node(second, allow_graceful=False)
        second = add()
        say("replaced")
    cluster.shutdown()


def _free_port() -> int:
    with socket.socket() as door:
        door.bind(("127.0.0.1", 0))
        return int(door.getsockname()[1])


if __name__ == "__main__":
    _serve(int(sys.argv[1]))
