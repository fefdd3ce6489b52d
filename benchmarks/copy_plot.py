"""Two pictures in one: precision against recall of every tool, and the share of copies found per edit."""

from __future__ import annotations

from pathlib import Path

import numpy as np

# Per tool: recall and precision after every pair. Per tool: edit -> share found.
Curves = dict[str, tuple[np.ndarray, np.ndarray]]
PerEdit = dict[str, dict[str, float]]


def draw(file: Path, curves: Curves, per_edit: PerEdit) -> None:
    """Write a PNG."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 5.6), width_ratios=(1, 1.5), layout="constrained")
    for name, (recall, precision) in curves.items():
        step = max(1, len(recall) // 2000)
        left.plot(recall[::step], precision[::step], label=name, linewidth=1.4)
    left.set(xlabel="recall of pairs", ylabel="precision", xlim=(0, 1), ylim=(0.5, 1.01), title="All pairs")
    left.legend(fontsize=8, loc="lower left")
    left.grid(alpha=0.3)
    edits = sorted({edit for found in per_edit.values() for edit in found}, key=lambda edit: _mean(per_edit, edit))
    shown = np.array([[found[edit] for edit in edits] for found in per_edit.values()])
    right.imshow(shown.T, cmap="YlGn", vmin=0, vmax=1, aspect="auto")
    right.set_xticks(range(len(per_edit)), list(per_edit), rotation=20, ha="right", fontsize=8)
    right.set_yticks(range(len(edits)), edits, fontsize=7)
    for tool, edit in np.ndindex(shown.shape):
        value = shown[tool, edit]
        right.text(tool, edit, f"{value:.2f}", ha="center", va="center", fontsize=6, color="w" if value > 0.7 else "k")
    right.set_title("Copies found at precision 0.99, pages and shapes left out")
    figure.savefig(file, dpi=100)
    plt.close(figure)


def _mean(per_edit: PerEdit, edit: str) -> float:
    return float(np.mean([found[edit] for found in per_edit.values()]))
