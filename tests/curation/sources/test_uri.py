"""Uris name files of any kind and lead back to them."""

from __future__ import annotations

import os

import pytest

from curation.sources.uri import escape, file_uri, member_uri, split_uri, unescape

NAMES = [
    "plain.jpg",
    "a b,c'd\"e.jpg",
    "naïve 😀.png",
    "line\nbreak.jpg",
    "50%#1.jpg",
    os.fsdecode(b"latin1_\xe9\xff.jpg"),
]


@pytest.mark.parametrize("name", NAMES)
def test_every_name_survives(name: str) -> None:
    assert unescape(escape(name)) == name
    assert split_uri(file_uri(f"/pool/{name}")) == (f"/pool/{name}", None)
    assert split_uri(member_uri(f"/pool/{name}.tar", name)) == (f"/pool/{name}.tar", name)
    escape(name).encode("utf-8")
    assert "\n" not in escape(name)


def test_readable_names_stay_as_they_are() -> None:
    assert escape("a b,c'd😀.jpg") == "a b,c'd😀.jpg"
    assert member_uri("t.parquet", 17) == "t.parquet#17"
