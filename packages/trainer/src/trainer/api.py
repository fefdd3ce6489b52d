"""The trainer's public functions: one per command, with plain arguments and plain results.

PyTorch is loaded by the function that needs it, so that `trainer --help` answers at once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from contracts.errors import UserError

if TYPE_CHECKING:
    from trainer.config.pretrain import PretrainConfig
    from trainer.pretrain import PlannedRun


def plan(
    config: str | PretrainConfig | None = None,
    *,
    data: str | None = None,
    out: Path | None = None,
    steps: int | None = None,
    overrides: Sequence[str] = (),
    devices: int = 1,
    tune: bool = False,
    measure: bool = False,
    say: Callable[[str], None] = lambda _: None,
) -> PlannedRun:
    """Work out a pretraining run without starting it.

    config: name of a preset, a YAML file, or settings, which are taken as they are, without the other arguments'
        changes; None takes `small` with a GPU and `cpu` without one.
    data, steps: short for the overrides data.path=... and run.steps=...
    devices: processes that train together, one GPU each; torchrun's count where it launched this one.
    tune: measure how many images to take at once and how many workers to load them with; the plan holds both.
    measure: measure how long a step takes; the plan holds the run's time.
    Errors: UserError in one sentence.
    """
    from trainer.config.presets import load_pretrain_config
    from trainer.dataset_at_hand import ensure_dataset
    from trainer.engine.ranks import launched_ranks
    from trainer.pretrain import plan_run

    asked = config or default_preset()
    name = asked if isinstance(asked, str) else "run"
    settings = load_pretrain_config(asked, _words(data, steps, overrides)) if isinstance(asked, str) else asked
    ensure_dataset(settings.data.path, say)
    planned = plan_run(settings, Path(name).stem, out, max(devices, launched_ranks()))
    if tune:
        from trainer.tune import tuned_run

        planned = tuned_run(planned, Path(name).stem, say)
    if measure:
        from trainer.time_estimate import measured_run

        planned = measured_run(planned, say)
    return planned


def pretrain(
    config: str | PretrainConfig | None = None,
    *,
    data: str | None = None,
    out: Path | None = None,
    steps: int | None = None,
    overrides: Sequence[str] = (),
    devices: int = 1,
    nodes: int | None = None,
    tune: bool = False,
    resume: bool | None = None,
    told_to_stop: Callable[[], int] = lambda: 0,
    say: Callable[[str], None] = lambda _: None,
) -> dict[str, Any]:
    """Pretrain with DINOv2, or go on with a run that was interrupted; returns the run's report.

    nodes: machines of the Ray cluster that train together, each with `devices` ranks; None trains on this one.
    resume: None goes on when the folder holds the same run; True insists on one; False refuses one.
    told_to_stop: asked after every step; the number of a signal ends the run as that signal would, with a checkpoint.
    Errors: UserError in one sentence.
    """
    if nodes is not None:
        words = _words(data, steps, overrides)
        return _pretrain_on_ray(config, words, out, nodes, devices, tune=tune, resume=resume, say=say)
    from trainer.engine.ranks import launched_ranks, start_ranks
    from trainer.engine.run_folder import open_run, publish_plan
    from trainer.pretrain import run_pretraining

    planned = plan(config, data=data, out=out, steps=steps, overrides=overrides, devices=devices, tune=tune, say=say)
    for note in planned.plan.notes:
        say(f"note: {note}")
    if devices == 1 or launched_ranks() > 1:
        return run_pretraining(planned, resume=resume, told_to_stop=told_to_stop)
    run = open_run(planned.out, planned.identity, resume=resume)
    if tune:
        publish_plan(run, planned.identity, planned.values())  # where the ranks find what was measured here
    asked = {"config": config, "data": data, "out": planned.out, "steps": steps, "overrides": list(overrides)}
    asked["tune"] = tune
    restarts = planned.config.devices.max_restarts
    report: dict[str, Any] = start_ranks(devices, pretrain, asked, max_restarts=restarts, say=say)
    return report


def _words(data: str | None, steps: int | None, overrides: Sequence[str]) -> list[str]:
    """Overrides, with those that have a short name."""
    short = [f"data.path={_quoted(data)}"] if data is not None else []
    return [*overrides, *short, *([f"run.steps={steps}"] if steps is not None else [])]


def _pretrain_on_ray(
    asked: str | PretrainConfig | None,
    words: Sequence[str],
    out: Path | None,
    nodes: int,
    devices: int,
    *,
    tune: bool,
    resume: bool | None,
    say: Callable[[str], None],
) -> dict[str, Any]:
    """Pretrain in ranks of Ray Train. They plan the run: this machine may have no GPU and see no images."""
    from trainer.config.presets import load_pretrain_config
    from trainer.engine.ranks import launched_ranks
    from trainer.service.ray_train import RayRanks, cluster, start_ray_ranks

    if launched_ranks() > 1:
        raise UserError("this is one of several ranks already: take --nodes or torchrun, not both")
    if tune:
        raise UserError("--tune measures on one machine: run `trainer plan --tune`, and set what it finds with --set")
    if out is None:
        raise UserError("--nodes wants a run folder that all machines see: name one with --out")
    folder, config = Path.cwd(), load_pretrain_config(asked, words) if isinstance(asked, str) else asked
    with cluster() as ray:
        has_gpus = ray.cluster_resources().get("GPU", 0) > 0
        config = config or load_pretrain_config("small" if has_gpus else "cpu", words)
        use_gpu = config.run.device.startswith("cuda") or (config.run.device == "auto" and has_gpus)
        ranks = RayRanks(nodes, devices, use_gpu, config.devices.max_restarts, folder)
        given = {"config": config, "out": out}
        report: dict[str, Any] = start_ray_ranks(pretrain, given, ranks, resume=resume, say=say)
        return report


def evaluate(
    model: str,
    data: str,
    *,
    test: str | None = None,
    tasks: Sequence[str] = ("knn",),
    image_px: int | None = None,
    max_images: int | None = None,
    baselines: bool = True,
    device: str = "auto",
    progress: bool = False,
) -> dict[str, Any]:
    """Measure a model's features on labelled images; the report holds all numbers and a table of them.

    model: run, model folder, Hugging Face folder or hub id. A run that goes on, or was stopped, is exported as its
    newest checkpoint has it. test: None splits `data` in halves.
    progress: tell on stderr how far it is.
    Errors: UserError in one sentence.
    """
    from trainer.engine.device import choose_device
    from trainer.evaluate.evaluate_model import EvaluationRequest, evaluate_model
    from trainer.evaluate.watch import unwatched, watched
    from trainer.unfinished_run import export_newest_checkpoint

    export_newest_checkpoint(model)
    request = EvaluationRequest(
        model=model,
        data=data,
        test=test,
        tasks=tasks,
        image_px=image_px,
        max_images=max_images,
        baselines=baselines,
        device=str(choose_device(device)),
        watch=watched if progress else unwatched,
    )
    return evaluate_model(request)


def import_model(
    source: str, out: Path, *, image_px: int | None = None, num_heads: int | None = None
) -> dict[str, Any]:
    """Turn a checkpoint file, a Hugging Face folder or a hub id into a model folder; returns what it is.

    Errors: UserError in one sentence.
    """
    from trainer.export.import_model import import_model as write_model_folder

    model = write_model_folder(source, out, image_px=image_px, num_heads=num_heads)
    return {
        "out": str(out),
        "name": model.description.name,
        "image_px": model.image_px,
        "heads": ", ".join(model.heads.keys()),
        "origin": dict(model.description.origin),
    }


def export(model: str, format_name: str, out: Path) -> dict[str, Any]:
    """Write a model in a named format (hf, official, timm, onnx). Errors: UserError in one sentence."""
    from trainer.export.export_formats import export_as
    from trainer.unfinished_run import export_newest_checkpoint

    export_newest_checkpoint(model)
    return export_as(model, format_name, out)


def report(run: Path, out: Path | None = None) -> dict[str, Any]:
    """Show a run as one HTML page (RUN/report.html, or `out`), also while it goes on; returns what the page holds.

    Errors: UserError in one sentence.
    """
    from trainer.report.write_report import write_report

    return write_report(run, out)


def submit(
    config: str | None = None,
    *,
    out: Path,
    words: Sequence[str] = (),
    cpus: float = 0.0,
    gpus: float = 0.0,
    name: str | None = None,
    address: str | None = None,
) -> str:
    """Hand `trainer pretrain` to a Ray cluster; returns the job's name. Errors: UserError in one sentence.

    words: further words of the command. cpus, gpus: what the job reserves. address: http://HOST:8265.
    """
    from trainer.service.ray_jobs import JobRequest, submit

    return submit(JobRequest(out, config, tuple(words), cpus, gpus, name), address)


def job_status(job: str | None = None, address: str | None = None) -> list[dict[str, Any]]:
    """How a job stands, or all that were handed in with `submit`. Errors: UserError in one sentence."""
    from trainer.service.ray_jobs import status

    return status(job, address)


def job_logs(job: str, write: Callable[[str], Any], *, follow: bool = False, address: str | None = None) -> None:
    """Write what a job has said; `follow` goes on until it ends. Errors: UserError in one sentence."""
    from trainer.service.ray_jobs import logs

    logs(job, address, write, follow=follow)


def stop_job(job: str, address: str | None = None) -> bool:
    """Tell a job to stop with a checkpoint; False when it had ended. Errors: UserError in one sentence."""
    from trainer.service.ray_jobs import stop

    return stop(job, address)


def default_preset() -> str:
    """`small` with a GPU, `cpu` without one."""
    import torch

    return "small" if torch.cuda.is_available() else "cpu"


def _quoted(text: str) -> str:
    """A YAML string: paths such as 1e5 or `on` stay text."""
    return "'" + text.replace("'", "''") + "'"
