"""Part regions: an attribute reads the grid of visual tokens through a vertical prior.

The paper names "finer-grained partial region mining" as its future work. Here a bias is added to the attention
from an attribute's text token to a visual token, by the row of its patch. fixed: people stand upright in their
crops, so that a stripe of rows is a part of the body, as in PCB (Sun et al., "Beyond Part Models", ECCV 2018).
learned: a bias for each attribute and row, zero at the start, as the relative position bias of Swin (Liu et al.,
ICCV 2021); ALM (Tang et al., ICCV 2019) learns a region for each attribute too, as a box.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from vpar_cache.errors import UserError
from vpar_cache.models.inputs import ModelInputs

_STRIPES = {"head": (0.1, 0.1), "upper body": (0.36, 0.15), "legs": (0.7, 0.16), "feet": (0.92, 0.08)}
"""Middle and standard deviation of each part, as shares of the crop's height from the top."""
_FLOOR = 0.05
"""What is left of the prior far from the part: a person may bend, or be cut off."""
_PART_OF_GROUP = {
    "hat": "head", "hair": "head",
    "top length": "upper body", "top color": "upper body", "backpack": "upper body",
    "shoulder bag": "upper body",
    "bottom length": "legs", "bottom type": "legs", "bottom color": "legs", "hand bag": "legs",
    "boots": "feet", "shoes": "feet",
}  # fmt: skip
"""Groups of MARS and DUKE that are seen at one part. All others, as pose, gender and age, are seen everywhere."""


class PartBias(nn.Module):
    """The bias on the attention of each text token to each visual token: () -> (A, N)."""

    row_bias: Tensor
    """(A, rows): log-prior (fixed) or parameter (learned)."""

    def __init__(self, kind: str, inputs: ModelInputs) -> None:
        """`kind`: fixed or learned. Raises UserError for fixed where no group's part is known."""
        super().__init__()
        self._prefix, (rows, self._columns) = inputs.prefix_tokens, inputs.grid
        if kind == "learned":
            self.row_bias = nn.Parameter(torch.zeros(inputs.num_outputs, rows))  # (A, rows)
        else:
            self.register_buffer("row_bias", _fixed_prior(inputs, rows))  # (A, rows)

    def forward(self) -> Tensor:
        """Return the bias (A, N): 0 for the tokens before the patches."""
        by_patch = self.row_bias.repeat_interleave(self._columns, dim=1)  # (A, rows * columns)
        return F.pad(by_patch, (self._prefix, 0))  # (A, N)


def _fixed_prior(inputs: ModelInputs, rows: int) -> Tensor:
    """Return the logarithm of each output's prior over the rows, (A, rows); 0 for outputs seen everywhere."""
    parts = [_PART_OF_GROUP.get(name) for name in inputs.group_names]
    if not any(parts):
        raise UserError(
            f"--parts: got fixed; expected one of the groups {', '.join(_PART_OF_GROUP)}, whose part of the body "
            f"is known, among {', '.join(inputs.group_names)}. Use --parts learned"
        )
    prior = torch.zeros(inputs.num_outputs, rows)  # (A, rows)
    height = (torch.arange(rows) + 0.5) / rows  # (rows,), of the middle of each row
    for part, columns in zip(parts, inputs.groups, strict=True):
        if part is not None:
            middle, deviation = _STRIPES[part]
            stripe = torch.exp(-((height - middle) ** 2) / (2 * deviation**2))  # (rows,)
            prior[columns] = torch.log(_FLOOR + (1 - _FLOOR) * stripe)
    return prior
