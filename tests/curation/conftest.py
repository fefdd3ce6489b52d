"""One Ray for all tests of curation: starting it costs seconds."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from curation.engine import Engine, open_engine


@pytest.fixture(scope="session")
def ray_engine() -> Iterator[Engine]:
    os.environ["RAY_ENABLE_UV_RUN_RUNTIME_ENV"] = "0"
    with open_engine("ray", workers=2) as engine:
        yield engine
