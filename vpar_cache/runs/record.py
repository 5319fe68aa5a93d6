"""run.json and metrics.json of a run folder: their fields, and reading them.

A run folder is untrusted: with another protocol, threshold or group than the name says, numbers that cannot be
compared would stand side by side.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from reprlib import repr as short_repr
from typing import Annotated, Any, TypeVar

import numpy as np
from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, InstanceOf, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from vpar_cache.attributes.schema import Schema
from vpar_cache.base.files import read_plain
from vpar_cache.errors import CacheError, VparError, printable
from vpar_cache.metrics.intervals import Interval, Intervals
from vpar_cache.metrics.protocol import ProtocolScores
from vpar_cache.metrics.scoring import PROTOCOLS, SELECTED

_MAX_BYTES = 64_000_000
_FIX = "train the run again, or leave it out by naming the runs to report"


def _low_first(interval: Interval) -> Interval:
    if interval[0] > interval[1]:
        raise ValueError("expected the low end first")
    return interval


def _schema(stored: Any) -> Schema:
    try:
        return Schema.from_dict(stored)
    except VparError as error:
        raise ValueError(str(error)) from error


Text = Annotated[str, Field(pattern=r"\S")]
Count = Annotated[int, Field(ge=1)]
Fraction = Annotated[float, Field(ge=0, le=1)]
Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Ends = Annotated[tuple[Fraction, Fraction], Field(strict=False), AfterValidator(_low_first)]
_STRICT = ConfigDict(strict=True)


@dataclass(frozen=True, config=_STRICT)
class StoredScores(ProtocolScores):
    """Scores of one protocol, as ProtocolScores.to_dict writes them."""

    protocol: str
    threshold: Fraction
    groups: dict[str, dict[str, Fraction]]
    average: dict[str, Fraction]


@dataclass(frozen=True, config=_STRICT)
class StoredIntervals(Intervals):
    """Intervals of all protocols, as interval_block writes them."""

    method: Text
    people: Count
    resamples: Count
    average: dict[str, dict[str, Ends]]
    groups: dict[str, dict[str, dict[str, Ends]]]


def _by_kind(block: Any) -> Any:
    """Turn {PROTOCOL: {"average": ..., "groups": ...}} inside out: {"average": {PROTOCOL: ...}, "groups": ...}."""
    if not isinstance(block, dict):
        return block
    protocols = {name: block[name] for name in PROTOCOLS if isinstance(block.get(name), dict)}
    kinds = {kind: {name: found.get(kind) for name, found in protocols.items()} for kind in ("average", "groups")}
    return {**{key: block.get(key) for key in ("method", "people", "resamples")}, **kinds}


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class RunRecord:
    """What is read of run.json. Fields without a default are required."""

    name: Text
    dataset: Text
    schema: Annotated[InstanceOf[Schema], BeforeValidator(_schema)]
    weights: Text
    random_weights: bool
    model: str = ""
    """The value of --model."""
    backbone: str = ""
    recipe: str = ""
    """strict, paper or reference: how epoch and threshold were chosen."""
    settings: dict[str, Any] = Field(default_factory=dict)
    """All settings of the training."""
    features: str = ""
    """The path of the cache that it was trained on."""
    features_seal: str = ""
    visual_fingerprint: str = ""
    text_fingerprint: str = ""
    num_train: Count | None = None
    epoch_seconds_per_tracklet: Seconds | None = None
    encode_seconds_per_tracklet: Seconds | None = None


@dataclass(frozen=True, kw_only=True, config=_STRICT)
class MetricsRecord:
    """What is read of metrics.json."""

    split: Text
    num_tracklets: Count
    num_people: Count
    scores: dict[str, StoredScores]
    """By protocol: all of PROTOCOLS, and vtf_selected if a threshold was selected."""
    prior: dict[str, StoredScores]
    """Scores of the train rates of each output on the same tracklets."""
    intervals: Annotated[StoredIntervals, BeforeValidator(_by_kind)]
    prior_rates: tuple[Fraction, ...]
    """Each output's frequency among all train labels: what the prior predicts."""


Record = TypeVar("Record", RunRecord, MetricsRecord)


def read_record(path: Path, kind: type[Record]) -> Record:
    """Return the JSON in `path`. Raises CacheError that names the file, the first invalid field and its value."""
    try:
        record: Record = TypeAdapter(kind).validate_json(read_plain(path, _MAX_BYTES))
    except FileNotFoundError as error:
        raise CacheError(f"{path} is missing, so {path.parent} is not a finished run; {_FIX}") from error
    except OSError as error:
        raise CacheError(f"{path}: {error.strerror}; make it readable, or {_FIX}") from error
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        rule = first["msg"].replace("Input should be", "expected").removeprefix("Value error, ")
        raise _invalid(path, ".".join(map(str, first["loc"])), first["input"], rule) from error
    return record


def check_fit(path: Path, metrics: MetricsRecord, schema: Schema) -> None:
    """Raise CacheError unless the metrics in `path` have all protocols, and the groups and outputs of `schema`."""
    groups = schema.named_slices()
    one = np.zeros((1, schema.num_outputs))
    one[0, [columns.start for _, columns in groups]] = 1  # a made-up tracklet: its scores have all names
    shapes = {name: protocol.score(one, one, groups) for name, protocol in PROTOCOLS.items()}
    for field, blocks in (("scores", metrics.scores), ("prior", metrics.prior)):
        if missing := PROTOCOLS.keys() - blocks.keys():
            raise _invalid(path, field, list(blocks), f"expected also {', '.join(sorted(missing))}")
        for name, block in blocks.items():
            shape = shapes.get("vtf" if name == SELECTED else name)
            if shape is None:
                raise _invalid(path, field, name, f"expected one of {', '.join((*PROTOCOLS, SELECTED))}")
            threshold = block.threshold if name == SELECTED else shape.threshold
            if (block.protocol, block.threshold) != (shape.protocol, threshold):
                rule = f"expected {shape.protocol} at threshold {threshold:g}"
                raise _invalid(path, f"{field}.{name}", (block.protocol, block.threshold), rule)
            _check_names(path, f"{field}.{name}.groups", block.groups, shape.groups)
            for where, found in (("average", block.average), *block.groups.items()):
                _check_names(path, f"{field}.{name}.{where}", found, shape.average)
    intervals = metrics.intervals
    if intervals.people > 1:
        _check_names(path, "intervals", intervals.average, PROTOCOLS)
        for name, protocol in PROTOCOLS.items():
            _check_names(path, f"intervals.{name}.average", intervals.average[name], protocol.interval_metrics)
            _check_names(path, f"intervals.{name}.groups", intervals.groups[name], shapes[name].groups)
    if len(metrics.prior_rates) != schema.num_outputs:
        rule = f"expected {schema.num_outputs} numbers, one for each output of the schema"
        raise _invalid(path, "prior_rates", metrics.prior_rates, rule)


def _check_names(path: Path, field: str, found: Iterable[str], expected: Iterable[str]) -> None:
    if list(found) != list(expected):
        raise _invalid(path, field, list(found), f"expected {', '.join(expected)}")


def _invalid(path: Path, field: str, value: Any, rule: str) -> CacheError:
    where = f"{path}: {printable(field)[:200]}" if field else f"{path}"
    return CacheError(f"{where}: got {short_repr(value)}; {printable(rule)}. To fix it, {_FIX}")
