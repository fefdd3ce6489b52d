"""Names as PyTorch gives them find the right line of the table; others find none."""

from __future__ import annotations

import pytest
import torch

from trainer.engine.peak_flops import named_peak_flops, peak_flops


@pytest.mark.parametrize(
    ("name", "bf16", "fp32"),
    [
        ("NVIDIA H100 80GB HBM3", 989e12, 67e12),
        ("NVIDIA H100 PCIe", 756e12, 51e12),
        ("NVIDIA H200", 989e12, 67e12),
        ("NVIDIA A100-SXM4-80GB", 312e12, 19.5e12),
        ("NVIDIA A10", 125e12, 31.2e12),
        ("NVIDIA L4", 121e12, 30.3e12),
        ("NVIDIA L40S", 362e12, 91.6e12),
        ("NVIDIA RTX A6000", 154.8e12, 38.7e12),
        ("NVIDIA GeForce RTX 4090", 165.2e12, 82.6e12),
        ("Tesla T4", None, 8.1e12),
        ("NVIDIA RTX 4000 Ada Generation", None, None),
        ("NVIDIA GeForce RTX 4090 Laptop GPU", None, None),
        ("NVIDIA GeForce RTX 3090 Ti", None, None),
    ],
)
def test_names_and_peaks(name: str, bf16: float | None, fp32: float | None) -> None:
    assert (named_peak_flops(name, "bf16"), named_peak_flops(name, "fp32")) == (bf16, fp32)


def test_what_the_user_says_goes_first_and_a_cpu_has_no_peak() -> None:
    assert peak_flops(torch.device("cpu"), "fp32", tflops=0.5) == 0.5e12
    assert peak_flops(torch.device("cpu"), "fp32") is None
