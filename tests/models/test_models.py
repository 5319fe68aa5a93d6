"""The models against independent implementations."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from vpar_cache.models.fusion import FusionBlock, FusionTransformer
from vpar_cache.models.linear import LinearHeads
from vpar_cache.models.prior import Prior


def torch_layer(block: FusionBlock, dim: int, heads: int, eps: float) -> nn.TransformerEncoderLayer:
    """torch's own pre-LayerNorm encoder layer with the same weights."""
    layer = nn.TransformerEncoderLayer(
        dim, heads, 4 * dim, dropout=0.0, activation="gelu", layer_norm_eps=eps, batch_first=True, norm_first=True
    )
    pairs = {
        "self_attn.in_proj_weight": block.qkv.weight,
        "self_attn.in_proj_bias": block.qkv.bias,
        "self_attn.out_proj.weight": block.out.weight,
        "self_attn.out_proj.bias": block.out.bias,
        "linear1.weight": block.mlp[0].weight,
        "linear1.bias": block.mlp[0].bias,
        "linear2.weight": block.mlp[2].weight,
        "linear2.bias": block.mlp[2].bias,
        "norm1.weight": block.norm_attention.weight,
        "norm1.bias": block.norm_attention.bias,
        "norm2.weight": block.norm_mlp.weight,
        "norm2.bias": block.norm_mlp.bias,
    }
    layer.load_state_dict({name: tensor.detach().clone() for name, tensor in pairs.items()})
    return layer


def whole_forward(model: FusionTransformer, visual: Tensor, text: Tensor, heads: int, eps: float) -> Tensor:
    """The paper's model written out: all tokens, all queries, a head per output."""
    dim = model.head_weight.shape[1]
    text_tokens = model.text_in(text).expand(len(visual), -1, -1)  # (B, A, W)
    tokens = torch.cat([text_tokens, model.visual_in(visual)], dim=1)  # (B, A+N, W)
    for block in model.blocks:
        tokens = torch_layer(block, dim, heads, eps)(tokens)
    variance, mean = torch.var_mean(tokens, dim=2, correction=0, keepdim=True)
    tokens = (tokens - mean) / (variance + eps).sqrt() * model.norm.weight + model.norm.bias
    columns = [tokens[:, i] @ model.head_weight[i] + model.head_bias[i] for i in range(len(text))]
    return torch.stack(columns, dim=1)  # (B, A)


def randomized(model: nn.Module) -> nn.Module:
    """Parameters away from their zeros and ones, so that leaving one out shows and all get gradients."""
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return model


