from __future__ import annotations

import json
import pickle
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from contracts.errors import BrokenArtifact, MissingInput
from trainer.data.sources import parquet_rows
from trainer.data.sources.parquet_rows import ParquetSource


def write(path: Path, rows: list[bytes | None], labels: list[int] | None = None, **options: object) -> Path:
    columns: dict[str, object] = {"image": [{"bytes": data, "path": None} for data in rows]}
    if labels is not None:
        columns["label"] = labels
    table = pa.table(columns)
    if "names" in options:
        features = {"info": {"features": {"label": {"names": options.pop("names"), "_type": "ClassLabel"}}}}
        table = table.replace_schema_metadata({"huggingface": json.dumps(features)})
    pq.write_table(table, path, **options)
    return path


def test_rows_of_several_files_in_order(tmp_path: Path) -> None:
    a = write(tmp_path / "a.parquet", [b"0", b"1", b"2"], [2, 0, 1], row_group_size=2)
    b = write(tmp_path / "b.parquet", [b"3"], [3])
    source = ParquetSource([a, b])
    assert [source.read(i).data for i in (3, 0, 2, 1)] == [b"3", b"0", b"2", b"1"]
    assert [source.read(i).label for i in range(4)] == [2, 0, 1, 3]
    assert [source.read(i).key for i in range(4)] == ["a.parquet#0", "a.parquet#1", "a.parquet#2", "b.parquet#0"]
    assert source.class_names == ("0", "1", "2", "3")
    assert source.blocks().tolist() == [2, 1, 1]


def test_class_names_come_from_the_metadata(tmp_path: Path) -> None:
    source = ParquetSource([write(tmp_path / "a.parquet", [b"0", b"1"], [1, 0], names=["cat", "dog"])])
    assert source.class_names == ("cat", "dog")


def test_plain_binary_and_paths_beside_the_table(tmp_path: Path) -> None:
    pq.write_table(pa.table({"jpg": [b"plain"], "text": ["a cat"]}), tmp_path / "a.parquet")
    assert ParquetSource([tmp_path / "a.parquet"]).read(0).data == b"plain"
    (tmp_path / "x.jpg").write_bytes(b"beside")
    pq.write_table(
        pa.table({"image": pa.array([{"bytes": None, "path": "x.jpg"}], type=IMAGE)}), tmp_path / "b.parquet"
    )
    source = ParquetSource([tmp_path / "b.parquet"])
    assert source.read(0).data == b"beside"
    assert (source.read(0).label, source.class_names) == (None, None)


IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


def test_the_cache_holds_what_fits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "a.parquet", [bytes([n]) * 1000 for n in range(8)], row_group_size=1, compression="none")
    size = pq.ParquetFile(path).metadata.row_group(0).total_byte_size
    monkeypatch.setattr(parquet_rows, "CACHE_BYTES", int(size * 2.5))
    source = ParquetSource([path])
    assert source.blocks_at_once() == 2
    for index in (0, 5, 1, 0, 7):
        assert source.read(index).data[0] == index
    assert len(source._cache) == 2
    assert pickle.loads(pickle.dumps(source)).read(3).data[0] == 3


def test_a_row_without_bytes_is_an_error_of_that_row(tmp_path: Path) -> None:
    source = ParquetSource([write(tmp_path / "a.parquet", [b"0", None])])
    assert source.read(0).data == b"0"
    with pytest.raises(OSError, match=r"a\.parquet#1"):
        source.read(1)


def test_what_is_no_image_table_is_refused(tmp_path: Path) -> None:
    pq.write_table(pa.table({"text": ["a"], "url": ["b"]}), tmp_path / "a.parquet")
    with pytest.raises(MissingInput, match="columns text, url"):
        ParquetSource([tmp_path / "a.parquet"])
    (tmp_path / "b.parquet").write_bytes(b"PAR1 cut")
    with pytest.raises(BrokenArtifact, match=r"b\.parquet"):
        ParquetSource([tmp_path / "b.parquet"])
    with pytest.raises(MissingInput, match="no rows"):
        ParquetSource([_empty(tmp_path / "c.parquet")])


def _empty(path: Path) -> Path:
    pq.write_table(pa.table({"image": pa.array([], type=IMAGE)}), path)
    return path


def test_tables_that_differ_are_refused(tmp_path: Path) -> None:
    a = write(tmp_path / "a.parquet", [b"0"], [1])
    b = write(tmp_path / "b.parquet", [b"1"])
    with pytest.raises(BrokenArtifact, match=r"b\.parquet lacks"):
        ParquetSource([a, b])
