"""Does ingest keep up with the decoder, and build with the disk? Both from tars, with the real commands.

    python benchmarks/streaming.py [--images 20000] [--side 256] [--workers 2] [--rounds 3]

ingest: the CPU seconds of `curate ingest` (Python's start included) beside decoding alone: the same JPEG bytes, already
in memory, each decoded whole to RGB by libjpeg-turbo in a plain loop. build: wall seconds of `curate build` (start
included) beside copying the pool's tars to the same disk and syncing them. The pictures are coarse noise blown up, with
the detail of small photographs, each its own.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import shutil
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import simplejpeg

PER_TAR = 5000
COARSE_PX = 32


def write_pool(folder: Path, images: int, side_px: int) -> None:
    """Numbered JPEGs in tars of 5,000."""
    rng = np.random.default_rng(0)
    folder.mkdir(parents=True)
    for start in range(0, images, PER_TAR):
        with tarfile.open(folder / f"{start // PER_TAR:05d}.tar", "w") as tar:
            for number in range(start, min(start + PER_TAR, images)):
                coarse = rng.integers(0, 256, (COARSE_PX, COARSE_PX, 3), dtype=np.uint8)
                data = simplejpeg.encode_jpeg(cv2.resize(coarse, (side_px, side_px), interpolation=cv2.INTER_CUBIC), 85)
                member = tarfile.TarInfo(f"{number:08d}.jpg")
                member.size = len(data)
                tar.addfile(member, io.BytesIO(data))


def bytes_of(pool: Path) -> Iterator[bytes]:
    """Every member's bytes."""
    for path in sorted(pool.glob("*.tar")):
        with tarfile.open(path) as tar:
            for member in tar:
                file = tar.extractfile(member)
                assert file is not None
                yield file.read()


def decode_alone(pool: Path) -> float:
    """CPU seconds to decode every picture whole."""
    pictures = list(bytes_of(pool))
    began = time.process_time()
    for data in pictures:
        simplejpeg.decode_jpeg(data)
    return time.process_time() - began


def copy_alone(pool: Path, to: Path) -> float:
    """Wall seconds to copy the tars, each synced."""
    began = time.perf_counter()
    to.mkdir()
    for path in sorted(pool.glob("*.tar")):
        with path.open("rb") as source, (to / path.name).open("wb") as target:
            shutil.copyfileobj(source, target, 1 << 20)
            target.flush()
            os.fsync(target.fileno())
    seconds = time.perf_counter() - began
    shutil.rmtree(to)
    return seconds


def command(workspace: Path, *words: str) -> tuple[float, float]:
    """Run `curate` there; CPU seconds with its workers, wall seconds."""
    cpu, began = sum(os.times()[2:4]), time.perf_counter()
    curate = Path(sys.executable).with_name("curate")
    subprocess.run([curate, *words, "--workspace", workspace], check=True, capture_output=True)
    return sum(os.times()[2:4]) - cpu, time.perf_counter() - began


def one_round(pool: Path, scratch: Path, workers: int) -> dict[str, float]:
    """Everything once, in a workspace of its own."""
    workspace, engine = scratch / "workspace", ("--engine", "local", "--workers", str(workers))
    command(workspace, "init", str(pool))
    alone = decode_alone(pool)
    ingest_cpu, ingest_wall = command(workspace, "ingest", *engine)
    copy = copy_alone(pool, scratch / "copy")
    build_cpu, build_wall = command(workspace, "build", *engine)
    shutil.rmtree(workspace)
    return {
        "decode_cpu_s": alone,
        "ingest_cpu_s": ingest_cpu,
        "ingest_wall_s": ingest_wall,
        "ingest_to_decode": alone / ingest_cpu,
        "copy_wall_s": copy,
        "build_cpu_s": build_cpu,
        "build_wall_s": build_wall,
    }


def main() -> None:
    """Rounds one after the other; medians."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=20_000)
    parser.add_argument("--side", type=int, default=256, help="pixels")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "streaming.json")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        pool = Path(place) / "pool"
        write_pool(pool, asked.images, asked.side)
        pool_bytes = sum(path.stat().st_size for path in pool.glob("*.tar"))
        rounds = [one_round(pool, Path(place), asked.workers) for _ in range(asked.rounds)]
    medians = {name: round(statistics.median(found[name] for found in rounds), 3) for name in rounds[0]}
    report = {"images": asked.images, "side_px": asked.side, "workers": asked.workers, "pool_bytes": pool_bytes}
    report |= {"rounds": asked.rounds, "medians": medians}
    print(json.dumps(report, indent=1))
    asked.out.parent.mkdir(parents=True, exist_ok=True)
    asked.out.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
