from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from tests.curation.small_pool import SmallPool, curated, make_small_pool

from contracts.errors import MissingInput
from curation import api
from curation.report_step import PAIRS_SHOWN

VOID = {"meta", "img", "br"}


class Page(HTMLParser):
    """Checks that tags close in order and collects text, tag names and picture addresses."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.pictures: list[str] = []
        self.words: list[str] = []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        if tag == "img":
            self.pictures.append(dict(attrs)["src"] or "")
        if tag not in VOID and tag != "!doctype":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(self.words)


def pictures_by_section(text: str) -> dict[str, int]:
    """How many pictures stand under each heading."""
    sections = re.findall(r"<section><h2>(.*?)</h2>(.*?)</section>", text, re.DOTALL)
    return {title: content.count("<img src='data:image/jpeg;base64,") for title, content in sections}


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> SmallPool:
    root = tmp_path_factory.mktemp("curated")
    small = make_small_pool(root)
    (small.pool / "<script>alert(1).jpg").write_text("no picture")
    config = small.config("retrieve.per_query=2", "dedup.lowest_cosine=0.1")
    with api.open_engine("local") as engine:
        api.ingest(small.workspace, config, engine)
        api.dedup(small.workspace, config, engine)
        api.retrieve(small.workspace, config, ["warm"], engine)
    return small


def test_the_page_shows_counts_groups_pairs_and_retrievals(small: SmallPool) -> None:
    report = api.report(small.workspace, small.config())
    page = Page(Path(report.path).read_text())
    for words in (
        "From offered to kept",
        "files offered",
        "dropped: near duplicate",
        "warm",
        "Quarantine",
        "truncated",
        "Largest duplicate groups",
        "Pairs around the threshold 0.63",
        "Loosest duplicate groups",
        "shorter side",
        "Settings and versions",
        "Just below: kept apart, though barely.",
        "Brought by warm",
        "seed image",
    ):
        assert words in page.text
    assert len(page.pictures) >= report.pictures > 20
    shown = pictures_by_section(Path(report.path).read_text())
    assert shown["Largest duplicate groups"] == shown["Loosest duplicate groups"] == 4, "two groups of two"
    assert shown["Pairs around the threshold 0.63"] == 2 * (2 + PAIRS_SHOWN)
    assert shown["Brought by warm"] == 6 + 2 * 6, "six seed images with two images each"
    assert shown["Composition"] == shown["Quarantine"] == 0
    assert all(address.startswith("data:image/jpeg;base64,") for address in page.pictures)
    assert report.bytes == Path(report.path).stat().st_size < 2_000_000


def test_file_names_cannot_become_markup_and_nothing_is_fetched(small: SmallPool) -> None:
    text = Path(api.report(small.workspace, small.config()).path).read_text()
    page = Page(text)
    assert "script" not in page.tags
    assert "<script>alert(1).jpg" in page.text
    assert "http" not in text
    assert page.tags & {"link", "iframe"} == set()


def test_the_same_workspace_gives_the_same_page(small: SmallPool, tmp_path: Path) -> None:
    api.report(small.workspace, small.config(), tmp_path / "a.html")
    api.report(small.workspace, small.config(), tmp_path / "b.html")
    assert (tmp_path / "a.html").read_bytes() == (tmp_path / "b.html").read_bytes()


def test_a_workspace_that_was_only_catalogued_has_a_page(tmp_path: Path) -> None:
    small = make_small_pool(tmp_path)
    with pytest.raises(MissingInput, match="curate ingest"):
        api.report(small.workspace, small.config())
    with api.open_engine("local") as engine:
        api.ingest(small.workspace, small.config(), engine)
    page = Page(Path(api.report(small.workspace, small.config()).path).read_text())
    assert "Composition" in page.text
    assert "Largest duplicate groups" not in page.text


def test_images_that_are_gone_leave_an_empty_frame(tmp_path: Path) -> None:
    small = curated(tmp_path)
    shown = api.report(small.workspace, small.config()).pictures
    for file in small.seed.iterdir():
        file.unlink()
    assert api.report(small.workspace, small.config()).pictures == shown - 6


def test_filters_and_a_balanced_sample_are_shown(tmp_path: Path) -> None:
    small = curated(tmp_path)
    config = small.config("filters.short_side_px={min: 48}", "filters.blur={}")
    with api.open_engine("local") as engine:
        api.filter_images(small.workspace, config, engine)
        api.sample(small.workspace, config, engine, 8)
    page = Path(api.report(small.workspace, config).path).read_text()
    shown = pictures_by_section(page)
    assert shown["Images at the edge of the filters"] == 1 + 5, "the one that is too small, and five that just pass"
    assert shown["Brought by balanced"] == 8 and shown["Clusters before and after balancing"] == 0
    text = Page(page).text
    for words in ("short side px below 48", "Clusters before and after balancing", "the sample of 8 images"):
        assert words in text
