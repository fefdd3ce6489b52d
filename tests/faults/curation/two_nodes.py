"""A Ray cluster of two nodes with one CPU each on this machine.

python -m tests.faults.curation.two_nodes     says its address; a line on stdin loses the second node
"""

from __future__ import annotations

import os
import sys

from tests.held_cluster import ClusterEnded, HeldCluster, say, short_folder

STARTS = 3
"""Ray gives its own start 30 s, which is too little on a busy machine."""


class TwoNodes:
    """The cluster. Use it as a context manager."""

    def __enter__(self) -> TwoNodes:
        for _ in range(STARTS - 1):
            try:
                return self._start()
            except ClusterEnded:
                self._cluster.close()
        return self._start()

    def _start(self) -> TwoNodes:
        environment = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}
        self._cluster = HeldCluster("tests.faults.curation.two_nodes", environment=environment, folder=short_folder())
        self.address = self._cluster.answer()
        return self

    def __exit__(self, *_: object) -> None:
        self._cluster.close()

    def lose_second_node(self) -> None:
        """Kill all processes of the second node: SIGKILL, no farewell."""
        assert self._cluster.ask("lose") == "lost"

    def actors(self) -> list[int]:
        """Processes of the actors that work in the cluster."""
        return self._cluster.processes("ray::_Worker")


def _serve() -> None:
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    second = cluster.add_node(num_cpus=1)
    say(cluster.address)
    for _ in sys.stdin:
        cluster.remove_node(second, allow_graceful=False)
        say("lost")
    cluster.shutdown()


if __name__ == "__main__":
    _serve()
