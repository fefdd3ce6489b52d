"""The command line of `curate`: parses, calls curation.api, prints. Adding a command is one function and one line."""

from __future__ import annotations

import errno
import os
import sys
from typing import Any

import typer

from contracts.errors import UserError
from contracts.publish import DRAFT_MARK, disk_is_full
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


USAGE_ERROR: Any = typer.BadParameter.__bases__[0]
"""What a wrong command line raises: click's class, which typer carries under a private name."""


def main() -> None:
    """Entry point: what the user can mend becomes one sentence and exit code 2; any other error is our bug."""
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # read once, by the first library that has OpenMP threads
    try:
        code = app(standalone_mode=False)
    except UserError as error:
        sys.stderr.write(f"curate: {error}\n")
        sys.exit(2)
    except USAGE_ERROR as error:
        sys.exit(_misused(error))
    except BrokenPipeError:  # who read has seen enough
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115, PTH123
        sys.exit(1)
    except OSError as error:  # what no draft turned into a sentence: folders, and arrays that workers map
        where = f" ({error.filename})" if error.filename else ""
        if disk_is_full(error):
            sys.stderr.write(f"curate: the disk is full{where}: free some space and run the same command again\n")
        elif error.errno in NO_ACCESS and error.filename:
            place = str(error.filename).partition(DRAFT_MARK)[0]
            told = f"{place} cannot be read or written ({error.strerror}): choose another place, or change its rights"
            sys.stderr.write(f"curate: {told}\n")
        else:
            raise
        sys.exit(2)
    except (KeyboardInterrupt, typer.Abort):
        code = INTERRUPTED
    if code == INTERRUPTED:
        sys.stderr.write("curate: stopped; the same command goes on where it was\n")
    sys.exit(code if isinstance(code, int) else 0)


INTERRUPTED = 130
NO_ACCESS = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR)


def _misused(error: Any) -> int:
    """Say in one sentence what is wrong with a command line; without any word it is the help that was wanted."""
    if type(error).__name__ == "NoArgsIsHelpError":
        error.show()
        return 2
    command = error.ctx.command_path if error.ctx is not None else "curate"
    said = error.format_message().rstrip(".").replace(". Did you", ", did you")
    sys.stderr.write(f"curate: {said[:1].lower()}{said[1:]} (see `{command} --help`)\n")
    return 2
