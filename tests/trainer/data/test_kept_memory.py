from __future__ import annotations

import pickle

import numpy as np
import torch

from trainer.data.kept_memory import KEPT_AT_MOST, KeptMemory


def test_memory_comes_back_only_when_nobody_holds_it() -> None:
    memory = KeptMemory()
    tensor = torch.from_numpy(memory.array((100, 100), np.float32))
    view = tensor[3:].flatten()
    address = tensor.data_ptr()
    assert memory.array((100, 100), np.float32).ctypes.data != address
    del tensor
    assert memory.array((100, 100), np.float32).ctypes.data != address
    del view
    assert memory.array((100, 100), np.float32).ctypes.data == address


def test_two_at_once_are_two() -> None:
    memory = KeptMemory()
    held = [memory.array((10,), np.uint8) for _ in range(KEPT_AT_MOST + 3)]
    assert len({array.ctypes.data for array in held}) == len(held)


def test_shape_and_type_are_what_was_asked_for() -> None:
    memory = KeptMemory()
    for shape, dtype in (((4, 5), np.uint8), ((4, 5), np.float32), ((20,), np.uint8), ((4, 5), np.uint8)):
        array = memory.array(shape, dtype)
        assert (array.shape, array.dtype) == (shape, dtype)


def test_a_pickled_one_starts_empty() -> None:
    memory = KeptMemory()
    memory.array((1000, 1000), np.uint8)
    assert len(pickle.dumps(memory)) < 1000
