"""Write docs/cli.md from the three command line tools; a test keeps it current."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

from contracts.publish import publish_text
from curation.cli import app as curate
from distill.cli import app as distill
from trainer.cli import app as trainer

OUT = Path(__file__).with_name("cli.md")
HEAD = """# Commands

Every command of the three tools with its arguments and options. All of them take `--help`; `--install-completion` of
each tool sets up the shell's completion. Exit code 0: done; 2: something to put right, said in one sentence; 1: a bug
of ours, with its traceback.

This page is written by `python docs/write_cli.py` from the tools themselves.
"""


def page() -> str:
    """The whole page as Markdown."""
    lines = [HEAD]
    for name, app in (("curate", curate), ("trainer", trainer), ("distill", distill)):
        group = typer.main.get_command(app)
        lines += [f"## {name}", "", _sentences(group.help), ""]
        for command_name, command in sorted(group.commands.items()):  # type: ignore[attr-defined]
            lines += _command(f"{name} {command_name}", command)
    return "\n".join(lines).rstrip() + "\n"


def _command(name: str, command: Any) -> Iterator[str]:
    """Heading, help, and a table of parameters."""
    yield f"### {name}\n\n{_sentences(command.help)}\n"
    shown = [one for one in command.params if not getattr(one, "hidden", False)]
    if shown:
        yield "| | default | |\n|---|---|---|"
        for one in shown:
            yield f"| {_names(one)} | {_default(one)} | {_cell(one.help or '')} |"
        yield ""


def _names(parameter: Any) -> str:
    """`--index`, or `IMAGE` for an argument."""
    if parameter.param_type_name == "argument":
        return f"`{(parameter.metavar or parameter.name).upper()}`"
    return ", ".join(f"`{name}`" for name in [*parameter.opts, *parameter.secondary_opts])


def _default(parameter: Any) -> str:
    """What holds when nothing is given."""
    value = parameter.default
    if parameter.required:
        return "required"
    if callable(value) or value is None or value in ((), [], False, ""):
        return ""
    return f"`{value}`"


def _sentences(text: str | None) -> str:
    """Help as one paragraph per blank line; its examples as code."""
    paragraphs = [" ".join(part.split()) for part in (text or "").replace("\b", "").split("\n\n")]
    return "\n\n".join(
        f"```bash\n{part.removeprefix('Example: ')}\n```" if part.startswith("Example: ") else part
        for part in paragraphs
        if part
    )


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


if __name__ == "__main__":
    publish_text(OUT, page())
