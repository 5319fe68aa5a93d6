"""`vpar tune`: search the settings of a training, judged by validation tracklets alone.

Optuna proposes settings (TPE: Bergstra et al., NeurIPS 2011) and keeps the trials in an SQLite file. No trial
reads or predicts a test tracklet. The same command goes on where it was interrupted, to --trials trials in all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from vpar_cache.base.callbacks import Say, Stop, log, never
from vpar_cache.base.checks import check_whole
from vpar_cache.base.devices import explain_device
from vpar_cache.base.lock import sole_writer
from vpar_cache.cache.joined import open_joined
from vpar_cache.errors import CacheError, DataError, UserError
from vpar_cache.extraction.executors.ray_session import ray_session
from vpar_cache.models.systems import CUSTOM, SYSTEMS
from vpar_cache.runs.name import default_run_name, run_fingerprint
from vpar_cache.training.config import TrainConfig
from vpar_cache.training.evaluate_rows import best_constant_f1
from vpar_cache.training.train import warnings
from vpar_cache.training.trial import ValidationCurve, rows_without_test, validation_curve
from vpar_cache.workflows.ray_tasks import DEATHS, check_executor, completed, device_of_workers, for_worker
from vpar_cache.workflows.search_space import Setting, read_search
from vpar_cache.workflows.trials import FinishedTrial, TuneResult, draw_trials

MEDIAN_OF = 5
"""Trials that must have trained to the end before one is ended early for being worse than their median."""


@dataclass(frozen=True, kw_only=True)
class TuneConfig:
    """What to search, and where."""

    base: TrainConfig
    """The settings that are not searched, the features, and the seed of the search. Its recipe is strict."""
    trials: int = 20
    """Trials in all, those of earlier calls among them."""
    search: Path | None = None
    """A TOML file of the settings to search; None: workflows/search.toml."""
    out: Path = Path("cache/tune")
    """The search has a folder DATASET-MODEL-SEED-xxxxxx in it, six hex digits of the settings and the cache."""
    executor: str = "local"
    """local: one trial after the other. ray: side by side."""
    ray_address: str | None = None

    def __post_init__(self) -> None:
        check_whole("--trials", self.trials, 1, 100_000)
        check_executor(self.executor, self.ray_address)
        if self.base.recipe != "strict":
            raise UserError(
                f"--recipe: got {self.base.recipe}; expected strict, since held-out people judge the trials"
            )
        if self.base.model == CUSTOM or not SYSTEMS[self.base.model].is_trained:
            raise UserError(
                f"--model: got {self.base.model}, which has no settings to search. Choose another model"
            )


@dataclass(frozen=True)
class _Trial:
    """What one training needs, as plain data."""

    number: int
    """Optuna's."""
    config: TrainConfig
    medians: tuple[float, ...]
    """See validation_curve."""


def tune(config: TuneConfig, *, say: Say = log, stop: Stop = never) -> TuneResult:
    """Run trials until there are `config.trials`, and return all of them.

    In one process the trials depend on the seed alone, whether they were interrupted or not; side by side they
    also depend on which ends first. A trial whose training cannot be done (it diverges, or runs out of memory) is
    kept with its reason. Raises UserError, DataError or CacheError; Stopped if `stop` says so.
    """
    space = read_search(config.search, config.base)
    optuna = _optuna()
    features = open_joined(config.base.caches, config.base.same_people)
    rows = rows_without_test(features, config.base, say)  # tells who judges, or that nobody can
    for line in warnings(config.base, features, rows):
        say(line)
    settings = {**config.base.settings(), "search": [asdict(setting) for setting in space]}
    name = default_run_name(
        features.dataset, config.base.model, config.base.seed, run_fingerprint(settings, features.seal)
    )
    folder = Path(config.out) / name
    with sole_writer(folder, say):
        folder.mkdir(parents=True, exist_ok=True)
        with _readable(optuna, folder / "trials.db"):
            study = _open_study(optuna, folder / "trials.db")
            lost = _run_trials(optuna, study, space, config, say, stop)
            finished = _finished(optuna, study)
        if not any(trial.curve.f1 for trial in finished):
            reasons = sorted({trial.curve.failure for trial in finished}) or ["every worker died"]
            raise DataError(f"--trials: none of {len(finished)} could be trained ({reasons[0]}). Change --search")
        constant = best_constant_f1(features, rows.train, rows.validation)
        result = TuneResult(
            features.dataset, config.base, space, tuple(finished), folder, constant, features.random_weights, lost
        )
        draw_trials(result, folder / "trials.png")
    return result


