"""All commands of the three tools at once: each has `--json`, an example in its help, a sentence for mistakes."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from PIL import Image

from curation.cli import app as curate
from distill.cli import app as distill
from trainer.cli import app as trainer

TOOLS = {"curate": curate, "trainer": trainer, "distill": distill}
MODULES = {"curate": "curation.cli", "trainer": "trainer.cli", "distill": "distill.cli"}
COMMANDS = {
    f"{tool} {name}": command
    for tool, app in TOOLS.items()
    for name, command in sorted(typer.main.get_command(app).commands.items())  # type: ignore[attr-defined]
}


def test_no_command_is_forgotten() -> None:
    assert len(COMMANDS) == 31


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_prints_json_on_request_and_shows_an_example(name: str) -> None:
    command = COMMANDS[name]
    options = {option: parameter for parameter in command.params for option in parameter.opts}
    assert "--json" in options and options["--json"].is_flag
    examples = re.findall(r"Example: (.+)", command.help)
    assert any(example.startswith(name) for example in examples)
    assert all(parameter.help for parameter in command.params), "an option without a word on what it does"
    for example in examples:  # parses: every option of the example is one of the command's
        used = {word.split("=")[0] for word in shlex.split(example) if word.startswith("--")}
        assert used <= set(options)


def said(command: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command of a tool in a folder, not on a terminal."""
    tool, *words = shlex.split(command)
    script = f"import sys; sys.argv[0] = {tool!r}; from {MODULES[tool]} import main; main()"
    inherited = {**os.environ, "HF_HUB_OFFLINE": "1", "NO_COLOR": "", **environment}
    line = [sys.executable, "-c", script, *words]
    return subprocess.run(line, cwd=folder, env=inherited, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("tool", TOOLS)
def test_the_shell_completes_every_command(tool: str, tmp_path: Path) -> None:
    asked = {f"_{tool.upper()}_COMPLETE": "complete_bash", "COMP_WORDS": f"{tool} ", "COMP_CWORD": "1"}
    offered = said(tool, tmp_path, **asked).stdout.split()
    assert {f"{tool} {name}" for name in offered} == {name for name in COMMANDS if name.startswith(f"{tool} ")}


def test_a_table_is_plain_where_there_is_no_terminal_and_json_is_alone_on_stdout(tmp_path: Path) -> None:
    plain = said("curate plan --images 1e6 --cores 2", tmp_path, TERM="xterm-256color")
    assert plain.returncode == 0 and "core hours" in plain.stdout and "\x1b" not in plain.stdout + plain.stderr
    told = said("curate plan --images 1e6 --cores 2 --json", tmp_path)
    assert json.loads(told.stdout)["pool"]["images"] == 1_000_000


MISTAKES = {
    "curate ingest": "`curate init POOL`",
    "curate init nowhere": "there is no nowhere",
    "curate init pool --set dedup.treshold=1": "no such option",
    "curate dedup": "`curate init POOL`",
    "curate explain pool/a.png": "`curate ingest`",
    "curate query nothing.jpg": "`curate init POOL`",
    "curate verify nothing": "`curate build`",
    "curate diff nothing neither": "no dataset folder nothing",
    "curate plan --model sscd --images 10": "descriptor, phash",
    "curate plan --images many": "--images",
    "curate diff one": "missing argument",
    "curate dedupe": "did you mean 'dedup'?",
    "trainer pretrain --data nowhere": "there is no nowhere",
    "trainer pretrain --config tiny": "known: cifar10, cpu, small",
    "trainer pretrain --data pool --set optim.lrr=1": "did you mean 'lr'?",
    "trainer pretrain --data pool --set run.steps=many": "'run.steps': input should be a valid integer",
    "trainer pretrain --data pool --steps 0": "greater than or equal to 1",
    "trainer pretrain --step 3": "--steps",
    "trainer plan --data pool --set model.arch=vitz14": "did you mean 'vits14'?",
    "trainer evaluate nowhere/ --data pool": "there is no model nowhere/",
    "trainer export nowhere/ --out x": "there is no model nowhere/",
    "trainer import weights.pth --out x": "there is no model weights.pth",
    "trainer report nowhere": "there is no run in nowhere",
    "distill run": "run `trainer pretrain` first",
    "distill run --teacher nowhere/": "there is no model nowhere/",
    "distill evaluate nowhere/ --data pool": "--teacher",
    "distill evaluate --data pool": "missing argument",
    "distill export nowhere/ --out x": "there is no model nowhere/",
    "distill report nowhere": "there is no run in nowhere",
    "distill run --resume perhaps": "none of auto, yes, no",
    "distill run --config papre": "did you mean 'paper'?",
    "distill compare": "no such command",
}
"""What people mistype, and words that the answer must hold."""


@pytest.mark.slow
@pytest.mark.parametrize(("mistake", "word"), MISTAKES.items())
def test_a_mistake_is_told_in_one_sentence(mistake: str, word: str, tmp_path: Path) -> None:
    (tmp_path / "pool").mkdir()
    for number in range(3):
        Image.new("RGB", (64, 64), (80 * number, 0, 0)).save(tmp_path / "pool" / f"{number}.png")
    done = said(mistake, tmp_path)
    assert done.returncode == 2, done.stderr
    lines = done.stderr.splitlines()
    told = [line for line in lines if line.startswith(f"{mistake.split()[0]}: ")]
    assert told == lines[-1:], done.stderr
    assert word in told[0] and not done.stdout and "\x1b" not in done.stderr
