"""Progress of a pass over images: the parts come through unchanged, lines say rate and time left."""

from __future__ import annotations

import pytest

from trainer.evaluate import watch


def test_lines_are_rare_and_tell_rate_and_time(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = iter([0.0, 10.0, 25.0, 30.0])
    monkeypatch.setattr(watch.time, "monotonic", lambda: next(now))
    assert list(watch.watched(["ab", "cd", "ef"], 6, "test images", len)) == ["ab", "cd", "ef"]
    said = capsys.readouterr()
    assert said.err == "test images: 4 of 6 images, 0 images/s, 0 min 12 s left\n"
    assert said.out == ""


def test_a_terminal_gets_a_bar(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert list(watch.watched(["ab", "cd"], 4, "test images", len)) == ["ab", "cd"]
    assert "test images" in capsys.readouterr().err


def test_nobody_asked(capsys: pytest.CaptureFixture[str]) -> None:
    assert list(watch.unwatched(["ab"], 2, "test images", len)) == ["ab"]
    assert capsys.readouterr().err == ""
