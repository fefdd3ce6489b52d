"""One WebDataset shard: `<key>.<ending>` with the image's bytes, then `<key>.json`, for every sample in order.

The same samples give the same bytes (mtime 0, no owner, USTAR), and a writing worker needs no PyTorch, which importing
webdataset would load.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from contracts.errors import BrokenArtifact
from contracts.keys import key_of_bytes
from curation.write.tar_writer import TarWriter

_ENDINGS = {"jpeg": "jpg", "tiff": "tif", "jpeg2000": "jp2", "mpo": "jpg"}


def ending_of(image_format: str | None) -> str:
    """The ending of an image's file name from the name of its format as Pillow gives it: JPEG -> jpg."""
    name = (image_format or "bin").casefold()
    return _ENDINGS.get(name, name)


def sample_json(sample: Mapping[str, Any], *, with_uri: bool) -> bytes:
    """What `<key>.json` says: sizes, source, origin, the seed image that brought the sample, and for derived bytes the
    key of the original. Nulls are left out."""
    names = ["key", "width_px", "height_px", "source", "origin", "seed", "query_key", "cosine", "group_id"]
    values = {name: sample[name] for name in names if sample[name] is not None}
    if sample.get("original_key") is not None:
        values |= {name: sample[name] for name in ("original_key", "faces_blurred")}
    if with_uri:
        values["uri"] = sample.get("original_uri") or sample["uri"]
    if "cosine" in values:
        values["cosine"] = round(float(values["cosine"]), 6)
    return json.dumps(values, ensure_ascii=False, sort_keys=True).encode("utf-8")


def require_catalogued(key: str, uri: str, data: bytes | memoryview) -> None:
    """Errors: BrokenArtifact when the bytes are not those that the key names."""
    if key_of_bytes(data) != key:
        raise _not_as_catalogued(uri, "has changed since it was catalogued") if len(data) else gone(uri)


def gone(uri: str) -> BrokenArtifact:
    """The error for an image that is not where it was catalogued."""
    return _not_as_catalogued(uri, "is no longer there")


def _not_as_catalogued(uri: str, what: str) -> BrokenArtifact:
    return BrokenArtifact(
        f"{uri} {what}: put it back, or run `curate ingest` and the steps after it again (for a seed set "
        "`curate retrieve`), which read it anew; what is embedded stays"
    )


def write_tar(
    path: Path, samples: Iterable[tuple[Mapping[str, Any], bytes | memoryview]], *, with_uri: bool
) -> tuple[int, str]:
    """Write samples (row of the plan, image bytes) to a tar file. Returns its size in bytes and its sha256.

    Errors: BrokenArtifact when an image is gone or no longer the one that was catalogued.
    """
    with path.open("wb", buffering=0) as handle:
        tar = TarWriter(handle)
        for sample, data in samples:
            require_catalogued(sample["key"], sample["uri"], data)
            tar.add(f"{sample['key']}.{ending_of(sample['format'])}", data)
            tar.add(f"{sample['key']}.json", sample_json(sample, with_uri=with_uri))
        return tar.finish()
