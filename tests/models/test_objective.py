"""The losses against torch's own and scikit-learn's, and what probabilities they train."""

from __future__ import annotations

from collections.abc import Sequence

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
    known = torch.ones(9, 7, dtype=torch.bool)
    expected = sum(
        log_loss(labels[:, i].numpy(), logits[:, i].double().sigmoid().numpy(), labels=[0, 1]) for i in range(7)
    )
    objective = Objective("bce", GROUPS, labels.mean(dim=0), CPU)
    assert float(objective.loss(logits, labels, known)) == pytest.approx(expected, rel=1e-5)


def cell_loss(
    groups: Sequence[slice],
    loss: str,
    logits: np.ndarray,
    labels: np.ndarray,
    known: np.ndarray,
    rates: np.ndarray,
) -> float:
    """The definition, cell by cell: the sum over what is known, divided by the number of rows."""
    total = 0.0
    for row in range(len(logits)):
        for columns in groups:
            cells = range(columns.start, columns.stop)
            if loss == "ce" and len(cells) > 1:
                if known[row, columns.start]:
                    odds = np.exp(logits[row, columns])
                    total -= np.log(odds[labels[row, columns].argmax()] / odds.sum())
                continue
            for i in cells:
                if known[row, i]:
                    yes = 1 / (1 + np.exp(-logits[row, i]))
                    weight = 1.0
                    if loss == "weighted":
                        weight = np.exp(1 - rates[i]) if labels[row, i] else np.exp(rates[i])
                    total -= weight * np.log(yes if labels[row, i] else 1 - yes)
    return total / len(logits)


def part_known(n: int) -> torch.Tensor:
    """(n, 7): 30 % of the groups unknown, and one row as a whole."""
    random = np.random.default_rng(5)
    known = np.repeat(random.random((n, len(GROUPS))) > 0.3, [c.stop - c.start for c in GROUPS], axis=1)
    known[2] = False
    return torch.from_numpy(known)


@pytest.mark.parametrize("loss", ["bce", "weighted", "ce"])
@pytest.mark.parametrize("all_known", [True, False])
def test_the_loss_is_the_sum_over_known_cells_divided_by_all_rows(loss: str, all_known: bool) -> None:
    logits, labels = batch(3, n=40)
    known = torch.ones(40, 7, dtype=torch.bool) if all_known else part_known(40)
    rates = torch.linspace(0, 1, 7, dtype=torch.float64)
    expected = cell_loss(GROUPS, loss, logits.double().numpy(), labels.numpy(), known.numpy(), rates.numpy())
    found = Objective(loss, GROUPS, rates, CPU).loss(logits, labels, known)
    assert float(found) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("loss", ["bce", "weighted", "ce"])
def test_what_is_stored_at_unknown_cells_changes_neither_loss_nor_gradients(loss: str) -> None:
    logits, labels = batch(4, n=12)
    known, other = part_known(12), batch(5, n=12)[1]
    found = []
    for stored in (labels, torch.where(known, labels, other), torch.where(known, labels, 0)):
        leaf = logits.clone().requires_grad_()
        value = Objective(loss, GROUPS, torch.full((7,), 0.3), CPU).loss(leaf, stored, known)
        value.backward()
        found.append((value.detach(), leaf.grad))
        assert (leaf.grad[~known] == 0).all()
    assert all(torch.equal(a, b) for one in found[1:] for a, b in zip(one, found[0], strict=True))


def test_ce_takes_one_softmax_a_group() -> None:
    logits, labels = batch(1)
    known = torch.ones(9, 7, dtype=torch.bool)
    expected = 0.0
    for columns in GROUPS:
        part, truth = logits[:, columns].double().numpy(), labels[:, columns].numpy()
        if part.shape[1] == 1:
            part, truth = np.concatenate([np.zeros_like(part), part], axis=1), np.c_[1 - truth, truth]
        odds = np.exp(part)
        probabilities = odds / odds.sum(axis=1, keepdims=True)
        expected += log_loss(truth.argmax(axis=1), probabilities, labels=list(range(part.shape[1])))
    objective = Objective("ce", GROUPS, labels.mean(dim=0), CPU)
    assert float(objective.loss(logits, labels, known)) == pytest.approx(expected, rel=1e-5)


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
