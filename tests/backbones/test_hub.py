"""Weights by the tag of a hub: from its cache on this machine, else refused offline without a call."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import threading
import time
import warnings
from pathlib import Path
from typing import Any

import huggingface_hub
import open_clip
import pytest
import timm
import torch
from safetensors.torch import save_file

from tests.support.encoders import make_encoder
from tests.support.servers import http_server, silent_server
from vpar_cache.backbones import open_clip_vit, timm_model
from vpar_cache.backbones.hub import hub_problem
from vpar_cache.errors import UserError

VIT_B16 = "ViT-B-16-quickgelu"


def cache_on_hub(folder: Path, repository: str, file: str, state: dict[str, torch.Tensor]) -> None:
    """Write what the hub keeps of a download."""
    snapshot = folder / repository / "snapshots" / ("0" * 40)
    snapshot.mkdir(parents=True)
    (folder / repository / "refs").mkdir()
    (folder / repository / "refs" / "main").write_text("0" * 40)
    save_file(state, snapshot / file)


@pytest.fixture
def tagged(tiny_backbone: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The tiny CLIP, with a tag on the hub."""
    tags = {"openai": {"hf_hub": "vpar/tiny/", "quick_gelu": True}}
    monkeypatch.setitem(open_clip.pretrained._PRETRAINED, tiny_backbone, tags)
    return tiny_backbone


@pytest.mark.parametrize(
    ("backbone", "weights"),
    [(VIT_B16, "openai"), ("timm:resnet18", None), ("timm:gcvit_xxtiny", None)],  # the last is not on the hub
)
def test_missing_weights_offline_give_two_ways_out_and_call_nobody(
    backbone: str, weights: str | None, no_network: list[object]
) -> None:
    huggingface_hub.get_session()  # one made while online must not be used either
    with pytest.raises(UserError, match=r"--offline.*--weights FILE.*--weights random:0"):
        make_encoder(backbone, weights)
    assert no_network == []
    assert not huggingface_hub.constants.HF_HUB_OFFLINE, "the setting of other users of the library is put back"


def test_clip_in_the_hubs_cache_is_found_offline(tagged: str, tmp_path: Path, no_network: list[object]) -> None:
    torch.manual_seed(0)
    state = open_clip.create_model(tagged).state_dict()
    cache_on_hub(tmp_path / "hub", "models--vpar--tiny", "open_clip_model.safetensors", state)
    loaded = make_encoder(tagged, "openai")
    assert loaded.visual_digest == make_encoder(tagged, "random:0").visual_digest
    assert loaded.weights_name == "openai"
    assert no_network == []


def test_pixels_are_normalised_as_the_tag_was_trained(
    tiny_backbone: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, no_network: list[object]
) -> None:
    tags = {
        "openai": {"hf_hub": "vpar/tiny/", "quick_gelu": True},
        "half": {"hf_hub": "vpar/tiny/", "quick_gelu": True, "mean": (0.5, 0.5, 0.5), "std": (0.25, 0.5, 0.5)},
    }
    monkeypatch.setitem(open_clip.pretrained._PRETRAINED, tiny_backbone, tags)
    state = open_clip.create_model(tiny_backbone).state_dict()
    cache_on_hub(tmp_path / "hub", "models--vpar--tiny", "open_clip_model.safetensors", state)
    half, openai = make_encoder(tiny_backbone, "half"), make_encoder(tiny_backbone, "openai")
    assert (half.mean, half.std) == ((0.5, 0.5, 0.5), (0.25, 0.5, 0.5))
    assert (openai.mean, openai.std) == (open_clip.OPENAI_DATASET_MEAN, open_clip.OPENAI_DATASET_STD)
    assert half.visual_identity()["mean"] == [0.5, 0.5, 0.5]
    assert no_network == []


@pytest.mark.parametrize(
    ("backbone", "what"),
    [
        ("ViT-L-14-CLIPA", "pooling"),
        ("RN50", "pooling"),
        ("ViT-B-16-SigLIP", "pooling"),
        ("coca_ViT-B-32", "pooling"),
        ("roberta-ViT-B-32", "text encoder"),
        ("ViT-L-14-worldwide", "text encoder"),
    ],
)
def test_what_is_no_plain_clip_is_refused_before_it_is_built_or_fetched(
    backbone: str, what: str, no_network: list[object]
) -> None:
    with pytest.raises(UserError, match=f"--backbone: got '{backbone}', .*another {what} than CLIP"):
        make_encoder(backbone, "random:0", offline=False)
    assert no_network == []


def test_every_architecture_that_is_accepted_has_clips_tokenizer() -> None:
    """Of all that open_clip lists: what passes is read by the tokenizer that comes with the library."""
    accepted = []
    for name in open_clip.list_models():
        with contextlib.suppress(UserError):
            open_clip_vit._refuse_other_designs(name)
            accepted.append(name)
    assert {"ViT-B-16", "ViT-B-16-quickgelu", "ViT-L-14", "ViT-H-14", "ViT-bigG-14"} <= set(accepted)
    kinds = {type(open_clip.get_tokenizer(name)) for name in accepted}
    assert kinds == {open_clip.SimpleTokenizer}


