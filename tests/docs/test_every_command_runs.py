"""Every command that a page shows is run as it is typed, on small data under the names that the page uses.

A command that cannot run here stands in `EXCUSED` with its reason; one that is in neither place fails the test, as does
an excuse for a command that no page shows. Training is cut to two steps by settings (`SHORTENED`), nothing else.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.docs.page_world import TINY_DISTILLATION, TINY_RUN, PhotographServer, write_runs, write_world

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "benchmarks").glob("*.md")])
RUN_ELSEWHERE = {"docs/curation-tour.md": "tests/docs/test_curation_tour.py runs the page from top to bottom"}
PYTHON_ELSEWHERE = {"docs/python-api.md", "docs/step-api.md", "docs/distillation.md"}
"""Pages whose Python has a test of its own: test_python_documents.py, test_step_api_document.py and the like."""
FRESH = {
    "README.md",
    "docs/quickstart.md",
    "docs/real-images.md",
    "docs/lvd142m.md",
    "docs/my-photos.md",
    "docs/laion.md",
}
"""Pages that begin without a workspace. All others begin where `curate build` has just ended."""
EACH_BLOCK_ALONE = {
    "docs/cli.md",
    "docs/embedders.md",
    "docs/explore.md",
    "docs/pretraining.md",
    "docs/retrieval-and-datasets.md",
    "docs/scaling.md",
    "docs/sources.md",
}
"""Pages whose blocks are examples of their own, not one story."""
GIVEN = (
    "curate init photos --seed imagenet=path/to/imagenet --seed birds=path/to/birds --reference probe=probe/seen",
    "curate ingest --engine local",
    "curate dedup --engine local",
    "curate retrieve --seed imagenet --engine local",
    "curate build --engine local",
    "cp -r workspace/dataset path/to/dataset",
    "mkdir old && cp -r workspace/dataset old/dataset",
)
BEFORE = {
    "curate init photos crawl.parquet --seed imagenet=path/to/imagenet": "rm -r workspace",
    'curate init photos "shards/{000000..000099}.tar" crawl.parquet': "rm -r workspace",
    "curate build --datacomp-subset subset.npy": "rm -r workspace; curate init datacomp/shards && "
    "curate ingest --engine local && curate dedup --engine local",
    "trainer pretrain --data path/to/cifar10-train.parquet --config cpu --steps 1500 --out runs/cifar "
    "--set probe.data=path/to/cifar10-train.parquet --set probe.test=path/to/cifar10-test.parquet "
    "--set probe.every_steps=250": "rm -r runs/cifar",
}
"""What makes the state that a command of a page is for: no workspace or run yet, a pool in DataComp's layout."""
EVERY_COMMAND = "docs/cli.md"
"""The page of all commands: its examples are run with `--json`, and must print JSON alone on stdout."""
SHORTENED: tuple[tuple[str, str], ...] = (
    (r"curate ingest --retry-failed|curate ingest$", "--engine local --set ingest.download.allow_private=true"),
    (r"curate (ingest|embed|filter|dedup|retrieve|cluster|sample|build|run)\b", "--engine local"),
    (r"trainer pretrain\b.*micro_batch_size", f"{TINY_RUN} --set run.micro_batch_size=2"),
    (
        r"trainer pretrain\b.*init_from",
        f"{TINY_RUN} --set model.arch=vitp14 --set crops.global_px=28 --set crops.local_px=14",
    ),
    (
        r"trainer pretrain\b.*high_resolution",
        f"{TINY_RUN} --set high_resolution.steps=1 --set high_resolution.global_px=24 --set high_resolution.local_px=8",
    ),
    (r"(torchrun .*)?trainer pretrain\b|trainer plan\b.*--(tune|measure)", TINY_RUN),
    (r"distill run\b.*ranks", f"{TINY_DISTILLATION} --set run.batch_size=6"),
    (r"distill run\b", TINY_DISTILLATION),
)
"""What is added to a command, the first rule that fits: an engine without start-up time, few steps."""
IN_CI, RAY, FETCHED = (
    "what CI runs in a fresh clone",
    "a Ray cluster with its job service (tests/trainer/service/test_ray_train.py)",
    "a file or package to fetch",
)
HOURS, DEVICES = "hours, and tools that others make", "several GPUs or machines"
GPU = "a GPU (the benchmark on a CPU: tests/benchmarks/test_gpu_benchmark.py)"
STORE = "an object store or web server (tests/trainer/data/sources/test_remote_shards.py)"
EXCUSED: dict[str, str] = {
    "make demo": IN_CI + " (its recipe: tests/pipelines/test_demo_recipe.py)",
    "make test": IN_CI,
    "make bench-gpu": GPU,
    'make bench-gpu ARGS="--arch vitl14 --images 64 --peak-tflops 989"': GPU,
    "make setup": IN_CI,
    "git clone <this repository> winnow": IN_CI,
    "cd winnow": IN_CI,
    "export PATH=$PWD/.venv/bin:$PATH": IN_CI,
    "mkdir ../try": IN_CI,
    "cd ../try": IN_CI,
    'pip install "winnow-curation[explore]"': FETCHED,
    "curate embed --model timm:resnet50=weights.safetensors": FETCHED
    + ": timm (tests/curation/embed/test_timm_model.py)",
    "curate filter --set filters.faces.mode=drop --set filters.faces.model=face_detection_yunet_2026may.onnx": FETCHED,
    "curate build --set filters.faces.mode=blur --set filters.faces.model=face_detection_yunet_2026may.onnx": FETCHED,
    "curate build --out s3://bucket/set": "an object store (tests/curation/write/test_upload.py)",
    "trainer pretrain --data s3://bucket/dataset": STORE,
    'trainer pretrain --data "s3://bucket/shards/{000000..000127}.tar"': STORE,
    'trainer pretrain --data "https://example.org/sets/{train-0,train-1}.parquet"': STORE,
    "trainer logs raysubmit_ab12 --follow": RAY,
    "trainer status --address http://head:8265": RAY,
    "trainer stop raysubmit_ab12": RAY,
    "trainer submit --address http://head:8265 --data /shared/set --out /shared/run --gpus 8 --devices 8": RAY,
    "trainer submit --address http://HOST:8265 --data /shared/dataset --out /shared/run --config small --gpus 8 "
    "--devices 8": RAY,
    "trainer submit --address http://HOST:8265 --data /shared/dataset --out /shared/run --config vitl14 --nodes 4 "
    "--devices 8": RAY,
    "ray start --head --num-cpus 2": RAY,
    "trainer pretrain --data path/to/dataset --out runs/ray --nodes 1 --devices 2 --set run.device=cpu": RAY,
    "trainer status --address http://HOST:8265": RAY,
    "trainer logs JOB --follow": RAY,
    "trainer stop JOB": RAY,
    "trainer pretrain --data path/to/dataset --devices 8": DEVICES,
    "trainer pretrain --data path/to/dataset --devices 8 --set devices.strategy=shard "
    "--set run.background_checkpoints=true": DEVICES,
    "torchrun --nnodes 2 --nproc-per-node 8 --max-restarts 3 --rdzv-backend c10d --rdzv-endpoint HOST:29400 "
    "--no-python trainer pretrain --data /shared/dataset --out /shared/run --set devices.strategy=shard": DEVICES,
    "python -m venv others": HOURS,
    "others/bin/pip install imagehash pdqhash fastdup": HOURS,
    "python benchmarks/copy_detection.py --photos path/to/photographs --other-python others/bin/python": HOURS,
    "python copybench.py build --sources imagenet-sample --distractors cifar-images --out heldout --split heldout "
    "--seed 1 --originals 150 --backgrounds 30": HOURS,
    "python benchmarks/copy_detection.py --corpus heldout --other-python others/bin/python "
    "--out benchmarks/results/copy_detection.json --plot docs/copy-detection.png": HOURS,
}
SERVERS = {"curate explore": "--port {port}", "tensorboard --logdir runs": "--port {port}"}
"""Commands that go on until they are stopped: each is asked for its page, then stopped."""


