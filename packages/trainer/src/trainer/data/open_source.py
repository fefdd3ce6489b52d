"""One door to every kind of image source: the path says which kind it is."""

from __future__ import annotations

from collections.abc import Callable
from glob import glob
from pathlib import Path

from braceexpand import braceexpand

from contracts.dataset_folder import HEADER
from contracts.errors import MissingInput
from contracts.remote_files import is_remote
from trainer.data.open_remote_source import JOIN, open_remote_source
from trainer.data.remote.settings import SHUFFLE_SHARDS, RemoteSettings
from trainer.data.sources.files import open_file_list, open_image_folder
from trainer.data.sources.parquet_rows import ParquetSource
from trainer.data.sources.source import ImageSource
from trainer.data.sources.tar_shards import TarSource, open_dataset_folder


def open_source(
    path_or_spec: Path | str, remote: RemoteSettings | None = None, shuffle_shards: int = SHUFFLE_SHARDS
) -> ImageSource:
    """Open what a path stands for: the first of these that fits.

    A folder with dataset.json (written by curate); a folder of .tar shards; a folder of .parquet files (also in its
    subfolders); any other folder: all images below it, first-level subfolders as classes. A .txt file: one path a
    line, a tab and a label after it if wanted. A .tar or .parquet file, a pattern of them (`part-{000..127}.tar`,
    `data/train-*.parquet`), or several joined by `::`. By address (s3://, gs://, http(s)://, what pyarrow or fsspec
    know): dataset folders, folders and patterns of .tar or .parquet files.

    remote: how addresses are read. shuffle_shards: remote tars whose images are shuffled together.
    Errors: MissingInput or BrokenArtifact that says what was found.
    """
    spec = str(path_or_spec)
    if is_remote(spec):
        return open_remote_source(spec, remote or RemoteSettings(), shuffle_shards)
    path = Path(spec).expanduser()
    if path.is_dir():
        return _open_folder(path)
    if path.is_file():
        return _open_files([path], spec)
    return _open_files(_expand(spec), spec)


def _open_folder(folder: Path) -> ImageSource:
    if (folder / HEADER).is_file():
        return open_dataset_folder(folder)
    tars = sorted(folder.glob("*.tar"))
    if tars:
        return TarSource(tars)
    tables = sorted(folder.glob("*.parquet")) or sorted(folder.rglob("*.parquet"))
    return ParquetSource(tables) if tables else open_image_folder(folder)


def _expand(spec: str) -> list[Path]:
    """Files that a pattern names. Errors: MissingInput for a file or pattern that matches nothing."""
    files: list[Path] = []
    for part in spec.split(JOIN):
        for name in braceexpand(part) if "{" in part else [part]:
            plain = str(Path(name).expanduser())
            found = sorted(glob(plain)) if any(sign in plain for sign in "*?[") else [plain]  # noqa: PTH207 (Path.glob takes no absolute pattern)
            if not found or not Path(found[0]).exists():
                raise MissingInput(
                    f"there is no {plain}: wanted a dataset folder, .tar shards, .parquet files, a folder of images or "
                    "a .txt list"
                )
            files += [Path(match) for match in found]
    return files


def _open_files(files: list[Path], spec: str) -> ImageSource:
    openers: dict[str, Callable[[list[Path]], ImageSource]] = {
        ".tar": TarSource,
        ".parquet": ParquetSource,
        ".txt": lambda lists: open_file_list(lists[0]),
    }
    kinds = {file.suffix.lower() for file in files}
    kind = next(iter(kinds))
    if len(kinds) > 1 or kind not in openers or (kind == ".txt" and len(files) > 1):
        found = ", ".join(sorted(kind or "no suffix" for kind in kinds))
        raise MissingInput(f"{spec} ends in {found}: wanted .tar shards, .parquet files or one .txt list")
    return openers[kind](files)
