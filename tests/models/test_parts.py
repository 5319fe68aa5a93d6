"""Part regions: where the prior lies, and that an attribute reads the row that its label depends on."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from tests.models.test_systems_forward import inputs
from vpar_cache.errors import UserError
from vpar_cache.models.build import build_model
from vpar_cache.models.fusion import FusionTransformer
from vpar_cache.models.inputs import ModelInputs
from vpar_cache.models.parts import PartBias
from vpar_cache.models.settings import ModelSettings

ROWS, COLUMNS, D = 8, 2, 4
NAMES = ("hat", "top color", "bottom length", "boots", "gender")
QUARTERS = 4
"""Of the rows from the top: the first decides about hat, the second about top color, and so on."""


def standing() -> ModelInputs:
    """Five groups of one output, on a grid of a person who stands upright."""
    return inputs(
        train_rates=torch.full((5,), 0.5, dtype=torch.float64),
        groups=tuple(slice(i, i + 1) for i in range(5)),
        group_names=NAMES,
        row_shape=(1 + ROWS * COLUMNS, D),
        text=F.normalize(torch.randn(5, 6, generator=torch.Generator().manual_seed(1)), dim=1),
        negative=torch.zeros(5, 6),
        grid=(ROWS, COLUMNS),
    )


def model(parts: str | None, **changes: Any) -> FusionTransformer:
    torch.manual_seed(0)
    built = build_model(ModelSettings(dim=16, heads=2, parts=parts, **changes), standing())
    assert isinstance(built, FusionTransformer)
    return built


def signs(n: int, seed: int) -> tuple[Tensor, Tensor]:
    """Tokens (n, N, D), of which each quarter of the rows carries a sign, and labels (n, 4): these signs.

    The tokens of all rows look alike but for their signs, so that only the place tells them apart.
    """
    random = torch.Generator().manual_seed(seed)
    sign = torch.randint(0, 2, (n, QUARTERS), generator=random) * 2.0 - 1  # (n, 4)
    tokens = torch.zeros(n, 1 + ROWS * COLUMNS, D)
    tokens[:, 1:, 0] = sign.repeat_interleave(ROWS * COLUMNS // QUARTERS, dim=1)
    return tokens, (sign > 0).float()


def accuracy_after_training(parts: str | None) -> float:
    made, text = model(parts), standing().text
    optimizer = torch.optim.Adam(made.parameters(), lr=1e-2)
    tokens, labels = signs(64, seed=2)
    for _ in range(160):
        optimizer.zero_grad()
        F.binary_cross_entropy_with_logits(made(tokens, text)[:, :4], labels).backward()
        optimizer.step()
    tokens, labels = signs(512, seed=3)
    with torch.no_grad():
        return float(((made(tokens, text)[:, :4] > 0) == (labels > 0)).float().mean())


@pytest.mark.parametrize(("parts", "low", "high"), [(None, 0.5, 0.72), ("learned", 0.9, 1.0), ("fixed", 0.9, 1.0)])
def test_only_with_parts_an_attribute_reads_the_rows_that_decide(
    parts: str | None, low: float, high: float
) -> None:
    assert low <= accuracy_after_training(parts) <= high


def test_the_fixed_prior_is_highest_at_the_part_and_equal_along_a_row() -> None:
    bias = PartBias("fixed", standing())()  # (A, N)
    assert (bias[:, 0] == 0).all(), "the class token has no place"
    grid = bias[:, 1:].unflatten(1, (ROWS, COLUMNS))  # (A, rows, columns)
    assert torch.equal(grid[..., 0], grid[..., 1])
    for number, name in enumerate(NAMES[:4]):
        assert int(grid[number, :, 0].argmax()) * QUARTERS // ROWS == number, name
        assert -3.1 < float(grid[number].min()) < -1
    assert (grid[4] == 0).all(), "gender is seen everywhere"


def test_at_the_start_a_learned_prior_changes_nothing() -> None:
    tokens, text = torch.randn(3, 1 + ROWS * COLUMNS, D), standing().text
    plain, learned, fixed = (model(parts) for parts in (None, "learned", "fixed"))
    torch.testing.assert_close(learned(tokens, text), plain(tokens, text))
    assert not torch.allclose(fixed(tokens, text), plain(tokens, text))


@pytest.mark.parametrize("layers", [1, 2])
def test_the_bias_is_torch_s_own_attention_mask(layers: int) -> None:
    """torch's encoder layer with a float mask, over all queries."""
    from tests.models.test_models import torch_layer

    made, text = model("fixed", layers=layers), standing().text
    tokens = torch.randn(3, 1 + ROWS * COLUMNS, D)
    assert made.part_bias is not None
    mask = torch.zeros(5 + 1 + ROWS * COLUMNS, 5 + 1 + ROWS * COLUMNS)
    mask[:5, 5:] = made.part_bias()
    whole = torch.cat([made.text_in(text).expand(3, -1, -1), made.visual_in(tokens)], dim=1)
    for block in made.blocks:
        whole = torch_layer(block, 16, 2, 1e-5)(whole, src_mask=mask)
    expected = (made.norm(whole[:, :5]) * made.head_weight).sum(dim=2) + made.head_bias
    torch.testing.assert_close(made(tokens, text), expected, rtol=1e-4, atol=1e-5)


def test_attention_that_is_drawn_holds_the_bias() -> None:
    made, text = model("fixed"), standing().text
    nn.init.zeros_(made.blocks[0].qkv.weight)  # all scores are equal but for the bias
    drawn = made.attention(torch.randn(1, 1 + ROWS * COLUMNS, D), text)[0]  # (A, N)
    weights = torch.cat([torch.zeros(5, 5), PartBias("fixed", standing())()], dim=1).softmax(dim=1)[:, 5:]
    torch.testing.assert_close(drawn, weights)


def test_fixed_parts_need_a_group_whose_part_is_known() -> None:
    own = replace(standing(), group_names=("a", "b", "c", "d", "e"))
    with pytest.raises(UserError, match=r"--parts.*fixed.*hat.*learned"):
        PartBias("fixed", own)
    PartBias("learned", own)
