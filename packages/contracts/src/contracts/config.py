"""Strict configuration: frozen pydantic models, unknown keys refused with the nearest known name.

Order of what wins: defaults < one YAML file < `--set a.b=c`. Nothing edits a configuration after loading.
"""

from __future__ import annotations

import hashlib
import json
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Tag, ValidationError

from contracts.errors import ConfigError, MissingInput, nearest_name


class StrictModel(BaseModel):
    """Base of every configuration section: frozen, no unknown keys, defaults are checked too."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True, protected_namespaces=())


Model = TypeVar("Model", bound=StrictModel)


def load_config(model: type[Model], file: Path | str | None, overrides: Sequence[str] = ()) -> Model:
    """Read a YAML file (or nothing), apply `a.b=c` overrides, validate.

    Errors: MissingInput when the file is not there, ConfigError in plain words otherwise.
    """
    values: dict[str, Any] = {}
    where = "the settings"
    if file is not None:
        where = f"{file} with --set" if overrides else str(file)
        values = read_yaml(file)
    return validate_config(model, apply_overrides(values, overrides), where=where)


def read_yaml(file: Path | str) -> dict[str, Any]:
    """Read a YAML mapping. Errors: MissingInput, ConfigError (with line number)."""
    path = Path(file)
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise MissingInput(f"the configuration file {path} is not there") from None
    except IsADirectoryError:
        raise MissingInput(f"{path} is a folder where a YAML file was wanted") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        text = " ".join(str(error).split())
        raise ConfigError(f"{path} is not valid YAML: {text}") from None
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise ConfigError(f"{path} holds a {type(values).__name__} where a mapping of settings was wanted")
    return values


def apply_overrides(values: Mapping[str, Any], overrides: Sequence[str]) -> dict[str, Any]:
    """Return a copy of nested `values` with each `a.b=c` set; the right side is read as YAML."""
    result = json.loads(json.dumps(values, default=str)) if values else {}
    for text in overrides:
        dotted, equals, raw = text.partition("=")
        keys = dotted.strip().split(".")
        if not equals or not all(keys):
            raise ConfigError(f"--set {text!r} does not have the form section.key=value")
        try:
            value = yaml.safe_load(raw)
        except yaml.YAMLError:
            raise ConfigError(f"--set {text!r}: the value is not valid YAML") from None
        node = result
        for key in keys[:-1]:
            child = node.get(key)
            if not isinstance(child, dict):
                child = {}
                node[key] = child
            node = child
        node[keys[-1]] = _number_if_scientific(value)
    return result


def _number_if_scientific(value: Any) -> Any:
    """YAML 1.1 reads 1e-3 as text; people who type it mean a number."""
    if isinstance(value, str):
        try:
            return float(value) if value[:1] in "+-.0123456789" and "e" in value.lower() else value
        except ValueError:
            return value
    return value


def validate_config(model: type[Model], values: Mapping[str, Any], *, where: str) -> Model:
    """Validate nested values; a pydantic error becomes one sentence with the key path and what was wanted."""
    try:
        return model.model_validate(dict(values))
    except ValidationError as error:
        problems = [_plain_words(model, dict(problem)) for problem in error.errors(include_url=False)]
        raise ConfigError(f"{where}: " + "; ".join(problems)) from None


def _plain_words(model: type[BaseModel], problem: dict[str, Any]) -> str:
    location = [str(part) for part in problem["loc"]]
    names, models = _walk(model, location)
    path = ".".join(names)
    if problem["type"] == "extra_forbidden":
        known = {name for candidate in models for name in candidate.model_fields}
        return f"unknown setting {path!r} ({nearest_name(location[-1], known)})"
    if problem["type"] == "missing":
        return f"setting {path!r} is missing"
    message = str(problem["msg"]).removeprefix("Value error, ")
    found = problem.get("input")
    shown = "" if isinstance(found, dict | list) else f" (found {found!r})"
    text = f"{message[:1].lower() + message[1:]}{shown}"
    return f"setting {path!r}: {text}" if path else text


def _walk(model: type[BaseModel], location: Sequence[str]) -> tuple[list[str], list[type[BaseModel]]]:
    """The path as a user writes it, and the nested models (variants of a union) that its last part belongs to."""
    variants, names = [_Variant(model)], []
    for number, part in enumerate(location):
        tagged = [variant for variant in variants if variant.is_tagged(part)]
        if len(variants) > 1 and tagged:
            variants = tagged
            continue
        names.append(part)
        fields = [variant.model.model_fields[part] for variant in variants if part in variant.model.model_fields]
        if number < len(location) - 1:  # a position in a list stays at the same models
            variants = [found for field in fields for found in _variants_in(field.annotation)] or variants
    return names, [variant.model for variant in variants]


@dataclass(frozen=True)
class _Variant:
    """A nested model, with the tag that its union gives it, if any."""

    model: type[BaseModel]
    tag: str | None = None

    def is_tagged(self, tag: str) -> bool:
        """Whether the union tells this variant by the tag, or by a literal field of that value."""
        return tag == self.tag or any(
            typing.get_origin(field.annotation) is typing.Literal and tag in typing.get_args(field.annotation)
            for field in self.model.model_fields.values()
        )


def _variants_in(annotation: Any) -> list[_Variant]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [_Variant(annotation)]
    found = [variant for argument in typing.get_args(annotation) for variant in _variants_in(argument)]
    tags = [extra.tag for extra in getattr(annotation, "__metadata__", ()) if isinstance(extra, Tag)]
    return [_Variant(variant.model, tags[0]) for variant in found] if tags else found


def plain_values(config: BaseModel) -> dict[str, Any]:
    """The configuration as JSON-ready values (paths as text, enums as their values)."""
    return config.model_dump(mode="json")


def dump_yaml(config: BaseModel | Mapping[str, Any]) -> str:
    """The configuration as YAML in the order of its fields."""
    values = plain_values(config) if isinstance(config, BaseModel) else dict(config)
    return yaml.safe_dump(values, sort_keys=False, allow_unicode=True, width=110)


def config_sha256(config: BaseModel | Mapping[str, Any]) -> str:
    """Hex sha256 of the configuration's values; key order does not matter."""
    values = plain_values(config) if isinstance(config, BaseModel) else dict(config)
    text = json.dumps(values, sort_keys=True, ensure_ascii=False, default=str)
    return hashlib.sha256(text.encode("utf-8")).hexdigest()
