"""What the plan says of memory, against what the arrays take."""

from __future__ import annotations

import numpy as np
import pytest

from curation.index.footprint import TRAIN_BYTES, describe_device, describe_memory, footprint, machine_memory
from curation.index.lists import fill_overlapping, gap_for, train_lists
from curation.index.plan import plan_index
from curation.index.threads import usable_cores


def test_lists_take_what_the_plan_says() -> None:
    vectors = np.random.default_rng(0).normal(size=(3000, 16)).astype(np.float16)
    plan = plan_index(3000, 16, "ivf", lists=60, overlap=4)
    centroids = train_lists(vectors, plan.lists, 0)
    listed = fill_overlapping(vectors, centroids, 0, gap_for(vectors, centroids, 0, plan.overlap), most=16)
    needs = footprint(plan)
    assert needs.vectors == vectors.nbytes
    assert needs.lists == pytest.approx(listed.order.nbytes + listed.centroids.nbytes, rel=0.1)
    assert needs.training == 60 * 32 * 16 * TRAIN_BYTES and needs.held == max(needs.training, needs.lists)
    assert footprint(plan, overlap=1).lists < needs.lists


def test_the_exact_kind_holds_blocks_whatever_the_number_of_rows() -> None:
    assert footprint(plan_index(20_000, 256)).held == footprint(plan_index(100, 256)).held < 40e6
    assert describe_memory(footprint(plan_index(100, 256)), None) == "blocks 33.6 MB; vectors 51.2 kB, mapped from disk"


def test_the_sentence_says_when_memory_is_too_small() -> None:
    needs = footprint(plan_index(1_000_000, 320))
    assert describe_memory(needs, None).endswith("vectors 640 MB, mapped from disk")
    assert describe_memory(needs, 8 * 10**9).endswith("this machine has 8 GB")
    assert describe_memory(needs, 10**9).endswith("this machine has 1 GB, so pages are read again")
    assert "more than this machine has (100 MB), so compare the pool in parts" in describe_memory(needs, 10**8)
    assert describe_device() == f"CPU, {usable_cores()} cores" and (machine_memory() or 10**9) > 10**8
