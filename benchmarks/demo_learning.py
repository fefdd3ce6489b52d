"""Does pretraining help? The whole demo, once per seed: k-NN accuracy of raw pixels, random weights and both models.

    python benchmarks/demo_learning.py [--seeds 0 1 2] [--out FILE.json] [--work FOLDER]

A seed changes everything: the pictures of the pool, the seed set and the probe set, the weights, the crops, the masks.
Every seed takes as long as `make demo`; what is finished in --work is not done again.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from pipelines.recipe import read_whole_recipe  # noqa: E402  (the repository's root is not a package)
from pipelines.run import run_recipe  # noqa: E402
from pipelines.summary import K  # noqa: E402

WHAT = ("raw pixels", "random weights", "pretrained", "distilled")


def measure(seed: int, work: Path, overrides: Sequence[str]) -> dict[str, Any]:
    """Run the demo recipe with one seed. Accuracies are shares of the probe's test images."""
    settings = [f"demo_images.seed={seed}", *overrides]
    recipe = read_whole_recipe(ROOT / "pipelines" / "demo.yaml", settings)
    pretrain = recipe.pretrain.model_copy(update={"settings": [*recipe.pretrain.settings, f"run.seed={seed}"]})
    report = run_recipe(recipe.model_copy(update={"pretrain": pretrain}), work / f"seed-{seed}")
    evaluation = report["steps"]["evaluate"]["report"]
    pretrained, distilled = evaluation["pretrained"]["results"], evaluation["distilled"]["results"]
    rows = (pretrained["raw pixels"], pretrained["random weights"], pretrained["model"], distilled["model"])
    return {
        "seed": seed,
        "accuracy": {name: row["knn"][K]["top1"] for name, row in zip(WHAT, rows, strict=True)},
        "planted": report["planted"],
        "seconds": {name: step["seconds"] for name, step in report["steps"].items()},
    }


def table(runs: Sequence[dict[str, Any]]) -> str:
    """Markdown: one line per seed, then mean and standard deviation."""
    lines = [f"| seed | {' | '.join(WHAT)} | seconds |", "|---" * (len(WHAT) + 2) + "|"]
    for run in runs:
        shares = " | ".join(f"{100 * run['accuracy'][name]:.1f} %" for name in WHAT)
        lines.append(f"| {run['seed']} | {shares} | {sum(run['seconds'].values()):.0f} |")
    columns = [[100 * run["accuracy"][name] for run in runs] for name in WHAT]
    spread = [f"{statistics.mean(c):.1f} ± {statistics.stdev(c) if len(c) > 1 else 0:.1f} %" for c in columns]
    return "\n".join([*lines, f"| mean | {' | '.join(spread)} | |"])


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results" / "demo_learning.json")
    parser.add_argument("--work", type=Path, default=None, help="folder of the runs (default: a temporary one)")
    parser.add_argument("--set", dest="overrides", action="append", default=[], help="settings of the recipe")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        work = options.work or Path(temporary)
        runs = [measure(seed, work, options.overrides) for seed in options.seeds]
    print(table(runs))
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(runs, indent=2) + "\n")


if __name__ == "__main__":
    main()
