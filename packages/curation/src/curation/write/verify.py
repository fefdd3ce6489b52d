"""`curate verify`: every checksum, count and invariant of a dataset folder."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from contracts.dataset_folder import DatasetFolder, read_dataset, verify_dataset
from contracts.errors import BrokenArtifact
from curation.progress import PartProgress


@dataclass(frozen=True)
class VerifyReport:
    """What was checked and what is wrong, a sentence each."""

    path: str
    samples: int
    shards: int
    problems: list[str]

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready values."""
        return asdict(self)

    def counts(self) -> dict[str, Any]:
        """What a person reads first."""
        return {"path": self.path, "samples": self.samples, "shards": self.shards, "problems": len(self.problems)}

    def require_sound(self) -> None:
        """Errors: BrokenArtifact when anything is wrong."""
        if self.problems:
            raise BrokenArtifact(
                f"{self.path} has {len(self.problems)} problems, the first: {self.problems[0]}; copy it again or run "
                "`curate build`"
            )


def verify(path: Path) -> VerifyReport:
    """Read every byte of a dataset folder. Errors: those of read_dataset when it cannot be opened at all."""
    dataset = read_dataset(path)
    with PartProgress("verify", dataset.header.shards, "shards") as progress:
        problems = verify_dataset(path, progress.advance)
    problems += composition_problems(dataset)
    return VerifyReport(str(path), dataset.header.samples, dataset.header.shards, problems)


def composition_problems(dataset: DatasetFolder) -> list[str]:
    """Where the composition table disagrees with the manifest."""
    manifest = dataset.manifest(["origin", "seed"])
    counts = manifest.group_by(["origin", "seed"]).aggregate([([], "count_all")]).to_pylist()
    found = Counter({(row["origin"], row["seed"]): int(row["count_all"]) for row in counts})
    told: Counter[tuple[str, str | None]] = Counter()
    for row in dataset.header.composition:
        told[row["origin"], row["seed"]] += int(row["images"])
    problems = []
    for origin, seed in sorted(found.keys() | told.keys(), key=str):
        counts = found[origin, seed], told[origin, seed]
        if counts[0] != counts[1]:
            name = f"{origin} {seed}" if seed else origin
            problems.append(f"the composition says {counts[1]} images of {name}, the manifest has {counts[0]}")
    return problems
