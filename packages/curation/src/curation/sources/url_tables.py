"""Tables of addresses: which column holds the url, and which a checksum of the image."""

from __future__ import annotations

import pyarrow as pa

_URL_NAMES = ("url", "image_url", "img_url", "image_link", "image_uri", "contenturl")
_SHA256_NAMES = ("sha256", "image_sha256")


def url_column(schema: pa.Schema) -> str | None:
    """Name of the text column with addresses, or None."""
    return _text_column(schema, _URL_NAMES)


def sha256_column(schema: pa.Schema) -> str | None:
    """Name of the column with hexadecimal sha256 sums of the image bytes (DataComp has one), or None."""
    return _text_column(schema, _SHA256_NAMES)


def _text_column(schema: pa.Schema, names: tuple[str, ...]) -> str | None:
    known = {field.name.lower(): field.name for field in schema if _is_text(field.type)}
    return next((known[name] for name in names if name in known), None)


def _is_text(kind: pa.DataType) -> bool:
    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))
