"""config.json of an exported run: its fields, what of them the model decides, and what it refuses."""

from __future__ import annotations

from dataclasses import asdict, fields
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError
from pydantic.dataclasses import dataclass

from vpar_cache.models.settings import ModelSettings
from vpar_cache.runs.load import LoadedRun
from vpar_cache.runs.model_record import InputsRecord, ModelRecord
from vpar_cache.runs.record import STRICT, Count, Digest, StoredSchema, Text, first_invalid, invalid

LIBRARY = "vpar-cache"
CONFIG, MODEL, CARD = "config.json", "model.safetensors", "README.md"
ENCODER_GRAPH, HEAD_GRAPH = "encoder.onnx", "head.onnx"
FILES = (CONFIG, MODEL, CARD, ENCODER_GRAPH, f"{ENCODER_GRAPH}.data", HEAD_GRAPH)
"""All names that a folder of `vpar export` may hold. The .data file holds the weights of a very large encoder."""
FIX = "download or export it again"
Fraction = Annotated[float, Field(ge=0, le=1)]
_Frames = Annotated[int, Field(ge=1, le=1_000)]
"""As many as `vpar extract --frames` draws: a larger number would fill the memory."""
_Number = Annotated[float, Field(allow_inf_nan=False)]
_Pixel = Annotated[list[_Number], Field(min_length=3, max_length=3)]


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Preprocessing:
    """From a picture of a person to the encoder's pixels."""

    image_size: Count
    """S: squares of S pixels."""
    resize: Literal["pad", "stretch"]
    """pad: black to a centred square first."""
    resize_kernel: Text
    pad_rule: Text
    transparency: Text
    mean: _Pixel
    std: _Pixel
    """Of pixels from 0 to 1, RGB."""


@dataclass(frozen=True, kw_only=True, config=STRICT)
class FrameRule:
    """Which frames of a person are read."""

    frames: _Frames | Literal["all"]
    """T"""
    sampling: Literal["uniform", "random"]
    """uniform: frame i of n is floor((i + 0.5) n / T)."""
    seed: Annotated[int, Field(ge=0)] | None


@dataclass(frozen=True, kw_only=True, config=STRICT)
class EncoderRecord:
    """The frozen network whose features the model reads. Its weights are not in the folder."""

    backbone: Text
    weights: Text
    """A tag, the name of a file, or random:SEED."""
    weights_digest: Digest
    """blake3 of its tensors: other weights are refused."""
    precision: Literal["fp32", "bf16", "fp16"]
    """Of the features that the model was trained on."""


@dataclass(frozen=True, kw_only=True, config=STRICT)
class Description:
    """What the file of the model decides."""

    settings: ModelRecord
    loss: Literal["bce", "weighted", "ce"]
    """ce: a softmax over each group of several outputs; else a sigmoid for each output."""
    inputs: InputsRecord
    reads: Literal["visual", "frame_embeddings", "frame_tokens"]
    """visual: the mean of all tokens over frames; the others: each frame's."""
    schema: StoredSchema
    outputs: list[Text]
    """Names of the outputs, in the order of the probabilities."""
    thresholds: dict[str, Fraction]
    """By output: a probability above it is a yes in predictions."""
    preprocessing: Preprocessing
    frame_rule: FrameRule
    encoder: EncoderRecord
    random_weights: bool
    """True where the features came from random weights: then predictions have no meaning."""


@dataclass(frozen=True, kw_only=True, config=STRICT)
class ExportedConfig(Description):
    """config.json."""

    library_name: Literal["vpar-cache"]
    format: Literal[1]
    name: Text
    """Of the run."""
    title: str
    """The paper's name of the system, or the model and its backbone."""
    datasets: list[Text]
    protocols: dict[str, Fraction]
    """The threshold of each protocol that the scores in README.md were measured under."""
    trained_with: dict[str, str]
    exported_with: dict[str, str]
    """Versions of packages."""
    sha256: dict[str, Digest]
    """By file of the folder, without README.md, which may be edited."""

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON, from which it can be read again."""
        found = {**asdict(self), "schema": self.schema.to_dict()}
        first = [name for name in found if name not in {field.name for field in fields(Description)}]
        return {name: found[name] for name in (*first, *found)}  # what it is, then what it is built from


def describe(run: LoadedRun, path: Path) -> Description:
    """Return what a loaded model says of itself. Raises CacheError that names `path` for what is not valid."""
    encoder, own = run.encoder, {field.name for field in fields(ModelSettings)}

    def some(kind: type[Any]) -> Any:
        return kind(**{field.name: encoder.get(field.name) for field in fields(kind)})

    names = [output.name for output in run.schema.outputs]
    try:
        return Description(
            settings=ModelRecord(**{name: value for name, value in run.settings.items() if name in own}),
            loss=run.settings["loss"],
            inputs=InputsRecord(
                row_shape=list(run.inputs.row_shape),
                grid=list(run.inputs.grid),
                prefix_tokens=run.inputs.prefix_tokens,
                logit_scale=run.inputs.logit_scale,
            ),
            reads=run.reads,  # type: ignore[arg-type]  # which pydantic checks
            schema=run.schema,
            outputs=names,
            thresholds=dict(zip(names, run.thresholds.tolist(), strict=True)),
            preprocessing=some(Preprocessing),
            frame_rule=some(FrameRule),
            encoder=some(EncoderRecord),
            random_weights=run.random_weights,
        )
    except ValidationError as error:
        raise first_invalid(path, error, FIX) from error


def check_described(path: Path, config: ExportedConfig, own: Description) -> None:
    """Raise CacheError where config.json at `path` says something else than the model beside it."""
    for field in fields(Description):
        found, expected = getattr(config, field.name), getattr(own, field.name)
        if found != expected:
            raise invalid(path, field.name, found, f"expected that of {MODEL}, {_short(expected)}", FIX)
    says_random = config.encoder.weights.startswith("random")
    if says_random and not config.random_weights:
        raise invalid(path, "random_weights", False, f"expected true with weights {config.encoder.weights}", FIX)


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 100 else f"{text[:100]}..."
