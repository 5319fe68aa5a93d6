"""run.json and metrics.json of a run folder: their fields, and reading them.

A run folder is untrusted: with another protocol, threshold or group than the name says, numbers that cannot be
compared would stand side by side.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from reprlib import repr as short_repr
from typing import Annotated, Any, TypeVar

from pydantic import BeforeValidator, ConfigDict, Field, InstanceOf, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from vpar_cache.attributes.schema import Schema
from vpar_cache.base.files import read_plain
from vpar_cache.errors import CacheError, VparError, printable
from vpar_cache.metrics.evaluation import Evaluation
from vpar_cache.metrics.outputs import NUM_BINS
from vpar_cache.metrics.scoring import PROTOCOLS, SELECTED, THRESHOLD_GRID

_MAX_BYTES = 64_000_000
_EXPORTED = ("config.json", "model.safetensors")
"""Files of a folder of `vpar export`."""
_FIX = "train the run again, or leave it out by naming the runs to report"


def _schema(stored: Any) -> Schema:
    try:
        return stored if isinstance(stored, Schema) else Schema.from_dict(stored)
    except VparError as error:
        raise ValueError(str(error)) from error


StoredSchema = Annotated[InstanceOf[Schema], BeforeValidator(_schema)]
"""A schema, from what Schema.to_dict returns."""
Text = Annotated[str, Field(pattern=r"\S")]
Count = Annotated[int, Field(ge=1)]
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]
STRICT = ConfigDict(strict=True)


@dataclass(frozen=True, kw_only=True, config=STRICT)
class RunRecord:
    """What is read of run.json. Fields without a default are required."""

    name: Text
    dataset: Text
    schema: StoredSchema
    weights: Text
    random_weights: bool
    model: str = ""
    """The value of --model."""
    backbone: str = ""
    recipe: str = ""
    """strict, paper or reference: how epoch and threshold were chosen."""
    settings: dict[str, Any] = Field(default_factory=dict)
    """All settings of the training."""
    vpar_cache: str = ""
    features: list[str] = Field(default_factory=list)
    """The paths of the caches that it was trained on."""
    features_seal: str = ""
    visual_fingerprint: str = ""
    text_fingerprint: str = ""
    extraction: dict[str, Any] = Field(default_factory=dict)
    """The settings of the cache that decide its features."""
    thresholds: dict[str, Annotated[float, Field(ge=0, le=1)]] = Field(default_factory=dict)
    """By output: a probability above it is a yes in predictions. The protocols have thresholds of their own."""
    num_train: Count | None = None
    epoch_seconds_per_tracklet: Seconds | None = None
    encode_seconds_per_tracklet: Seconds | None = None
    seconds: Seconds | None = None
    """Of the whole training."""
    device: str = ""
    versions: dict[str, str] = Field(default_factory=dict)
    """Of Python and of the libraries, when it was trained."""


@dataclass(frozen=True, kw_only=True, config=STRICT)
class TestRecord(Evaluation):
    """All numbers of the test rows of one cache."""

    dataset: Text
    split: Text
    rows: Digest
    """Of the test rows and the schema, see runs/scored_rows.py: only runs that agree in it may be compared."""


@dataclass(frozen=True, kw_only=True, config=STRICT)
class MetricsRecord(TestRecord):
    """metrics.json: the test rows of the first cache that has some, of the others, and the validation rows."""

    validation: Evaluation | None
    other_tests: tuple[TestRecord, ...] = ()


Record = TypeVar("Record")


def read_record(path: Path, kind: type[Record]) -> Record:
    """Return the JSON in `path`. Raises CacheError that names the file, the first invalid field and its value."""
    try:
        data = read_plain(path, _MAX_BYTES)
    except FileNotFoundError as error:
        if all((path.parent / name).is_file() for name in _EXPORTED):
            raise CacheError(
                f"{path.parent} is an exported run, which only `vpar predict` reads; give the run's own folder"
            ) from error
        raise CacheError(f"{path} is missing, so {path.parent} is not a finished run; {_FIX}") from error
    except OSError as error:
        raise CacheError(f"{path}: {error.strerror}; make it readable, or {_FIX}") from error
    return parse_record(path, data, kind)


def parse_record(path: Path, data: bytes, kind: type[Record], fix: str = _FIX) -> Record:
    """Return JSON as a pydantic dataclass. Raises CacheError that names the file, the first invalid field and its
    value, and `fix`.
    """
    try:
        record: Record = TypeAdapter(kind).validate_json(data)
    except ValidationError as error:
        raise first_invalid(path, error, fix) from error
    return record


def check_fit(path: Path, metrics: MetricsRecord, schema: Schema) -> None:
    """Raise CacheError unless the metrics in `path` have all protocols, and the groups and outputs of `schema`."""
    others = ((f"other_tests.{number}.", test) for number, test in enumerate(metrics.other_tests))
    for field, found in (("", metrics), ("validation.", metrics.validation), *others):
        if found is not None:
            _check_evaluation(path, field, found, schema)


def _check_evaluation(path: Path, prefix: str, found: Evaluation, schema: Schema) -> None:
    groups = [name for name, _ in schema.named_slices()]
    _check_fractions(path, prefix.rstrip("."), asdict(found))
    if missing := PROTOCOLS.keys() - found.scores.keys():
        raise invalid(path, f"{prefix}scores", list(found.scores), f"expected also {', '.join(sorted(missing))}")
    kept = list(found.scores["vtf"].groups)
    if not set(kept) <= set(groups):
        raise invalid(path, f"{prefix}scores.vtf.groups", kept, f"expected groups of {', '.join(groups)}")
    for field in ("scores", "best_constant", "prior"):
        blocks = getattr(found, field)
        if field != "scores" and (blocks or found.constants):
            _check_names(path, f"{prefix}{field}", blocks, found.scores)
        for name, block in blocks.items():
            protocol = PROTOCOLS.get("vtf" if name == SELECTED else name)
            if protocol is None:
                raise invalid(
                    path, f"{prefix}{field}", name, f"expected one of {', '.join((*PROTOCOLS, SELECTED))}"
                )
            threshold = block.threshold if name == SELECTED else protocol.threshold
            if (block.protocol, block.threshold) != (protocol.name, threshold):
                rule = f"expected {protocol.name} at threshold {threshold:g}"
                raise invalid(path, f"{prefix}{field}.{name}", (block.protocol, block.threshold), rule)
            _check_names(path, f"{prefix}{field}.{name}.groups", block.groups, [] if protocol.joint else kept)
            for where, metrics in (("average", block.average), *block.groups.items()):
                if not set(protocol.interval_metrics) <= metrics.keys():
                    rule = f"expected also {', '.join(protocol.interval_metrics)}"
                    raise invalid(path, f"{prefix}{field}.{name}.{where}", list(metrics), rule)
    if found.shuffled:
        _check_names(path, f"{prefix}shuffled", found.shuffled, found.scores)
        for name, luck in found.shuffled.items():
            _check_names(path, f"{prefix}shuffled.{name}.average", luck.average, found.scores[name].average)
    if found.constants or found.best_constant or found.prior:
        _check_names(path, f"{prefix}constants", found.constants, PROTOCOLS)
    for part in found.parts:
        _check_names(path, f"{prefix}parts", part.scores, PROTOCOLS if part.scores else ())
    numbers = {
        **{f"constants.{name}": values for name, values in found.constants.items()},
        **({"prior_rates": found.prior_rates} if found.prior_rates or found.constants else {}),
        "details.outputs": found.details.outputs,
    }
    for field, values in numbers.items():
        _check_length(path, prefix + field, values, schema.num_outputs, "one for each output of the schema")
    _check_length(path, f"{prefix}details.bins", found.details.bins, NUM_BINS, "one for each bin")
    curve = found.details.threshold_curve
    _check_length(path, f"{prefix}details.threshold_curve", curve, len(THRESHOLD_GRID), "one for each threshold")
    if found.details.prior_calibration:
        names = found.details.prior_calibration
        _check_names(path, f"{prefix}details.prior_calibration", names, found.details.calibration)
    for group, columns in schema.named_slices():
        if (confusion := found.details.confusions.get(group)) is not None:
            for values in (confusion, *confusion):
                size = columns.stop - columns.start
                _check_length(path, f"{prefix}details.confusions.{group}", values, size, "one for each class")


def _check_fractions(path: Path, where: str, tree: Any) -> None:
    """Raise CacheError for a number that is not a count and lies outside 0 to 1."""
    if isinstance(tree, dict):
        for name, value in tree.items():
            _check_fractions(path, f"{where}.{name}" if where else name, value)
    elif isinstance(tree, tuple | list):
        for value in tree:
            _check_fractions(path, where, value)
    elif isinstance(tree, float) and not 0 <= tree <= 1:
        raise invalid(path, where, tree, "expected a number from 0 to 1")
    elif type(tree) is int and tree < 0:
        raise invalid(path, where, tree, "expected a count")


def _check_length(path: Path, field: str, values: Any, length: int, what: str) -> None:
    if len(values) != length:
        raise invalid(path, field, values, f"expected {length} values, {what}")


def _check_names(path: Path, field: str, found: Iterable[str], expected: Iterable[str]) -> None:
    if list(found) != list(expected):
        raise invalid(path, field, list(found), f"expected {', '.join(expected)}")


def first_invalid(path: Path, error: ValidationError, fix: str = _FIX) -> CacheError:
    """Return the error for the first field that pydantic refuses."""
    first = error.errors(include_url=False)[0]
    rule = first["msg"].replace("Input should be", "expected").removeprefix("Value error, ")
    return invalid(path, ".".join(map(str, first["loc"])), first["input"], rule, fix)


def invalid(path: Path, field: str, value: Any, rule: str, fix: str = _FIX) -> CacheError:
    """Return the error for a field of a JSON file: its value, what is expected, and `fix`."""
    where = f"{path}: {printable(field)[:200]}" if field else f"{path}"
    return CacheError(f"{where}: got {short_repr(value)[:300]}; {printable(rule)}. To fix it, {fix}")
