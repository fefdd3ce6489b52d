"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

WorkspaceOption = Annotated[Path, typer.Option("--workspace", "-w", help="The workspace folder.")]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Say what would be done and what is missing.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print the report as JSON on stdout.")]
EngineOption = Annotated[str | None, typer.Option("--engine", help="ray | local (default: curate.yaml, else ray).")]
WorkersOption = Annotated[int | None, typer.Option("--workers", help="Parts worked on at once (default: all cores).")]
AddressOption = Annotated[str | None, typer.Option("--ray-address", help="Address of a Ray cluster.")]
SetOption = Annotated[list[str] | None, typer.Option("--set", help="section.key=value, repeatable.")]

DEFAULT_WORKSPACE = Path("workspace")
