"""The command line of `curate`: parses, calls curation.api, prints. Adding a command is one function and one line."""

from __future__ import annotations

import sys

import typer

from contracts.errors import UserError
from curation.cli import choose, dataset, look, pool, scale

app = typer.Typer(
    name="curate",
    help="From a pool of raw images to a deduplicated, retrieved and explained dataset.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
for command in (
    pool.init,
    pool.ingest,
    pool.embed,
    choose.filter_images,
    choose.dedup,
    choose.retrieve,
    choose.cluster,
    choose.sample,
    dataset.build,
    dataset.verify,
    dataset.diff,
    dataset.run,
    scale.plan,
    look.explain,
    look.query,
    look.report,
    look.explore,
):
    app.command("filter" if command is choose.filter_images else None)(command)


def main() -> None:
    """Entry point: a UserError becomes one sentence and exit code 2; any other error is our bug, with traceback."""
    try:
        app()
    except UserError as error:
        sys.stderr.write(f"curate: {error}\n")
        sys.exit(2)
    except KeyboardInterrupt:
        sys.stderr.write("curate: stopped; the same command goes on where it was\n")
        sys.exit(130)
