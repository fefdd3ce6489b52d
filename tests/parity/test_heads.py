"""The prototype head gives the official numbers."""

from __future__ import annotations

import pytest
import torch
from tests.parity.named_tensors import arrays, fill, fingerprint_error, numbers, weights

from trainer.models.heads import HeadSettings, PrototypeHead

NUMBERS = numbers("heads")


@pytest.mark.parametrize("variant", ["n3", "n2", "n1", "n3_nobias"])
def test_logits_and_gradients(variant: str) -> None:
    expected = NUMBERS[variant]
    settings = HeadSettings(
        prototypes=512,
        hidden_dim=128,
        bottleneck_dim=64,
        layers=expected["kwargs"]["nlayers"],
        mlp_bias=expected["kwargs"].get("mlp_bias", True),
    )
    head = PrototypeHead(96, settings)
    head.load_state_dict(weights(expected["shapes"], f"head_{variant}/"))
    tokens = fill(f"head_{variant}/x", (7, 96)).requires_grad_()
    logits = head(tokens)
    torch.testing.assert_close(logits[:2], arrays("heads")[f"{variant}/y_head"], atol=1e-5, rtol=0)
    assert fingerprint_error(logits, expected["y"]) < 1e-6
    (logits * fill(f"head_{variant}/w", logits.shape)).sum().backward()
    assert tokens.grad is not None
    assert fingerprint_error(tokens.grad, expected["x_grad"]) < 1e-5
    for name, parameter in head.named_parameters():
        assert fingerprint_error(parameter.grad, expected["grads"][name]) < 1e-5, name


def test_initial_values() -> None:
    torch.manual_seed(0)
    head = PrototypeHead(384, HeadSettings(prototypes=4096))
    for name, parameter in head.named_parameters():
        assert list(parameter.shape) == NUMBERS["init"][name]["shape"]
        assert parameter.std().item() == pytest.approx(NUMBERS["init"][name]["std"], rel=0.01, abs=1e-6), name
    assert torch.equal(head.last_layer.weight_g, torch.ones(4096, 1))
    assert head.last_layer.weight_v.abs().max().item() <= 1 / 16
