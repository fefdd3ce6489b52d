"""Tables round-trip, sort themselves, and refuse what is cut short, foreign or newer."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from contracts.errors import BrokenArtifact, MissingInput, NewerVersion
from contracts.publish import sha256_file
from contracts.tables import PAIRS, SELECTION, TABLES, TableSpec, empty_table, read_table, write_table


def _selection(keys: list[str]) -> pa.Table:
    count = len(keys)
    return pa.table(
        {"key": keys, "kept": [True] * count, "reason": ["pool"] * count, "step": ["dedup"] * count},
    ).cast(SELECTION.schema)


def test_the_same_rows_in_any_order_give_the_same_bytes(tmp_path: Path) -> None:
    write_table(tmp_path / "a.parquet", _selection(["b", "a", "c"]), SELECTION)
    write_table(tmp_path / "b.parquet", pa.concat_tables([_selection(["c"]), _selection(["a", "b"])]), SELECTION)
    assert sha256_file(tmp_path / "a.parquet") == sha256_file(tmp_path / "b.parquet")
    table = read_table(tmp_path / "a.parquet", SELECTION)
    assert table.column("key").to_pylist() == ["a", "b", "c"]
    assert read_table(tmp_path / "a.parquet", SELECTION, ["step"]).column_names == ["step"]


@pytest.mark.parametrize("spec", list(TABLES.values()), ids=lambda spec: spec.name)
def test_every_table_can_be_empty(tmp_path: Path, spec: TableSpec) -> None:
    write_table(tmp_path / "t.parquet", empty_table(spec), spec)
    assert read_table(tmp_path / "t.parquet", spec).num_rows == 0


def test_wrong_columns_and_nulls_are_our_bug(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="wanted"):
        write_table(tmp_path / "t.parquet", pa.table({"key": ["a"]}), SELECTION)
    with_null = pa.table({"key_a": ["a"], "key_b": pa.array([None], pa.string()), "cosine": [0.5]})
    with pytest.raises(ValueError, match="null values"):
        write_table(tmp_path / "t.parquet", with_null, PAIRS)
    assert list(tmp_path.iterdir()) == []


def test_missing_cut_short_foreign_and_newer_files(tmp_path: Path) -> None:
    file = tmp_path / "t.parquet"
    with pytest.raises(MissingInput, match="curate dedup"):
        read_table(file, SELECTION)
    write_table(file, _selection(["a", "b"]), SELECTION)
    whole = file.read_bytes()
    with pytest.raises(BrokenArtifact, match=r"winnow\.pairs"):
        read_table(file, PAIRS)
    file.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(BrokenArtifact, match="curate dedup"):
        read_table(file, SELECTION)
    pq.write_table(pa.table({"key": ["a"]}), file)
    with pytest.raises(BrokenArtifact, match="no winnow table"):
        read_table(file, SELECTION)
    newer = TableSpec(SELECTION.name, SELECTION.version + 1, SELECTION.schema, SELECTION.sort_by, "curate dedup")
    write_table(file, _selection(["a"]), newer)
    with pytest.raises(NewerVersion, match="upgrade"):
        read_table(file, SELECTION)
