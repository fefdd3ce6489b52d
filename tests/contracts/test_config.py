"""Configuration mistakes are answered in plain words with the key path and the nearest known name."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from pydantic import Discriminator, Field, Tag, ValidationError

from contracts.config import (
    StrictModel,
    apply_overrides,
    config_sha256,
    dump_yaml,
    load_config,
    read_yaml,
    validate_config,
)
from contracts.errors import ConfigError, MissingInput


class Flat(StrictModel):
    kind: Literal["flat"] = "flat"


class Ivf(StrictModel):
    kind: Literal["ivf"] = "ivf"
    lists: int = Field(default=16, ge=1)


class Section(StrictModel):
    min_cosine: float = Field(default=0.6, ge=-1, le=1)
    index: Annotated[Flat | Ivf, Field(discriminator="kind")] = Flat()


class Folder(StrictModel):
    folder: str


class Table(StrictModel):
    table: str
    rows: int = 1


def _what(value: Any) -> str:
    return "table" if "table" in (value if isinstance(value, dict) else value.__dict__) else "folder"


Source = Annotated[Annotated[Folder, Tag("folder")] | Annotated[Table, Tag("table")], Discriminator(_what)]


class Whole(StrictModel):
    seed: int = 0
    dedup: Section = Section()
    sources: tuple[Source, ...] = ()


def test_order_is_defaults_then_file_then_set(tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_text("seed: 3\ndedup: {min_cosine: 0.5}\n")
    config = load_config(Whole, file, ["dedup.min_cosine=0.7", "dedup.index.kind=ivf", "dedup.index.lists=4"])
    assert (config.seed, config.dedup.min_cosine, config.dedup.index) == (3, 0.7, Ivf(lists=4))
    assert load_config(Whole, None) == Whole()


@pytest.mark.parametrize(
    ("values", "wanted"),
    [
        ({"sed": 1}, r"unknown setting 'sed' \(did you mean 'seed'\?\)"),
        ({"dedup": {"min_cosin": 1}}, r"unknown setting 'dedup\.min_cosin' \(did you mean 'min_cosine'\?\)"),
        ({"dedup": {"min_cosine": 2}}, r"setting 'dedup\.min_cosine': .*less than or equal to 1 \(found 2\)"),
        ({"dedup": {"index": {"kind": "ivf", "list": 3}}}, r"did you mean 'lists'\?"),
        ({"dedup": {"index": {"kind": "tree"}}}, r"'tree'"),
        ({"sources": [{"table": "a", "row": 1}]}, r"setting 'sources\.0\.row' \(did you mean 'rows'\?\)"),
        ({"sources": [{"folder": "a", "row": 1}]}, r"setting 'sources\.0\.row' \(known: folder\)"),
        ({"sources": [{}]}, r"setting 'sources\.0\.folder' is missing"),
        ({"seed": "many"}, r"setting 'seed': .*integer.*found 'many'"),
    ],
)
def test_mistakes_in_plain_words(values: dict[str, object], wanted: str) -> None:
    with pytest.raises(ConfigError, match=wanted) as caught:
        validate_config(Whole, values, where="c.yaml")
    assert str(caught.value).startswith("c.yaml: ")
    assert "\n" not in str(caught.value)


def test_a_loaded_config_cannot_be_edited() -> None:
    with pytest.raises(ValidationError):
        Whole().seed = 1  # type: ignore[misc]


def test_overrides_do_not_touch_what_was_given_and_read_scientific_numbers() -> None:
    given = {"a": {"b": 1}}
    assert apply_overrides(given, ["a.b=1e-3", "a.c=[1, 2]", "x=true"]) == {"a": {"b": 0.001, "c": [1, 2]}, "x": True}
    assert given == {"a": {"b": 1}}


@pytest.mark.parametrize("text", ["a", "=1", "a..b=1", "a=[1"])
def test_malformed_overrides_are_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="--set"):
        apply_overrides({}, [text])


def test_yaml_that_is_missing_broken_or_no_mapping(tmp_path: Path) -> None:
    with pytest.raises(MissingInput):
        read_yaml(tmp_path / "none.yaml")
    (tmp_path / "list.yaml").write_text("- 1\n")
    with pytest.raises(ConfigError, match="list where a mapping"):
        read_yaml(tmp_path / "list.yaml")
    (tmp_path / "bad.yaml").write_text("a: [1\nb: 2")
    with pytest.raises(ConfigError, match="not valid YAML"):
        read_yaml(tmp_path / "bad.yaml")
    (tmp_path / "empty.yaml").write_text("# nothing\n")
    assert read_yaml(tmp_path / "empty.yaml") == {}


def test_hash_and_yaml_round_trip(tmp_path: Path) -> None:
    config = Whole(seed=5, dedup=Section(index=Ivf(lists=8)))
    (tmp_path / "c.yaml").write_text(dump_yaml(config))
    again = load_config(Whole, tmp_path / "c.yaml")
    assert again == config
    assert config_sha256(again) == config_sha256(config) != config_sha256(Whole())
