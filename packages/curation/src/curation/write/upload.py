"""A dataset folder copied to another file system: s3://, gs://, hdfs://, or any other that fsspec knows.

Object stores cannot rename, so completeness is shown in another way: the old header is removed first, the new one is
written last. `dataset.uploading.json` says which plan is being copied; a rerun after a kill goes on with the files that
are not there with their full size.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from contracts.dataset_folder import HEADER, read_dataset
from contracts.publish import read_json
from curation.progress import PartProgress
from curation.sources.filesystem import open_filesystem

UPLOADING = "dataset.uploading.json"
BLOCK_BYTES = 8 << 20


@dataclass(frozen=True)
class UploadReport:
    """Files copied now, and files that were there already."""

    target: str
    copied: int
    skipped: int


def upload_dataset(folder: Path, target: str) -> UploadReport:
    """Copy a complete dataset folder, header last. What is there from the same plan is not copied again."""
    dataset = read_dataset(folder)
    filesystem, root = open_filesystem(target)
    plan = {"plan": dataset.header.inputs.get("plan", ""), "manifest_sha256": dataset.header.manifest_sha256}
    files = sorted(file.name for file in folder.iterdir() if file.name != HEADER)
    filesystem.create_dir(root, recursive=True)
    header, mark = f"{root}/{HEADER}", f"{root}/{UPLOADING}"
    there = {name for name in files if _size(filesystem, f"{root}/{name}") == (folder / name).stat().st_size}
    if len(there) == len(files) and _read_json(filesystem, header) == read_json(folder / HEADER):
        return UploadReport(target, 0, len(files) + 1)
    known = plan in (_read_json(filesystem, mark), _plan_of(_read_json(filesystem, header)))
    _delete(filesystem, header)
    _write(filesystem, mark, json.dumps(plan).encode())
    copied = 0
    with PartProgress("upload", len(files), "files") as progress:
        for name in files:
            if not known or name not in there:
                _copy(folder / name, filesystem, f"{root}/{name}")
                copied += 1
            progress.advance()
    _remove_other_shards(filesystem, root, set(files))
    _copy(folder / HEADER, filesystem, header)
    _delete(filesystem, mark)
    return UploadReport(target, copied + 1, len(files) - copied)


def _plan_of(header: Any) -> dict[str, Any] | None:
    if not isinstance(header, dict):
        return None
    return {"plan": header.get("inputs", {}).get("plan", ""), "manifest_sha256": header.get("manifest_sha256")}


def _remove_other_shards(filesystem: Any, root: str, names: set[str]) -> None:
    """Shards of an older, larger dataset under the same name."""
    from pyarrow import fs

    for info in filesystem.get_file_info(fs.FileSelector(root)):
        if info.is_file and info.base_name.endswith(".tar") and info.base_name not in names:
            filesystem.delete_file(info.path)


def _size(filesystem: Any, path: str) -> int | None:
    info = filesystem.get_file_info(path)
    return int(info.size) if info.is_file else None


def _read_json(filesystem: Any, path: str) -> Any:
    if _size(filesystem, path) is None:
        return None
    with filesystem.open_input_stream(path) as stream:
        try:
            return json.loads(stream.read())
        except ValueError:
            return None


def _write(filesystem: Any, path: str, data: bytes) -> None:
    with filesystem.open_output_stream(path) as stream:
        stream.write(data)


def _copy(file: Path, filesystem: Any, path: str) -> None:
    with file.open("rb") as source, filesystem.open_output_stream(path) as stream:
        shutil.copyfileobj(source, stream, BLOCK_BYTES)


def _delete(filesystem: Any, path: str) -> None:
    if _size(filesystem, path) is not None:
        filesystem.delete_file(path)
