"""What the index holds about text: prompts and their embeddings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from vpar_cache.attributes.prompts import build_negative_prompts, build_prompts
from vpar_cache.attributes.schema import Schema
from vpar_cache.backbones.names import NO_TEXT
from vpar_cache.base.hashing import fingerprint
from vpar_cache.cache.index import Index
from vpar_cache.extraction.encoder_identity import EncoderIdentity

if TYPE_CHECKING:
    from vpar_cache.backbones.encoder import Encoder

Embeddings = tuple[NDArray[np.float32], NDArray[np.float32]]


class TextFields:
    """The prompts of a cache. Their embeddings are computed only where their fingerprint changed."""

    def __init__(self, schema: Schema, source: str) -> None:
        """`source`: the setting `prompts`. Raises UserError or DataError where it is wrong."""
        self._prompts = build_prompts(schema, source)
        self._negatives = build_negative_prompts(schema, source)
        self._config: dict[str, Any] = {}
        self._embeddings: Embeddings | None = None

    def find(self, identity: EncoderIdentity, index: Index | None) -> None:
        """Take the embeddings of this text encoder from the published index, where they are of the same text."""
        self._config = {
            **identity.text,
            "prompts": list(self._prompts),
            "negative_prompts": list(self._negatives),
        }
        self._embeddings = None
        if index is None:
            return
        theirs = index.text_config
        if identity.text["encoder"] == NO_TEXT and _prompts_of(theirs) == _prompts_of(self._config):
            self._config = theirs  # text that is there stays there
        if index.text_fingerprint == fingerprint(self._config):
            self._embeddings = (index.text, index.text_negative)

    @property
    def are_known(self) -> bool:
        """Whether the embeddings are here, so that no encoder is needed."""
        return self._embeddings is not None

    @property
    def num_prompts(self) -> int:
        """How many texts `encode` encodes."""
        return len(self._prompts) + sum(map(bool, self._negatives))

    def encode(self, encoder: Encoder) -> None:
        """Compute the embeddings unless they are known."""
        if self._embeddings is None:
            self._embeddings = encoder.encode_prompts(self._prompts, self._negatives)

    def fields(self) -> dict[str, Any]:
        """Return the fields of IndexContents about text."""
        assert self._embeddings is not None
        return {
            "prompts": self._prompts,
            "negative_prompts": self._negatives,
            "text_config": self._config,
            "text_fingerprint": fingerprint(self._config),
            "text_embeddings": self._embeddings[0],
            "negative_embeddings": self._embeddings[1],
        }


def _prompts_of(config: dict[str, Any]) -> tuple[Any, Any]:
    return config.get("prompts"), config.get("negative_prompts")
