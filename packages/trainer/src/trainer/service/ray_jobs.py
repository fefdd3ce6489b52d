"""Pretraining as a job of a Ray cluster: submit, status, logs, stop, through Ray's own job service.

A job is the command `trainer pretrain` on the cluster's head or, with GPUs or CPUs asked for, wherever they are free;
with --nodes it is the driver of ranks on several machines (ray_train.py).
Data and run folder must be paths that those machines see. The same command again goes on with the run.
"""

from __future__ import annotations

import asyncio
import shlex
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from contracts.config import read_yaml
from contracts.errors import MissingInput, UserError
from trainer.engine.metrics_log import read_metrics
from trainer.engine.run_folder import RunFolder

if TYPE_CHECKING:
    from ray.job_submission import JobSubmissionClient

MADE_BY = "winnow trainer"
CONFIG_COPY = "config.yaml"
SECONDS_TO_STOP = "600"
"""What a job that is told to stop has for its step and its checkpoint before it is killed."""


@dataclass(frozen=True)
class JobRequest:
    """What is to run: the words of `trainer pretrain` but for --config and --out, and what it needs.

    `config` is a preset or a local YAML file, which goes with the job; `cpus` and `gpus` are reserved for it.
    """

    out: Path
    config: str | None = None
    words: Sequence[str] = ()
    cpus: float = 0.0
    gpus: float = 0.0
    name: str | None = None
    environment: Mapping[str, str] | None = None


def submit(request: JobRequest, address: str | None) -> str:
    """Hand a run in; returns the job's name. Errors: UserError (no Ray, no cluster, a name that is taken)."""
    client = _client(address)
    with tempfile.TemporaryDirectory() as folder:
        given = ["--out", str(request.out)]
        runtime: dict[str, Any] = {
            "env_vars": {"RAY_JOB_STOP_WAIT_TIME_S": SECONDS_TO_STOP, **(request.environment or {})}
        }
        if request.config is not None and Path(request.config).is_file():
            shutil.copyfile(request.config, Path(folder) / CONFIG_COPY)
            runtime["working_dir"] = folder
            given += ["--config", CONFIG_COPY]
        elif request.config is not None:
            given += ["--config", request.config]
        try:
            job: str = client.submit_job(
                entrypoint=shlex.join(["trainer", "pretrain", *given, *request.words]),
                submission_id=request.name,
                runtime_env=runtime,
                metadata={"made_by": MADE_BY, "run": str(request.out)},
                entrypoint_num_cpus=request.cpus or None,
                entrypoint_num_gpus=request.gpus or None,
            )
            return job
        except RuntimeError as error:
            raise UserError(f"the cluster refused the job: {_first_line(error)}") from None


def status(job: str | None, address: str | None) -> list[dict[str, Any]]:
    """How a job stands, or all jobs that were handed in with `trainer submit`, newest last.

    `step` is the last one that the run has logged, where this machine sees its folder.
    """
    client = _client(address)
    found = [_known(client, job)] if job is not None else client.list_jobs()
    ours = [info for info in found if job is not None or (info.metadata or {}).get("made_by") == MADE_BY]
    return [
        {
            "job": info.submission_id,
            "status": str(getattr(info.status, "value", info.status)).lower(),
            "run": (info.metadata or {}).get("run"),
            "seconds": _seconds(info.start_time, info.end_time),
            **_progress((info.metadata or {}).get("run")),
            "message": info.message,
        }
        for info in sorted(ours, key=lambda info: info.start_time or 0)
    ]


def logs(job: str, address: str | None, write: Callable[[str], None], *, follow: bool = False) -> None:
    """Write what a job has said so far; `follow` goes on until it ends."""
    client = _client(address)
    _known(client, job)
    if not follow:
        write(client.get_job_logs(job))
        return

    async def pass_on() -> None:
        async for text in client.tail_job_logs(job):
            write(text)

    with suppress(KeyboardInterrupt):
        asyncio.run(pass_on())


def stop(job: str, address: str | None) -> bool:
    """Tell a job to stop: it ends its step, writes a checkpoint and exits. Returns False when it had ended before."""
    client = _client(address)
    _known(client, job)
    return bool(client.stop_job(job))


def _client(address: str | None) -> JobSubmissionClient:
    """Ray's client. Errors: UserError when Ray or its job parts are missing, or nobody answers at the address."""
    missing = (
        "jobs need Ray with its job service, which is not installed here: "
        'pip install "winnow-trainer[ray]" (the same on the cluster)'
    )
    try:
        from ray.job_submission import JobSubmissionClient
    except ImportError:
        raise MissingInput(missing) from None
    try:
        return JobSubmissionClient(address)
    except ImportError:
        raise MissingInput(missing) from None
    except RuntimeError as error:
        if "ray[default]" in str(error):
            raise MissingInput(missing) from None
        raise _nobody(address) from None
    except (ConnectionError, ValueError):
        raise _nobody(address) from None
    except Exception as error:
        if type(error).__name__ != "AuthenticationError":
            raise
        raise UserError(
            "the Ray cluster wants a token that was not given, or another: ask who runs it, and name its file with "
            "RAY_AUTH_TOKEN_PATH"
        ) from None


def _nobody(address: str | None) -> UserError:
    where = address or "RAY_ADDRESS or http://127.0.0.1:8265"
    return MissingInput(
        f"no Ray job service answers at {where}: name the head's dashboard with --address http://HOST:8265, or start a "
        "cluster with `ray start --head`"
    )


def _known(client: JobSubmissionClient, job: str) -> Any:
    """What the cluster knows of a job. Errors: MissingInput."""
    try:
        return client.get_job_info(job)
    except RuntimeError as error:
        raise MissingInput(f"the cluster knows no job {job!r} ({_first_line(error)}): see `trainer status`") from None


def _progress(run: str | None) -> dict[str, int | None]:
    """Steps done and steps in all, where this machine sees the run folder."""
    if run is None or not (folder := RunFolder(Path(run))).plan.is_file():
        return {"step": None, "steps": None}
    steps = [record["step"] for record in read_metrics(folder.metrics)]
    return {"step": max(steps, default=0), "steps": int(read_yaml(folder.plan)["steps"])}


def _first_line(error: Exception) -> str:
    lines = [line for line in str(error).splitlines() if line.strip()]
    return lines[-1].strip() if lines else type(error).__name__


def _seconds(start_ms: int | None, end_ms: int | None) -> float | None:
    return None if not start_ms or not end_ms else round((end_ms - start_ms) / 1000, 1)
