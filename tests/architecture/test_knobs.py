"""A knob is declared once and read somewhere: every field of every configuration model is used by other code."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ["curation", "trainer", "distill"]


def is_configuration(file: Path) -> bool:
    """Files that declare what a user may set; other strict models are records (a truth file, a plan)."""
    return file.name in ("config.py", "limits.py") or file.parent.name == "config"


def config_fields(file: Path) -> list[tuple[str, str]]:
    """(model, field) pairs declared in classes that derive, directly or not, from StrictModel in this file."""
    fields = []
    models = {"StrictModel"}
    for node in ast.parse(file.read_text()).body:
        if isinstance(node, ast.ClassDef) and any(isinstance(b, ast.Name) and b.id in models for b in node.bases):
            models.add(node.name)
            fields += [
                (node.name, item.target.id)
                for item in node.body
                if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name)
            ]
    return fields


@pytest.mark.parametrize("package", PACKAGES)
def test_every_knob_is_read(package: str) -> None:
    sources = sorted((ROOT / "packages" / package / "src" / package).rglob("*.py"))
    if package == "distill":
        sources += sorted((ROOT / "packages" / "trainer" / "src" / "trainer").rglob("*.py"))
    reads: set[str] = set()
    for file in sources:
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load):
                reads.add(node.attr)
            elif file.name == "table.py" and isinstance(node, ast.Constant) and isinstance(node.value, str):
                reads.add(node.value)  # a table names the settings that its entries read
    declared = [
        (f, *pair) for f in sources if is_configuration(f) and f"/{package}/src/" in str(f) for pair in config_fields(f)
    ]
    assert declared, f"{package} declares no configuration"
    dead = [
        f"{f.name}:{model}.{field}" for f, model, field in declared if field not in reads and field not in ("kind",)
    ]
    assert not dead, f"never read: {dead}"


@pytest.mark.parametrize("package", PACKAGES)
def test_every_knob_is_described(package: str) -> None:
    for file in sorted((ROOT / "packages" / package / "src" / package).rglob("*.py")):
        tree = ast.parse(file.read_text())
        for node in tree.body:
            if not isinstance(node, ast.ClassDef):
                continue
            if not any(isinstance(b, ast.Name) and b.id in ("StrictModel",) for b in node.bases):
                continue
            for item in node.body:
                if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name) and item.target.id != "kind":
                    text = ast.unparse(item)
                    nested = re.search(r":\s*\w*(Config|Settings|Section)\b", text)
                    assert "description=" in text or nested, f"{file.name}: {node.name}.{item.target.id}"
