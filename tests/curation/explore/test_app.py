"""The explorer over HTTP: looking, searching, deciding by hand, and what a build makes of it."""

from __future__ import annotations

import io
from typing import Any

import pyarrow.parquet as pq
import pytest
from fastapi.testclient import TestClient
from PIL import Image
from tests.curation.explore.conftest import build
from tests.curation.small_pool import SmallPool

from curation import api
from curation.explore.access import Access
from curation.explore.app import make_app
from curation.explore.explorer import Explorer


def keys(answer: Any) -> list[str]:
    return [image["key"] for image in answer.json()["images"]]


def shown(page: TestClient, **asked: Any) -> list[str]:
    return keys(page.get("/api/images", params={"count": 200, **asked}))


def decide(page: TestClient, action: str, *of: str, **more: Any) -> None:
    told = page.post("/api/overrides", json={"action": action, "keys": list(of), **more})
    assert told.status_code == 200, told.text


def test_counts_and_filters_are_those_of_the_selection(page: TestClient, small: SmallPool) -> None:
    told = page.get("/api/overview").json()
    inside, outside = shown(page, decision="kept"), shown(page, decision="dropped")
    assert (told["images"], told["kept"], told["dropped"]) == (38, len(inside), len(outside)) == (38, 24, 14)
    assert set(inside).isdisjoint(outside)
    assert set(inside) == build(small)


def test_a_picture_is_served_by_key_alone_and_small(page: TestClient) -> None:
    key = shown(page)[0]
    answer = page.get(f"/picture/{key}", params={"side": 64})
    assert answer.headers["content-type"] == "image/jpeg"
    assert Image.open(io.BytesIO(answer.content)).size == (48, 48)
    for elsewhere in ("0" * 24, "..%2F..%2Fetc%2Fpasswd", "curate.yaml"):
        assert page.get(f"/picture/{elsewhere}").status_code in (400, 404)
    assert page.get("/web/..%2Fapp.py").status_code == 404


def test_neighbours_of_a_copy_are_its_original_first(page: TestClient) -> None:
    tiles = page.get("/api/images", params={"count": 200}).json()["images"]
    copy = next(tile for tile in tiles if tile["width"] == 40)
    found = page.get(f"/api/neighbours/{copy['key']}", params={"model": "descriptor", "count": 5}).json()["images"]
    assert len(found) == 5 and copy["key"] not in [one["key"] for one in found]
    cosines = [one["cosine"] for one in found]
    assert cosines == sorted(cosines, reverse=True) and cosines[0] > 0.8 > cosines[1]


def test_a_dropped_file_finds_itself_and_rubbish_is_told(page: TestClient, small: SmallPool) -> None:
    data = (small.pool / "red" / "01.png").read_bytes()
    found = page.post("/api/search/picture", params={"model": "descriptor"}, content=data).json()["images"]
    assert found[0]["cosine"] == pytest.approx(1, abs=2e-3)
    bad = page.post("/api/search/picture", content=b"no picture")
    assert bad.status_code == 400 and "not a usable picture" in bad.json()["error"]
    words = page.post("/api/search/words", json={"words": "a red thing"})
    assert words.status_code == 400 and "words" in words.json()["error"]


def test_keep_and_drop_are_honoured_by_build_and_explained(page: TestClient, small: SmallPool) -> None:
    before = build(small)
    out = next(key for key in shown(page, decision="dropped"))
    inside = next(key for key in shown(page, decision="kept"))
    decide(page, "keep", out, note="wanted all the same")
    decide(page, "drop", inside)
    assert build(small) == (before - {inside}) | {out}
    (told,) = api.explain(small.workspace, out)
    assert told.decision is not None
    assert (told.decision["reason"], told.decision["step"]) == ("by_hand: wanted all the same", "override")
    assert set(shown(page, by_hand=True)) == {out, inside}
    page.post("/api/overrides/remove", json={"keys": [out, inside]})
    assert build(small) == before
    assert not small.workspace.overrides.exists()


def test_a_split_copy_stands_alone_and_a_merged_picture_leaves(page: TestClient) -> None:
    groups = page.get("/api/groups").json()["groups"]
    members = [image["key"] for image in groups[0]["images"]]
    copy = next(key for key in members if key != groups[0]["name"])
    decide(page, "split", copy)
    after = page.get("/api/groups").json()
    assert all(copy not in [image["key"] for image in group["images"]] for group in after["groups"])
    alone = next(key for key in shown(page, decision="kept") if key not in members)
    decide(page, "merge", alone, into=groups[0]["name"])
    told = page.get(f"/api/image/{alone}").json()
    assert "by hand" in str(told)
    assert alone in shown(page, decision="dropped")


def test_exports_hold_the_rows_that_the_filter_shows(page: TestClient) -> None:
    inside = shown(page, decision="kept")
    asked = {"form": "parquet", "filter": {"decision": "kept"}}
    table = pq.read_table(io.BytesIO(page.post("/api/export", json=asked).content))
    assert set(table.column("key").to_pylist()) == set(inside)
    listed = page.post("/api/export", json={"form": "txt", "keys": inside[:2]}).text.splitlines()
    assert len(listed) == 2


def test_the_map_has_a_point_and_colours_for_every_image(page: TestClient) -> None:
    told = page.get("/api/map", params={"most": 20}).json()
    assert len(told["x"]) == len(told["y"]) == len(told["keys"]) == 20
    assert all(len(column["codes"]) == 20 for column in told["columns"].values())
    assert set(told["columns"]) == {"decision", "why", "source", "cluster"}


def test_other_pages_and_other_names_are_refused(page: TestClient, small: SmallPool) -> None:
    assert page.get("/api/overview", headers={"Host": "evil.example"}).status_code == 403
    change = {"action": "drop", "keys": shown(page)[:1]}
    assert page.post("/api/overrides", json=change, headers={"Origin": "http://evil.example"}).status_code == 403
    with TestClient(page.app, base_url="http://127.0.0.1:8642") as plain:
        assert plain.post("/api/overrides", json=change).status_code == 403
    policy = page.get("/").headers["content-security-policy"]
    assert "default-src 'none'" in policy and "http" not in policy.replace("'none'", "")
    app = make_app(Explorer(small.workspace, small.config()), Access("0.0.0.0", "secret"))
    with TestClient(app, base_url="http://10.0.0.1:8642") as other:
        assert other.get("/api/overview").status_code == 401
        assert other.get("/api/overview", headers={"X-Winnow-Token": "wrong"}).status_code == 401
        assert other.get("/api/overview", headers={"X-Winnow-Token": "secret"}).status_code == 200
        assert other.get("/", params={"token": "secret"}, follow_redirects=False).status_code in (302, 303, 307)
        assert other.get("/api/overview").status_code == 200, "the cookie stands for the token"


def test_the_page_fetches_nothing_from_elsewhere(page: TestClient) -> None:
    index = page.get("/").text
    assert "https://" not in index
    for name in ("main.js", "style.css", "map.js"):
        text = page.get(f"/web/{name}").text
        assert "https://" not in text
