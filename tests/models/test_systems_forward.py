"""The systems beside the paper's: shapes, what each looks at, and independent versions of the small ones."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from tests.models.test_models import randomized
from vpar_cache.errors import UserError
from vpar_cache.models.build import build_model
from vpar_cache.models.fusion import FusionTransformer
from vpar_cache.models.inputs import ModelInputs
from vpar_cache.models.settings import ModelSettings
from vpar_cache.models.systems import MODELS, SYSTEMS
from vpar_cache.models.videopar import VideoPar
from vpar_cache.models.vtb import Vtb
from vpar_cache.models.zero_shot import ZeroShot
from vpar_cache.training.config import VIT_NORM_EPS

GROUPS = (slice(0, 1), slice(1, 4), slice(4, 6))
A, D, DT, T, GRID = 6, 16, 10, 4, (2, 3)
N = 1 + GRID[0] * GRID[1]
SHAPES = {"visual": (N, D), "frame_embeddings": (T, D), "frame_tokens": (T, N, D)}


def inputs(reads: str = "visual", **changes: Any) -> ModelInputs:
    random = torch.Generator().manual_seed(3)
    text, negative = torch.randn(A, DT, generator=random), torch.zeros(A, DT)
    negative[0] = torch.randn(DT, generator=random)
    fields: dict[str, Any] = {
        "train_rates": torch.tensor([0.5, 0.5, 0.0, 0.5, 0.5, 0.5], dtype=torch.float64),
        "groups": GROUPS,
        "group_names": ("hat", "pose", "shoes"),
        "row_shape": SHAPES[reads],
        "text": text,
        "negative": negative,
        "grid": GRID,
        "prefix_tokens": 1,
        "logit_scale": None,
    }
    return ModelInputs(**{**fields, **changes})


def clip_inputs() -> ModelInputs:
    """Text in the space of the tokens."""
    random = torch.Generator().manual_seed(4)
    negative = torch.zeros(A, D)
    negative[0] = torch.randn(D, generator=random)
    return inputs(text=torch.randn(A, D, generator=random), negative=negative, logit_scale=20.0)


def build(model: str) -> nn.Module:
    torch.manual_seed(0)
    made = clip_inputs() if model == "zero-shot" else inputs(SYSTEMS[model].reads)
    return build_model(ModelSettings(model=model, dim=16, heads=2), made)


@pytest.mark.parametrize("name", MODELS)
def test_every_model_maps_its_rows_to_a_logit_per_output(name: str) -> None:
    rows = torch.randn(3, *SHAPES[SYSTEMS[name].reads])
    assert build(name)(rows, torch.randn(A, DT)).shape == (3, A)


@pytest.mark.parametrize("name", MODELS)
def test_in_evaluation_a_row_does_not_depend_on_the_others(name: str) -> None:
    model = build(name).eval()
    rows, text = torch.randn(4, *SHAPES[SYSTEMS[name].reads]), torch.randn(A, DT)
    alone = torch.cat([model(row[None], text) for row in rows])
    torch.testing.assert_close(model(rows, text), alone, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", [name for name in MODELS if SYSTEMS[name].is_trained])
def test_every_parameter_of_a_trained_model_gets_a_gradient(name: str) -> None:
    model = randomized(build(name))
    model(torch.randn(3, *SHAPES[SYSTEMS[name].reads]), torch.randn(A, DT)).square().sum().backward()
    assert [key for key, p in model.named_parameters() if p.grad is None or not p.grad.abs().sum()] == []


def test_the_image_variant_sees_the_middle_frame_alone() -> None:
    model = build("videopar-image")
    frames, text = torch.randn(2, T, D), torch.randn(A, DT)
    others = frames.clone()
    others[:, [i for i in range(T) if i != T // 2]] = 7
    assert torch.equal(model(frames, text), model(others, text))
    others[:, T // 2] = 7
    assert not torch.equal(model(frames, text), model(others, text))


def test_videopar_is_a_temporal_attention_for_each_group_written_out() -> None:
    torch.manual_seed(1)
    model = VideoPar(GROUPS, D, 12)
    frames = torch.randn(2, T, D)
    projected = model.project(frames)  # (B, T, W)
    reduce, _, temporal = model.attention
    logits = []
    for number, columns in enumerate(GROUPS):
        part = slice(256 * number, 256 * (number + 1))
        hidden = F.relu(F.conv1d(projected.transpose(1, 2), reduce.weight[part], reduce.bias[part]))
        score = F.conv1d(
            hidden, temporal.weight[number : number + 1], temporal.bias[number : number + 1], padding=1
        )
        pooled = (score.softmax(dim=2).transpose(1, 2) * projected).sum(dim=1)  # (B, W)
        logits.append(pooled @ model.head_weight[columns].T + model.head_bias[columns])
    torch.testing.assert_close(model(frames, torch.empty(0)), torch.cat(logits, dim=1), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["videopar", "cnn-rnn", "3dcnn", "vtf-temporal"])
def test_temporal_models_see_every_frame_and_the_recurrent_one_their_order(name: str) -> None:
    model = randomized(build(name)).eval()
    rows, text = torch.randn(1, *SHAPES[SYSTEMS[name].reads]), torch.randn(A, DT)
    logits = model(rows, text)
    for frame in range(T):
        changed = rows.clone()
        changed[:, frame] += torch.randn_like(changed[:, frame])
        assert not torch.allclose(model(changed, text), logits)
    assert not torch.allclose(model(rows.flip(1), text), logits)


def test_3dcnn_reads_places_and_not_the_class_token() -> None:
    model = build("3dcnn").eval()
    rows, text = torch.randn(1, T, N, D), torch.randn(A, DT)
    changed = rows.clone()
    changed[:, :, 0] = 9
    assert torch.equal(model(changed, text), model(rows, text))
    swapped = rows[:, :, [0, 2, 1, 3, 4, 5, 6]]
    assert not torch.allclose(model(swapped, text), model(rows, text))


def test_vtb_without_its_type_embeddings_is_the_fusion_transformer() -> None:
    options: dict[str, Any] = {"dim": 16, "layers": 1, "heads": 2, "logit_norm": False}
    torch.manual_seed(2)
    vtb, plain = Vtb(A, D, DT, **options), FusionTransformer(A, D, DT, **options)
    plain.load_state_dict({k: v for k, v in vtb.state_dict().items() if not k.endswith("_type")})
    visual, text = torch.randn(2, N, D), torch.randn(A, DT)
    assert not torch.allclose(vtb(visual, text), plain(visual, text))
    with torch.no_grad():
        vtb.text_type.zero_()
        vtb.visual_type.zero_()
    assert torch.equal(vtb(visual, text), plain(visual, text))


def test_zero_shot_is_a_softmax_of_scaled_cosines_over_the_compared_phrases() -> None:
    made = clip_inputs()
    visual = torch.randn(3, N, D)
    logits = ZeroShot(made)(visual, torch.empty(0))

    def cosine(text: Tensor) -> Tensor:
        return F.cosine_similarity(visual[:, 0], text.expand(3, -1), dim=1)  # (B,)

    both = torch.stack([cosine(made.negative[0]), cosine(made.text[0])], dim=1)
    torch.testing.assert_close(logits[:, 0].sigmoid(), (20 * both).softmax(dim=1)[:, 1])
    several = torch.stack([cosine(made.text[i]) for i in (1, 2, 3)], dim=1)
    torch.testing.assert_close(logits[:, 1:4].softmax(dim=1), (20 * several).softmax(dim=1))


def test_zero_shot_refuses_text_of_another_space() -> None:
    with pytest.raises(UserError, match="zero-shot needs text and image features of one CLIP model"):
        ZeroShot(inputs())


def test_attention_is_what_the_last_block_computes_with() -> None:
    torch.manual_seed(5)
    model = FusionTransformer(A, D, DT, dim=16, layers=2, heads=2, logit_norm=False)
    visual, text = torch.randn(2, N, D), torch.randn(A, DT)
    given = model.attention(visual, text)  # (B, A, N)
    assert given.shape == (2, A, N)
    assert ((given > 0) & (given < 1)).all()
    assert (given.sum(dim=2) < 1).all()
    # torch's own attention over the same inputs of the last block
    first, last = model.blocks
    text_tokens, visual_tokens = first(*model.embed(visual, text), read_text_only=False)
    tokens = last.norm_attention(torch.cat([text_tokens, visual_tokens], dim=1))
    reference = nn.MultiheadAttention(16, 2, batch_first=True)
    reference.in_proj_weight.data, reference.in_proj_bias.data = last.qkv.weight.data, last.qkv.bias.data
    _, weights = reference(tokens, tokens, tokens)  # (B, A+N, A+N), averaged over heads
    torch.testing.assert_close(given, weights[:, :A, A:], rtol=1e-4, atol=1e-6)


def test_the_block_of_a_vit_computes_the_same_in_the_fusion_transformer() -> None:
    import timm

    torch.manual_seed(6)
    vit = timm.create_model("vit_tiny_patch16_224", pretrained=False).eval()
    names = [*vit.blocks[-1].state_dict()]
    state = {name: vit.blocks[-1].state_dict()[name] for name in names}
    state |= {f"norm.{part}": vit.norm.state_dict()[part] for part in ("weight", "bias")}
    model = FusionTransformer(5, 192, 192, dim=192, layers=1, heads=3, logit_norm=False, norm_eps=VIT_NORM_EPS)
    model.load_last_block(state)
    # So small that the epsilon of the LayerNorms shows.
    text, visual = 1e-3 * torch.randn(1, 5, 192), 1e-3 * torch.randn(2, 7, 192)
    mixed, _ = model.blocks[0](text, visual, read_text_only=True)
    expected = vit.norm(vit.blocks[-1](torch.cat([text.expand(2, -1, -1), visual], dim=1)))[:, :5]
    torch.testing.assert_close(model.norm(mixed), expected, rtol=1e-4, atol=1e-4)