def test_timm_in_the_hubs_cache_is_found_offline(tmp_path: Path, no_network: list[object]) -> None:
    torch.manual_seed(0)
    headless = timm.create_model("resnet18", num_classes=0).state_dict()
    state = {**timm.create_model("resnet18").state_dict(), **headless}
    cache_on_hub(tmp_path / "hub", "models--timm--resnet18.a1_in1k", "model.safetensors", state)
    wanted = make_encoder("timm:resnet18", "random:0").visual_digest
    for name, weights in (("resnet18", None), ("resnet18", "a1_in1k"), ("resnet18.a1_in1k", None)):
        loaded = make_encoder(f"timm:{name}", weights)
        assert loaded.visual_digest == wanted
        assert (loaded.backbone, loaded.weights_name) == ("timm:resnet18", "a1_in1k")
    assert no_network == []


def test_an_unreachable_hub_gives_the_same_two_ways_out(tagged: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(*args: Any, **options: Any) -> None:
        raise RuntimeError("Failed to download weights")

    monkeypatch.setattr(open_clip_vit.open_clip, "create_model", unreachable)
    with pytest.raises(UserError, match=r"--weights FILE.*--weights random:0"):
        make_encoder(tagged, "openai", offline=False)


@pytest.mark.parametrize(
    ("number", "file", "fix"),
    [
        (errno.ENOSPC, None, "free some space.*HF_HOME"),
        (errno.EDQUOT, None, "quota.*HF_HOME"),
        (errno.EACCES, "/somewhere/blobs", "right.*HF_HOME"),
        (errno.EROFS, "/somewhere/blobs", "right.*HF_HOME"),
        (errno.ENOENT, "/somewhere/blobs", "make that folder.*HF_HOME"),
        (errno.EIO, "/somewhere/blobs", "check the disk"),
    ],
)
@pytest.mark.parametrize("backbone", ["tagged", "timm:resnet18"])
def test_an_error_of_the_hubs_cache_is_told_with_number_path_and_what_to_do(
    tagged: str,
    backbone: str,
    number: int,
    file: str | None,
    fix: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    no_network: list[object],
) -> None:
    def failing(*args: Any, **options: Any) -> None:
        warnings.warn("Not enough free disk space to download the file.", stacklevel=1)  # as the hub's library
        try:
            raise OSError(number, os.strerror(number), file)
        except OSError as error:
            raise RuntimeError("Failed to download weights") from error

    library = open_clip_vit.open_clip if backbone == "tagged" else timm_model.timm
    monkeypatch.setattr(library, "create_model", failing)
    path = file or str(tmp_path / "hub")
    with pytest.raises(UserError, match=rf"--weights: .*: {path}: .*\(error {number}\); .*{fix}"):
        make_encoder(tagged if backbone == "tagged" else backbone, None, offline=False)


def test_a_full_cache_of_weights_that_are_not_on_the_hub_is_torchs(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def full(*args: Any, **options: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(timm_model.timm, "create_model", full)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    with pytest.raises(UserError, match=rf"--weights: .*: {tmp_path}/hub: No space .*\(error 28\); .*TORCH_HOME"):
        make_encoder("timm:gcvit_xxtiny", None, offline=False)


@pytest.mark.parametrize("error", [PermissionError(errno.EPERM, "?"), FileNotFoundError(errno.ENOENT, "?")])
def test_an_error_of_the_network_is_no_error_of_files(
    error: OSError, tagged: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*args: Any, **options: Any) -> None:
        raise RuntimeError("Failed") from error

    monkeypatch.setattr(open_clip_vit.open_clip, "create_model", refused)
    with pytest.raises(UserError, match=rf"hub cannot be reached \({type(error).__name__}.*--weights FILE"):
        make_encoder(tagged, "openai", offline=False)


@pytest.mark.parametrize(
    ("status", "answers"), [(200, True), (302, True), (404, True), (403, False), (407, False), (503, False)]
)
def test_the_hub_answers_or_says_why_not(status: int, answers: bool) -> None:
    with http_server(status) as address:
        problem = hub_problem(address, 5)
    assert (problem == "") == answers
    assert answers or str(status) in problem


def test_a_hub_that_is_silent_is_not_waited_for() -> None:
    started = time.monotonic()
    with silent_server() as address:
        assert hub_problem(address, 0.3)
    assert time.monotonic() - started < 3
    assert hub_problem("http://127.0.0.1:9", 0.3)
    assert hub_problem("no address", 0.3)


def test_a_name_server_that_is_silent_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = threading.Event()

    def wait(*_: object, **__: object) -> None:
        asked.set()
        time.sleep(3)
        raise OSError("no name")

    monkeypatch.setattr(socket, "getaddrinfo", wait)
    started = time.monotonic()
    assert hub_problem("http://hub.invalid", 0.2)
    assert asked.is_set()
    assert time.monotonic() - started < 2
