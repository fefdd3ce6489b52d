"""Linear probes: separable features are learned, pooling is chosen by what helps, the grid is the published one."""

from __future__ import annotations

import pytest
import torch

from trainer.evaluate.features import FeatureTable
from trainer.evaluate.linear import BLOCKS, LEARNING_RATES, POOLING, LinearSettings, linear_accuracy, probe_input

SETTINGS = LinearSettings(steps=150, batch_size=64)


def table(count: int, seed: int, informative: int) -> FeatureTable:
    """Noise everywhere but in one of the five vectors (4 class tokens, mean patch), which tells the class."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(0, 4, (count,), generator=generator)
    features = torch.randn(count, 5, 8, generator=generator)
    features[:, informative, :4] += 5 * torch.nn.functional.one_hot(labels, 4)
    return FeatureTable(features, labels)


def test_the_grid_has_52_heads() -> None:
    assert len(LEARNING_RATES) * len(BLOCKS) * len(POOLING) == 52


@pytest.mark.parametrize(("informative", "blocks", "mean_patch"), [(3, None, None), (0, 4, None), (4, None, True)])
def test_the_head_that_sees_the_information_is_chosen(
    informative: int, blocks: int | None, mean_patch: bool | None
) -> None:
    score = linear_accuracy(table(400, 1, informative), table(200, 2, informative), SETTINGS)
    assert score.top1 > 0.9
    assert score.best_on_test >= score.top1
    assert blocks is None or score.blocks == blocks
    assert mean_patch is None or score.mean_patch == mean_patch


def test_noise_stays_at_chance() -> None:
    train, test = table(400, 1, 3), table(200, 2, 3)
    shuffled = FeatureTable(
        train.features, train.labels[torch.randperm(400, generator=torch.Generator().manual_seed(3))]
    )
    assert linear_accuracy(shuffled, test, SETTINGS).top1 < 0.5


def test_the_input_of_a_probe_takes_the_last_blocks() -> None:
    features = torch.arange(5.0).view(1, 5, 1)
    assert probe_input(features, 1, False).tolist() == [[3.0]]
    assert probe_input(features, 4, True).tolist() == [[0.0, 1.0, 2.0, 3.0, 4.0]]
