"""The loop: a resumed run equals an uninterrupted one, non-finite steps change nothing, signals end it in order."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from torch import Tensor

from contracts.errors import UserError
from trainer.data.batch import CropBatch
from trainer.engine.loop import LoopSettings, TrainJob, train
from trainer.engine.metrics_log import read_metrics
from trainer.engine.run_folder import RunFolder
from trainer.layers.rope import RopeSettings
from trainer.methods.dinov2 import DinoV2
from trainer.methods.dinov2_settings import DinoV2Settings
from trainer.methods.gram_anchor import GramSettings
from trainer.models.heads import HeadSettings
from trainer.models.sizes import vit_settings
from trainer.optim.adamw import build_adamw
from trainer.optim.schedules import ScheduleSettings, build_schedules

B, PX, PATCH = 4, 16, 4


def batch_at(position: int, poisoned: frozenset[int] = frozenset()) -> CropBatch:
    generator = torch.Generator().manual_seed(position)
    crops = torch.randn(2 * B, 3, PX, PX, generator=generator)
    if position in poisoned:
        crops[0, 0, 0, 0] = float("nan")
    masks = torch.rand(2 * B, (PX // PATCH) ** 2, generator=generator) < 0.3
    local = torch.randn(2 * B, 3, 8, 8, generator=generator)
    return CropBatch(crops, local, masks, tuple(f"{position}-{i}" for i in range(B)), position)


class Stream:
    def __init__(self, start: int, poisoned: frozenset[int]) -> None:
        self.start, self.poisoned = start, poisoned

    def __iter__(self) -> Iterator[CropBatch]:
        position = self.start
        while True:
            yield batch_at(position, self.poisoned)
            position += 1


def make_job(root: Path, poisoned: frozenset[int] = frozenset(), **settings: int) -> TrainJob:
    torch.manual_seed(7)
    fields = {"total_steps": 8, "checkpoint_every": 3, "log_every": 1, "keep_checkpoints": 2} | settings
    head = HeadSettings(prototypes=16, hidden_dim=16, bottleneck_dim=8)
    backbone = replace(vit_settings("vitn4", image_size=PX, drop_path_rate=0.3), embed_dim=16, depth=2, num_heads=2)
    method = DinoV2(DinoV2Settings(backbone, head, head))
    schedules = build_schedules(ScheduleSettings(steps=8, lr=1e-2, warmup_steps=2))
    root.mkdir(parents=True, exist_ok=True)
    return TrainJob(
        method=method,
        optimizer=build_adamw(method.parameter_groups()),
        knobs=schedules.at,
        open_stream=lambda position: Stream(position, poisoned),
        run=RunFolder(root),
        settings=LoopSettings(**fields),
        identity_sha256="0" * 64,
    )


def weights(job: TrainJob) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in job.method.state_dict().items()}


def other_method(job: TrainJob, backbone: dict[str, Any], losses: dict[str, Any]) -> TrainJob:
    """The job with another method."""
    torch.manual_seed(7)
    old = cast(DinoV2, job.method).settings
    method = DinoV2(replace(old, backbone=replace(old.backbone, **backbone), **losses))
    return replace(job, method=method, optimizer=build_adamw(method.parameter_groups()))


def assert_same(one: dict[str, Tensor], other: dict[str, Tensor]) -> None:
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)


class StopAt:
    """A stream that sends this process a signal when it hands out a position."""

    def __init__(self, job: TrainJob, at: int, number: signal.Signals) -> None:
        self.job, self.at, self.number = job, at, number

    def __call__(self, position: int) -> Iterator[CropBatch]:
        for batch in Stream(position, frozenset()):
            if batch.position == self.at:
                os.kill(os.getpid(), self.number)
            yield batch


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_run_that_was_stopped_goes_on_to_bitwise_the_same_weights(tmp_path: Path, number: signal.Signals) -> None:
    whole = make_job(tmp_path / "whole")
    outcome = train(whole)
    assert (outcome.step, outcome.stopped_by) == (8, None)

    first = make_job(tmp_path / "cut")
    first.open_stream = StopAt(first, 4, number)
    outcome = train(first)
    assert (outcome.step, outcome.stopped_by) == (5, int(number))
    assert not torch.equal(
        weights(first)["student.backbone.norm.weight"], weights(whole)["student.backbone.norm.weight"]
    )

    torch.manual_seed(99)
    second = make_job(tmp_path / "cut")
    assert train(second).step == 8
    assert_same(weights(whole), weights(second))
    mine, theirs = second.optimizer.state_dict()["state"], whole.optimizer.state_dict()["state"]
    assert mine.keys() == theirs.keys()
    assert all(torch.equal(mine[index][key], value) for index in theirs for key, value in theirs[index].items())


def test_what_a_method_remembers_goes_on_bitwise(tmp_path: Path) -> None:
    """Centers with the mean that waits for its step, an anchor taken before the cut, draws of the positions."""
    rope = {"position": "rope", "rope": RopeSettings(shift=0.1, jitter=1.2, rescale=1.5)}
    losses = {"centering": "centering", "gram": GramSettings(start_step=3, refresh_every=3)}
    whole = other_method(make_job(tmp_path / "whole", checkpoint_every=100), rope, losses)
    train(whole)
    first = other_method(make_job(tmp_path / "cut", checkpoint_every=100), rope, losses)
    first.open_stream = StopAt(first, 4, signal.SIGTERM)
    assert train(first).step == 5
    remembered = weights(first)
    assert int(remembered["gram.taken"]) == 1
    for name in ("dino_targets", "ibot_targets"):
        assert bool(remembered[f"{name}.state.has_pending"])
        assert bool(remembered[f"{name}.state.pending"].any())
    torch.manual_seed(99)
    second = other_method(make_job(tmp_path / "cut", checkpoint_every=100), rope, losses)
    assert train(second).step == 8
    assert int(weights(second)["gram.taken"]) == 2
    assert_same(weights(whole), weights(second))


def test_a_resumed_run_writes_each_metrics_line_once(tmp_path: Path) -> None:
    first = make_job(tmp_path)
    first.open_stream = StopAt(first, 4, signal.SIGTERM)
    train(first)
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write(json.dumps({"step": 6, "loss": 1.0}) + "\n" + '{"step": 7, "lo')
    train(make_job(tmp_path))
    records = read_metrics(tmp_path / "metrics.jsonl")
    assert [record["step"] for record in records] == list(range(1, 9))
    assert all(record["loss"] > 0 for record in records)
    assert records[5]["loss"] != 1.0


def test_a_checkpoint_that_was_cut_short_is_passed_over(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    whole = make_job(tmp_path)
    train(whole)
    names = sorted(p.name for p in (tmp_path / "checkpoints").iterdir())
    assert names == ["step_00000006", "step_00000008"]
    largest = max((tmp_path / "checkpoints" / "step_00000008").iterdir(), key=lambda p: p.stat().st_size)
    with largest.open("r+b") as file:
        file.truncate(largest.stat().st_size // 2)
    again = make_job(tmp_path)
    assert train(again).step == 8
    assert_same(weights(whole), weights(again))
    told = capsys.readouterr().err
    assert "step_00000008 is ignored" in told
    assert "going on from step 6" in told


def test_a_non_finite_step_is_skipped_and_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    job = make_job(tmp_path, frozenset({1}), total_steps=2, checkpoint_every=1)
    outcome = train(job)
    assert outcome.skipped_steps == 1
    clean = make_job(tmp_path / "clean", total_steps=1)
    train(clean)
    assert_same(weights(clean), weights(job))
    assert "step 2 was skipped: loss term" in " ".join(capsys.readouterr().err.split())
    last = read_metrics(tmp_path / "metrics.jsonl")[-1]
    assert last["loss"] is None
    assert last["skipped_steps"] == 1


def test_too_many_non_finite_steps_in_a_row_end_the_run(tmp_path: Path) -> None:
    job = make_job(tmp_path, frozenset({3, 4, 5}), max_skipped=3)
    with pytest.raises(UserError, match=r"stopped at step 6: loss term .* is nan.*3 steps in a row"):
        train(job)
    assert (tmp_path / "checkpoints" / "step_00000003" / "checkpoint.json").is_file()


def test_micro_batches_advance_the_stream_and_count_as_one_step(tmp_path: Path) -> None:
    job = make_job(tmp_path, total_steps=3, accumulate=2)
    taken: list[int] = []

    def stream(position: int) -> Iterator[CropBatch]:
        for batch in Stream(position, frozenset()):
            taken.append(batch.position)
            yield batch

    job.open_stream = stream
    assert train(job).step == 3
    assert taken == [0, 1, 2, 3, 4, 5]


def test_probe_and_export_come_when_due_and_leave_the_run_as_it_was(tmp_path: Path) -> None:
    plain = make_job(tmp_path / "plain")
    train(plain)
    exported: list[int] = []
    job = make_job(tmp_path / "probed", probe_every=4, export_every=5)

    def probe(backbone: torch.nn.Module) -> dict[str, float]:
        backbone.eval()
        return {"knn_accuracy": float(torch.rand(()))}

    job.probe = probe
    job.export = lambda modules, step, out: exported.append(step)
    outcome = train(job)
    assert [record["step"] for record in outcome.probes] == [0, 4, 8]
    assert exported == [5, 8]
    assert_same(weights(plain), weights(job))
