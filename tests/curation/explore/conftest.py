from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from tests.curation.small_pool import SmallPool, curated

from curation import api
from curation.explore.access import Access
from curation.explore.app import make_app
from curation.explore.explorer import Explorer


@pytest.fixture
def small(tmp_path: Path) -> SmallPool:
    return curated(tmp_path)


@pytest.fixture
def page(small: SmallPool) -> Iterator[TestClient]:
    """The page of a workspace on the loopback address."""
    app = make_app(Explorer(small.workspace, small.config()), Access("127.0.0.1"))
    with TestClient(app, base_url="http://127.0.0.1:8642", headers={"X-Winnow": "1"}) as client:
        yield client


def build(small: SmallPool) -> set[str]:
    """Keys of the dataset that `curate build` writes."""
    with api.open_engine("local") as engine:
        api.build(small.workspace, small.config(), engine)
    from contracts.dataset_folder import read_dataset

    return set(read_dataset(small.workspace.dataset).manifest(["key"]).column("key").to_pylist())
