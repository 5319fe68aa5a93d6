"""What the report takes from a run folder: run.json and metrics.json, checked field by field.

A run folder may come from anywhere, so nothing in it is believed: a protocol under another's name, another
threshold, or groups that are not the schema's would put numbers beside others that they cannot stand beside.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from reprlib import repr as short_repr
from typing import Any

from vpar_cache.attributes.schema import SCHEMAS, Schema
from vpar_cache.base.files import read_plain
from vpar_cache.errors import CacheError, VparError, nearest
from vpar_cache.metrics.protocols import VIDEOPAR_THRESHOLD, VTF_THRESHOLD, ProtocolScores
from vpar_cache.models.systems import system_title
from vpar_cache.runs.stored_intervals import Intervals, read_intervals

THRESHOLDS = {"vtf": VTF_THRESHOLD, "videopar": VIDEOPAR_THRESHOLD}
"""What every run is scored at, by protocol."""

SELECTED = "vtf_selected"
"""vtf at the threshold that the run chose on validation people; not every run has it."""

PAPER_TEST_TRACKLETS = {"mars": 8062, "duke": 2636}

_MAX_BYTES = 64_000_000

_MEND = "train it again, or leave it out by naming the runs to report"


Outputs = tuple[tuple[str, str], ...]
"""Group and name of each output."""


def _outputs(schema: Schema) -> Outputs:
    return tuple(zip(schema.output_groups(), (output.name for output in schema.outputs), strict=True))


@dataclass(frozen=True)
class RunScores:
    """One finished run: whose numbers they are, on what they were measured, and the prior of that split."""

    folder: Path
    name: str
    dataset: str
    schema: Schema
    weights: str
    random_weights: bool
    split: str
    num_tracklets: int
    num_people: int
    scores: Mapping[str, ProtocolScores]
    prior: Mapping[str, ProtocolScores]
    cost: str | None
    """What an end-to-end epoch would have cost, as a sentence; None where it was not measured."""
    model: str = ""
    """What --model named; empty where run.json does not say."""
    backbone: str = ""
    protocol: str = ""
    """strict, paper or reference: how epoch and threshold were chosen."""
    recipe: str = ""
    """Canonical JSON of everything that decides the run but its seed: runs of one recipe may be averaged."""
    intervals: Intervals | None = None
    """None for a run from before there were any."""
    prior_rates: tuple[float, ...] | None = None
    """Each output's frequency among all train labels: what the prior predicts."""

    @property
    def title(self) -> str:
        """The paper's name on the paper's backbone, else the model's; empty where it is not known."""
        return system_title(self.model, self.backbone) if self.model else ""

    @property
    def outputs(self) -> Outputs:
        """What the numbers are about; phrases may differ between runs that can be compared."""
        return _outputs(self.schema)

    @property
    def is_on_paper_split(self) -> bool:
        """The paper's attributes on its test split, of which 1 % may have been left out as damaged."""
        full = PAPER_TEST_TRACKLETS.get(self.dataset)
        return (
            full is not None
            and self.split == "test"
            and abs(self.num_tracklets - full) <= full // 100
            and self.outputs == _outputs(SCHEMAS[self.dataset])
        )

    @property
    def place(self) -> str:
        """Dataset and split, the same for runs that may be compared: MARS, or demo (48 test tracklets...)."""
        if self.is_on_paper_split and self.num_tracklets == PAPER_TEST_TRACKLETS[self.dataset]:
            return self.dataset.upper()
        dataset = self.dataset.upper() if self.is_on_paper_split else self.dataset
        return f"{dataset} ({self.num_tracklets} {self.split} tracklets of {self.num_people} people)"


def find_runs(folders: Sequence[Path], runs_root: Path) -> list[Path]:
    """Each a folder, or the name of one under `runs_root`; twice the same counts once.

    Raises CacheError for one that is neither.
    """
    found: dict[Path, Path] = {}
    for folder in folders:
        path = next((path for path in (folder, runs_root / folder) if path.is_dir()), None)
        if path is None:
            names = sorted(path.parent.name for path in runs_root.glob("[!.]*/metrics.json"))
            mend = nearest(folder.name, names) if names else "it holds no finished run"
            raise CacheError(f"run {str(folder)!r} is no folder, nor the name of one in {runs_root}; {mend}")
        found.setdefault(path.resolve(), path)
    return list(found.values())


def read_run(folder: Path) -> RunScores:
    """The scores in a finished run folder. Raises CacheError that names the folder, the rule and the mend."""
    if not (folder / "run.json").is_file():
        raise CacheError(f"{folder} has no run.json, so it is no run folder; name one that vpar train made")
    if not (folder / "metrics.json").is_file():
        raise CacheError(f"{folder} has no metrics.json: the run did not finish; {_MEND}")
    run, metrics = _Fields(folder / "run.json"), _Fields(folder / "metrics.json")
    try:
        schema = Schema.from_dict(run.take("schema", dict))
    except VparError as error:
        raise CacheError(f"{run.path}: {error}") from error
    weights = run.take("weights", str)
    random_weights = run.take("random_weights", bool) or weights.startswith("random:")
    return RunScores(
        folder=folder,
        name=run.take("name", str),
        dataset=run.take("dataset", str),
        schema=schema,
        weights=weights if not random_weights or weights.startswith("random") else f"random ({weights})",
        random_weights=random_weights,
        split=metrics.take("split", str),
        num_tracklets=metrics.take("num_tracklets", int),
        num_people=metrics.take("num_people", int),
        scores=_scores(metrics, "scores", schema),
        prior=_scores(metrics, "prior", schema),
        cost=_cost(run),
        model=run.text("model"),
        backbone=run.text("backbone"),
        protocol=run.text("protocol"),
        recipe=_recipe(run),
        intervals=_intervals(metrics, schema),
        prior_rates=_prior_rates(metrics, schema),
    )


