"""Weights: here, to be fetched, or out of reach; and an encoder that computes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import open_clip
import pytest
from safetensors.torch import save_file

from tests.support.servers import http_server
from vpar_cache.backbones import hub
from vpar_cache.errors import UserError
from vpar_cache.extraction.config import ExtractConfig
from vpar_cache.workflows.doctor.weights import check_encoder

Make = Callable[..., ExtractConfig]


@pytest.fixture
def tagged(tiny_backbone: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The tiny CLIP, with a tag on the hub; the hub's cache on this machine is empty."""
    tags = {"openai": {"hf_hub": "vpar/tiny/", "quick_gelu": True}}
    monkeypatch.setitem(open_clip.pretrained._PRETRAINED, tiny_backbone, tags)
    monkeypatch.setattr(hub.huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    return tiny_backbone


def test_random_weights_are_a_warning_and_the_encoder_computes(extract_config: Make, tmp_path: Path) -> None:
    found = check_encoder(extract_config(tmp_path / "a.h5"))
    assert [(check.name, check.state) for check in found.checks] == [("weights", "warning"), ("encoder", "ok")]
    assert (found.num_tokens, found.dim, found.image_size) == (5, 32, 32)
    assert "5 tokens of 32 numbers" in found.checks[1].text


def test_a_file_that_fits_is_read_and_another_is_refused(
    extract_config: Make, tiny_backbone: str, tmp_path: Path
) -> None:
    state = open_clip.create_model(tiny_backbone).state_dict()
    save_file(state, tmp_path / "own.safetensors")
    found = check_encoder(extract_config(tmp_path / "a.h5", weights=str(tmp_path / "own.safetensors")))
    assert found.checks[0].state == "ok"
    assert "own.safetensors" in found.checks[0].text
    save_file({"a": state["positional_embedding"]}, tmp_path / "odd.safetensors")
    with pytest.raises(UserError, match="does not fit"):
        check_encoder(extract_config(tmp_path / "a.h5", weights=str(tmp_path / "odd.safetensors")))


def test_weights_in_the_hub_s_cache_are_found(
    extract_config: Make, tagged: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    snapshot = tmp_path / "hub" / "models--vpar--tiny" / "snapshots" / ("0" * 40)
    snapshot.mkdir(parents=True)
    (snapshot.parents[1] / "refs").mkdir()
    (snapshot.parents[1] / "refs" / "main").write_text("0" * 40)
    save_file(open_clip.create_model(tagged).state_dict(), snapshot / "open_clip_model.safetensors")
    found = check_encoder(extract_config(tmp_path / "a.h5", weights=None))
    assert found.checks[0].state == "ok"
    assert str(tmp_path / "hub") in found.checks[0].text


def test_weights_that_may_not_be_fetched_fail(
    extract_config: Make, tagged: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub, "hub_problem", lambda *_: pytest.fail("the hub was asked"))
    found = check_encoder(extract_config(tmp_path / "a.h5", weights=None, offline=True))
    assert found.checks[0].state == "fails"
    assert all(part in found.checks[0].text for part in ("--offline", "FILE.safetensors", "random:0"))
    assert "random weights in their place" in found.checks[1].text
    monkeypatch.setattr(hub.huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    found = check_encoder(extract_config(tmp_path / "a.h5", weights=None))
    assert found.checks[0].state == "fails"
    assert "HF_HUB_OFFLINE=1" in found.checks[0].text


@pytest.mark.parametrize(("status", "state"), [(200, "ok"), (403, "fails")])
def test_weights_that_are_not_here_are_fine_where_the_hub_answers(
    status: int, state: str, extract_config: Make, tagged: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with http_server(status) as address:
        monkeypatch.setattr(hub.huggingface_hub.constants, "ENDPOINT", address)
        found = check_encoder(extract_config(tmp_path / "a.h5", weights=None))
    assert found.checks[0].state == state
    assert address in found.checks[0].text


def test_weights_that_are_not_here_fail_where_nobody_answers(
    extract_config: Make, tagged: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub.huggingface_hub.constants, "ENDPOINT", "http://127.0.0.1:9")
    found = check_encoder(extract_config(tmp_path / "a.h5", weights=None))
    assert found.checks[0].state == "fails"
    assert "cannot be reached" in found.checks[0].text
