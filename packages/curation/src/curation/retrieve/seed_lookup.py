"""Where an image set is that somebody named: `--seed imagenet`, `--seed NAME=PATH`, `--seed PATH`.

Order: what the command says; `seeds:` of curate.yaml; folders, tables and archives of that name near the workspace and
near the pool; the Hugging Face cache; the Hugging Face hub.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from contracts.errors import MissingInput, UserError
from curation.retrieve.hub_sets import HubAnswer, from_cache, from_hub
from curation.retrieve.known_sets import KnownSet, known_set, nearest_known

_ENDINGS = ("", ".parquet", ".tar", ".txt")


@dataclass(frozen=True)
class FoundSet:
    """An image set: its name (fit for a file name), the source to ingest, where that was found, and whether the name
    was only taken from the path (two paths may end alike)."""

    name: str
    source: str
    found: str
    named_by_path: bool = False


@dataclass(frozen=True)
class LookupPlaces:
    """Where to look: `configured` are the names of curate.yaml; `sources` those of the pool."""

    workspace: Path
    working_folder: Path
    configured: Mapping[str, str]
    sources: Sequence[str] = ()
    hub: bool = True

    def folders(self) -> list[Path]:
        """Folders in which a set may lie under its own name, nearest first, each once."""
        here = self.working_folder
        found = [self.workspace / "seeds", here / "seeds", here / "data", here]
        found += [(here / source).parent for source in self.sources if "://" not in source]
        return list(dict.fromkeys(folder.resolve() for folder in found))


def find_set(text: str, places: LookupPlaces) -> FoundSet:
    """The set that `text` names. Errors: MissingInput says everywhere it was looked for and how to give a path."""
    name, equals, path = text.partition("=")
    if equals and name and path:
        return FoundSet(file_safe(name), _existing(path, places.working_folder, text), "the command")
    if text in places.configured:
        source = _existing(places.configured[text], places.working_folder, f"`seeds: {text}` of curate.yaml")
        return FoundSet(file_safe(text), source, "curate.yaml")
    named_file = text.endswith(_ENDINGS[1:]) and (places.working_folder / text).is_file()
    if named_file or "/" in text or "\\" in text or text.startswith((".", "~")):
        source = _existing(text, places.working_folder, text)
        return FoundSet(file_safe(_last_part(source)), source, "the command", named_by_path=True)
    entry = known_set(text)
    for candidate in _candidates(text, entry, places):
        if _usable(candidate):
            return FoundSet(file_safe(text), str(candidate), "a folder near the workspace or the pool")
    answers = _ask_hub(entry, places.hub)
    for answer in answers:
        if answer.folder is not None:
            return FoundSet(file_safe(text), str(answer.folder), answer.where)
    raise MissingInput(_not_found(text, entry, places, answers))


def file_safe(name: str) -> str:
    """A name that every file system takes: letters, digits, dot, minus, underscore."""
    safe = re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-.")
    if not safe:
        raise UserError(f"an image set cannot be called {name!r}: give it a name with --seed NAME={name}")
    return safe


def _last_part(source: str) -> str:
    """The folder's name, or the file's without its ending."""
    path = Path(source.rstrip("/"))
    return path.name if "://" not in source and path.is_dir() else path.stem


def _existing(path: str, working_folder: Path, said_by: str) -> str:
    if "://" in path:
        return path
    place = (working_folder / Path(path).expanduser()).resolve()
    if not place.exists():
        raise MissingInput(f"{said_by} says {place}, which is not there: give the path of a folder, table or archive")
    return str(place)


def _names(text: str, entry: KnownSet | None) -> tuple[str, ...]:
    return tuple(dict.fromkeys((text, *entry.folders))) if entry else (text,)


def _candidates(text: str, entry: KnownSet | None, places: LookupPlaces) -> Iterator[Path]:
    for folder in places.folders():
        for name in _names(text, entry):
            for ending in _ENDINGS:
                yield folder / (name + ending)


def _usable(path: Path) -> bool:
    """A file, or a folder that holds anything."""
    try:
        return path.is_file() or (path.is_dir() and next(path.iterdir(), None) is not None)
    except OSError:
        return False


def _ask_hub(entry: KnownSet | None, allowed: bool) -> list[HubAnswer]:
    if entry is None or entry.hub is None:
        return []
    cached = from_cache(entry)
    if cached.folder is not None or not allowed:
        return [cached]
    return [cached, from_hub(entry)]


def _not_found(text: str, entry: KnownSet | None, places: LookupPlaces, answers: Sequence[HubAnswer]) -> str:
    names = ", ".join(_names(text, entry))
    folders = ", ".join(str(folder) for folder in places.folders())
    told = "".join(f"; {answer.where}: {answer.reason}" for answer in answers)
    unknown = "" if entry else f" (no known set has this name: {nearest_known(text)})"
    return (
        f"no image set {text!r} was found{unknown}: looked for {names} in {folders}{told}; give a path with "
        f"`--seed {text}=path/to/images`, or once for all in curate.yaml as `seeds: {{{text}: path/to/images}}`"
    )
