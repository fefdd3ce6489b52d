"""The dataset folder: WebDataset shards, their index, a manifest and a header. curate writes it, trainer reads it.

dataset.json         header, published last: samples, shards, sources, composition, manifest_sha256
000000.tar ...       <key>.jpg|png|webp|... (original bytes) + <key>.json, mtime 0, seeded shuffle
index.json           wids-shard-index-v1: shardlist [{url, nsamples, filesize, sha256}]
sizes.json           {shard name: samples}, as DataComp and OpenCLIP read it
manifest.parquet     one row per sample (contracts.tables.MANIFEST)
README.md            dataset card
"""

from __future__ import annotations

import tarfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from contracts.errors import BrokenArtifact, MissingInput
from contracts.header import read_header, write_header
from contracts.keys import key_of_bytes
from contracts.publish import publish_json, read_json, sha256_file
from contracts.tables import MANIFEST, read_table

FORMAT, VERSION = "winnow.dataset", 1
HEADER, INDEX, SIZES, MANIFEST_FILE, CARD = (
    "dataset.json",
    "index.json",
    "sizes.json",
    "manifest.parquet",
    "README.md",
)
WIDS_KIND, WIDS_VERSION = "wids-shard-index-v1", 1


def shard_name(number: int) -> str:
    """File name of a shard: 000000.tar, 000001.tar, ..."""
    return f"{number:06d}.tar"


@dataclass(frozen=True)
class ShardEntry:
    """One shard in index.json. Units: filesize in bytes."""

    url: str
    nsamples: int
    filesize: int
    sha256: str


@dataclass(frozen=True)
class DatasetHeader:
    """What dataset.json says of the whole.

    `sources`: {source name: samples}; `composition`: rows of the composition table; `inputs`: sha256 of what it was
    built from (selection, settings), by which a rebuild knows that there is nothing to do. `shard_samples`: sha256 of
    what each shard holds, by which a build that keeps shards knows them; empty otherwise.
    """

    samples: int
    shards: int
    sources: Mapping[str, int]
    composition: Sequence[Mapping[str, Any]]
    manifest_sha256: str
    config_sha256: str
    inputs: Mapping[str, str]
    shard_samples: Sequence[str] = ()


@dataclass(frozen=True)
class DatasetFolder:
    """A complete dataset folder, opened: its header and its shards, each present with the size the index says."""

    path: Path
    header: DatasetHeader
    shards: tuple[ShardEntry, ...]

    def shard_path(self, number: int) -> Path:
        """Path of shard `number`."""
        return self.path / self.shards[number].url

    def manifest(self, columns: Sequence[str] | None = None) -> pa.Table:
        """The manifest, memory-mapped, in order of (shard, row)."""
        return read_table(self.path / MANIFEST_FILE, MANIFEST, columns)


def write_dataset_index(folder: Path | str, shards: Sequence[ShardEntry]) -> None:
    """Publish index.json and sizes.json."""
    root = Path(folder)
    shardlist = [{"url": s.url, "nsamples": s.nsamples, "filesize": s.filesize, "sha256": s.sha256} for s in shards]
    publish_json(root / INDEX, {"__kind__": WIDS_KIND, "wids_version": WIDS_VERSION, "shardlist": shardlist})
    publish_json(root / SIZES, {s.url: s.nsamples for s in shards})


def write_dataset_header(folder: Path | str, header: DatasetHeader) -> None:
    """Publish dataset.json: from now on the folder is complete."""
    write_header(
        Path(folder) / HEADER,
        format_name=FORMAT,
        version=VERSION,
        config_sha256=header.config_sha256,
        fields={
            "samples": header.samples,
            "shards": header.shards,
            "sources": dict(header.sources),
            "composition": [dict(row) for row in header.composition],
            "manifest_sha256": header.manifest_sha256,
            "inputs": dict(header.inputs),
            **({"shard_samples": list(header.shard_samples)} if header.shard_samples else {}),
        },
    )


def read_dataset(path: Path | str, *, shards_at_hand: bool = True) -> DatasetFolder:
    """Open a dataset folder; checks that every shard is there with the size that the index says (no checksums).

    shards_at_hand: false for a folder that holds copies of header and index alone; then no shard is looked for.

    Errors: MissingInput (no folder, no header), BrokenArtifact (missing or short shard, counts that disagree),
    NewerVersion.
    """
    root = Path(path)
    if not root.is_dir():
        raise MissingInput(f"there is no dataset folder {root}: make one with `curate build`, or name another")
    raw = read_header(root / HEADER, format_name=FORMAT, version=VERSION, made_with="curate build")
    try:
        header = DatasetHeader(
            samples=int(raw["samples"]),
            shards=int(raw["shards"]),
            sources=dict(raw["sources"]),
            composition=list(raw["composition"]),
            manifest_sha256=str(raw["manifest_sha256"]),
            config_sha256=str(raw["config_sha256"]),
            inputs=dict(raw.get("inputs", {})),
            shard_samples=tuple(map(str, raw.get("shard_samples", ()))),
        )
        shards = _read_index(root)
    except (KeyError, TypeError, ValueError) as error:
        raise BrokenArtifact(f"{root / HEADER} or {INDEX} is damaged ({error!r}): build the dataset again") from None
    _check_counts(root, header, shards)
    if shards_at_hand:
        _check_sizes(root, shards)
    return DatasetFolder(root, header, shards)


