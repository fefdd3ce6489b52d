"""docs/recipe.md names every setting that mirrors or fixes the released code, with its default."""

from __future__ import annotations

import re
from functools import reduce
from pathlib import Path

import yaml

from contracts.config import validate_config
from trainer.config.pretrain import PretrainConfig

PAGE = Path(__file__).parents[3] / "docs" / "recipe.md"
ROW = re.compile(r"^\| `([a-z_.]+)` \| `([^`]+)` \| `([^`]+)`", re.MULTILINE)


def test_defaults_are_as_the_page_says_and_the_other_way_is_accepted() -> None:
    table = PAGE.read_text().split("## Mirrored or fixed")[1].split("\n## ")[0]
    rows = ROW.findall(table)
    assert len(rows) >= 14
    for name, default, mirror in rows:
        found = reduce(getattr, name.split("."), PretrainConfig())
        assert found == type(found)(yaml.safe_load(default)), name
        values = reduce(lambda inner, key: {key: inner}, reversed(name.split(".")), yaml.safe_load(mirror))
        config = validate_config(PretrainConfig, values, where="test")
        assert reduce(getattr, name.split("."), config) == type(found)(yaml.safe_load(mirror)), name
