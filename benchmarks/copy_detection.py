"""Copy detection side by side: `descriptor` and other tools over one corpus of edited photographs with truth.

    python benchmarks/copy_detection.py --photos path/to/photographs
    python benchmarks/copy_detection.py --corpus path/to/corpus --tools descriptor,pdq --without d_doc,d_flat

A corpus is a folder with truth.csv (path, group, role, edit). From photographs alone one is made: each chosen
photograph with edited copies, the others as distractors, and pages and plain shapes as hard negatives. Prints a table
and writes JSON. CPU seconds are of this process: decoding, describing and searching.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np

sys.path.insert(0, str(Path(__file__).parent / "descriptor_training"))
from copy_scores import read_truth, score_pairs
from copy_tools import TOOLS, embedder_tool
from edits import EDITS
from pictures import page, shapes

from curation.decode import decode_rgb

IMAGE_ENDINGS = {".jpg", ".jpeg", ".png", ".webp"}


def make_corpus(photos: Path, corpus: Path, originals: int, copies: int, seed: int) -> None:
    """Write originals, edited and mirrored copies, distractors and truth.csv."""
    rng = np.random.default_rng(seed)
    files = sorted(path for path in photos.rglob("*") if path.suffix.lower() in IMAGE_ENDINGS)
    files = [files[i] for i in rng.permutation(len(files))]
    edits = [*dict.fromkeys(EDITS), mirrored]
    rows: list[tuple[str, str, str, str]] = []
    (corpus / "images").mkdir(parents=True)

    def put(name: str, data: bytes, group: str, role: str, edit: str) -> None:
        (corpus / "images" / name).write_bytes(data)
        rows.append((f"images/{name}", group, role, edit))

    for number, file in enumerate(files):
        data = file.read_bytes()
        role = "original" if number < originals else "distractor"
        put(f"{number:06d}{file.suffix.lower()}", data, f"g{number}", role, "")
        if number < originals:
            image = decode_rgb(data)
            for k in rng.choice(len(edits), copies, replace=False).tolist():
                put(f"{number:06d}-{k}.jpg", encoded(edits[k](rng, image)), f"g{number}", "copy", edits[k].__name__)
    for number in range(len(files) // 4):
        kind, make = (("d_doc", page), ("d_flat", shapes))[number % 2]
        put(f"{kind}-{number:06d}.jpg", encoded(make(rng)), f"{kind}{number}", "distractor", kind)
    with (corpus / "truth.csv").open("w", newline="") as handle:
        csv.writer(handle).writerows([("path", "group", "role", "edit"), *rows])


def mirrored(_rng: np.random.Generator, image: np.ndarray) -> np.ndarray:
    """Left to right."""
    return np.ascontiguousarray(image[:, ::-1])


def encoded(image: np.ndarray) -> bytes:
    """As a JPEG of good quality."""
    return cv2.imencode(".jpg", image[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, 92])[1].tobytes()


def run(corpus: Path, tools: list[str], without: set[str]) -> list[dict[str, object]]:
    """Score every tool; one that is not installed is named and left out."""
    truth = read_truth(corpus, without)
    data = [(truth.folder / path).read_bytes() for path in truth.paths]
    results = []
    for name in tools:
        try:
            tool, threshold = TOOLS[name]() if name in TOOLS else embedder_tool(name)
            started = time.process_time()
            pairs = tool(data)
        except ImportError as error:
            print(f"{name}: not here ({error})", file=sys.stderr)
            continue
        seconds = time.process_time() - started
        cost = {"cpu_seconds": round(seconds, 1), "cpu_ms_per_image": round(1000 * seconds / len(data), 2)}
        results.append({"tool": name, "images": len(data), **score_pairs(truth, pairs, threshold), **cost})
    return results


def show(results: list[dict[str, object]]) -> None:
    """Markdown tables: one line per tool, then recall per edit at each tool's own threshold."""
    print("| tool | uAP | R@P99 | R@P999 | precision | copy recall | kept / ideal | false merges | ms CPU / image |")
    print("|---|---|---|---|---|---|---|---|---|")
    for one in results:
        own = one.get("at_default", {})
        kept = f"{own.get('kept', '-')} / {own.get('ideal', '-')}"
        print(
            f"| {one['tool']} | {one['micro_ap']:.3f} | {one['recall_at_p99']:.3f} | {one['recall_at_p999']:.3f} "
            f"| {own.get('precision', '-')} | {own.get('copy_recall', '-')} | {kept} "
            f"| {own.get('false_merges', '-')} | {one['cpu_ms_per_image']} |"
        )
    judged = [one for one in results if "at_default" in one]
    if judged:
        print("\n| edit | " + " | ".join(str(one["tool"]) for one in judged) + " |\n|---|" + "---|" * len(judged))
        for edit in judged[0]["at_default"]["per_edit"]:
            print(f"| {edit} | " + " | ".join(f"{one['at_default']['per_edit'][edit]:.2f}" for one in judged) + " |")


def main() -> None:
    """Parse, run, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--corpus", type=Path, help="folder with truth.csv")
    source.add_argument("--photos", type=Path, help="folder of photographs to make a corpus from")
    parser.add_argument("--originals", type=int, default=100)
    parser.add_argument("--copies", type=int, default=8)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--tools", default=",".join(TOOLS), help="names of the table, model folders, TorchScript files")
    parser.add_argument("--without", default="", help="edits to leave out, such as d_doc,d_flat")
    parser.add_argument("--json", type=Path, help="where to write the results")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        corpus = asked.corpus or Path(scratch) / "corpus"
        if asked.photos:
            make_corpus(asked.photos, corpus, asked.originals, asked.copies, asked.seed)
        results = run(corpus, asked.tools.split(","), set(filter(None, asked.without.split(","))))
    show(results)
    if asked.json:
        asked.json.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
