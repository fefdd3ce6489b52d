"""Architecture names."""

from __future__ import annotations

import pytest

from contracts.errors import ConfigError
from trainer.models.sizes import MODEL_SIZES, PATCH_SIZES, parse_arch, vit_settings


@pytest.mark.parametrize("size", sorted(MODEL_SIZES))
@pytest.mark.parametrize("patch", PATCH_SIZES)
def test_every_size_has_every_patch(size: str, patch: int) -> None:
    spec = parse_arch(f"{size}{patch}")
    assert (spec.size, spec.patch_size) == (MODEL_SIZES[size], patch)
    assert spec.size.embed_dim % spec.size.num_heads == 0
    assert spec.size.embed_dim // spec.size.num_heads == 64


@pytest.mark.parametrize("name", ["vits", "vitx14", "vits13", "resnet50", ""])
def test_unknown_names_are_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="Unknown architecture"):
        parse_arch(name)


def test_the_nearest_name_is_suggested() -> None:
    with pytest.raises(ConfigError, match="did you mean 'vits14'"):
        parse_arch("vitss14")


def test_fields_override_the_table() -> None:
    settings = vit_settings("vitg14", ffn="mlp", registers=4)
    assert (settings.embed_dim, settings.depth, settings.ffn, settings.registers) == (1536, 40, "mlp", 4)
