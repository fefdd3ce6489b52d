"""Inside a package arrows run one way: no two sub-packages import each other."""

from __future__ import annotations

import ast
from collections import defaultdict
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def arrows(package: str) -> dict[str, set[str]]:
    source = ROOT / "packages" / package / "src" / package
    found: dict[str, set[str]] = defaultdict(set)
    for file in sorted(source.rglob("*.py")):
        here = file.relative_to(source).with_suffix("").parts[0]
        for node in ast.walk(ast.parse(file.read_text())):
            names: list[str] = []
            if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == package:
                rest = node.module.split(".")[1:]
                names = [rest[0]] if rest else [alias.name for alias in node.names]
            elif isinstance(node, ast.Import):
                names = [a.name.split(".")[1] for a in node.names if a.name.startswith(f"{package}.")]
            found[here] |= {name for name in names if name != here}
    return found


@pytest.mark.parametrize("package", ["contracts", "curation", "trainer", "distill"])
def test_no_cycle_between_sub_packages(package: str) -> None:
    graph = arrows(package)
    state: dict[str, int] = {}

    def visit(node: str, path: list[str]) -> None:
        assert state.get(node) != 1, f"{package}: {' -> '.join([*path, node])}"
        if state.get(node) == 2:
            return
        state[node] = 1
        for target in sorted(graph.get(node, ())):
            visit(target, [*path, node])
        state[node] = 2

    for node in sorted(graph):
        visit(node, [])
