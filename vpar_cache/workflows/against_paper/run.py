"""Check, extract, train and compare. Run again, it goes on: finished caches and runs are kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from vpar_cache.backbones.weights import is_weights_file
from vpar_cache.base.callbacks import Say, Stop, log, never
from vpar_cache.base.files import write_text
from vpar_cache.cache.format import follow_link
from vpar_cache.cache.index import read_index
from vpar_cache.errors import UserError, VparError, counted
from vpar_cache.extraction.config import ExtractConfig
from vpar_cache.extraction.extract import extract
from vpar_cache.extraction.held_cache import refuse_foreign
from vpar_cache.rendering.tables import Part
from vpar_cache.runs.finished import FinishedRun, read_run
from vpar_cache.training.config import TrainConfig
from vpar_cache.training.train import planned_folder, train
from vpar_cache.workflows.against_paper.compare import compare, comparison_part
from vpar_cache.workflows.against_paper.plan import cache_of, make_plan, title_of
from vpar_cache.workflows.against_paper.record import COMMAND, record_text
from vpar_cache.workflows.benchmark import BenchmarkConfig, each_once
from vpar_cache.workflows.doctor.examine import examine


@dataclass(frozen=True)
class Reproduction:
    """What was reached. Renders like a report."""

    parts: tuple[Part, ...]
    """The comparison with the paper; empty without a finished run."""
    why_not: tuple[str, ...]
    """What keeps it from being a reproduction of the paper; empty for one."""
    failed: tuple[str, ...]
    """The parts of the work that could not be done."""
    file: Path | None
    """What can be sent; None without a finished run."""


def reproduce(config: BenchmarkConfig, *, say: Say = log, stop: Stop = never) -> Reproduction:
    """Extract and train by the recipes of the paper and of its authors' code, and compare with the paper.

    The doctor's checks come first. A part that fails is said and left out, and the others are done. Raises
    UserError where a check fails or a setting does not fit; Stopped if `stop` says so.
    """
    plan = make_plan(config)
    for extraction in plan.extractions:
        refuse_foreign(follow_link(extraction.out))
    _examine([extraction for extraction in plan.extractions if not extraction.out.is_file()], say)
    once, total = each_once(say), len(plan.extractions) + len(plan.trainings)
    failed: list[str] = []
    lost: set[Path] = set()
    for number, extraction in enumerate(plan.extractions, start=1):
        say(f"{number}/{total} {title_of(extraction)}")
        try:
            extract(extraction, say=once, stop=stop)
        except VparError as error:
            say(f"failed: {title_of(extraction)}: {error}")
            failed.append(title_of(extraction))
            lost.add(extraction.out)
    runs: list[FinishedRun] = []
    for number, training in enumerate(plan.trainings, start=1 + len(plan.extractions)):
        if cache_of(training) in lost:
            failed.append(title_of(training))
            continue
        say(f"{number}/{total} {title_of(training)}")
        try:
            runs.append(read_run(_train(training, once, stop)))
        except VparError as error:
            say(f"failed: {title_of(training)}: {error}")
            failed.append(title_of(training))
    if not runs:
        return Reproduction((), (), tuple(failed), None)
    comparison = compare(config.dataset, runs)
    file = config.out / f"against-paper-{config.dataset}.json"
    caches = [read_index(extraction.out) for extraction in plan.extractions if extraction.out not in lost]
    weights = config.extract.get("weights")
    is_file = weights is not None and is_weights_file(weights)
    write_text(file, record_text(comparison, runs, caches, failed, is_file))
    return Reproduction((comparison_part(comparison),), comparison.why_not, tuple(failed), file)


def _train(training: TrainConfig, say: Say, stop: Stop) -> Path:
    """Return the run's folder. A finished run is kept, an interrupted one is continued."""
    folder = planned_folder(training)
    if (folder / "metrics.json").is_file():
        return folder
    return train(training, command=COMMAND, say=say, stop=stop).folder


def _examine(extractions: Sequence[ExtractConfig], say: Say) -> None:
    """Make the doctor's checks for caches that are not there yet. Raises UserError where one fails."""
    found = dict.fromkeys(check for extraction in extractions for check in examine(extraction))
    for check in found:
        if check.state != "ok":
            say(f"{check.state}: {check.name}: {check.text}")
    if bad := [check for check in found if check.state == "fails"]:
        names = ", ".join(dict.fromkeys(check.name for check in bad))
        raise UserError(
            f"--against-paper: got {counted(len(bad), 'check that fails', 'checks that fail')} ({names}); "
            "expected none. Nothing was computed; do what the lines above say, then run the same command again"
        )
