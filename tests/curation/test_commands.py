"""The commands of the back half of the pipeline, as typed: output on stdout, sentences on stderr, exit codes."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.curation.small_pool import SmallPool, curated, make_small_pool

from curation.cli import main

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def curate(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """curate("verify", "-w", folder) -> exit code, stdout, stderr."""

    def run(*arguments: Any) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["curate", *map(str, arguments)])
        with pytest.raises(SystemExit) as left:
            main()
            raise SystemExit(0)
        said = capsys.readouterr()
        return int(left.value.code or 0), said.out, said.err

    return run


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> SmallPool:
    return curated(tmp_path_factory.mktemp("curated"))


def test_retrieve_build_verify_diff_report_one_after_the_other(curate: Run, small: SmallPool, tmp_path: Path) -> None:
    here = ("-w", small.workspace.root)
    local = (*here, "--engine", "local", "--json")
    code, out, err = curate("retrieve", "--seed", "warm", "--per-query", 2, "--as-is", *local)
    assert (code, json.loads(out)["seeds"][0]["rows"]) == (0, {"as_is": 6, "sample": 12})
    assert "warm: 6 images, mode sample" in err
    code, out, _ = curate("build", "--dry-run", *local)
    assert (code, json.loads(out)["state"]) == (0, "planned")
    code, out, _ = curate("build", *local)
    report = json.loads(out)
    assert (code, report["samples"], report["state"]) == (0, 18, "written")
    assert sum(part["images"] for part in report["composition"]) == 18
    code, out, _ = curate("verify", *here)
    assert code == 0
    assert "problems" in out
    code, out, _ = curate("diff", small.workspace.dataset, small.workspace.dataset, "--json")
    assert (code, json.loads(out)["both"]) == (0, 18)
    code, out, _ = curate("report", "--out", tmp_path / "page.html", *here)
    assert code == 0
    assert (tmp_path / "page.html").read_text().startswith("<!doctype html>")


def test_dedup_names_a_next_command_that_this_workspace_can_run(curate: Run, tmp_path: Path) -> None:
    small = make_small_pool(tmp_path)
    local = ("-w", small.workspace.root, "--engine", "local")
    assert curate("ingest", *local)[0] == 0
    assert "next: curate retrieve --seed warm" in curate("dedup", *local)[1]
    settings = small.workspace.settings
    settings.write_text(re.sub(r"(?m)^  warm: .*$", "", settings.read_text()).replace("\nseeds:", "\nseeds: {}"))
    assert curate("dedup", *local)[1].rstrip().endswith("next: curate build")


def test_explain_and_query_print_lines_or_json(curate: Run, small: SmallPool) -> None:
    here = ("-w", small.workspace.root)
    code, out, _ = curate("explain", small.pool / "blue 2.webp", *here)
    assert code == 0
    assert "OUT: near_duplicate" in out
    code, out, _ = curate("explain", small.pool / "blue 2.webp", *here, "--json")
    assert json.loads(out)["images"][0]["decision"]["kept"] is False
    code, out, _ = curate("query", small.pool / "blue/02.png", *here, "--answers", 2, "--json")
    assert (code, json.loads(out)["known"]) == (0, True)
    code, out, _ = curate("query", small.pool / "blue/02.png", *here)
    assert "these very bytes are catalogued" in out


def test_a_damaged_dataset_lists_its_problems_and_exits_with_2(curate: Run, small: SmallPool) -> None:
    curate("build", "-w", small.workspace.root, "--engine", "local")
    shard = small.workspace.dataset / "000000.tar"
    whole = shard.read_bytes()
    shard.write_bytes(whole[:700] + bytes([whole[700] ^ 1]) + whole[701:])
    code, out, err = curate("verify", small.workspace.dataset, "--json")
    shard.write_bytes(whole)
    assert code == 2
    assert json.loads(out)["problems"] == ["000000.tar does not have the sha256 that index.json says"]
    assert err.startswith("curate: ")
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["retrieve", "--engine", "local"], "no seed set was named"),
        (["retrieve", "--seed", "no/such/folder", "--engine", "local"], "which is not there"),
        (["retrieve", "--seed", "warm", "--mode", "smaple", "--engine", "local"], "setting 'retrieve.mode'"),
        (["retrieve", "--forget", "cold"], "no seed set 'cold' was retrieved"),
        (["build", "--set", "write.shard_size=3", "--engine", "local"], "unknown setting 'write.shard_size'"),
        (["verify", "no/dataset"], "there is no dataset folder no/dataset"),
        (["explain", "no-such-image"], "is not in the catalogue"),
        (["query", "no-such-image"], "there is no image file"),
        (["diff", "no/a", "no/b"], "there is no dataset folder"),
        (["run", "no-recipe.yaml", "--engine", "local"], "is not there"),
    ],
)
def test_what_the_user_can_mend_is_one_sentence(
    curate: Run, small: SmallPool, arguments: list[str], sentence: str
) -> None:
    place = [] if arguments[0] in ("verify", "diff") else ["-w", small.workspace.root]
    code, out, err = curate(*arguments, *place)
    assert (code, out) == (2, "")
    assert sentence in err
    assert err.strip().count("\n") == 0, "one line, no traceback"


def test_run_takes_a_recipe(curate: Run, small: SmallPool, tmp_path: Path) -> None:
    recipe = tmp_path / "tiny.yaml"
    recipe.write_text("name: tiny\nsteps:\n- step: ingest\n- step: retrieve\n  seeds: [warm]\n- step: build\n")
    code, out, err = curate("run", recipe, "-w", small.workspace.root, "--engine", "local", "--json")
    assert code == 0
    assert [step["step"] for step in json.loads(out)["steps"]] == ["ingest", "retrieve", "build"]
    assert "step 2 of 3: retrieve" in err


def test_a_place_that_is_no_folder_is_one_sentence(curate: Run, small: SmallPool, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    code, _, err = curate("init", small.pool, "-w", tmp_path / "file" / "workspace")
    assert (code, err.count("\n")) == (2, 1)
    assert "file/workspace/curate.yaml cannot be read or written (Not a directory)" in err
