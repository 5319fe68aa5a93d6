"""Features as a torch Dataset, for training loops of one's own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.utils.data import Dataset

if TYPE_CHECKING:
    from vpar_cache.cache.selection import Selection


class TokenDataset(Dataset[tuple[Tensor, Tensor]]):
    """(tokens, labels) of each chosen tracklet, read from its shard when asked for; an unknown label is NaN."""

    def __init__(self, selection: Selection, half: bool) -> None:
        self._selection = selection
        self._dtype = torch.float16 if half else torch.float32
        labels = torch.from_numpy(selection.labels).float()  # (n, A)
        self._labels = labels.masked_fill(torch.from_numpy(~selection.known), torch.nan)  # (n, A)

    def __len__(self) -> int:
        return len(self._selection)

    def __getitem__(self, number: int) -> tuple[Tensor, Tensor]:
        row = self._selection.rows[number]
        tokens = self._selection.features.visual.gather([row])[0]  # (tokens, D)
        return torch.from_numpy(tokens).to(self._dtype), self._labels[number]