def _read_index(root: Path) -> tuple[ShardEntry, ...]:
    index = read_json(root / INDEX)
    if index["__kind__"] != WIDS_KIND:
        raise BrokenArtifact(f"{root / INDEX} is of kind {index['__kind__']!r} where {WIDS_KIND!r} was wanted")
    entries = []
    for row in index["shardlist"]:
        name = PurePosixPath(str(row["url"]))
        if len(name.parts) != 1 or name.name in ("..", "."):
            raise BrokenArtifact(f"{root / INDEX} names the shard {row['url']!r}, which is not a file of the folder")
        entries.append(ShardEntry(name.name, int(row["nsamples"]), int(row["filesize"]), str(row["sha256"])))
    return tuple(entries)


def _check_counts(root: Path, header: DatasetHeader, shards: Sequence[ShardEntry]) -> None:
    samples = sum(shard.nsamples for shard in shards)
    if (len(shards), samples) != (header.shards, header.samples):
        raise BrokenArtifact(
            f"{root}: {INDEX} lists {len(shards)} shards with {samples} samples, {HEADER} says {header.shards} with "
            f"{header.samples}: build the dataset again"
        )


def _check_sizes(root: Path, shards: Sequence[ShardEntry]) -> None:
    for shard in shards:
        file = root / shard.url
        size = file.stat().st_size if file.is_file() else None
        if size is None:
            raise BrokenArtifact(f"{root} lacks the shard {shard.url}: copy it back or run `curate build` again")
        if size != shard.filesize:
            raise BrokenArtifact(
                f"{file} has {size} bytes where {shard.filesize} were wanted: copy it again or run `curate build`"
            )


def verify_dataset(path: Path | str, after_shard: Callable[[], None] = lambda: None) -> list[str]:
    """Read every byte of a dataset folder and return what is wrong with it, a sentence each; empty if it is sound.

    Checks: header, sizes and sha256 of shards and manifest; sizes.json; manifest rows against tar members in order;
    each image's key against the sha256 of its bytes; no key twice. Errors: those of read_dataset when it cannot be
    opened at all. `after_shard` is called after each shard, for whoever waits.
    """
    dataset = read_dataset(path)
    problems: list[str] = []
    if not (dataset.path / MANIFEST_FILE).is_file():
        raise BrokenArtifact(f"{dataset.path} lacks {MANIFEST_FILE}: copy it back or run `curate build` again")
    if sha256_file(dataset.path / MANIFEST_FILE) != dataset.header.manifest_sha256:
        problems.append(f"{MANIFEST_FILE} does not have the sha256 that {HEADER} says")
    if read_json(dataset.path / SIZES) != {shard.url: shard.nsamples for shard in dataset.shards}:
        problems.append(f"{SIZES} disagrees with {INDEX}")
    manifest = dataset.manifest(["key", "shard", "row", "byte_count", "source"])
    if manifest.num_rows != dataset.header.samples:
        problems.append(f"{MANIFEST_FILE} has {manifest.num_rows} rows where {dataset.header.samples} were wanted")
    if manifest.num_rows and pc.count_distinct(manifest.column("key")).as_py() != manifest.num_rows:
        problems.append(f"{MANIFEST_FILE} names a key twice")
    problems += _check_sources(manifest, dataset.header.sources)
    for number, shard in enumerate(dataset.shards):
        rows = manifest.filter(pc.equal(manifest.column("shard"), number))
        problems += _verify_shard(dataset.path / shard.url, shard, rows)
        after_shard()
    return problems


def _check_sources(manifest: pa.Table, sources: Mapping[str, int]) -> list[str]:
    found = {
        str(row["values"]): int(row["counts"])
        for row in pc.value_counts(manifest.column("source").cast(pa.string())).to_pylist()
    }
    wanted = {name: count for name, count in sources.items() if count}
    return [] if found == wanted else [f"{MANIFEST_FILE} counts the sources {found}, {HEADER} says {wanted}"]


def _verify_shard(file: Path, shard: ShardEntry, rows: pa.Table) -> list[str]:
    if sha256_file(file) != shard.sha256:
        return [f"{shard.url} does not have the sha256 that {INDEX} says"]
    keys, byte_counts = rows.column("key").to_pylist(), rows.column("byte_count").to_pylist()
    images: list[str] = []
    problems: list[str] = []
    try:
        with tarfile.open(file, "r:") as tar:
            for member in tar:
                stem, _, extension = member.name.partition(".")
                handle = tar.extractfile(member)
                if handle is None or extension == "json":
                    continue
                data = handle.read()
                position = len(images)
                images.append(stem)
                if key_of_bytes(data) != stem:
                    problems.append(f"{shard.url}: {member.name} holds other bytes than its key says")
                elif position < len(byte_counts) and byte_counts[position] != len(data):
                    problems.append(f"{shard.url}: {member.name} has {len(data)} bytes, the manifest says otherwise")
    except tarfile.TarError as error:
        return [f"{shard.url} is not a readable tar file ({error})"]
    if images != keys:
        problems.append(
            f"{shard.url} holds {len(images)} images that are not the {len(keys)} of the manifest, in order"
        )
    return problems
