from __future__ import annotations

from pathlib import Path

import pytest

from contracts.errors import MissingInput
from curation.retrieve import seed_lookup
from curation.retrieve.hub_sets import HubAnswer
from curation.retrieve.known_sets import KnownSet
from curation.retrieve.seed_lookup import LookupPlaces, file_safe, find_set


def images(folder: Path) -> Path:
    folder.mkdir(parents=True)
    (folder / "a.png").write_bytes(b"x")
    return folder.resolve()


@pytest.fixture
def no_hub(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The hub is a border: here it has nothing and says why."""
    asked: list[str] = []

    def nothing(entry: KnownSet) -> HubAnswer:
        asked.append(entry.name)
        return HubAnswer(f"the Hugging Face hub ({entry.hub})", None, "GatedRepoError: log in first")

    monkeypatch.setattr(seed_lookup, "from_cache", lambda entry: HubAnswer("the cache", None, "not there"))
    monkeypatch.setattr(seed_lookup, "from_hub", nothing)
    return asked


def places(tmp_path: Path, **more: object) -> LookupPlaces:
    settings = {"workspace": tmp_path / "here/workspace", "working_folder": tmp_path / "here", "configured": {}} | more
    return LookupPlaces(**settings)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "place", ["here/workspace/seeds/imagenet", "here/seeds/ILSVRC2012", "here/data/imagenet-1k", "here/imagenet"]
)
def test_a_known_set_is_found_under_any_of_its_names_near_the_workspace(tmp_path: Path, place: str) -> None:
    folder = images(tmp_path / place)
    found = find_set("imagenet", places(tmp_path))
    assert (found.name, found.source) == ("imagenet", str(folder))


def test_a_set_beside_the_pool_is_found(tmp_path: Path) -> None:
    folder = images(tmp_path / "elsewhere/imagenet-sample")
    near = places(tmp_path, sources=[str(tmp_path / "elsewhere/pool"), "s3://bucket/pool"])
    assert find_set("imagenet", near).source == str(folder)


def test_a_table_of_that_name_is_found_and_an_empty_folder_is_not(tmp_path: Path, no_hub: list[str]) -> None:
    (tmp_path / "here/cifar10").mkdir(parents=True)
    with pytest.raises(MissingInput):
        find_set("cifar10", places(tmp_path))
    (tmp_path / "here/cifar10-train.parquet").write_bytes(b"x")
    assert find_set("cifar10", places(tmp_path)).source.endswith("cifar10-train.parquet")


def test_curate_yaml_wins_over_folders_and_the_command_wins_over_both(tmp_path: Path) -> None:
    images(tmp_path / "here/imagenet")
    mine, other = images(tmp_path / "mine"), images(tmp_path / "other")
    near = places(tmp_path, configured={"imagenet": str(mine)})
    assert find_set("imagenet", near).source == str(mine)
    assert find_set(f"imagenet={other}", near).source == str(other)


def test_a_path_is_taken_as_it_is_and_gives_the_name(tmp_path: Path) -> None:
    folder = images(tmp_path / "here/my photos, all")
    found = find_set("./my photos, all", places(tmp_path))
    assert (found.name, found.source, found.named_by_path) == ("my-photos-all", str(folder), True)


def test_a_missing_set_tells_every_place_and_what_to_do(tmp_path: Path, no_hub: list[str]) -> None:
    with pytest.raises(MissingInput) as failure:
        find_set("imagenet", places(tmp_path, sources=["/pools/big"]))
    text = str(failure.value)
    for part in (
        "'imagenet'",
        "imagenet-1k",
        str(tmp_path / "here/workspace/seeds"),
        str(tmp_path / "here/data"),
        "/pools",
        "ILSVRC/imagenet-1k",
        "log in first",
        "--seed imagenet=path/to/images",
        "seeds: {imagenet: path/to/images}",
    ):
        assert part in text
    assert "\n" not in text
    assert no_hub == ["imagenet"]


def test_the_hub_is_not_asked_when_it_is_switched_off(tmp_path: Path, no_hub: list[str]) -> None:
    with pytest.raises(MissingInput):
        find_set("imagenet", places(tmp_path, hub=False))
    assert no_hub == []


def test_an_unknown_name_suggests_a_known_one(tmp_path: Path, no_hub: list[str]) -> None:
    with pytest.raises(MissingInput, match="did you mean 'imagenet'"):
        find_set("imagnet", places(tmp_path))


@pytest.mark.parametrize("text", ["no/such/folder", "seed=no/such", "gone"])
def test_a_path_that_is_not_there_is_one_sentence(tmp_path: Path, text: str) -> None:
    near = places(tmp_path, configured={"gone": "nowhere"})
    with pytest.raises(MissingInput, match="which is not there"):
        find_set(text, near)


def test_file_safe() -> None:
    assert file_safe("a b/ç:d.e_f") == "a-b-d.e_f"


def test_a_file_in_the_working_folder_is_named_without_its_ending(tmp_path: Path, no_hub: list[str]) -> None:
    (tmp_path / "here").mkdir()
    (tmp_path / "here/cars.parquet").write_bytes(b"x")
    found = find_set("cars.parquet", places(tmp_path))
    assert found.name == "cars" and found.source == str((tmp_path / "here/cars.parquet").resolve())
    assert find_set("./cars.parquet", places(tmp_path)).name == "cars"