@dataclass(frozen=True)
class Command:
    """A command of a page, or a block of Python: its block's number, and the text without remark."""

    page: str
    block: int
    text: str
    is_python: bool = False


def commands(page: Path) -> Iterator[Command]:
    """Every command of the page's blocks, lines that go on joined, `a && b` cut in two."""
    name = page.relative_to(ROOT).as_posix()
    text = page.read_text(encoding="utf-8")
    for number, (kind, block) in enumerate(re.findall(r"^```(\w*)\n(.*?)^```", text, re.DOTALL | re.MULTILINE)):
        lines = block.replace("\\\n", " ").splitlines()
        if kind == "python" and name not in PYTHON_ELSEWHERE:
            yield Command(name, number, block, is_python=True)
        if kind not in ("bash", "sh"):
            lines = [line.removeprefix("$ ") for line in lines if line.startswith("$ ")]
        for line in lines:
            for part in re.sub(r"(^|\s+)#.*$", "", line).split("&&"):
                if part.strip():
                    yield Command(name, number, " ".join(part.split()))


ALL = {page.relative_to(ROOT).as_posix(): list(commands(page)) for page in PAGES}
RUN_HERE = [name for name, found in ALL.items() if found and name not in RUN_ELSEWHERE]


def test_every_excuse_is_of_a_command_that_some_page_shows() -> None:
    shown = {command.text for found in ALL.values() for command in found}
    assert not set(EXCUSED) - shown, "these are excused and nowhere"
    assert not set(BEFORE) - shown and not set(SERVERS) - shown
    assert set(RUN_ELSEWHERE) | PYTHON_ELSEWHERE | FRESH | EACH_BLOCK_ALONE <= set(ALL)
    assert len(shown) > 100


