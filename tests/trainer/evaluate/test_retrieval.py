"""Average precision against a plain loop; what cannot be ranked is told or left out."""

from __future__ import annotations

import pytest
import torch

from contracts.errors import MissingInput
from trainer.evaluate.retrieval import average_precision, retrieval_score


def oracle(bank: torch.Tensor, bank_labels: torch.Tensor, query: torch.Tensor, label: int) -> float:
    cosines = [float(torch.dot(query, row) / (query.norm() * row.norm())) for row in bank]
    ranked = sorted(range(len(bank)), key=lambda i: -cosines[i])
    hits, total = 0, 0.0
    for rank, i in enumerate(ranked, start=1):
        if int(bank_labels[i]) == label:
            hits += 1
            total += hits / rank
    return total / hits


@pytest.mark.parametrize("chunk_elements", [2**24, 60, 1])
def test_scores_equal_plain_loops(chunk_elements: int) -> None:
    generator = torch.Generator().manual_seed(0)
    bank, queries = torch.randn(30, 5, generator=generator), torch.randn(12, 5, generator=generator)
    bank_labels, labels = torch.arange(30) % 4, torch.arange(12) % 4
    found = retrieval_score((bank, bank_labels), (queries, labels), chunk_elements)
    wanted = [oracle(bank, bank_labels, query, int(label)) for query, label in zip(queries, labels, strict=True)]
    assert found.mean_average_precision == pytest.approx(sum(wanted) / 12, abs=1e-6)
    assert found.queries == 12


def test_known_lists() -> None:
    ranked = torch.tensor([[True, False, True], [False, False, True], [True, True, True]])
    assert average_precision(ranked).tolist() == pytest.approx([(1 + 2 / 3) / 2, 1 / 3, 1.0])


def test_queries_of_classes_that_the_database_lacks_are_left_out() -> None:
    bank = torch.eye(3)
    score = retrieval_score((bank, torch.tensor([0, 1, 1])), (bank, torch.tensor([0, 7, 1])))
    assert score.queries == 2
    assert score.precision_at_1 == 1.0
    with pytest.raises(MissingInput, match="common classes"):
        retrieval_score((bank, torch.tensor([0, 1, 1])), (bank, torch.tensor([5, 7, 6])))
    with pytest.raises(MissingInput, match="a class for every image"):
        retrieval_score((bank, torch.tensor([0, 1, -1])), (bank, torch.tensor([0, 1, 1])))
