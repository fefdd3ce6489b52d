"""Ranks of Ray Train, handed in as a job to a live cluster of two machines; what needs no cluster is tested first."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from tests.ranks_together import run_ranks
from tests.trainer.service.ray_machines import RayMachines

from contracts.errors import UserError
from trainer import api, cli
from trainer.engine.metrics_log import read_metrics
from trainer.engine.ranks import joined
from trainer.service.ray_train import Desk, RayRanks

STEPS = 60


def test_without_ray_train_it_is_named(monkeypatch: pytest.MonkeyPatch, labelled_images: Path, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "ray.train", None)
    with pytest.raises(UserError, match=r'pip install "winnow-trainer\[ray\]"'):
        api.pretrain("cpu", data=str(labelled_images), out=tmp_path / "run", nodes=2)


def test_where_no_cluster_answers_the_sentence_says_so_at_once(
    monkeypatch: pytest.MonkeyPatch, labelled_images: Path, tmp_path: Path
) -> None:
    with socket.socket() as door:
        door.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{door.getsockname()[1]}"
    monkeypatch.setenv("RAY_ADDRESS", address)
    monkeypatch.setattr("ray.is_initialized", lambda: False)  # other tests leave a Ray of their own in this process
    with pytest.raises(UserError, match=f"none answers at '{address}' .* `ray start --head`"):
        api.pretrain("cpu", data=str(labelled_images), out=tmp_path / "run", nodes=2)


def test_several_machines_want_a_folder_that_they_see(labelled_images: Path) -> None:
    with pytest.raises(UserError, match="name one with --out"):
        api.pretrain("cpu", data=str(labelled_images), nodes=2)


def test_a_job_of_several_machines_reserves_no_gpus_of_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(cli.app, ["submit", "--out", "run", "--nodes", "2", "--gpus", "8"]) == 2
    assert "leave --gpus out" in capsys.readouterr().err


def test_ranks_lie_on_one_machine_on_one_each_or_on_few() -> None:
    asked = [RayRanks(nodes, devices, False, 2, Path.cwd()) for nodes, devices in ((1, 8), (4, 1), (4, 8))]
    assert [ranks.placement() for ranks in asked] == ["STRICT_PACK", "STRICT_SPREAD", "PACK"]


def test_a_rank_that_waits_hears_of_the_stop_and_none_is_said_to_be_there_once_they_are_lost() -> None:
    async def talk() -> None:
        desk = Desk()
        assert not await desk.restarted()
        rank = asyncio.create_task(desk.stopped())
        await asyncio.sleep(0)
        assert await desk.stop(signal.SIGTERM)
        assert await rank == signal.SIGTERM

        assert await desk.lose() is None
        assert await desk.restarted()
        assert not await desk.stop(signal.SIGTERM)
        assert await desk.stopped() == signal.SIGTERM, "ranks that start late stop as well"

    asyncio.run(talk())


def _join(rank: int) -> None:
    with joined(torch.device("cpu")) as device:
        assert (device.type, dist.get_rank(), dist.get_world_size()) == ("cpu", rank, 2)
    assert dist.is_initialized()


def test_ranks_that_were_joined_before_stay_so() -> None:
    run_ranks(2, _join)


def test_told_to_stop_a_run_writes_a_checkpoint_and_goes_on_later(
    labelled_images: Path, tiny_settings: list[str], tmp_path: Path
) -> None:
    asked = iter([0, 0, signal.SIGTERM])
    given: dict[str, Any] = {"data": str(labelled_images), "out": tmp_path, "steps": 5, "overrides": tiny_settings}
    report = api.pretrain("cpu", **given, told_to_stop=lambda: next(asked))
    assert (report["step"], report["stopped_by"]) == (3, signal.SIGTERM)
    assert (tmp_path / "checkpoints" / "step_00000003").is_dir()
    assert api.pretrain("cpu", **given, resume=True)["step"] == 5


@pytest.fixture(scope="module")
def machines() -> Iterator[RayMachines]:
    with RayMachines() as cluster:
        yield cluster


class Jobs:
    """The command line against the cluster."""

    def __init__(self, machines: RayMachines, images: Path, settings: list[str], config: Path) -> None:
        self.machines, self.config = machines, config
        config.write_text(f"run: {{steps: {STEPS}}}\n")
        words = [*settings, "run.checkpoint_every_steps=5", "losses.koleo_weight=0", "schedules.warmup_steps=1"]
        self.settings = [*words, "schedules.for_steps=null", "data.workers=1"]
        self.images = images

    def say(self, *words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", "from trainer.cli import main; main()", *words]
        address = ["--address", self.machines.address]
        return subprocess.run([*command, *address], env=self.machines.environment, capture_output=True, text=True)

    def submit(self, out: Path, *settings: str) -> str:
        given = [word for setting in (*self.settings, *settings) for word in ("--set", setting)]
        words = ["--config", str(self.config), "--data", str(self.images), "--out", str(out), "--nodes", "2"]
        done = self.say("submit", *words, *given, "--json")
        assert done.returncode == 0, done.stderr
        return str(json.loads(done.stdout)["job"])

    def standing(self, job: str) -> dict[str, Any]:
        done = self.say("status", job, "--json")
        assert done.returncode == 0, done.stderr
        found: dict[str, Any] = json.loads(done.stdout)[0]
        return found

    def end(self, job: str) -> dict[str, Any]:
        """How the job stands when it has ended."""
        end = time.monotonic() + 400
        while (found := self.standing(job))["status"] in ("pending", "running"):
            assert time.monotonic() < end, self.say("logs", job).stdout
            time.sleep(5)  # asking takes seconds itself
        return found

    def wait_for(self, out: Path, step: int, job: str) -> None:
        """Until the run has logged a step."""
        end = time.monotonic() + 300
        while not any(record["step"] >= step for record in read_metrics(out / "metrics.jsonl")):
            assert time.monotonic() < end, self.say("logs", job).stdout
            time.sleep(0.02)


@pytest.fixture(scope="module")
def jobs(
    machines: RayMachines, labelled_images: Path, tiny_settings: list[str], tmp_path_factory: pytest.TempPathFactory
) -> Jobs:
    return Jobs(machines, labelled_images, tiny_settings, tmp_path_factory.mktemp("settings") / "asked.yaml")


@pytest.fixture(scope="module")
def weights(jobs: Jobs, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """What two ranks of one machine make, without Ray."""
    out = tmp_path_factory.mktemp("one-machine") / "run"
    api.pretrain(str(jobs.config), data=str(jobs.images), out=out, overrides=jobs.settings, devices=2)
    return (out / "export" / "model.safetensors").read_bytes()


@pytest.mark.slow
@pytest.mark.faults
@pytest.mark.timeout(900)
def test_a_lost_rank_and_a_lost_machine_cost_the_steps_since_the_last_checkpoint(
    jobs: Jobs, weights: bytes, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    job = jobs.submit(out)
    jobs.wait_for(out, 12, job)
    os.kill(jobs.machines.ranks()[-1], signal.SIGKILL)
    jobs.wait_for(out, 32, job)
    jobs.machines.replace_second()
    ended = jobs.end(job)
    said = jobs.say("logs", job).stdout
    assert ended["status"] == "succeeded", said
    assert said.count("going on from step") == 2
    assert (ended["step"], ended["steps"]) == (STEPS, STEPS)
    assert (out / "export" / "model.safetensors").read_bytes() == weights


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_stopped_job_leaves_a_checkpoint_and_the_same_submit_goes_on(
    jobs: Jobs, weights: bytes, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    job = jobs.submit(out, "run.checkpoint_every_steps=1000")
    jobs.wait_for(out, 3, job)
    stopped = jobs.say("stop", job)
    assert (stopped.returncode, "with a checkpoint" in stopped.stderr) == (0, True)
    ended = jobs.end(job)
    said = jobs.say("logs", job).stdout
    assert ended["status"] == "stopped", said
    assert f"stopped after step {ended['step']} of {STEPS}" in said
    assert 3 <= ended["step"] < STEPS
    assert (out / "checkpoints" / f"step_{ended['step']:08d}").is_dir()

    again = jobs.submit(out)
    assert jobs.end(again)["status"] == "succeeded", jobs.say("logs", again).stdout
    assert (out / "export" / "model.safetensors").read_bytes() == weights


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_what_the_user_can_mend_is_one_sentence_and_starts_no_ranks_anew(jobs: Jobs, tmp_path: Path) -> None:
    job = jobs.submit(tmp_path / "run", "run.batch_size=5")
    assert jobs.end(job)["status"] == "failed"
    said = jobs.say("logs", job).stdout
    assert "trainer: run.batch_size 5 cannot be cut into 2 ranks: take a multiple of 2" in said
    assert said.count("Attempting to start training worker group") == 1