class World:
    """A folder that is laid out anew for each page, always in the same place: catalogues hold whole paths."""

    def __init__(self, root: Path) -> None:
        self.root, self.here = root, root / "here"
        own = Path(sys.executable).parent
        self.environment = {**os.environ, "PATH": f"{own}{os.pathsep}{os.environ['PATH']}", "HF_HUB_OFFLINE": "1"}
        self._photographs = PhotographServer(root / "web")
        write_world(self.here, self._photographs.address)
        write_runs(self.here, self.environment)
        self._keep("fresh")
        for command in GIVEN:
            self.run(command)
        self._keep("curated")

    def close(self) -> None:
        """Stop what serves photographs."""
        self._photographs.close()

    def lay(self, state: str) -> None:
        """The world as it was: fresh, or curated."""
        shutil.rmtree(self.here)
        shutil.copytree(self.root / state, self.here, symlinks=True)

    def run(self, command: str, *, is_python: bool = False) -> str:
        """Run it in the world as a shell does, or as a script of Python, and return what it printed."""
        done = subprocess.run(
            [sys.executable if is_python else "bash", "-c", command],
            cwd=self.here,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
        assert done.returncode == 0, f"{command}\n{done.stdout[-2000:]}{done.stderr[-3000:]}"
        assert "\x1b" not in done.stdout + done.stderr, f"{command}: colours, and this is no terminal"
        return done.stdout

    def serve(self, command: str) -> None:
        """Start it, see its page, stop it."""
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        words = f"{command} {SERVERS[command]}".format(port=port).split()
        said = self.root / "server.log"
        with said.open("w") as log:
            process = subprocess.Popen(words, cwd=self.here, env=self.environment, stdout=log, stderr=log)
        try:
            assert "<html" in page_of(f"http://127.0.0.1:{port}/", process).lower(), said.read_text()
        finally:
            process.terminate()
            process.wait(timeout=120)

    def _keep(self, state: str) -> None:
        shutil.copytree(self.here, self.root / state, symlinks=True)


def page_of(address: str, process: subprocess.Popen[bytes], seconds: float = 120) -> str:
    """What the server answers once it is up; nothing where it ends before."""
    end = time.monotonic() + seconds
    while time.monotonic() < end and process.poll() is None:
        try:
            with urllib.request.urlopen(address, timeout=10) as answer:
                return str(answer.read().decode())
        except (urllib.error.URLError, ConnectionError):
            time.sleep(0.5)
    return ""


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    world = World(tmp_path_factory.mktemp("pages"))
    yield world
    world.close()


def shortened(command: str) -> str:
    """The command with what makes it quick."""
    return next((f"{command} {more}" for pattern, more in SHORTENED if re.match(pattern, command)), command)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("page", RUN_HERE)
def test_every_command_of_a_page_runs(page: str, world: World) -> None:
    state, block = "fresh" if page in FRESH else "curated", -1
    for command in ALL[page]:
        if block == -1 or (page in EACH_BLOCK_ALONE and command.block != block):
            world.lay(state)
        block = command.block
        if command.text in EXCUSED:
            continue
        if command.text in BEFORE:
            world.run(BEFORE[command.text])
        if command.text in SERVERS:
            world.serve(command.text)
        elif page == EVERY_COMMAND:
            json.loads(world.run(f"{shortened(command.text)} --json"))
        else:
            world.run(shortened(command.text), is_python=command.is_python)
