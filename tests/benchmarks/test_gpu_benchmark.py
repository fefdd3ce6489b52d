"""The benchmark of training steps runs with PyTorch alone, goes on after what does not fit, compares like with like."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
PACKAGES = [str(BENCHMARKS.parent / "packages" / name / "src") for name in ("contracts", "trainer", "distill")]
# Everything that the packages depend on, but for PyTorch.
ABSENT = {"braceexpand", "cv2", "faiss", "fsspec", "huggingface_hub", "PIL", "psutil", "pyarrow", "pydantic", "ray"}
ABSENT |= {
    "rich",
    "safetensors",
    "simplejpeg",
    "tensorboard",
    "timm",
    "transformers",
    "typer",
    "webdataset",
    "xformers",
}
ABSENT |= {"xformers", "yaml"}
ALONE = """
import importlib.abc, runpy, sys
class Absent(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name.split(".")[0] in {absent}:
            raise ImportError("no " + name)
sys.meta_path.insert(0, Absent())
sys.path[:0] = {path!r}
runpy.run_path({script!r}, run_name="__main__")
"""


@pytest.fixture
def gpu_row(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(BENCHMARKS)
    return importlib.import_module("gpu_row")


def test_it_runs_with_pytorch_alone(tmp_path: Path) -> None:
    script = str(BENCHMARKS / "gpu.py")
    code = ALONE.format(absent=ABSENT, path=[str(BENCHMARKS), *PACKAGES], script=script)
    words = ["--device", "cpu", "--arch", "tiny", "--images", "2", "--steps", "1", "--peak-tflops", "0.05"]
    words += ["--rows", "all tokens", "data", "--out", str(tmp_path / "gpu.json")]
    done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    report = json.loads((tmp_path / "gpu.json").read_text())
    rows = {row["name"]: row for row in report["rows"]}
    assert list(rows) == ["ours", "the standard way", "all tokens", "data"]
    for name in ("ours", "the standard way", "all tokens"):
        row = rows[name]
        assert row["images_per_second"] == pytest.approx(2 / row["step_seconds"])
        assert row["mfu"] == pytest.approx(row["teraflops_per_second"] / 0.05)
    assert rows["the standard way"]["same_losses"]
    assert rows["all tokens"]["same_losses"]
    assert "no " in rows["data"]["left_out"]
    assert report["aims"]["standard_way_to_ours"] == {"vitp8, 2 images": rows["the standard way"]["time_to_ours"]}
    assert len([line for line in done.stdout.splitlines() if line.startswith("| vitp8 ")]) == 4


def test_a_row_that_does_not_fit_says_so(gpu_row: ModuleType) -> None:
    row = gpu_row.Row("ours", "vitp8", 2, device="cpu", precision="fp32", prototypes=2**42, compiled=False)
    assert gpu_row.measure(row) == {"out_of_memory": True}
    assert gpu_row.Row.of(json.loads(json.dumps(row.values()))) == row


@pytest.mark.slow
def test_a_row_in_a_process_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(BENCHMARKS)
    gpu, row = importlib.import_module("gpu"), importlib.import_module("gpu_row").Row
    tiny = row("ours", "vitp8", 2, "cpu", "fp32", 64, compiled=False, warm_up=1, steps=1)
    assert gpu.in_own_process(tiny)["step_seconds"] > 0
    assert "nonsense" in gpu.in_own_process(gpu.replace(tiny, device="nonsense"))["failed"]


def test_images_through_the_loader(gpu_row: ModuleType) -> None:
    row = gpu_row.Row("data", "vitp8", 2, "cpu", "fp32", 64, compiled=False, data="synthetic", warm_up=1, steps=1)
    found = gpu_row.measure(row)
    assert 0 < found["data_wait"] < 1
    assert found["images_per_second"] > 0


def test_what_is_off_anyway_is_no_row_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(BENCHMARKS)
    gpu, row = importlib.import_module("gpu"), importlib.import_module("gpu_row").Row
    base = row("ours", "vits14", 4, "cpu", "fp32", compiled=False)
    names = [name for name, off in gpu.SWITCHED.items() if gpu.differs(gpu.replace(base, name=name, **off), base)]
    assert set(gpu.SWITCHED) - set(names) == {"not compiled", "fp32", "the standard way, compiled"}


def test_losses_may_differ_by_rounding_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(BENCHMARKS)
    gpu = importlib.import_module("gpu")
    ours, near, far = ({"precision": "fp32", "first_losses": [1.0, x]} for x in (2.0, 2.001, 2.01))
    assert gpu.same_losses(near, ours)
    assert not gpu.same_losses(far, ours)
    assert gpu.same_losses(far, {**ours, "precision": "bf16"})


@pytest.mark.gpu
def test_rows_on_a_gpu(tmp_path: Path) -> None:
    out = tmp_path / "gpu.json"
    command = [sys.executable, str(BENCHMARKS / "gpu.py"), "--arch", "tiny", "--images", "8", "--out", str(out)]
    subprocess.run(command, check=True)
    rows = {row["name"]: row for row in json.loads(out.read_text())["rows"]}
    assert {"ours", "the standard way", "attention nested", "attention varlen", "not compiled"} <= set(rows)
    for name, row in rows.items():
        assert "failed" not in row, (name, row)
        if "step_seconds" in row:
            assert row["peak_gib"] > 0, name
            assert row.get("same_losses", True), (name, row["first_losses"], rows["ours"]["first_losses"])
