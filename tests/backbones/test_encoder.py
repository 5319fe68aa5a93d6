"""Tokens and embeddings agree with an independent implementation of CLIP; a wrong model is an error."""

from __future__ import annotations

import gzip
import hashlib
import itertools
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import Tensor

from tests.support.comparing import least_cosine
from tests.support.encoders import make_encoder
from vpar_cache.attributes.mars_table import MARS
from vpar_cache.attributes.prompts import build_prompts
from vpar_cache.backbones import open_clip_vit
from vpar_cache.backbones.encoder import Encoder
from vpar_cache.base.devices import resolve_precision
from vpar_cache.datasets.decoding import decode_frame
from vpar_cache.errors import DataError, UserError

CPU = torch.device("cpu")
VIT_B16 = "ViT-B-16-quickgelu"
PROMPTS = build_prompts(MARS, "paper")


def architecture(encoder: Encoder) -> str:
    return encoder.backbone.removeprefix("open_clip:")


def digests(encoder: Encoder) -> tuple[str, str]:
    """Of the visual and of the text tensors."""
    return encoder.visual_digest, encoder.text_identity()["weights_digest"]


def frames_of(encoder: Encoder, batch: int, count: int, seed: int = 0) -> NDArray[np.uint8]:
    """(batch, count, S, S, 3) of noise with some structure, so that tokens differ."""
    size = encoder.image_size
    noise = np.random.default_rng(seed).integers(0, 128, (batch, count, size, size, 3))
    slope = np.linspace(0, 127, size)[None, None, :, None, None]
    return (noise + slope).astype(np.uint8)


# --- against the implementation of `transformers` ---


def loud_weights(backbone: str, path: Path) -> Path:
    """Seeded random weights whose MLPs matter. As they are drawn, even plain GELU gives cosine 0.9999.

    A bias of -2 puts the activations where QuickGELU and GELU differ most, relative to their values.
    """
    torch.manual_seed(11)
    state = open_clip.create_model(backbone).state_dict()
    for name, tensor in state.items():
        if name.endswith("mlp.c_proj.weight"):
            tensor.mul_(10)
        elif name.endswith("mlp.c_fc.bias"):
            tensor.fill_(-2)
        elif name.endswith((".bias", "ln_1.weight", "ln_2.weight")):
            tensor.add_(0.1 * torch.randn_like(tensor))  # else half of them are 0 or 1 and say nothing
    save_file({name: tensor.contiguous() for name, tensor in state.items()}, path)
    return path


_LAYER = {
    "ln_1": "layer_norm1",
    "ln_2": "layer_norm2",
    "attn.out_proj": "self_attn.out_proj",
    "mlp.c_fc": "mlp.fc1",
    "mlp.c_proj": "mlp.fc2",
}
_TOP = {
    "logit_scale": "logit_scale",
    "positional_embedding": "text_model.embeddings.position_embedding.weight",
    "token_embedding.weight": "text_model.embeddings.token_embedding.weight",
    "ln_final.weight": "text_model.final_layer_norm.weight",
    "ln_final.bias": "text_model.final_layer_norm.bias",
    "visual.class_embedding": "vision_model.embeddings.class_embedding",
    "visual.positional_embedding": "vision_model.embeddings.position_embedding.weight",
    "visual.conv1.weight": "vision_model.embeddings.patch_embedding.weight",
    "visual.ln_pre.weight": "vision_model.pre_layrnorm.weight",
    "visual.ln_pre.bias": "vision_model.pre_layrnorm.bias",
    "visual.ln_post.weight": "vision_model.post_layernorm.weight",
    "visual.ln_post.bias": "vision_model.post_layernorm.bias",
}


