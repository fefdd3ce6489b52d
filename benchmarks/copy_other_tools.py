"""Other copy detectors, each read and called as its own documentation does. Runs in an environment that has them:

    python copy_other_tools.py TOOL PATHS.txt OUT.npz SCRATCH

TOOL: phash-imagehash | pdq | pdq-dihedral | fastdup. Needs NumPy and the tool; nothing of this project. Writes pairs
(a, b: line numbers of PATHS; score: higher is more alike) and prints one line of JSON: threshold, CPU seconds, version.
CPU seconds begin after the imports and count all threads.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path

import numpy as np

# Pairs farther apart are not written: (bits of the hash) -> Hamming distance.
FARTHEST = {64: 20, 256: 100}
LOWEST_COSINE = 0.5


def phash_imagehash(paths: Sequence[str], _scratch: Path) -> dict[str, object]:
    """ImageHash's 64-bit pHash of Pillow's picture. Threshold: 10 bits, the default of imagededup's find_duplicates."""
    import imagehash
    from PIL import Image

    return _hashes("ImageHash", paths, lambda path: imagehash.phash(Image.open(path)).hash.ravel()[None], 10)


def pdq(paths: Sequence[str], _scratch: Path) -> dict[str, object]:
    """PDQ of the picture as it is. Threshold: 31 bits, the one that its authors recommend."""
    import pdqhash

    return _hashes("pdqhash", paths, lambda path: pdqhash.compute(_cv2_rgb(path))[0][None], 31)


def pdq_dihedral(paths: Sequence[str], _scratch: Path) -> dict[str, object]:
    """PDQ of all eight orientations: the least distance of any to another picture's upright hash."""
    import pdqhash

    return _hashes("pdqhash", paths, lambda path: np.array(pdqhash.compute_dihedral(_cv2_rgb(path))[0]), 31)


def fastdup(paths: Sequence[str], scratch: Path) -> dict[str, object]:
    """fastdup's own features, compared exactly. Threshold: 0.9, the default of its similarity search."""
    import fastdup as tool

    work = scratch / "fastdup"
    listed = scratch / "fastdup-images.txt"
    listed.write_text("\n".join(paths))
    started = _cpu()
    with _StdoutToStderr():
        tool.run(input_dir=str(listed), work_dir=str(work), num_threads=1)
        described = _cpu()
        names, features = tool.load_binary_feature(str(work / "atrain_features.dat"), d=576)
    place = {str(Path(path)): number for number, path in enumerate(paths)}
    rows = np.array([place[str(Path(name))] for name in names])
    features = features / np.linalg.norm(features, axis=1, keepdims=True).clip(1e-12)
    cosine = features @ features.T
    a, b = np.nonzero(np.triu(cosine >= LOWEST_COSINE, 1))
    found = {"a": rows[a], "b": rows[b], "score": cosine[a, b]}
    # Its run searches as well; the two are not told apart.
    return _facts(found, 0.9, described - started, None, len(paths) - len(rows), "fastdup")


TOOLS: dict[str, Callable[[Sequence[str], Path], dict[str, object]]] = {
    "phash-imagehash": phash_imagehash,
    "pdq": pdq,
    "pdq-dihedral": pdq_dihedral,
    "fastdup": fastdup,
}


def _hashes(
    package: str, paths: Sequence[str], describe: Callable[[str], np.ndarray], threshold_bits: int
) -> dict[str, object]:
    """Hash every picture that can be read, compare all. `describe`: path -> 0 or 1 [orientations, bits]."""
    started = _cpu()
    rows, hashes = [], []
    for row, path in enumerate(paths):
        try:
            hashes.append(describe(path).astype(np.float32))
            rows.append(row)
        except Exception as error:  # a picture that the tool cannot read is one that it cannot find
            print(f"{path}: {type(error).__name__}: {error}", file=sys.stderr)
    described = _cpu()
    turned, row_of = np.stack(hashes), np.array(rows)
    limit = FARTHEST[turned.shape[2]]
    distance = np.full((len(turned), len(turned)), limit + 1, np.float32)
    base = turned[:, 0]
    for k in range(turned.shape[1]):
        other = turned[:, k]
        np.minimum(distance, base.sum(1)[:, None] + other.sum(1)[None] - 2 * base @ other.T, out=distance)
    distance = np.minimum(distance, distance.T)
    a, b = np.nonzero(np.triu(distance <= limit, 1))
    found = {"a": row_of[a], "b": row_of[b], "score": -distance[a, b]}
    return _facts(
        found, -threshold_bits - 0.5, described - started, _cpu() - described, len(paths) - len(rows), package
    )


def _cv2_rgb(path: str) -> np.ndarray:
    """As the README of pdqhash reads a picture; through Pillow what this OpenCV was built without (GIF)."""
    import cv2
    from PIL import Image

    cv2.setNumThreads(1)
    read = cv2.imread(path)
    return np.array(Image.open(path).convert("RGB")) if read is None else cv2.cvtColor(read, cv2.COLOR_BGR2RGB)


def _facts(
    found: dict[str, np.ndarray], threshold: float, describe: float, search: float | None, unread: int, package: str
) -> dict[str, object]:
    facts = {"threshold": threshold, "describe_seconds": describe, "search_seconds": search, "unread": unread}
    return {"found": found, **facts, "version": f"{package} {version(package)}"}


def _cpu() -> float:
    """CPU seconds of this process and its children that ended."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


class _StdoutToStderr:
    """What a tool prints, C++ or Python, goes to stderr."""

    def __enter__(self) -> None:
        sys.stdout.flush()
        self._saved = os.dup(1)
        os.dup2(2, 1)

    def __exit__(self, *_error: object) -> None:
        sys.stdout.flush()
        os.dup2(self._saved, 1)
        os.close(self._saved)


def main() -> None:
    """Run one tool and write what it found."""
    # fastdup reports its use to its makers unless told not to.
    os.environ["SENTRY_OPT_OUT"] = "1"
    name, listed, out, scratch = sys.argv[1:]
    result = TOOLS[name](Path(listed).read_text().splitlines(), Path(scratch))
    np.savez(out, **result.pop("found"))
    print(json.dumps(result))


if __name__ == "__main__":
    main()