@pytest.mark.parametrize(("layers", "eps"), [(1, 1e-6), (1, 0.3), (2, 0.3), (3, 1e-5)])
def test_fusion_equals_the_paper_s_model_with_all_queries_and_no_shortcut(layers: int, eps: float) -> None:
    torch.manual_seed(0)
    model = FusionTransformer(
        7, 16, 16, dim=24, layers=layers, heads=3, logit_norm=False, drop_path=0.9, norm_eps=eps
    ).eval()
    randomized(model)
    visual, text = torch.randn(4, 11, 16), torch.randn(7, 16)
    expected = whole_forward(model, visual, text, 3, eps)
    torch.testing.assert_close(model(visual, text), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("layers", [1, 2])
def test_gradients_of_the_shortcut_equal_those_of_the_whole_model(layers: int) -> None:
    torch.manual_seed(1)
    model = FusionTransformer(5, 16, 16, dim=16, layers=layers, heads=2, logit_norm=True, norm_eps=1e-6)
    visual, text = torch.randn(3, 6, 16), torch.randn(5, 16)
    model(visual, text).pow(3).sum().backward()
    fast = model.visual_in.weight.grad.clone()
    model.zero_grad()
    logits = whole_forward(model, visual, text, 2, 1e-6)
    variance, mean = torch.var_mean(logits, dim=0, correction=0)  # (A,), BatchNorm of a training batch
    ((logits - mean) / (variance + 1e-5).sqrt()).pow(3).sum().backward()
    torch.testing.assert_close(fast, model.visual_in.weight.grad, rtol=1e-3, atol=1e-5)


def dropping_block(branch: str) -> tuple[FusionBlock, Tensor, Tensor]:
    """A block in training whose other branch adds nothing, and its text (1, 3, W) and visual (3000, 4, W): one
    tracklet, 3000 times."""
    torch.manual_seed(7)
    block = FusionBlock(8, 2, drop_path=0.25)
    randomized(block)
    other = block.mlp[2] if branch == "attention" else block.out
    nn.init.zeros_(other.weight)
    nn.init.zeros_(other.bias)
    return block.train(), torch.randn(1, 3, 8), torch.randn(1, 4, 8).expand(3000, -1, -1)


@pytest.mark.parametrize("branch", ["attention", "mlp"])
@pytest.mark.parametrize("read_text_only", [True, False])
def test_stochastic_depth_drops_a_branch_of_whole_tracklets_and_keeps_its_mean(
    branch: str, read_text_only: bool
) -> None:
    block, text, visual = dropping_block(branch)
    with torch.no_grad():
        new_text, new_visual = block(text, visual, read_text_only=read_text_only)
        whole_text, whole_visual = block.eval()(text, visual, read_text_only=read_text_only)
    dropped = (new_text == text).all(dim=(1, 2))  # (B,): exactly the residual
    assert 0.2 < dropped.float().mean() < 0.3
    torch.testing.assert_close(new_text.mean(dim=0), whole_text[0], rtol=0, atol=0.05)
    kept = text + (whole_text - text) / 0.75
    torch.testing.assert_close(new_text[~dropped], kept[~dropped], rtol=1e-4, atol=1e-5)
    if not read_text_only:  # one draw for all tokens of a tracklet
        assert torch.equal((new_visual == visual).all(dim=(1, 2)), dropped)
        torch.testing.assert_close(new_visual.mean(dim=0), whole_visual[0], rtol=0, atol=0.05)


def test_the_two_branches_of_a_tracklet_are_dropped_independently() -> None:
    torch.manual_seed(8)
    block = FusionBlock(8, 2, drop_path=0.5).train()
    attention, mlp = block._kept_branches(torch.empty(4000, 1, 8))
    both = ((attention > 0) & (mlp > 0)).float().mean()
    assert 0.22 < both < 0.28


def test_each_output_is_read_from_its_own_text_token() -> None:
    torch.manual_seed(2)
    model = FusionTransformer(4, 8, 8, dim=8, layers=1, heads=2, logit_norm=False)
    randomized(model)
    visual, text = torch.randn(2, 5, 8), torch.randn(4, 8)
    order = torch.tensor([2, 0, 3, 1])
    logits = model(visual, text)
    with torch.no_grad():
        model.head_weight.copy_(model.head_weight[order])
        model.head_bias.copy_(model.head_bias[order])
    torch.testing.assert_close(model(visual, text[order]), logits[:, order])


def test_a_tracklet_s_logits_do_not_depend_on_its_batch() -> None:
    torch.manual_seed(3)
    model = randomized(FusionTransformer(5, 8, 8, dim=8, layers=2, heads=2, logit_norm=True)).eval()
    visual, text = torch.randn(6, 5, 8), torch.randn(5, 8)
    together = model(visual, text)
    alone = torch.cat([model(row[None], text) for row in visual])
    torch.testing.assert_close(together, alone)


def test_a_learned_offset_starts_at_nothing_and_tells_apart_outputs_of_one_text() -> None:
    """All but the offset is frozen, after a training with two texts."""
    random = torch.Generator().manual_seed(5)
    kinds, text = torch.randn(2, 8, generator=random), torch.randn(2, 8, generator=random)
    signs = torch.randint(0, 2, (128, 2), generator=random) * 2.0 - 1
    values = torch.randn(8, generator=random)
    visual = kinds + signs[..., None] * values  # (128, 2, 8): output i is the sign of the token of kind i
    labels = (signs > 0).float()
    torch.manual_seed(0)
    options: dict[str, Any] = {"dim": 16, "layers": 1, "heads": 2, "logit_norm": False}
    model = FusionTransformer(2, 8, 8, tune_text=True, **options)
    torch.manual_seed(0)
    plain = FusionTransformer(2, 8, 8, **options)
    assert torch.equal(model(visual, text), plain(visual, text))
    assert {*model.state_dict()} - {*plain.state_dict()} == {"text_offset"}

    def loss_after(parameters: list[nn.Parameter], steps: int, given: Tensor, lr: float = 1e-2) -> float:
        optimizer = torch.optim.Adam(parameters, lr)
        for _ in range(steps):
            optimizer.zero_grad()
            loss = nn.functional.binary_cross_entropy_with_logits(model(visual, given), labels)
            loss.backward()
            optimizer.step()
        return float(loss.detach())

    everything_else = [p for name, p in model.named_parameters() if name != "text_offset"]
    assert loss_after(everything_else, 100, text) < 0.05
    assert not model.text_offset.any()
    same = text.mean(dim=0).expand(2, -1)
    assert loss_after([model.text_offset], 1, same) > 0.5
    assert loss_after([model.text_offset], 150, same, lr=3e-2) < 0.1


def test_the_prior_says_the_train_frequencies_whatever_it_sees() -> None:
    labels = torch.tensor([[1, 0, 0], [1, 1, 0], [1, 0, 0], [1, 1, 0]])
    probabilities = Prior(labels.double().mean(dim=0))(torch.randn(2, 5, 8), torch.randn(3, 8)).sigmoid()
    torch.testing.assert_close(probabilities, torch.tensor([[1, 0.5, 0]] * 2).double(), atol=2e-6, rtol=0)


def test_the_linear_model_does_not_read_the_text() -> None:
    model = LinearHeads(3, 8)
    visual = torch.randn(2, 5, 8)
    torch.testing.assert_close(model(visual, torch.randn(3, 8)), model(visual, torch.randn(3, 8)))
