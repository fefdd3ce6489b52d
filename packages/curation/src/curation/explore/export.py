"""A selection as a file: keys as Parquet or CSV, or a list of the places of the images."""

from __future__ import annotations

import io

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
from numpy.typing import NDArray

from contracts.errors import UserError
from contracts.keys import KEY_LENGTH
from curation.explore.pool_view import Catalogued, Decided

FORMATS = {"parquet": "application/vnd.apache.parquet", "csv": "text/csv", "txt": "text/plain; charset=utf-8"}


def export_rows(rows: NDArray[np.int64], catalogued: Catalogued, decided: Decided, form: str) -> bytes:
    """Columns key, uri, source, width_px, height_px, kept, reason; of `txt` the uris alone, a line each.

    Errors: UserError for an unknown form.
    """
    if form not in FORMATS:
        raise UserError(f"{form!r} is no form of an export: choose {', '.join(FORMATS)}")
    table = _table(rows, catalogued, decided)
    if form == "txt":
        return "".join(f"{uri}\n" for uri in table.column("uri").to_pylist()).encode("utf-8", "surrogateescape")
    out = io.BytesIO()
    if form == "csv":
        pa_csv.write_csv(table, out)
    else:
        pq.write_table(table, out, compression="zstd")
    return out.getvalue()


def _table(rows: NDArray[np.int64], catalogued: Catalogued, decided: Decided) -> pa.Table:
    place = pa.array(rows)
    names = pa.array(catalogued.source.names, pa.string())
    kept = decided.kept[rows]
    return pa.table(
        {
            "key": pa.array(catalogued.keys[rows].astype(f"U{KEY_LENGTH}")),
            "uri": catalogued.uris.take(place),
            "source": names.take(pa.array(catalogued.source.codes[rows])),
            "width_px": catalogued.width_px[rows],
            "height_px": catalogued.height_px[rows],
            "kept": pa.array(kept == 1, mask=kept < 0),
            "reason": decided.reason.take(place),
        }
    )