def read_run_record(folder: Path) -> dict[str, Any]:
    """run.json as it stands. Raises CacheError like read_run, which also checks it."""
    read_run(folder)
    record: dict[str, Any] = _Fields(folder / "run.json").data
    return record


class _Fields:
    """A JSON object with the path to blame."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self.data = json.loads(read_plain(path, _MAX_BYTES))
        except OSError as error:
            raise CacheError(f"{path}: {error.strerror}; make it readable, or {_MEND}") from error
        except (ValueError, RecursionError) as error:
            raise CacheError(f"{path} is no JSON ({error}); {_MEND}") from error
        if not isinstance(self.data, dict):
            raise CacheError(f"{path} is {short_repr(self.data)}, but must be a JSON object; {_MEND}")

    def take(self, key: str, kind: type) -> Any:
        value = self.data.get(key)
        if type(value) is not kind or (isinstance(value, str) and not value.strip()):
            raise CacheError(f"{self.path}: {key!r} is {short_repr(value)}, but must be {kind.__name__}; {_MEND}")
        return value

    def text(self, key: str) -> str:
        """Empty where it is absent or no text."""
        value = self.data.get(key)
        return value if isinstance(value, str) else ""

    def seconds(self, key: str) -> float | None:
        """A measured time; None where it is absent or no positive number."""
        value = self.data.get(key)
        if isinstance(value, bool) or not isinstance(value, int | float):
            return None
        return float(value) if math.isfinite(value) and value > 0 else None


def _scores(metrics: _Fields, key: str, schema: Schema) -> dict[str, ProtocolScores]:
    """The blocks of `key` by protocol: both protocols, and the selected threshold if there is one."""
    blocks = metrics.take(key, dict)
    names = [group.name for group in schema.groups]
    scores: dict[str, ProtocolScores] = {}
    for protocol in (*THRESHOLDS, SELECTED):
        if protocol == SELECTED and protocol not in blocks:
            continue
        where = f"{metrics.path}: {key!r}, {protocol}"
        try:
            block = ProtocolScores.from_dict(blocks.get(protocol))
        except VparError as error:
            raise CacheError(f"{where}: {error}") from error
        expected = protocol.removesuffix("_selected"), THRESHOLDS.get(protocol, block.threshold)
        if (block.protocol, block.threshold) != expected:
            raise CacheError(
                f"{where}: scored as {short_repr(block.protocol)} at threshold {block.threshold:g}, but must "
                f"be {expected[0]} at {expected[1]:g}; {_MEND}"
            )
        if list(block.groups) != names:
            found = short_repr(list(block.groups))
            raise CacheError(f"{where}: groups {found} are not the schema's {', '.join(names)}; {_MEND}")
        scores[protocol] = block
    return scores


def _intervals(metrics: _Fields, schema: Schema) -> Intervals | None:
    try:
        return read_intervals(metrics.data.get("intervals"), [group.name for group in schema.groups])
    except VparError as error:
        raise CacheError(f"{metrics.path}: 'intervals': {error}") from error


def _prior_rates(metrics: _Fields, schema: Schema) -> tuple[float, ...] | None:
    if metrics.data.get("prior_rates") is None:
        return None
    rates = metrics.take("prior_rates", list)
    wrong = [rate for rate in rates if type(rate) not in (int, float) or not 0 <= rate <= 1]
    if wrong or len(rates) != schema.num_outputs:
        found = short_repr(wrong[0]) if wrong else f"{len(rates)} numbers"
        raise CacheError(
            f"{metrics.path}: 'prior_rates' holds {found}, but must be a fraction for each of the schema's "
            f"{schema.num_outputs} outputs; {_MEND}"
        )
    return tuple(map(float, rates))


def _recipe(run: _Fields) -> str:
    """What it was trained with and on; the cache's name and the machine do not matter."""
    settings = run.data.get("settings")
    kept = {k: v for k, v in settings.items() if k != "seed"} if isinstance(settings, dict) else {}
    sources = {key: run.text(key) for key in ("dataset", "visual_fingerprint", "text_fingerprint")}
    return json.dumps({**kept, **sources}, sort_keys=True)


def _cost(run: _Fields) -> str | None:
    """The ratio that the cache exists for, from the run's own measurements."""
    train, encode = run.seconds("epoch_seconds_per_tracklet"), run.seconds("encode_seconds_per_tracklet")
    tracklets = run.data.get("num_train")
    if train is None or encode is None or type(tracklets) is not int:
        return None
    return (
        f"an epoch of {tracklets} tracklets cost {_duration(train * tracklets)} on cached features; with the "
        f"encoder in every epoch it would have cost {_duration((encode + train) * tracklets)}, "
        f"{(encode + train) / train:.3g} times as much"
    )


def _duration(seconds: float) -> str:
    for unit, size in (("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds:.3g} s"
