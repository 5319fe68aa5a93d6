"""A run as two ONNX graphs, each compared with torch before it is kept (extra `onnx`).

encoder.onnx: pixels (frames, 3, S, S) uint8 in RGB -> tokens (frames, N, D) and embeddings (frames, D).
head.onnx: what the model reads of each person (people, *row_shape) -> probabilities (people, A). It first rounds
its input to float16, as rows of a cache are.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from vpar_cache.backbones.base import quiet
from vpar_cache.backbones.encoder import Encoder
from vpar_cache.base.callbacks import Say, Stop, check_stop
from vpar_cache.cache import format as fmt
from vpar_cache.errors import UserError
from vpar_cache.runs.load import LoadedRun
from vpar_cache.sharing.config import ENCODER_GRAPH, HEAD_GRAPH, Description

TOLERANCE = 1e-4
"""Between onnxruntime and torch: of probabilities, and of tokens as a share of the largest."""
_PACKAGES = ("onnx", "onnxscript", "onnxruntime")
_INPUTS = {fmt.VISUAL: "tokens", fmt.FRAME_TOKENS: "tokens", fmt.FRAME_EMBEDDINGS: "embeddings"}
"""The output of the encoder that the head reads, by the array of a cache."""
_LARGEST_FILE = 2_000_000_000
"""Bytes that one ONNX file may hold; of a larger encoder the weights go into a file of their own."""
_PEOPLE, _FRAMES = 3, 2
"""Of the pictures to compare with."""


@dataclass(frozen=True)
class Differences:
    """The largest differences between onnxruntime and torch."""

    encoder: float
    """Of tokens, as a share of the largest."""
    head: float
    """Of probabilities, for the same rows."""
    pictures: float
    """Of probabilities, from pictures through both graphs."""


def check_packages() -> None:
    """Raise UserError where the extra is not installed."""
    if missing := [name for name in _PACKAGES if find_spec(name) is None]:
        raise UserError(
            f"--onnx needs {', '.join(missing)}; install the extra with `pip install 'vpar-cache[onnx]'`, or "
            "leave --onnx out"
        )


class HeadModule(nn.Module):
    """Rows (B, *row_shape) float32 -> probabilities (B, A), with the text embeddings as constants."""

    def __init__(self, run: LoadedRun) -> None:
        super().__init__()
        self.model = run.model
        self.register_buffer("text", run.inputs.text)  # (A, Dt)
        self.text: Tensor
        self._objective = run.objective

    def forward(self, rows: Tensor) -> Tensor:
        stored = rows.to(torch.float16).float()  # (B, *row_shape), rounded as in a cache
        logits = self.model(stored, self.text)  # (B, A)
        return self._objective.probabilities(logits).float()  # (B, A)


def write_graphs(
    folder: Path, run: LoadedRun, encoder: Encoder, about: Description, say: Say, stop: Stop
) -> Differences:
    """Write both graphs into `folder`. Raises UserError where onnxruntime gives something else than torch.

    `encoder`: of the run, in fp32 on the CPU.
    """
    frames = _pictures(encoder.image_size, run)  # (B, T, S, S, 3)
    flat = frames.reshape(-1, *frames.shape[2:]).transpose(0, 3, 1, 2).copy()  # (B * T, 3, S, S)
    properties = _properties(about)
    check_stop(stop)
    say(f"writing {ENCODER_GRAPH}")
    module = encoder.as_module().eval()
    _write(
        module,
        torch.from_numpy(flat[:2]),  # (2, 3, S, S)
        folder / ENCODER_GRAPH,
        names=("frames", "pixels", ("tokens", "embeddings")),
        properties=properties,
    )
    check_stop(stop)
    with torch.inference_mode():
        expected = [part.numpy() for part in module(torch.from_numpy(flat))]  # (B * T, N, D), (B * T, D)
    found = _run(folder / ENCODER_GRAPH, "pixels", flat)  # the same shapes
    one = _run(folder / ENCODER_GRAPH, "pixels", flat[:1])[0]  # (1, N, D)
    scale = max(1.0, float(np.abs(expected[0]).max()))
    of_encoder = max(_difference(a, b) for a, b in zip([*found, one], [*expected, expected[0][:1]], strict=True))
    _check(ENCODER_GRAPH, of_encoder / scale)
    tokens, embeddings = (part.reshape(*frames.shape[:2], *part.shape[1:]) for part in found)  # (B, T, ...)
    rows = {fmt.VISUAL: tokens.mean(axis=1), fmt.FRAME_TOKENS: tokens, fmt.FRAME_EMBEDDINGS: embeddings}[run.reads]
    say(f"writing {HEAD_GRAPH}")
    check_stop(stop)
    name = _INPUTS[run.reads]
    _write(
        HeadModule(run).eval(),
        torch.from_numpy(rows[:2]),  # (2, *row_shape)
        folder / HEAD_GRAPH,
        names=("people", name, ("probabilities",)),
        properties=properties,
    )
    (answers,) = _run(folder / HEAD_GRAPH, name, rows)  # (B, A)
    (alone,) = _run(folder / HEAD_GRAPH, name, rows[:1])  # (1, A)
    wanted = run.predict(rows.astype(np.float16))  # (B, A)
    of_head = max(_difference(answers, wanted), _difference(alone, wanted[:1]))
    _check(HEAD_GRAPH, of_head)
    return Differences(of_encoder / scale, of_head, _difference(answers, _from_pictures(run, encoder, frames)))


def _properties(about: Description) -> dict[str, str]:
    """Return the metadata of both graphs, as JSON by name."""
    plain = asdict(about)
    found: dict[str, Any] = {
        "schema": about.schema.to_dict(),
        "outputs": about.outputs,
        "thresholds": list(about.thresholds.values()),
        "random_weights": about.random_weights,
        **{name: plain[name] for name in ("reads", "preprocessing", "frame_rule", "encoder")},
    }
    return {f"vpar.{name}": json.dumps(value, ensure_ascii=False) for name, value in found.items()}


def _write(
    module: nn.Module,
    example: Tensor,
    path: Path,
    names: tuple[str, str, tuple[str, ...]],
    properties: Mapping[str, str],
) -> None:
    """Export a module. `names`: of its first axis, which may have any length, of its input, and of its outputs."""
    axis, name, outputs = names
    size = sum(tensor.nbytes for tensor in module.state_dict().values())
    with quiet(), torch.no_grad():
        program = torch.onnx.export(
            module,
            (example,),
            dynamo=True,
            input_names=[name],
            output_names=list(outputs),
            dynamic_shapes=({0: torch.export.Dim(axis)},),
            verbose=False,
        )
        assert program is not None
        program.model.metadata_props.update(properties)
        program.save(path, external_data=size > _LARGEST_FILE)


def _run(path: Path, name: str, value: NDArray[Any]) -> list[NDArray[np.float32]]:
    """Return what onnxruntime gives, on the CPU."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors alone
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    found: list[NDArray[np.float32]] = session.run(None, {name: value})
    return found


