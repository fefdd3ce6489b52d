"""Peak speed of devices in dense matrix products, from the makers' data sheets: what MFU is a share of."""

from __future__ import annotations

from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Peak:
    """TFLOP/s without sparsity: bf16 (or fp16) on matrix units with float32 sums, and plain fp32 (no TF32)."""

    bf16: float | None
    fp32: float


# A device's name must hold all words of an entry; the first entry that fits is taken.
PEAK_TFLOPS: tuple[tuple[tuple[str, ...], Peak], ...] = (
    (("b200",), Peak(2250, 75)),
    (("h200", "nvl"), Peak(836, 60)),
    (("h200",), Peak(989, 67)),
    (("h100", "nvl"), Peak(835, 60)),
    (("h100", "pcie"), Peak(756, 51)),
    (("h100",), Peak(989, 67)),
    (("a100",), Peak(312, 19.5)),
    (("a6000",), Peak(154.8, 38.7)),
    (("a40",), Peak(149.7, 37.4)),
    (("a30",), Peak(165, 10.3)),
    (("a10",), Peak(125, 31.2)),
    (("l40s",), Peak(362, 91.6)),
    (("l40",), Peak(181, 90.5)),
    (("l4",), Peak(121, 30.3)),
    (("v100",), Peak(None, 15.7)),
    (("t4",), Peak(None, 8.1)),
    (("4090",), Peak(165.2, 82.6)),
    (("3090",), Peak(71, 35.6)),
    (("mi300x",), Peak(1307.4, 163.4)),
)

OTHER_CHIPS = {"laptop", "ti", "super", "d"}
"""Words after which a name means another chip than the entry says."""


def peak_flops(device: torch.device, precision: str, tflops: float | None = None) -> float | None:
    """Operations per second that a device could do at most in fp32 or bf16; None where that is not known.

    tflops: what the user says it is, which goes before the table.
    """
    if tflops is not None:
        return tflops * 1e12
    if device.type != "cuda":
        return None
    return named_peak_flops(torch.cuda.get_device_name(device), precision)


def named_peak_flops(name: str, precision: str) -> float | None:
    """The same from the name that PyTorch gives a device, such as "NVIDIA H100 80GB HBM3"."""
    words = name.lower().replace("-", " ").split()
    if OTHER_CHIPS.intersection(words):
        return None
    for wanted, peak in PEAK_TFLOPS:
        if all(word in words for word in wanted):
            found = peak.bf16 if precision == "bf16" else peak.fp32
            return None if found is None else found * 1e12
    return None
