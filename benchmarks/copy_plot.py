"""The share of copies that every tool finds per edit at precision 0.99, as a picture.

python benchmarks/copy_plot.py results.json picture.png
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np


def draw(results: list[dict[str, Any]], file: Path) -> None:
    """Write a PNG. A tool that never reaches the precision has no column. `results`: as copy_detection.py writes."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    easy = {one["tool"]: one["without_hard"] for one in results if "without_hard" in one}
    found = {name: one["at_p99"]["per_edit"] for name, one in easy.items() if "at_p99" in one}
    edits = sorted(next(iter(found.values())), key=lambda edit: float(np.mean([one[edit] for one in found.values()])))
    shares = np.array([[one[edit] for one in found.values()] for edit in edits])
    figure, axes = plt.subplots(figsize=(7, 7.5), layout="constrained")
    axes.imshow(shares, cmap="YlGn", vmin=0, vmax=1, aspect="auto")
    axes.set_xticks(range(len(found)), list(found), fontsize=9)
    axes.set_yticks(range(len(edits)), edits, fontsize=8)
    for place in np.ndindex(shares.shape):
        ink = "w" if shares[place] > 0.7 else "k"
        axes.text(place[1], place[0], f"{shares[place]:.2f}", ha="center", va="center", fontsize=7, color=ink)
    axes.set_title("Copies found at precision 0.99, pages and plain shapes left out")
    figure.savefig(file, dpi=90)
    plt.close(figure)


if __name__ == "__main__":
    draw(json.loads(Path(sys.argv[1]).read_text()), Path(sys.argv[2]))