def to_transformers(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The names of transformers' CLIPModel for an open_clip state dict."""
    renamed = {_TOP[name]: tensor for name, tensor in state.items() if name in _TOP}
    renamed["text_projection.weight"] = state["text_projection"].T
    renamed["visual_projection.weight"] = state["visual.proj"].T
    for name, tensor in state.items():
        before, found, after = name.partition("transformer.resblocks.")
        if not found:
            continue
        number, _, part = after.partition(".")
        layer = f"{'vision' if before else 'text'}_model.encoder.layers.{number}"
        if part.startswith("attn.in_proj_"):
            for letter, third in zip("qkv", tensor.chunk(3), strict=True):
                renamed[f"{layer}.self_attn.{letter}_proj.{part.removeprefix('attn.in_proj_')}"] = third
        else:
            stem, _, kind = part.rpartition(".")
            renamed[f"{layer}.{_LAYER[stem]}.{kind}"] = tensor
    return renamed


def independent_clip(backbone: str, weights: Path) -> Any:
    """transformers' CLIPModel of the same architecture and tensors, with QuickGELU."""
    transformers = pytest.importorskip("transformers")
    shape = open_clip.get_model_config(backbone)
    vision, text = shape["vision_cfg"], shape["text_cfg"]
    head_width = vision.get("head_width", 64)
    config = transformers.CLIPConfig(
        projection_dim=shape["embed_dim"],
        vision_config={
            "hidden_size": vision["width"],
            "intermediate_size": 4 * vision["width"],
            "num_hidden_layers": vision["layers"],
            "num_attention_heads": vision["width"] // head_width,
            "image_size": vision["image_size"],
            "patch_size": vision["patch_size"],
            "projection_dim": shape["embed_dim"],
            "hidden_act": "quick_gelu",
        },
        text_config={
            "hidden_size": text["width"],
            "intermediate_size": 4 * text["width"],
            "num_hidden_layers": text["layers"],
            "num_attention_heads": text["heads"],
            "vocab_size": text["vocab_size"],
            "max_position_embeddings": text["context_length"],
            "projection_dim": shape["embed_dim"],
            "hidden_act": "quick_gelu",
        },
    )
    model = transformers.CLIPModel(config).eval()
    loaded = model.load_state_dict(to_transformers(load_file(weights)), strict=False)
    assert loaded.unexpected_keys == []
    assert all(name.endswith("position_ids") for name in loaded.missing_keys)
    return model


def replace_activation(model: Any, activation: torch.nn.Module) -> None:
    layers = [module for module in model.modules() if hasattr(module, "activation_fn")]
    assert len(layers) == len(model.vision_model.encoder.layers) + len(model.text_model.encoder.layers)
    for module in layers:
        module.activation_fn = activation


def black_square(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    height, width = picture.shape[:2]
    side = max(height, width)
    top, left = (side - height) // 2, (side - width) // 2
    rows, columns = (top, side - height - top), (left, side - width - left)
    return np.pad(picture, (rows, columns, (0, 0)))


@torch.inference_mode()
def independent_tokens(model: Any, pictures: list[NDArray[np.uint8]]) -> Tensor:
    """(T, N, D): every token through the last LayerNorm and the projection."""
    from transformers import CLIPImageProcessor

    size = model.config.vision_config.image_size
    processor = CLIPImageProcessor(
        size={"shortest_edge": size}, crop_size={"height": size, "width": size}, do_resize=True
    )
    squares = [Image.fromarray(black_square(picture)) for picture in pictures]
    pixels = processor(images=squares, return_tensors="pt")["pixel_values"]  # (T, 3, S, S)
    hidden = model.vision_model(pixels).last_hidden_state  # (T, N, width)
    return model.visual_projection(model.vision_model.post_layernorm(hidden))


@torch.inference_mode()
def independent_text(model: Any, prompts: tuple[str, ...]) -> Tensor:
    """(A, D)"""
    pooled = model.text_model(input_ids=open_clip.tokenize(list(prompts))).pooler_output
    return model.text_projection(pooled)


@dataclass
class Parity:
    """Our encoder on a weights file, and what transformers makes of the same file and pictures."""

    encoder: Encoder
    weights: Path
    pictures: list[NDArray[np.uint8]]
    prompts: tuple[str, ...]

    def ours(self) -> Any:
        data = [png(picture) for picture in self.pictures]
        frames = np.stack([decode_frame(one, self.encoder.image_size, "pad") for one in data])
        return self.encoder.encode_frames(frames[None], keep_frames=True)


def png(picture: NDArray[np.uint8]) -> bytes:
    from io import BytesIO

    buffer = BytesIO()
    Image.fromarray(picture).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture(scope="module", params=["tiny", VIT_B16])
def parity(request: pytest.FixtureRequest, tiny_backbone: str, tmp_path_factory: Any) -> Iterator[Parity]:
    pytest.importorskip("transformers")
    backbone = tiny_backbone if request.param == "tiny" else request.param
    path = loud_weights(backbone, tmp_path_factory.mktemp("weights") / "loud.safetensors")
    random = np.random.default_rng(3)
    pictures = [random.integers(0, 256, (h, w, 3), dtype=np.uint8) for h, w in ((128, 64), (151, 70))]
    prompts = PROMPTS if request.param == "tiny" else PROMPTS[::8]
    yield Parity(make_encoder(backbone, str(path)), path, pictures, prompts)
    path.unlink()  # 600 MB for ViT-B/16


@pytest.mark.slow
def test_tokens_and_text_agree_with_an_independent_clip_and_not_with_another_activation(parity: Parity) -> None:
    ours, text = parity.ours(), parity.encoder.encode_text(parity.prompts)
    assert ours.tokens.shape == ((1, 197, 512) if parity.encoder.num_tokens == 197 else (1, 5, 32))
    assert parity.encoder.visual_identity()["activation"] == "quick_gelu"

    model = independent_clip(architecture(parity.encoder), parity.weights)
    theirs = independent_tokens(model, parity.pictures)
    assert least_cosine(ours.tokens[0], theirs.mean(0)) >= 0.9999
    assert least_cosine(ours.frame_tokens[0], theirs) >= 0.9999
    assert least_cosine(ours.frame_embeddings[0], theirs[:, 0]) >= 0.9999
    assert least_cosine(text, independent_text(model, parity.prompts)) >= 0.9999
    # Cosines do not see a wrong scale.
    np.testing.assert_allclose(ours.tokens[0], theirs.mean(0), rtol=0.02, atol=0.02)
    np.testing.assert_allclose(text, independent_text(model, parity.prompts), rtol=1e-3, atol=1e-3)

    replace_activation(model, torch.nn.GELU())
    assert least_cosine(ours.tokens[0], independent_tokens(model, parity.pictures).mean(0)) < 0.995
    assert least_cosine(text, independent_text(model, parity.prompts)) < 0.995


def test_prompts_become_the_tokens_of_an_independent_tokenizer(tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    packed = Path(open_clip.__file__).parent / "bpe_simple_vocab_16e6.txt.gz"
    merges = gzip.decompress(packed.read_bytes()).decode().split("\n")[1 : 49152 - 256 - 2 + 1]
    shown = [chr(c) for c in itertools.chain(range(33, 127), range(161, 173), range(174, 256))]
    letters = [*shown, *(chr(256 + n) for n in range(256 - len(shown)))]  # bytes that do not print come last
    words = [*letters, *(f"{x}</w>" for x in letters), *("".join(m.split()) for m in merges)]
    vocabulary = {w: i for i, w in enumerate([*words, "<|startoftext|>", "<|endoftext|>"])}
    tokenizer = transformers.CLIPTokenizer(vocab=vocabulary, merges=[tuple(m.split()) for m in merges])
    ours = open_clip.get_tokenizer(VIT_B16)
    for prompt in (*PROMPTS, "Größe: 行人 don't 12,5 %", "  Two   spaces\tand TABS "):
        theirs = tokenizer(prompt)["input_ids"]
        assert ours([prompt])[0].tolist()[: len(theirs)] == theirs
        assert not ours([prompt])[0, len(theirs) :].any()


# --- what it computes ---


@pytest.fixture(scope="module")
def tiny(tiny_backbone: str) -> Encoder:
    return make_encoder(tiny_backbone)


def test_the_mean_of_projected_tokens_is_the_projected_mean(tiny: Encoder) -> None:
    batch = tiny.encode_frames(frames_of(tiny, 3, 4), keep_frames=True)
    assert batch.frame_tokens is not None
    assert batch.tokens.shape == (3, 5, 32)
    assert batch.frame_tokens.shape == (3, 4, 5, 32)
    assert batch.frame_embeddings.shape == (3, 4, 32)
    assert {array.dtype for array in (batch.tokens, batch.frame_tokens, batch.frame_embeddings)} == {
        np.dtype(np.float16)
    }
    mean = batch.frame_tokens.astype(np.float64).mean(axis=1)
    np.testing.assert_allclose(batch.tokens, mean, atol=2e-3)
    np.testing.assert_array_equal(batch.frame_embeddings, batch.frame_tokens[:, :, 0])


def test_batches_do_not_matter(tiny: Encoder) -> None:
    frames = frames_of(tiny, 7, 3)
    whole = tiny.encode_frames(frames)
    single = [tiny.encode_frames(frames[i : i + 1]) for i in range(7)]
    assert least_cosine(whole.tokens, np.concatenate([s.tokens for s in single])) >= 0.9999


@pytest.mark.slow
def test_bf16_tokens_of_the_whole_network_are_those_of_fp32_but_for_rounding() -> None:
    """ViT-B/16 in full, random weights, pictures with structure: the stated tolerance, for every token."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (2, 3, 14, 14, 3), dtype=np.uint8)
    frames = np.repeat(np.repeat(coarse, 16, axis=2), 16, axis=3)  # (2, 3, 224, 224, 3)
    tokens = {
        precision: make_encoder("open_clip:ViT-B-16-quickgelu", precision=precision).encode_frames(frames).tokens
        for precision in ("fp32", "bf16")
    }
    assert tokens["fp32"].shape == (2, 197, 512)
    assert least_cosine(tokens["fp32"], tokens["bf16"]) >= 0.999


def test_half_normalisation_is_of_the_authors_and_clip_of_clip(tiny: Encoder) -> None:
    half = make_encoder(tiny.backbone, normalize="half")
    frames = frames_of(tiny, 2, 1)
    # The pixels that reach the network as the same numbers under CLIP's mean and deviation.
    mean, std = (np.array(numbers) for numbers in (tiny.mean, tiny.std))
    same = np.round(((frames / 255 - 0.5) / 0.5 * std + mean) * 255).astype(np.uint8)
    tokens = half.encode_frames(frames).tokens
    assert least_cosine(tokens, tiny.encode_frames(same).tokens) > 0.9995
    assert least_cosine(tokens, tiny.encode_frames(frames).tokens) < 0.999
    assert half.visual_identity() != tiny.visual_identity()


def test_values_beyond_float16_are_an_error(tiny_backbone: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    state = open_clip.create_model(tiny_backbone).state_dict()
    state["visual.proj"].mul_(1e8)
    save_file(state, tmp_path / "huge.safetensors")
    huge = make_encoder(tiny_backbone, str(tmp_path / "huge.safetensors"))
    with pytest.raises(DataError, match=r"--weights.*float16"):
        huge.encode_frames(frames_of(huge, 1, 1))


def test_a_prompt_that_does_not_fit_is_an_error_and_the_longest_that_fits_is_not(tiny: Encoder) -> None:
    fits = " ".join(["hat"] * 75)  # with start and end: 77 tokens
    assert tiny.encode_text((fits,)).shape == (1, 32)
    with pytest.raises(DataError, match=r"'hat hat .* 78 tokens.* 77"):
        tiny.encode_text(("short", fits + " hat"))


def test_a_copy_computes_the_same_and_shares_no_tensor_of_the_network(tiny: Encoder) -> None:
    other = tiny.copy_to(CPU)
    frames = frames_of(tiny, 2, 2)
    np.testing.assert_array_equal(other.encode_frames(frames).tokens, tiny.encode_frames(frames).tokens)
    assert other.text is tiny.text
    assert other.visual_identity() == tiny.visual_identity()
    with torch.no_grad():
        other._network._visual.proj.zero_()
    assert (other.encode_frames(frames).tokens != tiny.encode_frames(frames).tokens).any()


# --- whose weights ---


def test_a_seed_gives_its_weights_again_and_another_seed_others(tiny: Encoder) -> None:
    torch.manual_seed(99)
    state = torch.random.get_rng_state()
    again, other = make_encoder(tiny.backbone), make_encoder(tiny.backbone, "random:1")
    assert torch.equal(torch.random.get_rng_state(), state), "the caller's random state is left alone"
    assert digests(again) == digests(tiny)
    assert not set(digests(other)) & set(digests(tiny))
    frames = frames_of(tiny, 1, 2)
    np.testing.assert_array_equal(again.encode_frames(frames).tokens, tiny.encode_frames(frames).tokens)
    assert tiny.weights_name == "random:0"


def test_one_model_has_one_digest_in_every_file_format(tiny: Encoder, tmp_path: Path) -> None:
    torch.manual_seed(0)
    state = open_clip.create_model(architecture(tiny)).state_dict()
    save_file(state, tmp_path / "a.safetensors")
    torch.save(state, tmp_path / "b.pt")
    torch.save({"epoch": 3, "state_dict": {f"module.{k}": v for k, v in state.items()}}, tmp_path / "c.pt")
    for name in ("a.safetensors", "b.pt", "c.pt"):
        loaded = make_encoder(tiny.backbone, str(tmp_path / name))
        assert digests(loaded) == digests(tiny), name
        assert loaded.weights_name == name, "the name without its folder"


def test_identities_are_plain_json_and_hold_the_digests(tiny: Encoder) -> None:
    visual, text = (json.loads(json.dumps(i)) for i in (tiny.visual_identity(), tiny.text_identity()))
    assert visual["weights_digest"] == tiny.visual_digest
    assert text["weights_digest"] == digests(tiny)[1]
    assert visual["precision"] == "fp32"
    assert visual["activation"] == "quick_gelu"
    assert visual["architecture"]["patch_size"] == 16
    assert tiny.environment()["torch"] == torch.__version__


@pytest.mark.parametrize(
    ("backbone", "weights", "message"),
    [
        ("ViT-B-61", "random:0", "--backbone.*'ViT-B-61'.*'ViT-B-16'"),
        (VIT_B16, "opanai", "--weights.*'opanai'.*'openai'"),
        (VIT_B16, "random:x", "--weights.*'random:x'.*random:0"),
        ("ViT-B-16", "openai", "quick_gelu.*--backbone ViT-B-16 computes gelu, .*-16-quickgelu$"),
        ("ViT-B-32-quickgelu", "laion2b_e16", "'laion2b_e16'.*ViT-B-32-quickgelu"),
        ("RN50", "random:0", "--backbone.*'RN50'.*ViT-B-16-quickgelu"),
    ],
)
def test_a_wrong_backbone_or_tag_is_named_with_how_to_fix_it(backbone: str, weights: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        make_encoder(backbone, weights)


def test_weights_of_another_activation_are_refused_both_ways(
    tiny_backbone: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    tags = {"laion": {"hf_hub": "vpar/tiny/", "quick_gelu": False}}
    monkeypatch.setitem(open_clip.pretrained._PRETRAINED, tiny_backbone, tags)
    with pytest.raises(UserError, match=f"gelu.*--backbone {tiny_backbone} computes quick_gelu"):
        make_encoder(tiny_backbone, "laion")


def weights_file(backbone: str, path: Path) -> Path:
    torch.save(open_clip.create_model(backbone).state_dict(), path)
    return path


def test_a_file_says_which_activation_is_assumed_and_a_tag_does_not(tiny_backbone: str, tmp_path: Path) -> None:
    path = weights_file(tiny_backbone, tmp_path / "mine.pt")
    (note,) = make_encoder(tiny_backbone, str(path)).notes
    assert re.search(rf"mine\.pt .*quick_gelu is assumed.*--backbone {tiny_backbone}", note)
    assert make_encoder(tiny_backbone, "random:0").notes == ()


def test_the_note_names_the_architecture_of_the_other_activation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "weights.pt").write_bytes(b"any")
    monkeypatch.setattr(open_clip_vit, "_build", lambda *_: None)
    monkeypatch.setattr(open_clip_vit, "load_weights", lambda *_: None)
    for architecture, assumed, other in (
        ("ViT-B-16-quickgelu", "quick_gelu", "ViT-B-16"),
        ("ViT-B-16", "gelu", "ViT-B-16-quickgelu"),
    ):
        *_, note = open_clip_vit._load_file(architecture, tmp_path / "weights.pt")
        assert re.search(rf": {assumed} is assumed.*need --backbone {other}$", note)


@pytest.mark.parametrize("whole", [True, False])
def test_a_file_that_open_clip_has_published_is_known_by_its_digest(
    tiny_backbone: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, whole: bool
) -> None:
    path = weights_file(tiny_backbone, tmp_path / "renamed.pt")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    url = f"https://h/{digest}/tiny.pt" if whole else f"https://h/v0.2/tiny-e32-{digest[:8]}.pt"
    settings = {"url": url, "quick_gelu": True, "mean": (0.5,) * 3, "std": (0.25,) * 3}
    monkeypatch.setitem(open_clip.pretrained._PRETRAINED, tiny_backbone, {"e32": settings})
    known = make_encoder(tiny_backbone, str(path))
    assert (known.notes, known.weights_name) == ((), "renamed.pt (e32)")
    assert (known.mean, known.std) == ((0.5,) * 3, (0.25,) * 3)
    settings["quick_gelu"] = False
    with pytest.raises(
        UserError, match=rf"renamed\.pt \(e32\) was trained with gelu, .*{tiny_backbone} computes q"
    ):
        make_encoder(tiny_backbone, str(path))


def test_auto_precision_is_bf16_where_the_processor_has_it_and_fp16_needs_a_gpu(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for capabilities, wanted in (({"avx512_bf16": True}, "bf16"), ({"avx2": True, "amx_bf16": False}, "fp32")):
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda known=capabilities: known)
        assert resolve_precision("auto", CPU) == wanted
    with pytest.raises(UserError, match=r"--precision.*fp16"):
        resolve_precision("fp16", CPU)
