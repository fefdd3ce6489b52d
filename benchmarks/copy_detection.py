"""Copy detection side by side: embedders, other tools and `curate dedup` over one corpus with truth.

    python benchmarks/copy_detection.py --photos path/to/photographs
    python benchmarks/copy_detection.py --corpus path/to/corpus --other-python others/bin/python --out results.json

A corpus is a folder with images/ and truth.csv (path, group, role, edit). From photographs alone one is made
(`copy_corpus.py`). Prints tables and writes JSON. CPU time is that of reading, decoding and describing, one thread.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

import cv2
from copy_command import run_commands
from copy_corpus import make_corpus
from copy_plot import draw
from copy_scores import Truth, read_truth, score_pairs, without
from copy_tools import OTHER_TOOLS, OURS, NotHere, Outcome, run_embedder, run_other

from contracts.errors import UserError

Result = dict[str, object]
# Pages of one layout, gradients and plain shapes: all distinct, hard to tell apart. Rankings are also given without.
HARD = frozenset({"d_doc", "d_flat"})


def run_tools(truth: Truth, asked: argparse.Namespace, scratch: Path) -> list[Result]:
    """Score every tool; one that cannot be run is named and left out."""
    results: list[Result] = []
    for name in asked.tools.split(","):
        try:
            if name in OTHER_TOOLS:
                outcome = run_other(name, truth, asked.other_python, scratch)
            else:
                outcome = run_embedder(name, truth)
        except (NotHere, UserError) as error:
            print(f"{name}: not here ({error})", file=sys.stderr)
            continue
        scores = score_pairs(truth, outcome.pairs, outcome.threshold)
        scores["without_hard"] = score_pairs(truth, without(truth, outcome.pairs, HARD), None)
        results.append({"tool": name, **_cost(outcome, truth), **scores})
        print(f"{name}: uAP {results[-1]['micro_ap']}", file=sys.stderr, flush=True)
    return results


def _cost(outcome: Outcome, truth: Truth) -> Result:
    search = outcome.search_seconds
    return {
        "version": outcome.version,
        "images": len(truth.paths),
        "unread": outcome.unread,
        "describe_cpu_ms_per_image": round(1000 * outcome.describe_seconds / len(truth.paths), 2),
        "search_cpu_seconds": None if search is None else round(search, 2),
    }


def show(results: list[Result]) -> None:
    """Markdown tables: one line per tool, then what is found per edit at each tool's own threshold."""
    print(
        "| tool | uAP | copies found at precision .99 | at .999 | uAP without pages and shapes | found at .99 ", end=""
    )
    print("| own threshold: precision | found | false merges | expected lost | ms CPU |\n|" + "---|" * 11)
    for one in results:
        at = {name: one.get(name) or {} for name in ("at_p99", "at_p999", "at_default")}
        merges, easy = at["at_default"].get("merged", {}), one["without_hard"]
        cells = [
            one["tool"],
            f"{one['micro_ap']:.3f}",
            *(at[name].get("copy_recall", "-") for name in ("at_p99", "at_p999")),
            f"{easy['micro_ap']:.3f}",
            easy.get("at_p99", {}).get("copy_recall", "-"),
            *(at["at_default"].get(name, "-") for name in ("precision", "copy_recall")),
            *(merges.get(name, "-") for name in ("false_merges", "expected_lost")),
            one["describe_cpu_ms_per_image"],
        ]
        print("| " + " | ".join(map(str, cells)) + " |")
    judged = [one for one in results if "at_default" in one]
    if judged:
        print("\n| edit | " + " | ".join(str(one["tool"]) for one in judged) + " |\n|---|" + "---|" * len(judged))
        for edit in judged[0]["at_default"]["per_edit"]:
            print(f"| {edit} | " + " | ".join(f"{one['at_default']['per_edit'][edit]:.2f}" for one in judged) + " |")


def show_commands(result: Result) -> None:
    """What the commands kept and lost."""
    for name, value in result.items():
        if name != "per_edit":
            print(f"{name}: {value}")
    print("missed: " + ", ".join(f"{edit} {1 - found:.2f}" for edit, found in result["per_edit"].items() if found < 1))


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--corpus", type=Path, help="folder with images/ and truth.csv")
    source.add_argument("--photos", type=Path, help="folder of photographs to make a corpus from")
    parser.add_argument("--originals", type=int, default=100, help="with --photos: photographs that get copies")
    parser.add_argument("--copies", type=int, default=8, help="with --photos: copies of each")
    parser.add_argument("--seed", type=int, default=0, help="with --photos")
    tools = ",".join([*OURS, *OTHER_TOOLS])
    parser.add_argument("--tools", default=tools, help=f"also model folders, TorchScript files (default: {tools})")
    parser.add_argument(
        "--other-python", type=Path, default=Path(sys.executable), help="interpreter of the other tools"
    )
    parser.add_argument("--without", default="", help="edits to leave out, such as d_doc,d_flat")
    parser.add_argument("--no-commands", action="store_true", help="leave out curate ingest and dedup")
    parser.add_argument("--out", type=Path, help="where to write the results as JSON")
    parser.add_argument("--plot", type=Path, help="where to draw them as PNG")
    return parser.parse_args()


def main() -> None:
    """Run, print, write."""
    asked = parse()
    cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        corpus = asked.corpus or scratch / "corpus"
        if asked.photos:
            make_corpus(asked.photos, corpus, asked.originals, asked.copies, asked.seed)
        truth = read_truth(corpus, set(filter(None, asked.without.split(","))))
        results = run_tools(truth, asked, scratch)
        show(results)
        if not asked.no_commands and not asked.without:
            results.append(run_commands(truth, scratch))
            show_commands(results[-1])
    if asked.out:
        asked.out.write_text(json.dumps(results, indent=1) + "\n")
    if asked.plot:
        draw(results, asked.plot)


if __name__ == "__main__":
    main()
