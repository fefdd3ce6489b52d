"""README.md of a dataset folder: what it holds, what it is made of, and the settings that made it.

The front matter is that of a Hugging Face dataset card. No dates and no paths of the machine: the same dataset gives
the same card.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from contracts.config import dump_yaml
from curation.write.composition import Part

_SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))
_LARGER = ((10_000_000, "1M<n<10M"), (100_000_000, "10M<n<100M"), (1_000_000_000, "100M<n<1B"))


@dataclass(frozen=True)
class CardFacts:
    """What the card tells. `flow`: counts from offered to written, in order; `settings`: by step."""

    samples: int
    shards: int
    image_bytes: int
    parts: Sequence[Part]
    sources: Mapping[str, int]
    flow: Sequence[tuple[str, int]]
    settings: Mapping[str, Any]


def dataset_card(facts: CardFacts) -> str:
    """The card as Markdown."""
    return "\n".join(
        [
            *_front_matter(facts.samples),
            "# Curated images",
            "",
            f"{facts.samples:,} images in {facts.shards:,} WebDataset shards, {facts.image_bytes:,} bytes of original "
            "image files, made by `curate build`.",
            "",
            "## Composition",
            "",
            *composition_table(facts.parts, facts.samples),
            "",
            "Retrieved: images that the seed brought before the union with the others. Images: each counted once, so "
            "that the rows add up.",
            "",
            "## From offered to written",
            "",
            *_table(("images", "count"), [(name, f"{count:,}") for name, count in facts.flow]),
            "",
            "## Sources",
            "",
            *_table(("source", "images"), [(_cell(n), f"{c:,}") for n, c in sorted(facts.sources.items())]),
            "",
            "## Settings",
            "",
            "```yaml",
            dump_yaml(facts.settings).rstrip(),
            "```",
            "",
            "## Reading it",
            "",
            "`<key>.<ending>` holds the original bytes of an image, `<key>.json` where it came from and why it is in. "
            "The key is the first 24 hexadecimal digits of the sha256 of the bytes. `curate verify` checks every byte.",
            *_derived(facts.settings),
            "",
        ]
    )


def _derived(settings: Mapping[str, Any]) -> list[str]:
    """What differs from original bytes, if anything does."""
    if "faces" not in settings:
        return []
    return ["", "Images with blurred faces hold new bytes; their JSON has the key of the original as `original_key`."]


COMPOSITION_HEAD = ("seed set", "mode", "seed images", "retrieved", "images", "share")


def composition_rows(parts: Sequence[Part], samples: int) -> list[tuple[str, ...]]:
    """The composition as text, a row per part, columns of COMPOSITION_HEAD."""
    return [
        (
            part.seed or "(the deduplicated pool)",
            part.mode or part.origin,
            _number(part.seed_images),
            _number(part.retrieved),
            f"{part.images:,}",
            f"{100 * part.images / max(samples, 1):.1f} %",
        )
        for part in parts
    ]


def composition_table(parts: Sequence[Part], samples: int) -> list[str]:
    """Lines of the composition table in Markdown, with its sum."""
    total = sum(part.images for part in parts)
    rows = [*composition_rows(parts, samples), ("**total**", "", "", "", f"**{total:,}**", "")]
    return _table(COMPOSITION_HEAD, rows)


def composition_lines(parts: Sequence[Part], samples: int) -> list[str]:
    """The composition for a terminal: a line per part, columns aligned."""
    rows = [(row[0], row[1], row[4], row[5]) for row in composition_rows(parts, samples)]
    widths = [max(len(row[column]) for row in rows) for column in range(4)] if rows else []
    return [
        f"  {row[0]:<{widths[0]}}  {row[1]:<{widths[1]}}  {row[2]:>{widths[2]}}  {row[3]:>{widths[3]}}" for row in rows
    ]


def _front_matter(samples: int) -> list[str]:
    size = next((name for limit, name in (*_SIZES, *_LARGER) if samples < limit), "n>1B")
    return [
        "---",
        "task_categories:",
        "- image-feature-extraction",
        "tags:",
        "- webdataset",
        "size_categories:",
        f"- {size}",
        "---",
        "",
    ]


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return lines + ["| " + " | ".join(row) + " |" for row in rows]


def _number(count: int | None) -> str:
    return "" if count is None else f"{count:,}"


def _cell(text: str) -> str:
    """Text that does not end a cell of a Markdown table."""
    return " ".join(text.replace("|", "\\|").split())
