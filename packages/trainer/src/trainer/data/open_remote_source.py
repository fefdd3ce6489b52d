"""What an address stands for: a dataset folder, tars or tables in an object store or on a web server."""

from __future__ import annotations

from braceexpand import braceexpand

from contracts.dataset_folder import HEADER
from contracts.errors import MissingInput
from contracts.remote_files import is_remote
from trainer.data.remote.files import base_name, exists, folder_of, list_files
from trainer.data.remote.settings import RemoteSettings
from trainer.data.sources.remote_shards import open_remote_dataset, open_remote_tars
from trainer.data.sources.remote_tables import RemoteParquetSource
from trainer.data.sources.source import ImageSource

JOIN = "::"
WANTED = "wanted a dataset folder, .tar shards or .parquet files; copy other images to a local folder"


def open_remote_source(spec: str, settings: RemoteSettings, shuffle_shards: int) -> ImageSource:
    """Open an address, a pattern of addresses, or several joined by `::`.

    Errors: MissingInput, BrokenArtifact, ConfigError (private host, cache too small), Unreachable.
    """
    parts = spec.split(JOIN)
    local = next((part for part in parts if not is_remote(part)), None)
    if local is not None:
        raise MissingInput(f"{spec} joins addresses and the local {local}: name files of one kind of place")
    if len(parts) == 1 and _suffix(spec) not in (".tar", ".parquet"):
        if exists(f"{spec.rstrip('/')}/{HEADER}", settings):
            return open_remote_dataset(spec, settings, shuffle_shards)
        tars = list_files(spec, "*.tar", settings)
        files = tars or list_files(spec, "*.parquet", settings, recursive=True)
        if not files:
            raise MissingInput(f"there are no images in {spec}: {WANTED}")
    else:
        files = [file for part in parts for file in _expand(part, settings)]
    kinds = {_suffix(file) for file in files}
    if kinds == {".tar"}:
        return open_remote_tars(files, settings, shuffle_shards)
    if kinds == {".parquet"}:
        return RemoteParquetSource(files, settings)
    raise MissingInput(f"{spec} ends in {', '.join(sorted(kind or 'no suffix' for kind in kinds))}: {WANTED}")


def _expand(part: str, settings: RemoteSettings) -> list[str]:
    files: list[str] = []
    for name in braceexpand(part) if "{" in part else [part]:
        if not any(sign in name for sign in "*["):
            files.append(name)
            continue
        found = list_files(folder_of(name), base_name(name), settings)
        if not found:
            raise MissingInput(f"there is no {name}: {WANTED}")
        files += found
    return files


def _suffix(address: str) -> str:
    name = base_name(address)
    return f".{name.rpartition('.')[2].lower()}" if "." in name else ""
