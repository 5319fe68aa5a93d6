"""The losses that train a model's logits, and the probabilities that the logits stand for."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor


class Objective:
    """`bce`, `weighted` or `ce` over A outputs in groups.

    bce: binary cross-entropy per output (paper, Optimization). weighted: the same with weight exp(1 - r) for
    positives and exp(r) for negatives, r the train rate (the authors' code). ce: softmax cross-entropy for each
    group of several outputs, binary cross-entropy for a group of one (the VideoPAR code). All are summed over
    outputs or groups and averaged over tracklets. An unknown label adds nothing to the sum; its tracklet still
    counts in the average, so that a label weighs the same whatever else is known.
    """

    def __init__(self, loss: str, groups: Sequence[slice], train_rates: Tensor, device: torch.device) -> None:
        """`train_rates`: (A,) share of train tracklets that have each output."""
        self._loss = loss
        self._choices = [columns for columns in groups if columns.stop - columns.start > 1]
        binary = [columns.start for columns in groups if columns.stop - columns.start == 1]
        self._binary = torch.tensor(binary, dtype=torch.int64, device=device)  # (binary groups,)
        rate = train_rates.float()  # (A,)
        weights = torch.stack([torch.exp(1 - rate), torch.exp(rate)])  # (2, A)
        self._weights = (weights if loss == "weighted" else torch.ones_like(weights)).to(device)  # (2, A)

    def loss(self, logits: Tensor, labels: Tensor, known: Tensor) -> Tensor:
        """Return the loss () of logits (B, A) and labels (B, A) of 0 and 1.

        `known`: (B, A) of bool; of a group of several outputs all or none. The labels of the others are not read.
        """
        if self._loss == "ce":
            return self._group_loss(logits, labels, known)
        weights = torch.where(labels > 0, self._weights[0], self._weights[1])  # (B, A)
        losses = F.binary_cross_entropy_with_logits(logits, labels, weights, reduction="none")  # (B, A)
        return _mean_of_known(losses, known)  # ()

    def _group_loss(self, logits: Tensor, labels: Tensor, known: Tensor) -> Tensor:
        binary = F.binary_cross_entropy_with_logits(
            logits[:, self._binary], labels[:, self._binary], reduction="none"
        )  # (B, binary groups)
        total = _mean_of_known(binary, known[:, self._binary])  # ()
        for columns in self._choices:
            losses = F.cross_entropy(
                logits[:, columns], labels[:, columns].argmax(dim=1), reduction="none"
            )  # (B,)
            total = total + _mean_of_known(losses[:, None], known[:, columns.start : columns.start + 1])  # ()
        return total

    def probabilities(self, logits: Tensor) -> Tensor:
        """Return probabilities (n, A) of logits (n, A): a sigmoid per output, or with ce a softmax over each group
        of several outputs."""
        probabilities = logits.sigmoid()  # (n, A)
        if self._loss == "ce":
            for columns in self._choices:
                probabilities[:, columns] = logits[:, columns].softmax(dim=1)  # (n, outputs of the group)
        return probabilities


def _mean_of_known(losses: Tensor, known: Tensor) -> Tensor:
    """Return the sum over the known of each row, averaged over all rows: () of (B, n)."""
    return torch.where(known, losses, 0).sum(dim=1).mean()  # ()
