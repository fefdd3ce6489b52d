"""Known image sets in the Hugging Face cache and on the hub. `huggingface_hub` loads only when one of them is asked."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from curation.retrieve.known_sets import KnownSet


@dataclass(frozen=True)
class HubAnswer:
    """A folder with the files of the set, or the reason why there is none."""

    where: str
    folder: Path | None
    reason: str = ""


def from_cache(entry: KnownSet) -> HubAnswer:
    """The newest complete download in the local cache; nothing is fetched."""
    return _snapshot(entry, f"the Hugging Face cache ({entry.hub})", local_files_only=True)


def from_hub(entry: KnownSet) -> HubAnswer:
    """Download the training images of the set, as the hub keeps them, to the local cache."""
    return _snapshot(entry, f"the Hugging Face hub ({entry.hub})", local_files_only=False)


def _snapshot(entry: KnownSet, where: str, *, local_files_only: bool) -> HubAnswer:
    try:
        from huggingface_hub import snapshot_download
    except ImportError:
        return HubAnswer(where, None, "huggingface_hub is not installed")
    patterns = list(entry.files)
    try:
        folder = Path(
            snapshot_download(
                str(entry.hub), repo_type="dataset", allow_patterns=patterns, local_files_only=local_files_only
            )
        )
    except Exception as error:  # the hub raises many kinds; each is a reason, none is our bug
        return HubAnswer(where, None, "not there" if local_files_only else _one_line(error))
    if not any(path.is_file() for pattern in patterns for path in folder.rglob(pattern)):
        return HubAnswer(where, None, f"holds no {' or '.join(patterns)}")
    return HubAnswer(where, folder)


def _one_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0] if lines else 'no detail'}".rstrip(".")
