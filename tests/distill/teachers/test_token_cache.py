"""The cache of teacher tokens: hits equal misses, parts are whole or not there, other content is refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from contracts.errors import UserError
from distill.teachers.teacher import open_teacher
from distill.teachers.token_cache import TokenCache, Writer, as_rows, from_rows
from trainer.data.batch import CropBatch

Batches = Callable[..., CropBatch]
CONTENT = {"teacher": "abc", "seed": 0}


def row(value: float) -> np.ndarray:
    return np.full((2, 5, 3), value, dtype=np.float16)


def test_rows_go_and_come_back_crop_major() -> None:
    cls, patches = torch.randn(6, 4), torch.randn(6, 9, 4)
    rows = as_rows(cls, patches)
    assert len(rows) == 3
    assert np.array_equal(rows[1][1, 0], cls[4].half().numpy())
    back = from_rows(rows, torch.device("cpu"))
    assert torch.equal(back[0], cls.half().float())
    assert torch.equal(back[1], patches.half().float())


def test_parts_are_found_again_and_cut_ones_are_not_counted(tmp_path: Path) -> None:
    part_bytes = 2 * row(0).nbytes
    cache = TokenCache(tmp_path, CONTENT, limit_gib=1, part_bytes=part_bytes)
    for value in range(5):
        cache.keep(f"image:{value}", row(value))
    assert len(cache) == 5
    assert float(cache.find(["image:4"])[0][0, 0, 0]) == 4  # type: ignore[index]
    again = TokenCache(tmp_path, CONTENT, limit_gib=1, part_bytes=part_bytes)
    assert len(again) == 4
    assert [None if found is None else float(found[1, 2, 0]) for found in again.find(["image:3", "image:4"])] == [
        3,
        None,
    ]
    (tmp_path / "part-00001.json").unlink()
    assert len(TokenCache(tmp_path, CONTENT, limit_gib=1)) == 2


def test_a_full_cache_takes_nothing_more(tmp_path: Path) -> None:
    cache = TokenCache(tmp_path, CONTENT, limit_gib=2.5 * row(0).nbytes / 2**30)
    for value in range(5):
        cache.keep(str(value), row(value))
    assert len(cache) == 2
    assert cache.find(["2"]) == [None]


def test_ranks_write_parts_of_their_own_and_find_those_of_the_others(tmp_path: Path) -> None:
    part_bytes = 2 * row(0).nbytes

    def opened() -> list[TokenCache]:
        return [TokenCache(tmp_path, CONTENT, 1, part_bytes, Writer(rank, 2)) for rank in range(2)]

    first, second = opened()
    for value in range(4):
        (first, second)[value % 2].keep(str(value), row(value))
    assert sorted(file.name for file in tmp_path.glob("*.npy")) == ["part-00000.npy", "part-00001.npy"]
    for cache in (first, second, *opened(), TokenCache(tmp_path, CONTENT, 1)):
        assert [float(found[0, 0, 0]) for found in cache.find(["0", "1", "2", "3"]) if found is not None] == [
            0,
            1,
            2,
            3,
        ]
    third, fourth = opened()
    for value in (4, 5):
        fourth.keep(str(value), row(value))
    assert fourth.find(["3", "6"])[1] is None
    assert third.find(["5"])[0] is not None
    assert (tmp_path / "part-00003.npy").is_file()


def test_ranks_share_out_the_room(tmp_path: Path) -> None:
    caches = [TokenCache(tmp_path, CONTENT, 5 * row(0).nbytes / 2**30, writer=Writer(rank, 2)) for rank in range(2)]
    for number, cache in enumerate(caches):
        for value in range(5):
            cache.keep(f"{number}:{value}", row(value))
    assert [len(cache) for cache in caches] == [2, 2]


def test_a_cache_of_other_content_is_refused(tmp_path: Path) -> None:
    TokenCache(tmp_path, CONTENT, limit_gib=1)
    with pytest.raises(UserError, match=r"another teacher said.*teacher\.cache\.folder"):
        TokenCache(tmp_path, {**CONTENT, "seed": 1}, limit_gib=1)


def test_a_hit_is_the_same_as_a_miss_and_costs_no_pass(
    make_teacher: Callable[..., Path], make_batch: Batches, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    teacher = open_teacher(make_teacher(), torch.device("cpu"))
    plain = teacher.look(replace(make_batch(), crop_numbers=(0, 1, 2)), 4)
    teacher.cache = TokenCache(tmp_path / "cache", CONTENT, limit_gib=1)
    seen: list[int] = []
    tokens = teacher.tokens
    monkeypatch.setattr(teacher, "tokens", lambda images: seen.append(len(images)) or tokens(images))
    batch = replace(make_batch(), crop_numbers=(0, 1, 2))
    first, second = teacher.look(batch, 4), teacher.look(batch, 4)
    assert seen == [6]
    assert torch.equal(first.cls, second.cls)
    assert torch.equal(first.patches, second.patches)
    assert torch.allclose(first.patches, plain.patches, atol=2e-2)
    other = replace(batch, crop_numbers=(0, 7, 2))
    assert torch.allclose(teacher.look(other, 4).cls, first.cls)
    assert seen == [6, 2]
