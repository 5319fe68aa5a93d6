"""What a model must know about the features before it is built."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True, eq=False)
class ModelInputs:
    """The outputs in their groups, the shape of one row of the cache, and the text embeddings.

    A: outputs; N: tokens of a frame; T: frames; D: width of a token; Dt: width of a text embedding.
    """

    train_rates: Tensor
    """(A,) float64: the share of train tracklets that have each output."""
    groups: tuple[slice, ...]
    """The outputs of each group."""
    group_names: tuple[str, ...]
    """The name of each group."""
    row_shape: tuple[int, ...]
    """Shape of one row that the model reads: (N, D), (T, D) or (T, N, D)."""
    text: Tensor
    """(A, Dt)"""
    negative: Tensor
    """(A, Dt): embedding of the opposite phrase ("no hat"); zeros for outputs of groups of several."""
    grid: tuple[int, int]
    """Rows and columns of the patch tokens among the N tokens."""
    prefix_tokens: int
    """Tokens before the patches: 1 for a class token."""
    logit_scale: float | None
    """CLIP's factor on cosines of text and image; None where they share no space."""

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
