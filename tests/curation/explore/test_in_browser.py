"""The explorer in a real browser: load, search, open a group, decide, see it honoured by a build."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Iterator

import pytest
import uvicorn
from tests.curation.explore.conftest import build
from tests.curation.small_pool import SmallPool

from curation.explore.access import Access
from curation.explore.app import make_app
from curation.explore.explorer import Explorer
from curation.explore_step import _listen

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = [pytest.mark.slow, pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")]


@pytest.fixture
def address(small: SmallPool) -> Iterator[str]:
    listening = _listen("127.0.0.1", 0)
    app = make_app(Explorer(small.workspace, small.config()), Access("127.0.0.1"))
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    while not server.started:
        time.sleep(0.02)
    yield f"http://127.0.0.1:{listening.getsockname()[1]}/"
    server.should_exit = True
    thread.join()


def test_load_search_open_a_group_decide_and_build(address: str, small: SmallPool) -> None:
    sync_api = pytest.importorskip("playwright.sync_api")
    before = build(small)
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1300, "height": 900})
        errors: list[str] = []
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(address)
        page.wait_for_selector(".tile img")
        assert "38 images" in page.inner_text("body")
        page.set_input_files("input[type=file]", small.pool / "red" / "01.png")
        page.wait_for_selector("text=1.000")
        page.click("text=Duplicates")
        page.click(".card .open >> nth=0")
        page.wait_for_selector("#group img")
        page.keyboard.press("Escape")
        page.click("text=Browse")
        page.wait_for_selector(".tile img")
        page.click(".tile.out .picture >> nth=0")
        page.wait_for_selector("#neighbours img")
        assert "false" not in page.inner_text("#detail")
        page.fill(".note", "looked at")
        page.click("#keep")
        page.wait_for_selector("text=/1 by hand/")
        browser.close()
    assert errors == []
    after = build(small)
    assert len(after - before) == 1 and not before - after
