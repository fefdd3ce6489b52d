"""Write docs/configuration.md from the settings models; a test keeps it current."""

from __future__ import annotations

import types
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from contracts.publish import publish_text
from curation.config import CurateConfig
from distill.config import DistillConfig
from trainer.config.pretrain import PretrainConfig

OUT = Path(__file__).with_name("configuration.md")
HEAD = """# Settings

Every setting of the three tools with its default. Order of what wins: defaults < one YAML file (`curate.yaml`,
`--config`) < `--set section.key=value`. Unknown keys are refused with the nearest known name.

This page is written by `python docs/write_configuration.py` from the models that check the settings.
"""


def page() -> str:
    """The whole page as Markdown."""
    parts = [HEAD]
    for title, model in (
        ("curate.yaml", CurateConfig),
        ("trainer pretrain", PretrainConfig),
        ("distill run", DistillConfig),
    ):
        parts.append(f"\n## {title}\n\n{_first_sentence(model)}\n")
        parts += _section(model, "")
    return "\n".join(parts).rstrip() + "\n"


def _section(model: type[BaseModel], path: str, given: BaseModel | None = None) -> Iterator[str]:
    """A table of a model's own settings, then its nested sections. `given`: the section as its parent fills it."""
    plain = [(name, field) for name, field in model.model_fields.items() if not list(_models_in(field.annotation))]
    nested = [(name, field) for name, field in model.model_fields.items() if list(_models_in(field.annotation))]
    if plain:
        yield "| setting | default | meaning |\n|---|---|---|"
        for name, field in plain:
            yield f"| `{path}{name}` | {_default(field, getattr(given, name, None))} | {_cell(_meaning(field))} |"
        yield ""
    for name, field in nested:
        for part in _models_in(field.annotation):
            kind = part.model_fields.get("kind")
            of_kind = (
                f" (kind: {kind.default})" if kind is not None and len(list(_literals(kind.annotation))) == 1 else ""
            )
            yield f"### `{path}{name}`{of_kind}\n\n{_first_sentence(part)}\n"
            value = field.get_default(call_default_factory=True)
            yield from _section(part, f"{path}{name}.", value if isinstance(value, part) else None)


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    elif typing.get_origin(annotation) is not None or isinstance(annotation, types.UnionType):
        for argument in typing.get_args(annotation):
            yield from _models_in(argument)


def _first_sentence(model: type[BaseModel]) -> str:
    return (model.__doc__ or "").strip().split("\n\n")[0].replace("\n    ", " ")


def _default(field: FieldInfo, given: Any = None) -> str:
    if given is None and field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True) if given is None else given
    if value is None:
        return "-"
    if value is PydanticUndefined or isinstance(value, BaseModel):
        return ""
    return f"`{list(value) if isinstance(value, tuple) else value}`"


def _meaning(field: FieldInfo) -> str:
    text = field.description or ""
    choices = [str(choice) for choice in _literals(field.annotation)]
    missing = [choice for choice in choices if choice not in text]
    return f"{text} ({', '.join(choices)})" if missing else text


def _literals(annotation: Any) -> Iterator[Any]:
    if typing.get_origin(annotation) is Literal:
        yield from typing.get_args(annotation)
    elif typing.get_origin(annotation) is not None or isinstance(annotation, types.UnionType):
        for argument in typing.get_args(annotation):
            yield from _literals(argument)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


if __name__ == "__main__":
    publish_text(OUT, page())
