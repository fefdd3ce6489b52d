"""Data sets of the Hugging Face hub as sources: `hf://datasets/OWNER/NAME[@REVISION][/FOLDER OR FILE]`.

The files are fetched once, as the hub keeps them, to the local Hugging Face cache, where every later step reads them.
"""

from __future__ import annotations

import re

from contracts.errors import UserError

PREFIX = "hf://"
_ADDRESS = re.compile(r"hf://datasets/(?P<name>[^/@]+/[^/@]+)(@(?P<revision>[^/]+))?(/(?P<inner>.*))?")
_WANTED = ("parquet", "arrow", "tar", "jpg", "jpeg", "png", "webp", "gif", "bmp", "tif", "tiff", "avif", "txt", "lst")


def is_hub(source: str) -> bool:
    """Whether a source is on the hub."""
    return source.startswith(PREFIX)


def fetch_dataset(source: str) -> str:
    """The local folder with the files of a data set. Errors: UserError (name, network, nothing that is read here)."""
    match = _ADDRESS.fullmatch(source.rstrip("/"))
    if match is None:
        raise UserError(f"{source} does not have the form hf://datasets/OWNER/NAME[@REVISION][/FOLDER]")
    try:
        from huggingface_hub import snapshot_download
    except ImportError:
        raise UserError(f"{source} needs the package huggingface_hub: install winnow-curation[models]") from None
    inner = match["inner"]
    patterns = [f"{inner}/**", inner] if inner else [f"*.{ending}" for ending in (*_WANTED, *map(str.upper, _WANTED))]
    try:
        folder = snapshot_download(
            match["name"], repo_type="dataset", revision=match["revision"], allow_patterns=patterns
        )
    except Exception as error:  # the hub raises many kinds; each is a reason, none is our bug
        first = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
        raise UserError(
            f"{source} cannot be fetched ({type(error).__name__}: {first}): check the name, the network, and for a "
            "gated data set `hf auth login`"
        ) from None
    return f"{folder}/{inner}" if inner else str(folder)
