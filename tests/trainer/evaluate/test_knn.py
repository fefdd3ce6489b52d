"""k-NN votes against a slow, plain oracle; cuts of k; missing labels."""

from __future__ import annotations

import math

import pytest
import torch

from contracts.errors import MissingInput
from trainer.evaluate.knn import KnnScore, knn_accuracy


def oracle(train: tuple[torch.Tensor, torch.Tensor], test: tuple[torch.Tensor, torch.Tensor], k: int) -> KnnScore:
    """The same rule in plain Python, one test row at a time."""
    hits1 = hits5 = 0
    for query, label in zip(*test, strict=True):
        cosines = [
            (float(torch.dot(query, row) / (query.norm() * row.norm())), int(its))
            for row, its in zip(*train, strict=True)
        ]
        votes: dict[int, float] = {}
        for cosine, its in sorted(cosines, reverse=True)[:k]:
            votes[its] = votes.get(its, 0.0) + math.exp(cosine / 0.07)
        ranked = sorted(votes, key=lambda its: -votes[its])
        hits1 += ranked[0] == int(label)
        hits5 += int(label) in ranked[:5]
    return KnnScore(hits1 / len(test[1]), hits5 / len(test[1]))


def blobs(count: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(count) % 7
    centres = torch.randn(7, 6, generator=torch.Generator().manual_seed(0))
    return centres[labels] + 1.5 * torch.randn(count, 6, generator=generator), labels


@pytest.mark.parametrize("chunk_elements", [2**25, 90 * 7, 1])
def test_votes_equal_the_oracle_whatever_the_chunks(chunk_elements: int) -> None:
    train, test = blobs(90, 1), blobs(40, 2)
    found = knn_accuracy(train, test, ks=(1, 5, 20), chunk_elements=chunk_elements)
    assert set(found) == {1, 5, 20}
    for k, score in found.items():
        wanted = oracle(train, test, k)
        assert score.top1 == pytest.approx(wanted.top1)
        # Five classes are ranked although fewer may have a vote: the oracle ranks only those voted for.
        if k >= 20:
            assert score.top5 == pytest.approx(wanted.top5)
    assert found[20].top1 < 1


def test_ks_beyond_the_training_set_are_left_out() -> None:
    train, test = blobs(30, 1), blobs(10, 2)
    assert set(knn_accuracy(train, test)) == {10, 20}
    assert set(knn_accuracy(blobs(4, 1), test)) == {4}


def test_an_identical_set_is_recognised() -> None:
    train = blobs(60, 3)
    assert knn_accuracy(train, train, ks=(1,))[1].top1 == 1.0


def test_missing_labels_and_empty_sets_are_told() -> None:
    train, test = blobs(30, 1), blobs(10, 2)
    with pytest.raises(MissingInput, match="a class for every image"):
        knn_accuracy(train, (test[0], test[1] - 1))
    with pytest.raises(MissingInput, match="is empty"):
        knn_accuracy(train, (test[0][:0], test[1][:0]))
