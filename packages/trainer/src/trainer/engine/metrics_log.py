"""metrics.jsonl and TensorBoard: the same numbers twice; warnings.jsonl: what the user was warned of."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from contracts.publish import publish_bytes
from trainer.engine.run_folder import RunFolder


class MetricsLog:
    """Appends one record per call; on opening, records from `first_step` on are dropped, since they come again.

    A record is a flat mapping with `step`; numbers that are not finite are written as null, so that it stays JSON.
    """

    def __init__(self, run: RunFolder, first_step: int) -> None:
        from torch.utils.tensorboard.writer import SummaryWriter

        self._run = run
        run.root.mkdir(parents=True, exist_ok=True)
        for jsonl in (run.metrics, run.warnings):
            _drop_records_from(jsonl, first_step)
        self._file = run.metrics.open("a", encoding="utf-8")
        self._events = SummaryWriter(str(run.tensorboard), purge_step=first_step)

    def write(self, step: int, record: Mapping[str, Any]) -> None:
        """Append a record of a step."""
        values = {"step": step, **{name: _json_value(value) for name, value in record.items()}}
        self._file.write(json.dumps(values) + "\n")
        self._file.flush()
        for name, value in record.items():
            if isinstance(value, int | float) and math.isfinite(value):
                self._events.add_scalar(name, value, step)

    def write_pictures(self, step: int, pictures: Mapping[str, Any]) -> None:
        """Give pictures to TensorBoard. Shapes: uint8 [H, W, 3] each."""
        for name, pixels in pictures.items():
            self._events.add_image(f"pictures/{name}", pixels, step, dataformats="HWC")

    def warn(self, step: int, text: str) -> None:
        """Append a warning that was given after a step."""
        with self._run.warnings.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"step": step, "warning": text}) + "\n")

    def __enter__(self) -> MetricsLog:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._file.close()
        self._events.close()


def read_metrics(jsonl: Path) -> list[dict[str, Any]]:
    """All whole records; a last line that a kill cut short is left out."""
    records = []
    for line in jsonl.read_text(encoding="utf-8").splitlines() if jsonl.is_file() else []:
        try:
            record = json.loads(line)
        except json.JSONDecodeError:
            continue
        if isinstance(record, dict) and "step" in record:
            records.append(record)
    return records


def _drop_records_from(jsonl: Path, first_step: int) -> None:
    if not jsonl.is_file():
        return
    kept = [record for record in read_metrics(jsonl) if record["step"] < first_step]
    publish_bytes(jsonl, "".join(json.dumps(record) + "\n" for record in kept).encode())


def _json_value(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value
