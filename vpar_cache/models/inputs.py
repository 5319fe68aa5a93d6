"""What a model must know of the features before it is built."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True, eq=False)
class ModelInputs:
    """A outputs in groups; rows of one of the cache's arrays; text embeddings."""

    train_rates: Tensor
    """(A,) float64: the share of train tracklets that have each output."""
    groups: tuple[slice, ...]
    """The outputs of each group."""
    row_shape: tuple[int, ...]
    """Of one row of what the model reads: (N, D), (T, D) or (T, N, D)."""
    text: Tensor
    """(A, Dt)"""
    negative: Tensor
    """(A, Dt): of the phrase that an output denies; zeros for outputs of groups of several."""
    grid: tuple[int, int]
    """Rows and columns of the patches among the N tokens."""
    prefix_tokens: int
    """Tokens before the patches: 1 for a class token."""
    logit_scale: float | None
    """CLIP's, where text and class tokens share a space."""

    @property
    def num_outputs(self) -> int:
        """A"""
        return len(self.train_rates)

    @property
    def token_dim(self) -> int:
        """D"""
        return self.row_shape[-1]

    @property
    def text_dim(self) -> int:
        """Dt"""
        return self.text.shape[1]
