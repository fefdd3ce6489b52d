"""Several processes train as one: same losses at the same global batch, and checkpoints that any number reads.

The run on two sharded ranks does all at once: FSDP2, two micro-batches a step, blocks computed again, checkpoints in
the background; each alone must leave the numbers alone.
"""

from __future__ import annotations

import shutil
import threading
import time
from multiprocessing import active_children
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from contracts.config import read_yaml
from contracts.errors import ConfigError
from trainer import api
from trainer.engine.metrics_log import read_metrics
from trainer.engine.ranks import ranks_of_this_machine
from trainer.plan import choose_workers

# KoLeo compares the images of one rank, and stochastic depth draws on every rank: both off for an exact comparison.
EXACT = ["losses.koleo_weight=0", "model.drop_path_rate=0", "schedules.for_steps=null", "schedules.warmup_steps=1"]
CHECKPOINTS = ["run.checkpoint_every_steps=1", "run.keep_checkpoints=10"]
SHARDED = ["devices.strategy=shard"]
SPARING = ["run.micro_batch_size=1", "devices.recompute_blocks=true", "run.background_checkpoints=true"]
STEPS = 4


class Trains:
    """Trains the same run in a new folder, or goes on with one that is there."""

    def __init__(self, images: Path, settings: list[str]) -> None:
        self._images, self._settings = images, [*settings, *EXACT, *CHECKPOINTS]

    def __call__(self, out: Path, devices: int, *words: str) -> Path:
        given = [*self._settings, *words]
        report = api.pretrain("cpu", data=str(self._images), out=out, steps=STEPS, overrides=given, devices=devices)
        assert (report["step"], report["stopped_by"]) == (STEPS, None)
        return out


@pytest.fixture(scope="module")
def trains(labelled_images: Path, tiny_settings: list[str]) -> Trains:
    return Trains(labelled_images, tiny_settings)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory, trains: Trains) -> dict[str, Path]:
    """The same run on one rank, on two with all weights, and on two that share them; a checkpoint of every step."""
    root = tmp_path_factory.mktemp("ranks")
    return {
        "one": trains(root / "one", 1),
        "two": trains(root / "two", 2),
        "sharded": trains(root / "sharded", 2, *SHARDED, *SPARING),
    }


def until(run: Path, step: int, out: Path) -> Path:
    """A copy of a run as it stood after a step."""
    shutil.copytree(run, out)
    (out / "run.json").unlink()
    for later in range(step + 1, STEPS + 1):
        shutil.rmtree(out / "checkpoints" / f"step_{later:08d}")
    return out


def assert_same_numbers(one: Path, other: Path) -> None:
    first, second = read_metrics(one / "metrics.jsonl"), read_metrics(other / "metrics.jsonl")
    assert [record["step"] for record in first] == [record["step"] for record in second] == list(range(1, STEPS + 1))
    for mine, theirs in zip(first, second, strict=True):
        for name in mine:
            if name == "loss" or name.startswith(("terms/", "gradient_norm/")):
                assert mine[name] == pytest.approx(theirs[name], rel=1e-4, abs=1e-6), (mine["step"], name)


def assert_same_model(one: Path, other: Path) -> None:
    for name in ("model.safetensors", "heads.safetensors"):
        mine, theirs = load_file(one / "export" / name), load_file(other / "export" / name)
        assert mine.keys() == theirs.keys()
        for tensor in mine:
            torch.testing.assert_close(mine[tensor], theirs[tensor], rtol=1e-4, atol=1e-5, msg=tensor)


def test_two_ranks_give_the_numbers_and_the_model_of_one_at_the_same_global_batch(runs: dict[str, Path]) -> None:
    plan = read_yaml(runs["two"] / "plan.yaml")
    assert (plan["ranks"], plan["images_per_rank"], plan["images_per_step"]) == (2, 2, 4)
    assert_same_numbers(runs["one"], runs["two"])
    assert_same_model(runs["one"], runs["two"])


