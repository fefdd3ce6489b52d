"""A million images through the real commands: time, memory and truth of every step.

    python benchmarks/million.py [--images 1000000] [--model phash] [--engine local] [--workers 2] [--work FOLDER]

Writes generated 64 px JPEGs to tars of 10,000: every tenth image is a copy of an earlier one (half of these the same
bytes, half recompressed), the others are distinct. Then `curate init`, `ingest`, `dedup` (which embeds), `build` and
`verify`. Memory is the largest sum, over the processes of a command, of their proportional resident set (Pss: pages
that several map count once), sampled every half second. What is finished in --work is not done again.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import platform
import resource
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
from pathlib import Path

import cv2
import numpy as np
import simplejpeg

PER_TAR, SIDE_PX, COARSE_PX = 10_000, 64, 8
PLANTED = 10
"""One image of so many is a copy."""
BACK = 9
"""A copy is of the image so many before it."""


def picture(number: int) -> np.ndarray:
    """A picture of its own for every number. Shapes: uint8 [64, 64, 3]."""
    coarse = np.random.default_rng(number).integers(0, 256, (COARSE_PX, COARSE_PX, 3), dtype=np.uint8)
    return cv2.resize(coarse, (SIDE_PX, SIDE_PX), interpolation=cv2.INTER_CUBIC)


def jpeg_of(number: int) -> bytes:
    """Every tenth number is the ninth before it again: the same bytes, or the same picture at another quality."""
    if number % PLANTED != PLANTED - 1:
        return bytes(simplejpeg.encode_jpeg(picture(number), 90))
    same_bytes = number // PLANTED % 2 == 0
    return bytes(simplejpeg.encode_jpeg(picture(number - BACK), 90 if same_bytes else 75))


def write_pool(folder: Path, images: int, first: int = 0) -> None:
    """Tars of the images from number `first` on that are not there yet."""
    folder.mkdir(parents=True, exist_ok=True)
    for start in range(first, first + images, PER_TAR):
        final = folder / f"{start // PER_TAR:05d}.tar"
        if final.exists():
            continue
        with tarfile.open(final.with_suffix(".part"), "w", format=tarfile.USTAR_FORMAT) as tar:
            for number in range(start, min(start + PER_TAR, first + images)):
                data, member = jpeg_of(number), tarfile.TarInfo(f"{number:09d}.jpg")
                member.size = len(data)
                tar.addfile(member, io.BytesIO(data))
        final.with_suffix(".part").replace(final)


class PeakMemory:
    """The largest sum of Pss of a process and all below it, while the block runs. Units: bytes."""

    def __init__(self, pid: int) -> None:
        self._pid, self._over, self.peak = pid, threading.Event(), 0
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> PeakMemory:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._over.wait(0.5):
            self.peak = max(self.peak, sum(map(_pss, _family(self._pid))))


def _family(pid: int) -> list[int]:
    parents = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue
    found = [pid]
    for member in found:
        found += [child for child, parent in parents.items() if parent == member]
    return found


def _pss(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return sum(1024 * int(line.split()[1]) for line in lines if line.startswith("Pss:"))


def run_step(step: str, words: list[str], report: Path) -> dict[str, object]:
    """One command, unless its report is there already."""
    if report.exists():
        return dict(json.loads(report.read_text()))
    curate = str(Path(sys.executable).with_name("curate"))
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    with report.with_suffix(".log").open("w") as log:
        process = subprocess.Popen([curate, step, *words, "--json"], stdout=subprocess.PIPE, stderr=log)
        with PeakMemory(process.pid) as memory:
            told, _ = process.communicate()
    if process.returncode:
        raise SystemExit(f"{step} ended with {process.returncode}: {report.with_suffix('.log')}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    found = {
        "step": step,
        "cpu_seconds": round(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, 1),
        "wall_seconds": round(time.perf_counter() - began, 1),
        "peak_bytes": memory.peak,
        "report": json.loads(told),
    }
    report.write_text(json.dumps(found, indent=1) + "\n")
    print(f"{step}: {found['cpu_seconds']} CPU s, {found['wall_seconds']} s, {memory.peak / 2**30:.2f} GiB", flush=True)
    return found


def truth(images: int) -> dict[str, int]:
    """What the steps must count."""
    copies = images // PLANTED
    same_bytes = sum(1 for number in range(PLANTED - 1, images, PLANTED) if number // PLANTED % 2 == 0)
    return {"offered": images, "distinct_files": images - same_bytes, "distinct_pictures": images - copies}


def all_steps(work: Path, asked: argparse.Namespace) -> list[dict[str, object]]:
    """The whole pipeline in a workspace below `work`."""
    place, engine = (
        ["--workspace", str(work / "workspace")],
        ["--engine", asked.engine, "--workers", str(asked.workers)],
    )
    model = ["--model", asked.model] + (["--threshold", str(asked.threshold)] if asked.threshold else [])
    words = {
        "init": [str(work / "pool"), *place],
        "ingest": [*place, *engine],
        "dedup": ["--index", "faiss", *model, *place, *engine],
        "build": [*place, *engine],
        "verify": place,
    }
    return [run_step(step, words[step], work / f"{step}.json") for step in words]


def main() -> None:
    """Make the pool, run, compare with the truth, write JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=1_000_000)
    parser.add_argument("--model", default="phash", help="what dedup compares by; the copy descriptor is `descriptor`")
    parser.add_argument("--threshold", type=float, help="cosine of dedup (default: the model's own)")
    parser.add_argument("--engine", default="local")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--work", type=Path, help="folder for pool and workspace (default: a temporary one)")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "million.json")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        work = asked.work or Path(place)
        began = time.perf_counter()
        write_pool(work / "pool", asked.images)
        print(f"pool: {time.perf_counter() - began:.0f} s", flush=True)
        steps = all_steps(work, asked)
        disk = sum(file.stat().st_size for file in (work / "workspace").rglob("*") if file.is_file())
    settings = {name: getattr(asked, name) for name in ("images", "model", "threshold", "engine", "workers")}
    machine = {"cores": os.cpu_count(), "python": platform.python_version()}
    report = {**settings, **machine, "truth": truth(asked.images), "workspace_bytes": disk, "steps": steps}
    asked.out.parent.mkdir(parents=True, exist_ok=True)
    asked.out.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
