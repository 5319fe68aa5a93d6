"""Fixtures for extraction."""

from __future__ import annotations

import pytest

from tests.support.encoders import make_encoder
from vpar_cache.backbones.encoder import Encoder
from vpar_cache.extraction.executors import local


@pytest.fixture(scope="package")
def encoder(tiny_backbone: str) -> Encoder:
    return make_encoder(tiny_backbone)


@pytest.fixture
def no_encoding(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*args: object) -> None:
        pytest.fail("a frame was encoded")

    monkeypatch.setattr(Encoder, "encode_frames", never)


@pytest.fixture
def no_encoder(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*args: object) -> None:
        pytest.fail("an encoder was built")

    monkeypatch.setattr(local, "build_encoder", never)
