"""Every step of curate over a small pool, as states of a workspace that follow from each other, and faults in each."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path

from tests.curation.small_pool import SmallPool, make_small_pool, picture
from tests.faults.curation.warm_curate import Ended, Fault, WarmCurate

from contracts.publish import DRAFT_MARK
from curation import api

PARTS = ["ingest.part_images=11", "embed.part_rows=13", "filters.part_images=17", "write.shard_samples=5"]
IVF = ["--index", "ivf", "--set", "dedup.index.lists=4"]
WIDER = ["--set", "cluster.level_clusters=[8,3]", "--set", "cluster.resample_rounds=1"]
KEEPING = ["--set", "write.keep_shards=true"]
Content = dict[str, str]


@dataclass(frozen=True)
class Step:
    """A command, the step whose end it starts from, and what happens to the pool before it (once)."""

    name: str
    after: str
    words: list[str]
    before: Callable[[SmallPool], None] = field(default=lambda _: None)


def _crawl(small: SmallPool) -> Path:
    return small.pool.parent / "crawl"


def _lose_some(small: SmallPool) -> None:
    """Of the pool one picture is gone, and one is another."""
    (small.pool / "green" / "04.png").unlink()
    picture("blue", 77).save(small.pool / "blue" / "05.png")


def steps_over(small: SmallPool) -> list[Step]:
    """All steps, each after the one that it names; those that touch the pool last."""
    pool, crawl, probe = str(small.pool), str(_crawl(small)), str(small.pool.parent / "probe")
    against = ["--threshold", "0.85", "--against", f"probe={probe}", "--against-threshold", "0.75"]
    exact = ["dedup", "--index", "exact", *against]
    warm, cold = ["retrieve", "--seed", "warm", "--as-is", "--mode", "sample"], ["retrieve", "--seed", f"cold={probe}"]
    return [
        Step("ingest", "", ["ingest"]),
        Step("filter", "ingest", ["filter", "--set", "filters.short_side_px.min=45", "--set", "filters.blur.min=null"]),
        Step("dedup", "filter", exact),
        Step("dedup ivf", "filter", ["dedup", *IVF, *against]),
        Step("dedup prepass", "filter", ["dedup", "--prepass", "phash", "--neighbors", "3", "--threshold", "0.95"]),
        Step("dedup phash", "dedup", ["dedup", "--model", "phash"]),
        Step("cluster", "dedup", ["cluster", *WIDER]),
        Step("sample", "cluster", ["sample", "--images", "20"]),
        Step("retrieve", "dedup", [*warm, "--per-query", "2"]),
        Step("retrieve cluster", "retrieve", [*cold, "--mode", "cluster", "--min-seed-images", "1"]),
        Step("build", "retrieve cluster", ["build"]),
        Step("report", "build", ["report"]),
        Step("ingest more", "report", ["ingest", pool, crawl]),
        Step(
            "filter more",
            "ingest more",
            ["filter", "--set", "filters.short_side_px.min=45", "--set", "filters.blur.min=null"],
        ),
        Step("dedup more", "filter more", exact),
        Step("cluster more", "dedup more", ["cluster", *WIDER]),
        Step("retrieve more", "dedup more", [*warm, "--per-query", "2"]),
        Step("build more", "retrieve more", ["build"]),
        Step("ingest more clustered", "sample", ["ingest", pool, crawl]),
        Step("cluster grown", "ingest more clustered", ["cluster", *WIDER, "--set", "cluster.retrain_above=1"]),
        Step("build keeping", "dedup", ["build", *KEEPING]),
        Step("ingest more kept", "build keeping", ["ingest", pool, crawl]),
        Step("dedup more kept", "ingest more kept", exact),
        Step("build kept", "dedup more kept", ["build", *KEEPING]),
        Step("ingest more ivf", "dedup ivf", ["ingest", pool, crawl]),
        Step("dedup more ivf", "ingest more ivf", ["dedup", *IVF, *against]),
        Step("ingest changed", "build more", ["ingest", pool, crawl], _lose_some),
        Step("dedup changed", "ingest changed", exact),
        Step("build changed", "dedup changed", ["build"]),
    ]


def make_pools(root: Path) -> SmallPool:
    """The small pool, a reference set that one of its pictures is of, and a later crawl with a copy of an old one."""
    small = make_small_pool(root)
    crawl, probe = _crawl(small), small.pool.parent / "probe"
    for folder in (crawl, probe):
        folder.mkdir()
    for number in range(6):
        picture("green", 50 + number).save(crawl / f"{number}.png")
        picture("blue", 30 + number).save(probe / f"{number}.png")
    picture("red", 4).save(crawl / "again.jpg", quality=70)
    picture("green", 3).save(probe / "of the pool.png")
    return small


class Disturbed:
    """Runs steps calmly once, keeps what each leaves, and compares what disturbed runs and their reruns leave."""

    def __init__(self, root: Path, warm: WarmCurate, chain: Sequence[str] = ()) -> None:
        """`chain`: only these steps, each after the one before it."""
        self.small = make_pools(root)
        self.steps = {step.name: step for step in steps_over(self.small)}
        for after, name in pairwise(["", *chain]):
            self.steps[name] = replace(self.steps[name], after=after)
        self._root, self._kept, self._warm = self.small.workspace.root, root / "kept", warm
        self._contents: dict[str, Content] = {}
        self._keep("")

    def calm(self, name: str) -> Ended:
        """Run a step undisturbed from where it starts, and keep what it leaves."""
        step = self.steps[name]
        step.before(self.small)
        self._restore(step.after)
        ended = self._run(step, None)
        assert ended.code == 0, f"{name}: {ended.told}"
        self._keep(name)
        return ended

    def disturb(self, name: str, fault: Fault) -> str:
        """What is wrong after a disturbed run and its rerun: nothing, if all is well."""
        step = self.steps[name]
        self._restore(step.after)
        ended = self._run(step, fault)
        found = _wrong_end(ended, fault) or self._half_written(step, fault)
        again = self._run(step, None)
        if not found and again.code:
            found = f"the rerun ended with {again.code}: {again.told[-700:]}"
        return found or _difference(content(self._root), self._contents[name])

    def _run(self, step: Step, fault: Fault | None) -> Ended:
        settings = [word for part in PARTS for word in ("--set", part)]
        engine = ["--engine", "local", *settings] if step.words[0] != "report" else []
        return self._warm.run(self._root, [*step.words, *engine], fault)

    def _keep(self, name: str) -> None:
        self._contents[name] = content(self._root)
        shutil.copytree(self._root, self._kept / (name or "start"))

    def _restore(self, name: str) -> None:
        shutil.rmtree(self._root)
        shutil.copytree(self._kept / (name or "start"), self._root)

    def _half_written(self, step: Step, fault: Fault) -> str:
        """A file under a final name is what it was before or what it is to become."""
        before, after = self._contents[step.after], self._contents[step.name]
        for path, digest in content(self._root).items():
            wanted = {before.get(path), after.get(path)} - {None}
            if wanted and digest not in wanted:
                return f"{path} is neither what it was nor what it becomes"
            if fault.disk_full and DRAFT_MARK in path:
                return f"{path} was left"
        return ""


def content(root: Path) -> Content:
    """All that a workspace holds: folders, and files by their hash; the settings do not count."""
    return {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "folder"
        for path in root.rglob("*")
        if path.name != api.Workspace(root).settings.name
    }


def _wrong_end(ended: Ended, fault: Fault) -> str:
    full = fault.disk_full or fault.file_bytes is not None
    if full and ended.code != 0:
        lines = [line for line in ended.told.splitlines() if line.startswith("curate: ")]
        if ended.code != 2 or len(lines) != 1 or "the disk is full" not in lines[0]:
            return f"a full disk ended with {ended.code}: {ended.told[-700:]}"
    elif not full and ended.code not in (0, -9):
        return f"ended with {ended.code}: {ended.told[-700:]}"
    return ""


def _difference(found: Content, wanted: Content) -> str:
    more, less = sorted(found.keys() - wanted.keys()), sorted(wanted.keys() - found.keys())
    other = sorted(path for path in found.keys() & wanted.keys() if found[path] != wanted[path])
    if not (more or less or other):
        return ""
    return f"the rerun left too much: {more[:5]}, too little: {less[:5]}, other bytes: {other[:5]}"
