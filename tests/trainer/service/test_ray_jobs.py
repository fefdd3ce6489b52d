"""Jobs on a Ray cluster: what is said when none can be reached. test_ray_train.py has a live one."""

from __future__ import annotations

import socket
import sys

import pytest

from contracts.errors import UserError
from trainer import api, cli


def test_where_no_job_service_answers_or_its_parts_are_missing_one_sentence_says_so(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with socket.socket() as door:
        door.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{door.getsockname()[1]}"
    assert cli.run(cli.app, ["status", "--address", address]) == 2
    said = capsys.readouterr().err
    assert said.startswith("trainer: ")
    assert said.count("\n") == 1
    assert address in said or "winnow-trainer[ray]" in said


def test_without_ray_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray.job_submission", None)
    with pytest.raises(UserError, match=r'pip install "winnow-trainer\[ray\]"'):
        api.job_status()
