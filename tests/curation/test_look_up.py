from __future__ import annotations

import os
from pathlib import Path

import pytest
from tests.curation.small_pool import SmallPool, curated, picture

from contracts.errors import MissingInput, UserError
from contracts.keys import key_of_bytes
from curation import api
from curation.explain.in_words import explanation_lines, query_lines


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> SmallPool:
    small = curated(tmp_path_factory.mktemp("curated"), "retrieve.per_query=1", "retrieve.as_is=true")
    with api.open_engine("local") as engine:
        api.build(small.workspace, small.config(), engine)
    return small


def explained(small: SmallPool, image: Path | str) -> tuple[api.Explanation, str]:
    (found,) = api.explain(small.workspace, str(image))
    return found, "\n".join(explanation_lines([found]))


def test_a_dropped_copy_names_the_one_that_was_kept(small: SmallPool) -> None:
    found, text = explained(small, small.pool / "small copy, of red 2.jpg")
    kept = key_of_bytes((small.pool / "red/02.png").read_bytes())
    assert f"OUT: near_duplicate: of {kept}" in text
    assert f"in a group of 2 alike; kept of it: {kept}" in text
    assert found.neighbors[0]["key"] == kept


def test_an_exact_copy_shows_both_places(small: SmallPool) -> None:
    found, text = explained(small, small.pool / "again.png")
    assert [Path(row["uri"]).name for row in found.occurrences] == ["again.png", "01.png"]
    assert "again.png" in text


def test_an_image_that_a_seed_brought_names_seed_and_query(small: SmallPool) -> None:
    with_seed = [api.explain(small.workspace, str(file))[0] for file in sorted((small.pool / "red").iterdir())]
    brought = [found for found in with_seed if found.retrieved]
    assert brought
    text = "\n".join(explanation_lines(brought[:1]))
    queries = {key_of_bytes(file.read_bytes()) for file in small.seed.iterdir()}
    assert brought[0].retrieved[0]["query_key"] in queries
    assert "IN: retrieved: warm (step retrieve)" in text
    assert "in the dataset: shard 0" in text


def test_what_no_seed_brought_and_what_was_quarantined(small: SmallPool) -> None:
    assert "OUT: not_retrieved: by warm" in explained(small, small.pool / "blue/05.png")[1]
    assert "OUT: quarantined: truncated" in explained(small, small.pool / "torn.png")[1]


def test_a_seed_image_as_it_is_is_in_and_found_by_key(small: SmallPool) -> None:
    key = key_of_bytes((small.seed / "0.png").read_bytes())
    _, text = explained(small, key)
    assert "IN (a seed image as it is)" in text
    assert "counted as seed by seed warm" in text


def test_an_unknown_image_is_one_sentence(small: SmallPool, tmp_path: Path) -> None:
    picture("green", 77).save(tmp_path / "new.png")
    for image in (tmp_path / "new.png", "0" * 24, "no/such.png"):
        with pytest.raises(MissingInput, match="is not in the catalogue"):
            api.explain(small.workspace, str(image))


def test_a_name_that_is_not_utf_8_is_asked_like_any_other(small: SmallPool, tmp_path: Path) -> None:
    odd = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xe9\xff.png"))
    odd.write_bytes((small.pool / "red/02.png").read_bytes())
    assert api.explain(small.workspace, str(odd))[0].key == key_of_bytes(odd.read_bytes())
    odd.unlink()
    with pytest.raises(MissingInput, match="not in the catalogue"):
        api.explain(small.workspace, str(odd))


def test_query_finds_the_copy_of_an_image_that_is_not_catalogued(small: SmallPool, tmp_path: Path) -> None:
    file = tmp_path / "edited.jpg"
    picture("red", 4).resize((44, 44)).save(file, quality=70)
    report = api.query(small.workspace, small.config(), file, answers=3)
    original = key_of_bytes((small.pool / "red/04.png").read_bytes())
    descriptor, scene = report.by_model
    assert not report.known
    assert [near.key for near in descriptor.copies] == [original]
    assert scene.nearest[0].key == original
    assert scene.copies == []
    text = "\n".join(query_lines(report))
    assert "not catalogued; 1 copy is, " in text
    assert text.count("cosine") <= 1 and f"copy  {original}" in text
    assert descriptor.copies[0].uri == str(small.pool / "red/04.png") and str(small.pool / "red/04.png") in text


def test_query_of_catalogued_bytes_tells_the_decision(small: SmallPool) -> None:
    report = api.query(small.workspace, small.config(), small.pool / "blue/05.png")
    assert (report.known, report.kept, report.reason) == (True, False, "not_retrieved: by warm")
    assert "these very bytes are catalogued, OUT" in query_lines(report)[0]


def test_query_without_vectors_or_with_no_image(small: SmallPool) -> None:
    said: list[str] = []
    report = api.query(
        small.workspace, small.config("retrieve.model=./gone.pt"), small.pool / "blue/05.png", say=said.append
    )
    assert len(report.by_model) == 1
    assert "curate embed --model ./gone.pt" in said[0]
    with pytest.raises(UserError, match="is not a usable image"):
        api.query(small.workspace, small.config(), small.pool / "text.jpg")
    with pytest.raises(MissingInput, match="there is no image file"):
        api.query(small.workspace, small.config(), small.pool / "none.jpg")
