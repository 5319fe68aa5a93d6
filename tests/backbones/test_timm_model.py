"""timm's networks: the tokens are the model's own, a wrong name is an error, and nothing calls out offline."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file
from torch import Tensor

from tests.support.comparing import least_cosine
from tests.support.encoders import make_encoder
from vpar_cache.backbones.encoder import Encoder
from vpar_cache.backbones.timm_model import last_block_state, load_timm
from vpar_cache.errors import UserError

CPU = torch.device("cpu")
VIT, RESNET, SIGLIP = "vit_tiny_patch16_224", "resnet18", "vit_base_patch16_siglip_224"
IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


@pytest.fixture(scope="module")
def vit() -> Encoder:
    return make_encoder(f"timm:{VIT}")


@pytest.fixture(scope="module")
def resnet() -> Encoder:
    return make_encoder(f"timm:{RESNET}")


def frames_of(encoder: Encoder, batch: int, count: int) -> NDArray[np.uint8]:
    size = encoder.image_size
    return np.random.default_rng(0).integers(0, 256, (batch, count, size, size, 3), dtype=np.uint8)


def own_features(architecture: str, frames: NDArray[np.uint8], mean: Any, std: Any) -> Tensor:
    """What the library itself gives for (T, S, S, 3), with its classifier still on."""
    torch.manual_seed(0)
    headless = timm.create_model(architecture, num_classes=0)
    model = timm.create_model(architecture)
    model.load_state_dict(headless.state_dict(), strict=False)
    pixels = torch.from_numpy(frames).permute(0, 3, 1, 2) / 255
    pixels = (pixels - torch.tensor(mean).view(3, 1, 1)) / torch.tensor(std).view(3, 1, 1)
    with torch.inference_mode():
        features: Tensor = model.eval().forward_features(pixels)
    return features


def assert_close(ours: Any, theirs: Any) -> None:
    """Cosine 0.9999 for every vector, and the same scale."""
    assert least_cosine(ours, theirs) >= 0.9999
    np.testing.assert_allclose(ours, theirs, rtol=0.02, atol=0.02)


# --- tokens ---


def test_a_vits_tokens_are_its_own_and_the_class_token_stands_for_the_frame(vit: Encoder) -> None:
    frames = frames_of(vit, 1, 3)
    theirs = own_features(VIT, frames[0], [0.5] * 3, [0.5] * 3)  # this architecture was trained with 0.5
    ours = vit.encode_frames(frames, keep_frames=True)
    assert ours.frame_tokens is not None
    assert ours.tokens.shape == (1, 197, 192)
    assert_close(ours.frame_tokens[0], theirs)
    assert_close(ours.tokens[0], theirs.mean(0))
    np.testing.assert_array_equal(ours.frame_embeddings, ours.frame_tokens[:, :, 0])
    identity = vit.visual_identity()
    assert (identity["grid"], identity["prefix_tokens"], identity["dim"]) == ([14, 14], 1, 192)


def test_a_feature_map_becomes_tokens_row_by_row_and_their_mean_stands_for_the_frame(resnet: Encoder) -> None:
    frames = frames_of(resnet, 1, 2)
    maps = own_features(RESNET, frames[0], *IMAGENET)  # (T, 512, 7, 7)
    ours = resnet.encode_frames(frames, keep_frames=True)
    assert ours.frame_tokens is not None
    assert ours.tokens.shape == (1, 49, 512)
    for row, column in ((0, 0), (0, 6), (2, 5), (6, 1)):
        assert_close(ours.frame_tokens[0, :, row * 7 + column], maps[:, :, row, column])
    assert_close(ours.frame_embeddings[0], maps.mean(dim=(2, 3)))
    identity = resnet.visual_identity()
    assert (identity["grid"], identity["prefix_tokens"], identity["dim"]) == ([7, 7], 0, 512)
    assert identity["class_token"] is False


@pytest.mark.parametrize(
    ("architecture", "grid", "prefix", "has_class", "dim"),
    [
        ("deit_tiny_distilled_patch16_224", (14, 14), 2, True, 192),
        ("vit_wee_patch16_reg1_gap_256", (16, 16), 1, False, 256),  # its one prefix token is a register
        ("convnext_atto", (7, 7), 0, False, 320),
        pytest.param("mvitv2_tiny", (7, 7), 0, False, 768, marks=pytest.mark.slow),
        pytest.param(
            "swin_tiny_patch4_window7_224", (7, 7), 0, False, 768, marks=pytest.mark.slow
        ),  # channels last
    ],
)
def test_prefix_tokens_registers_and_channel_orders_are_told_apart(
    architecture: str, grid: tuple[int, int], prefix: int, has_class: bool, dim: int
) -> None:
    network = load_timm(architecture, "random:0", True)
    assert (network.grid, network.prefix_tokens, network.dim) == (grid, prefix, dim)
    assert network.has_class_token is has_class
    with torch.inference_mode():
        tokens = network.tokens(torch.randn(2, 3, network.image_size, network.image_size))
        theirs = network._model.forward_features(torch.zeros(2, 3, network.image_size, network.image_size))
        assert torch.equal(network.summary(tokens)[0], tokens[0, 0] if has_class else tokens[0, prefix:].mean(0))
    assert tokens.shape == (2, network.num_tokens, dim)
    assert theirs.numel() == tokens.numel()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("architecture", "shape"), [("resnet50", (49, 2048)), ("vit_base_patch16_224", (197, 768))]
)
def test_the_papers_backbones_have_their_shapes(architecture: str, shape: tuple[int, int]) -> None:
    encoder = make_encoder(f"timm:{architecture}")
    assert encoder.encode_frames(frames_of(encoder, 1, 1)).tokens.shape == (1, *shape)


# --- weights and names ---


def test_pixels_are_normalised_as_the_backbone_was_trained_or_by_a_half(resnet: Encoder, vit: Encoder) -> None:
    assert (resnet.mean, resnet.std) == IMAGENET
    assert vit.mean == (0.5, 0.5, 0.5)
    half = make_encoder(f"timm:{RESNET}", normalize="half")
    assert (half.mean, half.std) == ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
    assert half.visual_identity() != resnet.visual_identity()
    with pytest.raises(UserError, match=r"--normalize.*'clip'.*own, half"):
        make_encoder(f"timm:{RESNET}", normalize="clip")


def test_a_seed_a_file_with_and_a_file_without_classifier_give_one_digest(resnet: Encoder, tmp_path: Path) -> None:
    torch.manual_seed(0)
    headless = timm.create_model(RESNET, num_classes=0).state_dict()
    full = {**timm.create_model(RESNET).state_dict(), **headless}
    bare = {name: tensor for name, tensor in headless.items() if not name.endswith("num_batches_tracked")}
    save_file(full, tmp_path / "full.safetensors")
    save_file(bare, tmp_path / "bare.safetensors")
    torch.save(headless, tmp_path / "headless.pt")
    for name in ("full.safetensors", "bare.safetensors", "headless.pt"):
        loaded = make_encoder(f"timm:{RESNET}", str(tmp_path / name))
        assert loaded.visual_digest == resnet.visual_digest, name
        assert loaded.weights_name == name
    assert make_encoder(f"timm:{RESNET}", "random:1").visual_digest != resnet.visual_digest


def test_the_recorded_names_are_resolved(resnet: Encoder) -> None:
    tagged = make_encoder(f"timm:{RESNET}.a1_in1k")
    assert (tagged.backbone, tagged.weights_name) == ("timm:resnet18", "random:0")
    assert tagged.visual_identity() == resnet.visual_identity(), "the default tag, given or not"
    assert json.loads(json.dumps(resnet.visual_identity())) == resnet.visual_identity()
    assert set(resnet.environment()) == {"torch", "timm", "processor"}


@pytest.mark.parametrize(
    ("architecture", "weights", "message"),
    [
        ("resnet81", None, r"--backbone.*resnet81.*'resnet\d+'"),
        ("resnet18.a9_in1k", None, r"--backbone.*'a9_in1k'.*'a\d_in1k'"),
        (RESNET, "a9_in1k", r"--weights.*'a9_in1k'.*resnet18.*'a\d_in1k'"),
        ("resnet18.a1_in1k", "tv_in1k", "--weights.*tv_in1k.*--backbone resnet18.a1_in1k"),
        ("nest_tiny", None, r"nest_tiny.*--weights FILE.*--weights random:0"),
        ("coat_tiny", "random:0", "--backbone.*timm:coat_tiny"),
        ("resnet18", "absent.safetensors", r"--weights.*absent\.safetensors"),
    ],
)
def test_a_wrong_name_is_an_error_of_one_line(architecture: str, weights: str | None, message: str) -> None:
    with pytest.raises(UserError, match=message) as error:
        make_encoder(f"timm:{architecture}", weights)
    assert "\n" not in str(error.value)


# --- ImageNet's last block ---


def test_the_last_block_is_that_of_the_vit(no_network: list[object]) -> None:
    state = last_block_state("random:3", True)
    torch.manual_seed(3)
    model = timm.create_model("vit_base_patch16_224", num_classes=0)
    wanted = {**model.blocks[11].state_dict(), **{f"norm.{k}": v for k, v in model.norm.state_dict().items()}}
    assert set(state) == set(wanted)
    assert set(state) == {
        *(f"{name}.{kind}" for name in ("norm1", "norm2", "norm", "attn.qkv", "attn.proj", "mlp.fc1", "mlp.fc2")
          for kind in ("weight", "bias"))
    }  # fmt: skip
    assert all(torch.equal(state[name], wanted[name]) for name in wanted)
    with pytest.raises(UserError, match=r"--block-init.*'pretrained' of vit_base_patch16_224"):
        last_block_state("imagenet", True)
    assert no_network == []


@pytest.mark.parametrize("weights", ["no-such-tag", "missing.safetensors"])
def test_what_cannot_start_the_fusion_block_is_named_by_its_own_option(weights: str) -> None:
    with pytest.raises(UserError, match=r"^--block-init") as refused:
        last_block_state(weights, offline=True)
    assert "--weights" not in str(refused.value)