def _pictures(size: int, run: LoadedRun) -> NDArray[np.uint8]:
    """Return drawn pictures (B, T, S, S, 3): smooth spots of colour, as smooth as photos are."""
    frames = _FRAMES if run.reads == fmt.VISUAL else run.inputs.row_shape[0]
    random = np.random.default_rng(0)
    small = random.integers(0, 256, (_PEOPLE * frames, 8, 4, 3), dtype=np.uint8)  # (B * T, 8, 4, 3)
    large = [np.asarray(Image.fromarray(spots).resize((size, size))) for spots in small]  # each (S, S, 3)
    return np.stack(large).reshape(_PEOPLE, frames, size, size, 3)  # (B, T, S, S, 3)


def _from_pictures(run: LoadedRun, encoder: Encoder, frames: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return probabilities (B, A) of frames (B, T, S, S, 3), as `vpar predict` computes them."""
    batch = encoder.encode_frames(frames, keep_frames=run.reads == fmt.FRAME_TOKENS)
    rows = {
        fmt.VISUAL: batch.tokens,
        fmt.FRAME_TOKENS: batch.frame_tokens,
        fmt.FRAME_EMBEDDINGS: batch.frame_embeddings,
    }[run.reads]
    assert rows is not None
    return run.predict(rows)  # (B, A)


def _difference(found: NDArray[np.float32], expected: NDArray[np.float32]) -> float:
    """Return the largest difference; infinite for another shape or a value that is not finite."""
    if found.shape != expected.shape or not np.isfinite(found).all():
        return float("inf")
    return float(np.abs(found - expected).max())


def _check(name: str, difference: float) -> None:
    if not difference <= TOLERANCE:
        raise UserError(
            f"--onnx: {name} differs from torch by {difference:.2g}; expected at most {TOLERANCE:g}. Nothing was "
            "written; export without --onnx, or with other versions of torch and onnxruntime"
        )
