"""Run a whole recipe: `python -m pipelines.run pipelines/demo.yaml --out demo`.

Every step goes on where a killed run was; a step that was finished is passed over. The report of all steps is
<out>/report.json, printed as a table at the end.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from contracts.config import config_sha256
from contracts.errors import UserError
from contracts.publish import publish_json, read_json
from pipelines.planted import found_against_planted
from pipelines.recipe import WholeRecipe, read_whole_recipe
from pipelines.steps import STEPS, Folders
from pipelines.summary import print_summary


def run_recipe(recipe: WholeRecipe, out: Path) -> dict[str, Any]:
    """Run all steps and return the report. Errors: UserError of the steps, or when `out` holds another recipe."""
    out.mkdir(parents=True, exist_ok=True)
    folders = Folders(out)
    identity = config_sha256(recipe)
    report = _begun(out, identity)
    for number, (name, step) in enumerate(STEPS.items(), 1):
        if name in report["steps"]:
            continue
        _say(f"[{number}/{len(STEPS)}] {name}")
        started = time.perf_counter()
        result = step(recipe, folders, _say)
        report["steps"][name] = {"seconds": round(time.perf_counter() - started, 1), "report": result}
        if name == "curate" and recipe.demo_images is not None:
            report["planted"] = found_against_planted(folders.images, folders.workspace)
        publish_json(out / "report.json", report)
    return report


def _begun(out: Path, identity: str) -> dict[str, Any]:
    """The report so far of the same recipe, or a new one."""
    file = out / "report.json"
    if not file.is_file():
        return {"recipe_sha256": identity, "steps": {}}
    report: dict[str, Any] = read_json(file)
    if report.get("recipe_sha256") != identity:
        raise UserError(f"{out} holds the results of another recipe or other settings: name another --out or remove it")
    return report


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line. Exit codes: 0 done, 2 the user can fix it."""
    parser = argparse.ArgumentParser(prog="python -m pipelines.run", description=__doc__)
    parser.add_argument("recipe", type=Path, help="a whole recipe, such as pipelines/demo.yaml")
    parser.add_argument("--out", type=Path, default=None, help="output folder (default: the recipe's name)")
    parser.add_argument("--set", dest="overrides", action="append", default=[], help="section.key=value, repeatable")
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    options = parser.parse_args(arguments)
    try:
        recipe = read_whole_recipe(options.recipe, options.overrides)
        report = run_recipe(recipe, options.out or Path(recipe.name))
    except UserError as error:
        _say(f"pipelines: {error}")
        return 2
    if options.json:
        sys.stdout.write(json.dumps(report) + "\n")
    else:
        print_summary(report)
    return 0


if __name__ == "__main__":
    sys.exit(main())
