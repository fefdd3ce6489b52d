"""One run of another duplicate finder over a folder, called as its own documentation calls it:

    python whole_pool_others.py fastdup|imagededup-phash FOLDER SCRATCH OUT.json

Needs the tool and nothing of this project. Writes the images it was given and the pairs it reports (file numbers, the
lower one first) at its own default threshold.
"""

from __future__ import annotations

import json
import sys
from importlib.metadata import version
from pathlib import Path


def fastdup(folder: Path, scratch: Path) -> set[tuple[int, int]]:
    """`fastdup.create(...).run()` and the pairs of `similarity()`, from cosine 0.9, its default."""
    import fastdup as tool

    work = tool.create(work_dir=str(scratch), input_dir=str(folder))
    work.run(num_threads=2, threshold=0.9)
    table = work.similarity()
    return {_pair(a, b) for a, b in zip(table["filename_from"], table["filename_to"], strict=True)}


def imagededup_phash(folder: Path, _scratch: Path) -> set[tuple[int, int]]:
    """`PHash().find_duplicates`, its defaults: 10 bits, brute force in Cython, two workers."""
    from imagededup.methods import PHash

    hasher = PHash()
    found = hasher.find_duplicates(encoding_map=hasher.encode_images(image_dir=folder))
    return {_pair(name, other) for name, others in found.items() for other in others}


TOOLS = {"fastdup": ("fastdup", fastdup), "imagededup-phash": ("imagededup", imagededup_phash)}


def _pair(a: str, b: str) -> tuple[int, int]:
    one, other = sorted((int(Path(a).stem), int(Path(b).stem)))
    return one, other


def main() -> None:
    """Run one tool."""
    name, folder, scratch, out = sys.argv[1], *map(Path, sys.argv[2:5])
    package, run = TOOLS[name]
    scratch.mkdir(parents=True, exist_ok=True)
    pairs = sorted(run(folder, scratch))
    images = sum(1 for _ in folder.glob("*.jpg"))
    out.write_text(json.dumps({"version": f"{package} {version(package)}", "images": images, "pairs": pairs}))


if __name__ == "__main__":
    main()
