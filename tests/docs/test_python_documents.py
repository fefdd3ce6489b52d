"""The examples of the Python API run as written, and so does every notebook, each in an empty folder."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

DOCS = Path(__file__).resolve().parents[2] / "docs"
NOTEBOOKS = sorted((DOCS / "notebooks").glob("*.ipynb"))


@pytest.mark.slow
def test_the_examples_of_the_python_api_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", (DOCS / "python-api.md").read_text(), re.DOTALL)
    assert len(blocks) == 3
    for block in blocks:
        exec(compile(block, "python-api.md", "exec"), {})
    for written in ("workspace/dataset/dataset.json", "runs/small/report.html", "runs/student/students.html"):
        assert (tmp_path / written).is_file()


@pytest.mark.slow
@pytest.mark.parametrize("file", NOTEBOOKS, ids=lambda file: file.stem)
def test_a_notebook_runs(file: Path, tmp_path: Path) -> None:
    import nbformat
    from nbclient import NotebookClient

    notebook = nbformat.read(file, as_version=4)
    NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(tmp_path)}}).execute()
    assert any(cell.get("outputs") for cell in notebook.cells)


def test_notebooks_are_there_without_outputs() -> None:
    """Outputs would be pictures of somebody's machine, and large."""
    assert [file.stem for file in NOTEBOOKS] == ["curate", "distill", "trainer"]
    assert all(
        '"outputs": []' in file.read_text() and '"execution_count": null' in file.read_text() for file in NOTEBOOKS
    )
    assert not any('"output_type"' in file.read_text() for file in NOTEBOOKS)
