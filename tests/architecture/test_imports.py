"""Who may import whom, and what every package must import without (docs: the table in CONTRIBUTING.md)."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
OURS = {"contracts", "curation", "trainer", "distill"}
MAY_IMPORT: dict[str, set[str]] = {
    "contracts": set(),
    "curation": {"contracts"},
    "trainer": {"contracts"},
    "distill": {"contracts", "trainer"},
}
IMPORTS_WITHOUT: dict[str, set[str]] = {
    "contracts": {"torch", "ray", "faiss", "transformers"},
    "curation": {"torch", "ray", "faiss", "transformers", "trainer", "distill"},
    "trainer": {"ray", "faiss", "xformers", "transformers", "curation"},
    "distill": {"ray", "faiss", "xformers", "transformers", "curation"},
}


def modules(package: str) -> list[Path]:
    return sorted((ROOT / "packages" / package / "src" / package).rglob("*.py"))


def module_name(package: str, file: Path) -> str:
    parts = file.relative_to(ROOT / "packages" / package / "src").with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imported(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("package", sorted(OURS))
def test_packages_import_only_what_they_may(package: str) -> None:
    assert modules(package), f"no modules found for {package}"
    for file in modules(package):
        found = {name.split(".")[0] for name in imported(ast.parse(file.read_text()))} & OURS
        assert found <= MAY_IMPORT[package] | {package}, f"{file} imports {found}"


def test_pipelines_import_public_api_modules_only() -> None:
    files = sorted((ROOT / "pipelines").rglob("*.py"))
    assert files
    for file in files:
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] in OURS - {"contracts"}:
                names = {f"{node.module}.{alias.name}" for alias in node.names}
                assert node.module.endswith(".api") or all(n.endswith(".api") for n in names), f"{file}: {names}"


def test_typer_stands_only_in_cli() -> None:
    for package in OURS:
        for file in modules(package):
            names = {name.split(".")[0] for name in imported(ast.parse(file.read_text()))}
            if names & {"typer", "click"}:
                assert file.name == "cli.py" or file.parent.name == "cli", f"{file} imports typer"


@pytest.mark.parametrize("package", sorted(OURS))
def test_every_module_imports_in_silence_without_the_optional_libraries(package: str) -> None:
    """One fresh interpreter imports all modules of a package; nothing is printed, no file is opened for writing,
    no environment variable is set, and none of the libraries that a bare install lacks gets loaded."""
    names = [module_name(package, file) for file in modules(package) if file.name != "__main__.py"]
    script = (
        "import sys, os, importlib\n"
        "before = dict(os.environ)\n"
        "def hook(event, args):\n"
        "    if event == 'open' and args[1] and any(c in str(args[1]) for c in 'wax+'):\n"
        "        name = str(args[0])\n"
        "        assert '__pycache__' in name or name == '/dev/null', f'opened {args}'\n"
        "    assert event != 'socket.connect', f'connected to {args}'\n"
        "sys.addaudithook(hook)\n"
        f"for name in {names!r}: importlib.import_module(name)\n"
        f"loaded = sorted({IMPORTS_WITHOUT[package]!r} & set(sys.modules))\n"
        "assert not loaded, f'loaded {loaded}'\n"
        "changed = {k for k in os.environ if before.get(k) != os.environ[k]} | (before.keys() - os.environ.keys())\n"
        f"ours = {{k for k in changed if k.startswith(('RAY', 'OMP', 'HF_', 'WINNOW'))}}\n"
        "assert not ours, f'environment changed: {ours}'\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    assert done.stderr == ""