@pytest.mark.slow
@pytest.mark.parametrize("centering", ["sinkhorn_knopp", "centering"])
def test_from_the_first_step_two_and_four_ranks_give_the_numbers_and_the_model_of_one(
    tmp_path: Path, trains: Trains, centering: str
) -> None:
    one, two, four = (
        trains(tmp_path / str(ranks), ranks, f"losses.centering={centering}", "data.workers=0") for ranks in (1, 2, 4)
    )
    for several in (two, four):
        assert_same_numbers(one, several)
        assert_same_model(one, several)


def test_two_ranks_that_share_the_weights_give_the_numbers_and_the_model_of_one(runs: dict[str, Path]) -> None:
    plan = read_yaml(runs["sharded"] / "plan.yaml")
    assert (plan["ranks"], plan["strategy"], plan["micro_batches"]) == (2, "shard", 2)
    assert_same_numbers(runs["one"], runs["sharded"])
    assert_same_model(runs["one"], runs["sharded"])


def test_each_of_the_two_stores_its_part(runs: dict[str, Path]) -> None:
    """Two files of about equal size hold the sharded weights; where weights are replicated each is stored once too."""
    parts = [p.stat().st_size for p in (runs["sharded"] / "checkpoints/step_00000004").glob("*.distcp")]
    assert len(parts) == 2
    assert max(parts) < 1.3 * min(parts)


def test_what_two_ranks_saved_goes_on_on_one(runs: dict[str, Path], tmp_path: Path, trains: Trains) -> None:
    assert_same_numbers(runs["one"], trains(until(runs["sharded"], 2, tmp_path / "run"), 1, *SPARING))


@pytest.mark.slow
def test_four_ranks_go_on_with_what_two_saved_and_two_with_what_four_saved(
    runs: dict[str, Path], tmp_path: Path, trains: Trains
) -> None:
    four = trains(until(runs["sharded"], 1, tmp_path / "four"), 4, *SHARDED, *SPARING)
    assert_same_numbers(runs["one"], four)
    two = trains(until(four, 3, tmp_path / "two"), 2, *SHARDED, *SPARING)
    assert_same_numbers(runs["one"], two)
    assert_same_model(runs["one"], two)


@pytest.mark.faults
def test_after_a_rank_was_killed_all_go_on_from_the_last_checkpoint(
    runs: dict[str, Path], tmp_path: Path, trains: Trains
) -> None:
    killed: list[int | None] = []

    def kill_one() -> None:
        checkpoint = tmp_path / "run" / "checkpoints" / "step_00000002"
        while not checkpoint.exists():
            time.sleep(0.001)
        rank = active_children()[-1]
        rank.kill()
        killed.append(rank.pid)

    killer = threading.Thread(target=kill_one)
    killer.start()
    trains(tmp_path / "run", 2)
    killer.join()
    assert len(killed) == 1
    assert_same_numbers(runs["one"], tmp_path / "run")


@pytest.mark.slow
def test_a_phase_on_larger_crops_goes_on_with_sharded_weights(tmp_path: Path, trains: Trains) -> None:
    phase = ["high_resolution.steps=2", "high_resolution.global_px=32", "high_resolution.local_px=16"]
    words = [*phase, "losses.gram.weight=1", "heads.dino.weight_norm=false", "losses.centering=centering"]
    one = trains(tmp_path / "one", 1, *words)
    two = trains(tmp_path / "two", 2, *words, *SHARDED)
    assert_same_numbers(one, two)
    assert_same_model(one, two)


def test_ranks_share_the_cores_of_their_own_machine_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _: range(33))
    monkeypatch.delenv("LOCAL_WORLD_SIZE", raising=False)
    gpu = torch.device("cuda")
    assert choose_workers(None, gpu, ranks_of_this_machine(16)) == 2
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "4")
    assert choose_workers(None, gpu, ranks_of_this_machine(16)) == 8


def test_a_batch_that_cannot_be_cut_is_refused(labelled_images: Path, tiny_settings: list[str]) -> None:
    with pytest.raises(ConfigError, match=r"run\.batch_size 4 cannot be cut into 3 ranks"):
        api.plan("cpu", data=str(labelled_images), overrides=tiny_settings, devices=3)