def _run_trials(
    optuna: Any, study: Any, space: tuple[Setting, ...], config: TuneConfig, say: Say, stop: Stop
) -> int:
    """Run the trials that are missing; return how many were given up, since their workers died."""
    for trial in study.get_trials(states=(optuna.trial.TrialState.RUNNING,)):
        study.tell(trial.number, state=optuna.trial.TrialState.FAIL)  # the process that ran it is gone
    done = len(_finished(optuna, study))
    if done >= config.trials:
        say(f"{done} trials are there already; a larger --trials adds some")
        return 0
    lost, asked = 0, dict[int, Any]()
    with _executor(config, say, stop) as (run, base):
        proposed = _proposed(optuna, study, asked, space, base, config.trials - done)
        for trial, curve in run(proposed):
            if curve is None:
                study.tell(trial.number, state=optuna.trial.TrialState.FAIL)
                say(f"trial {trial.number}: left out, since its worker died {DEATHS} times")
                lost += 1
                continue
            _record(optuna, study, asked[trial.number], curve)
            done += 1
            shown = f"F1 {100 * max(curve.f1):.2f}" if curve.f1 else f"cannot be trained ({curve.failure})"
            say(f"trial {trial.number}, {done} of {config.trials}: {shown}")
    return lost


_Run = Callable[[Iterator[_Trial]], Iterator[tuple[_Trial, ValidationCurve | None]]]


@contextmanager
def _executor(config: TuneConfig, say: Say, stop: Stop) -> Iterator[tuple[_Run, TrainConfig]]:
    """Yield what runs proposed trials, and the settings that are right where they run."""
    if config.executor == "local":
        say(explain_device(config.base.device))
        yield lambda trials: ((trial, _train(trial, stop)) for trial in trials), config.base
        return
    with ray_session(config.ray_address) as ray:
        device = device_of_workers(ray, config.base.device)
        yield (
            lambda trials: completed(ray, _train, trials, device=device, stop=stop),
            for_worker(config.base, device),
        )


def _train(trial: _Trial, stop: Stop = never) -> ValidationCurve:
    features = open_joined(trial.config.caches, trial.config.same_people)
    return validation_curve(trial.config, features, medians=trial.medians, stop=stop)


def _proposed(
    optuna: Any, study: Any, asked: dict[int, Any], space: tuple[Setting, ...], base: TrainConfig, count: int
) -> Iterator[_Trial]:
    """Yield new trials, each proposed when it is asked for, by what has ended until then.

    `asked` gets Optuna's object of each, by its number.
    """
    states = optuna.trial.TrialState
    for _ in range(count):
        trials = study.get_trials(deepcopy=False)
        # A seed for each trial: an interrupted search goes on as one that was not. Broken trials do not count.
        position = sum(trial.state != states.FAIL for trial in trials)
        seed = int(np.random.SeedSequence([base.seed, position]).generate_state(1)[0])
        study.sampler = optuna.samplers.TPESampler(seed=seed)
        trial = study.ask()
        asked[trial.number] = trial
        given = {setting.name: setting.suggest(trial) for setting in space}
        yield _Trial(trial.number, replace(base, **given), _medians(trials, states.COMPLETE, base.epochs))


def _medians(trials: list[Any], complete: Any, epochs: int) -> tuple[float, ...]:
    """Return the median F1 of the trials that trained to the end, for each epoch; empty for too few."""
    curves = [list(trial.intermediate_values.values()) for trial in trials if trial.state == complete]
    if len(curves) < MEDIAN_OF:
        return ()
    return tuple(np.median(np.array(curves).reshape(len(curves), epochs), axis=0).tolist())  # of (trials, epochs)


def _record(optuna: Any, study: Any, trial: Any, curve: ValidationCurve) -> None:
    """Keep how a trial ended."""
    for epoch, f1 in enumerate(curve.f1, 1):
        trial.report(f1, epoch)
    if curve.f1 and not curve.ended_early:
        study.tell(trial, max(curve.f1))
        return
    trial.set_user_attr("failure", curve.failure)
    study.tell(trial, state=optuna.trial.TrialState.PRUNED)  # without any F1 it counts as the worst


def _finished(optuna: Any, study: Any) -> list[FinishedTrial]:
    """Return all trials that ended, in their order."""
    states = optuna.trial.TrialState
    return [
        FinishedTrial(
            trial.number,
            trial.params,
            ValidationCurve(
                tuple(trial.intermediate_values[epoch] for epoch in sorted(trial.intermediate_values)),
                trial.state == states.PRUNED,
                trial.user_attrs.get("failure", ""),
            ),
        )
        for trial in study.get_trials(deepcopy=False, states=(states.COMPLETE, states.PRUNED))
    ]


def _optuna() -> Any:
    """Return the module, silent. UserError where it is not installed."""
    try:
        import optuna
    except ImportError as error:
        raise UserError(
            f"vpar tune: the package optuna cannot be imported ({error}); install it with `pip install optuna`"
        ) from error
    optuna.logging.set_verbosity(optuna.logging.CRITICAL)
    return optuna


def _open_study(optuna: Any, path: Path) -> Any:
    from sqlalchemy import URL

    url = URL.create("sqlite", database=str(path)).render_as_string()
    return optuna.create_study(storage=url, study_name="tune", direction="maximize", load_if_exists=True)


@contextmanager
def _readable(optuna: Any, path: Path) -> Iterator[None]:
    """Raise CacheError where the file of trials cannot be read or written."""
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except (SQLAlchemyError, optuna.exceptions.StorageInternalError) as error:
        reason = str(error.__cause__ or error).strip().partition("\n")[0][:200]
        raise CacheError(
            f"{path}: the trials cannot be read or written ({reason}). Free space where the disk is full; remove "
            "a damaged file to start over"
        ) from error
