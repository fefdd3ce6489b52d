"""A detector with YuNet's inputs and outputs, written as an ONNX file: its faces are magenta squares of 32 px.

Only the few fields of the ONNX format that the graph needs (https://onnx.ai/onnx/repo-docs/IR.html), encoded by hand,
so that tests need neither a download nor another library.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

STRIDES = (8, 16, 32)
FACE_PX = 32
BOX_PX = 48
MAGENTA = (255, 0, 255)


def _varint(value: int) -> bytes:
    value &= (1 << 64) - 1
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _data(field: int, value: bytes | str) -> bytes:
    value = value.encode() if isinstance(value, str) else value
    return _varint(field << 3 | 2) + _varint(len(value)) + value


def _tensor(name: str, array: np.ndarray) -> bytes:
    kind = {"float32": 1, "int64": 7}[array.dtype.name]
    return (
        b"".join(_number(1, side) for side in array.shape)
        + _number(2, kind)
        + _data(8, name)
        + _data(9, array.tobytes())
    )


def _value(name: str, shape: Sequence[int]) -> bytes:
    sides = b"".join(_data(1, _number(1, side)) for side in shape)
    return _data(1, name) + _data(2, _data(1, _number(1, 1) + _data(2, sides)))


def _ints(name: str, values: Sequence[int]) -> bytes:
    return _data(5, _data(1, name) + b"".join(_number(8, value) for value in values) + _number(20, 7))


def _node(kind: str, inputs: Sequence[str], output: str, *attributes: bytes) -> bytes:
    names = b"".join(_data(1, name) for name in inputs)
    return _data(1, names + _data(2, output) + _data(3, output) + _data(4, kind) + b"".join(attributes))


def write_detector(file: Path, side_px: int = 640) -> Path:
    """cls = obj = 1 in cells of 32 px whose mean is magenta, and the box 48 px around the middle of the cell."""
    nodes, tensors, outputs = [], [], []
    for stride in STRIDES:
        cells = (side_px // stride) ** 2
        # Blue and red against green: 1 for magenta, 0 for grey. Only cells of 32 px find anything.
        colour = np.zeros((1, 3, stride, stride), np.float32)
        if stride == FACE_PX:
            colour[0] = np.array([1, -2, 1], np.float32)[:, None, None] / (510 * stride**2)
        box = np.log(BOX_PX / stride)
        for name, width, weight, bias in (
            ("cls", 1, colour, [0]),
            ("obj", 1, colour, [0]),
            ("bbox", 4, np.zeros((4, 3, stride, stride), np.float32), [0.5, 0.5, box, box]),
            ("kps", 10, np.zeros((10, 3, stride, stride), np.float32), [0] * 10),
        ):
            out = f"{name}_{stride}"
            tensors += [
                _tensor(f"{out}_w", weight),
                _tensor(f"{out}_b", np.array(bias, np.float32)),
                _tensor(f"{out}_shape", np.array([1, -1, width], np.int64)),
            ]
            strides, kernel = _ints("strides", [stride] * 2), _ints("kernel_shape", [stride] * 2)
            nodes += [
                _node("Conv", ["input", f"{out}_w", f"{out}_b"], f"{out}_map", strides, kernel),
                _node("Transpose", [f"{out}_map"], f"{out}_last", _ints("perm", [0, 2, 3, 1])),
                _node("Reshape", [f"{out}_last", f"{out}_shape"], out),
            ]
            outputs.append(_data(12, _value(out, [1, cells, width])))
    graph = b"".join(nodes) + _data(2, "magenta") + b"".join(_data(5, tensor) for tensor in tensors)
    graph += _data(11, _value("input", [1, 3, side_px, side_px])) + b"".join(outputs)
    file.write_bytes(_number(1, 8) + _data(7, graph) + _data(8, _data(1, "") + _number(2, 13)))
    return file
