"""docs/curation-tour.md runs from top to bottom as it is printed."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).parents[2]


def photographs(folder: Path) -> Path:
    """Sixty pictures with detail of every size, each its own."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    for number in range(60):
        picture = np.zeros((240, 320, 3), np.float32)
        for cells in (3, 12, 60, 240):
            coarse = Image.fromarray(rng.integers(0, 256, (cells, cells, 3), dtype=np.uint8))
            picture += np.asarray(coarse.resize((320, 240), Image.Resampling.BICUBIC), np.float32) / 4
        Image.fromarray(picture.astype(np.uint8)).save(folder / f"{number:02d}.jpg", quality=92)
    return folder


@pytest.mark.slow
def test_every_command_of_the_tour_works(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "curation-tour.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```bash\n(.*?)```", page, flags=re.DOTALL)
    assert len(blocks) > 12
    script = "set -e\n" + "\n".join(blocks).replace("path/to/photographs", str(photographs(tmp_path / "photographs")))
    for name in ("docs", "pipelines"):
        (tmp_path / name).symlink_to(ROOT / name)
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-c", script],
        cwd=tmp_path,
        env={**os.environ, "PATH": path, "HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-3000:]
    assert re.search(r"problems\W+0", done.stdout)
    assert re.search(r"recovered\W+3", done.stdout)
