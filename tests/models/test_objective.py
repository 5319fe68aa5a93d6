"""The losses against torch's own and scikit-learn's, and what probabilities they train."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from sklearn.metrics import log_loss

from vpar_cache.models.objective import Objective

GROUPS = (slice(0, 1), slice(1, 4), slice(4, 5), slice(5, 7))
CPU = torch.device("cpu")


def batch(seed: int = 0, n: int = 9) -> tuple[torch.Tensor, torch.Tensor]:
    """(n, 7) logits and labels with one class in every group of several."""
    random = torch.Generator().manual_seed(seed)
    labels = torch.zeros(n, 7)
    for columns in GROUPS:
        size = columns.stop - columns.start
        if size == 1:
            labels[:, columns] = torch.randint(0, 2, (n, 1), generator=random).float()
        else:
            classes = torch.randint(0, size, (n,), generator=random)
            labels[:, columns] = F.one_hot(classes, size).float()
    return torch.randn(n, 7, generator=random), labels


def test_bce_is_summed_over_outputs_and_averaged_over_tracklets() -> None:
    logits, labels = batch()
    expected = sum(
        log_loss(labels[:, i].numpy(), logits[:, i].double().sigmoid().numpy(), labels=[0, 1]) for i in range(7)
    )
    assert float(Objective("bce", GROUPS, labels.mean(dim=0), CPU).loss(logits, labels)) == pytest.approx(
        expected, rel=1e-5
    )


def test_weighted_multiplies_by_exp_of_the_rate_of_the_other_class() -> None:
    train = torch.tensor([[1.0, 0], [0, 1], [0, 1], [0, 1]])  # rates 0.25 and 0.75
    objective = Objective("weighted", (slice(0, 1), slice(1, 2)), train.mean(dim=0), CPU)
    logits = torch.zeros(1, 2)
    for label, weight in (((1.0, 1.0), np.exp(0.75) + np.exp(0.25)), ((0.0, 0.0), np.exp(0.25) + np.exp(0.75))):
        loss = objective.loss(logits, torch.tensor([label]))
        assert float(loss) == pytest.approx(np.log(2) * weight, rel=1e-6)


def test_ce_takes_one_softmax_a_group() -> None:
    logits, labels = batch(1)
    expected = 0.0
    for columns in GROUPS:
        part, truth = logits[:, columns].double().numpy(), labels[:, columns].numpy()
        if part.shape[1] == 1:
            part, truth = np.concatenate([np.zeros_like(part), part], axis=1), np.c_[1 - truth, truth]
        odds = np.exp(part)
        probabilities = odds / odds.sum(axis=1, keepdims=True)
        expected += log_loss(truth.argmax(axis=1), probabilities, labels=list(range(part.shape[1])))
    assert float(Objective("ce", GROUPS, labels.mean(dim=0), CPU).loss(logits, labels)) == pytest.approx(
        expected, rel=1e-5
    )


@pytest.mark.parametrize("loss", ["bce", "weighted", "ce"])
def test_probabilities_are_those_that_the_loss_trains(loss: str) -> None:
    logits, labels = batch(2)
    before = logits.clone()
    probabilities = Objective(loss, GROUPS, labels.mean(dim=0), CPU).probabilities(logits)
    assert torch.equal(logits, before)
    for columns in GROUPS:
        several = columns.stop - columns.start > 1 and loss == "ce"
        expected = logits[:, columns].softmax(dim=1) if several else logits[:, columns].sigmoid()
        torch.testing.assert_close(probabilities[:, columns], expected)
