"""What tables take from finished run folders: whose numbers they are, and on what they were measured."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from vpar_cache.attributes.built_in import SCHEMAS
from vpar_cache.attributes.schema import Schema
from vpar_cache.base.files import is_folder
from vpar_cache.errors import CacheError, UserError, count_of, counted, nearest
from vpar_cache.models.systems import system_title
from vpar_cache.runs.name import natural_order
from vpar_cache.runs.record import MetricsRecord, RunRecord, check_fit, read_record

PAPER_TRAIN_TRACKLETS = {"mars": 8298, "duke": 2196}
PAPER_TEST_TRACKLETS = {"mars": 8062, "duke": 2636}

Outputs = tuple[tuple[str, str], ...]
"""Group and name of each output."""


@dataclass(frozen=True, kw_only=True)
class FinishedRun(RunRecord, MetricsRecord):
    """One finished run: whose numbers they are, on what they were measured."""

    folder: Path
    trained_on: str
    """The datasets of all its caches, as in mars+duke; `dataset` is that of the test set."""

    @property
    def trained_datasets(self) -> list[str]:
        """The datasets of its caches, one by one."""
        return [name for name in self.trained_on.split("+") if name] or [self.trained_on]

    def caches(self) -> tuple[Path, ...]:
        """Return the indexes of its caches. Raises UserError where one is no longer where run.json says."""
        missing = [name for name in self.features if not Path(name).is_file()]
        if missing or not self.features:
            raise UserError(
                f"--features: got none, and {self.folder / 'run.json'} names "
                f"{repr(missing[0]) if missing else 'none'}, where no file is. Name all caches of the run with "
                "--features"
            )
        return tuple(map(Path, self.features))

    @property
    def title(self) -> str:
        """The paper's name on the paper's backbone, else the model's, with what the options add; empty where it
        is not known."""
        return system_title(self.model, self.backbone, self.settings) if self.model else ""

    @property
    def outputs(self) -> Outputs:
        """What the numbers are about; phrases may differ between runs that can be compared."""
        return _outputs(self.schema)

    @property
    def is_on_paper_split(self) -> bool:
        """Whether these are the paper's attributes on its test split, of which 1 % may be left out as damaged."""
        full = PAPER_TEST_TRACKLETS.get(self.dataset)
        return (
            full is not None
            and self.split == "test"
            and abs(self.num_tracklets - full) <= full // 100
            and self.outputs == _outputs(SCHEMAS[self.dataset])
        )

    @property
    def place(self) -> str:
        """Dataset and split in words: MARS, or demo (48 test tracklets...). Runs compare where `rows` agree."""
        if self.is_on_paper_split and self.num_tracklets == PAPER_TEST_TRACKLETS[self.dataset]:
            return self.dataset.upper()
        dataset = self.dataset.upper() if self.is_on_paper_split else self.dataset
        people = self.num_people
        of_people = "" if people is None else f" of {counted(people, 'person', 'people')}"
        return f"{dataset} ({count_of(self.num_tracklets, f'{self.split} {self.unit}')}{of_people})"

    @property
    def all_but_seed(self) -> str:
        """JSON of everything that decides the run except its seed: runs that agree in it may be averaged."""
        kept = {key: value for key, value in self.settings.items() if key != "seed"}
        # The seal is that of the cache with its labels.
        names = ("dataset", "visual_fingerprint", "text_fingerprint", "features_seal")
        sources = {key: getattr(self, key) for key in names}
        return json.dumps({**kept, **sources}, sort_keys=True)

    @property
    def cost(self) -> str | None:
        """What an end-to-end epoch would have cost, as a sentence; None where it was not measured."""
        train, encode, tracklets = (
            self.epoch_seconds_per_tracklet,
            self.encode_seconds_per_tracklet,
            self.num_train,
        )
        if not train or not encode or not tracklets:
            return None
        return (
            f"an epoch of {count_of(tracklets, self.unit)} cost {_duration(train * tracklets)} on cached "
            f"features; with the encoder in every epoch it would have cost "
            f"{_duration((encode + train) * tracklets)}, {(encode + train) / train:.3g} times as much"
        )


def find_runs(folders: Sequence[Path], runs_root: Path) -> list[Path]:
    """Return run folders, each given as a folder or as the name of one under `runs_root`, without repetitions.

    A folder of that name that is no run does not hide a run of that name under `runs_root`.
    Raises CacheError for one that is neither.
    """
    found: dict[Path, Path] = {}
    for folder in folders:
        folders = [path for path in (folder, runs_root / folder) if is_folder(path)]
        path = next(filter(_looks_finished, folders), folders[0] if folders else None)
        if path is None:
            names = sorted((path.parent.name for path in runs_root.glob("[!.]*/metrics.json")), key=natural_order)
            fix = nearest(folder.name, names) if names else "it holds no finished run"
            raise CacheError(f"run {str(folder)!r} is not a folder, nor the name of one in {runs_root}; {fix}")
        found.setdefault(path.resolve(), path)
    return list(found.values())


def _looks_finished(folder: Path) -> bool:
    return any(os.path.lexists(folder / name) for name in ("run.json", "metrics.json"))


def read_runs(folder: Path) -> tuple[FinishedRun, ...]:
    """Return the run once for each of its test sets, with its numbers on that one. Raises as `read_run`."""
    first = read_run(folder)
    return first, *(replace(first, **vars(test), other_tests=()) for test in first.other_tests)


def read_run(folder: Path) -> FinishedRun:
    """Return what a finished run folder holds, with its numbers on the first test set.

    Raises CacheError that names the file, the field and the rule.
    """
    record = read_record(folder / "run.json", RunRecord)
    metrics = read_record(folder / "metrics.json", MetricsRecord)
    check_fit(folder / "metrics.json", metrics, record.schema)
    run = FinishedRun(folder=folder, trained_on=record.dataset, **{**vars(record), **vars(metrics)})
    says_random = run.weights.startswith("random")
    if run.random_weights == says_random:
        return run
    return replace(run, random_weights=True, weights=run.weights if says_random else f"random ({run.weights})")


def _outputs(schema: Schema) -> Outputs:
    return tuple(zip(schema.output_groups(), (output.name for output in schema.outputs), strict=True))


def _duration(seconds: float) -> str:
    for unit, size in (("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds:.3g} s"
