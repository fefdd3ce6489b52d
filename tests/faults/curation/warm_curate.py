"""Commands of curate in forks of one process that has imported everything: a run costs tenths of a second, not seconds.

A run may be disturbed: killed with SIGKILL after some seconds or before its n-th change of the workspace, or refused
that change and all later ones by a full disk. The n-th change is found by Python's audit events, so that every point
between two changes can be met.

    python warm_curate.py     reads one JSON object per line, answers with one
"""

from __future__ import annotations

import errno
import json
import mmap
import os
import resource
import signal
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

WRITING = os.O_WRONLY | os.O_RDWR
CHANGES = ("os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.truncate")


@dataclass(frozen=True)
class Fault:
    """What goes wrong. `change`: number (from 1) of the change of the workspace before which it does.

    `kill_seconds`: SIGKILL after so long; `file_bytes`: no file may grow beyond this.
    """

    change: int | None = None
    disk_full: bool = False
    kill_seconds: float | None = None
    file_bytes: int | None = None


@dataclass(frozen=True)
class Ended:
    """How a run ended. `code`: exit code, minus the signal that ended it. `changes`: of the workspace, seen so far."""

    code: int
    changes: int
    seconds: float
    told: str


class WarmCurate:
    """The process that forks. Use it as a context manager."""

    def __enter__(self) -> WarmCurate:
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}
        self._process = subprocess.Popen(
            [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(timeout=60)

    def run(self, root: Path, words: list[str], fault: Fault | None = None) -> Ended:
        """`curate WORDS` on the workspace `root`, to its end."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        asked = {"root": str(root), "words": [*words, "-w", str(root)], "fault": asdict(fault or Fault())}
        self._process.stdin.write(json.dumps(asked) + "\n")
        self._process.stdin.flush()
        return Ended(**json.loads(self._process.stdout.readline()))


def _watch(root: str, fault: Fault, counter: mmap.mmap) -> None:
    """Count changes below `root` and let the fault happen at its own."""

    def change(path: object) -> None:
        if not isinstance(path, str | bytes | os.PathLike) or not os.fsdecode(path).startswith(root):
            return
        seen = int.from_bytes(counter[:8], "little") + 1
        counter[:8] = seen.to_bytes(8, "little")
        if fault.change is None or seen < fault.change:
            return
        if not fault.disk_full:
            os.kill(os.getpid(), signal.SIGKILL)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), os.fsdecode(path))

    def hook(event: str, arguments: tuple[object, ...]) -> None:
        if event == "open":
            path, mode, flags = arguments
            writes = any(letter in mode for letter in "wax+") if isinstance(mode, str) else bool(int(flags) & WRITING)  # type: ignore[call-overload]
            if writes:
                change(path)
        elif event in CHANGES and not (fault.disk_full and event in ("os.remove", "os.rmdir")):
            change(_inside(arguments[0], arguments[-1]))

    sys.addaudithook(hook)


def _inside(name: object, folder: object) -> object:
    """The path of a name that was given relative to an open folder, as shutil.rmtree does."""
    if isinstance(name, str) and not name.startswith("/") and isinstance(folder, int) and folder >= 0:
        return str(Path(f"/proc/self/fd/{folder}").readlink() / name)
    return name


def _child(asked: dict[str, object], fault: Fault, counter: mmap.mmap, told: int) -> None:
    os.setsid()
    for descriptor in (1, 2):
        os.dup2(told, descriptor)
    if fault.file_bytes is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (fault.file_bytes, fault.file_bytes))
    _watch(str(asked["root"]), fault, counter)
    sys.argv = ["curate", *asked["words"]]  # type: ignore[misc]
    code = 1
    try:
        from curation.cli import main

        main()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    except BaseException:
        import traceback

        traceback.print_exc()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _run(asked: dict[str, object]) -> Ended:
    fault = Fault(**asked["fault"])  # type: ignore[arg-type]
    counter = mmap.mmap(-1, 8)
    read, write = os.pipe()  # no file: a limit of files does not touch it
    began = time.perf_counter()
    pid = os.fork()
    if pid == 0:
        _child(asked, fault, counter, write)
    if fault.kill_seconds is not None:
        end = began + fault.kill_seconds
        while time.perf_counter() < end and os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
            time.sleep(0.001)
        os.kill(pid, signal.SIGKILL)
    _, status = os.waitpid(pid, 0)
    seconds = time.perf_counter() - began
    os.close(write)
    with os.fdopen(read, "rb") as told:
        text = told.read().decode(errors="replace")
    return Ended(os.waitstatus_to_exitcode(status), int.from_bytes(counter[:8], "little"), seconds, text)


def _serve() -> None:
    import cv2  # noqa: F401  imported here, so that no fork pays for it
    import faiss  # noqa: F401
    import pyarrow.parquet  # noqa: F401
    import threadpoolctl  # noqa: F401

    import curation.cli
    import curation.engine.local  # noqa: F401

    for line in sys.stdin:
        sys.stdout.write(json.dumps(asdict(_run(json.loads(line)))) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    _serve()
