"""The trials of `vpar tune`: the table, the picture, and the command that trains the best."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any

from vpar_cache.base.files import atomic_path
from vpar_cache.base.quiet_matplotlib import import_matplotlib
from vpar_cache.errors import count_of
from vpar_cache.metrics.vtf import VTF_THRESHOLD
from vpar_cache.rendering.tables import MISSING, Notes, Number, Part, Table
from vpar_cache.training.config import TrainConfig
from vpar_cache.training.trial import ValidationCurve
from vpar_cache.workflows.search_space import Setting

SHOWN = 10
"""Trials in the table."""
_PANEL_INCHES = 3.0
_COLUMNS = 3


@dataclass(frozen=True)
class FinishedTrial:
    """One trial that ended."""

    number: int
    settings: Mapping[str, Any]
    curve: ValidationCurve

    @property
    def f1(self) -> float | None:
        """The highest vtf F1 over its epochs; None where it could not be trained."""
        return max(self.curve.f1) if self.curve.f1 else None


@dataclass(frozen=True)
class TuneResult:
    """All trials of a search, at least one of them with an F1. Renders like a report."""

    dataset: str
    base: TrainConfig
    space: tuple[Setting, ...]
    trials: tuple[FinishedTrial, ...]
    folder: Path
    """It holds trials.db and trials.png."""
    best_constant: float
    """The vtf F1 of the best constant on the validation tracklets."""
    random_weights: bool
    """True where the features came from random weights."""
    lost: int = 0
    """Trials of this call that were given up, since their workers died."""

    @cached_property
    def ranking(self) -> list[FinishedTrial]:
        """The trials with an F1, the best first, the earlier first among equals."""
        return sorted((t for t in self.trials if t.f1 is not None), key=lambda t: (-(t.f1 or 0), t.number))

    @property
    def best(self) -> FinishedTrial:
        return self.ranking[0]

    @property
    def command(self) -> str:
        """The command line that trains the best settings, with test numbers then."""
        options = {**_changed(self.base), **self.best.settings}
        words = ["vpar", "train"]
        for cache in self.base.caches:
            words += ["--features", str(cache)]
        for name, value in options.items():
            if value is False:
                continue
            words.append("--" + name.replace("_", "-"))
            words += [] if value is True else [str(value)]
        return shlex.join(words)

    @property
    def parts(self) -> tuple[Part, ...]:
        """The table of the best trials, and notes; the long table has every trial with an F1."""
        header = ("Trial", *(s.name.replace("_", " ") for s in self.space), "Best epoch", "F1")
        rows = [
            (
                str(trial.number),
                *(_text(trial.settings[s.name]) for s in self.space),
                str(1 + trial.curve.f1.index(max(trial.curve.f1))) + ("*" if trial.curve.ended_early else ""),
                MISSING if trial.f1 is None else f"{100 * trial.f1:.2f}",
            )
            for trial in self.ranking[:SHOWN]
        ]
        title = (
            f"{self.dataset}: the best of {count_of(len(self.trials), 'trial')} of {self.base.model}, vtf F1 of "
            "validation, in percent" + (" (random weights)" if self.random_weights else "")
        )
        table = Table(title, header, tuple(rows))
        numbers = tuple(self._number(trial) for trial in self.ranking)
        return (Part(self.dataset, numbers, (table, Notes(tuple(self._notes())))),)

    def _number(self, trial: FinishedTrial) -> Number:
        item = ", ".join(f"{name}={_text(value)}" for name, value in trial.settings.items())
        return Number(
            table="trials",
            dataset=self.dataset,
            split="validation",
            system=f"trial {trial.number}",
            source="trial",
            kind=f"{self.base.model}, strict",
            weights="random" if self.random_weights else "",
            protocol="vtf",
            threshold=VTF_THRESHOLD,
            item=item,
            metric="f1",
            value=100 * (trial.f1 or 0),
            best_constant=100 * self.best_constant,
        )

    def _notes(self) -> list[str]:
        notes = [
            f"The best constant, which sees no image, has {100 * self.best_constant:.2f} on the same people.",
            "The F1 of the best trial is optimistic: it was chosen as the highest of many on the same people. "
            "No test tracklet was read. The numbers to report are those of a training with these settings.",
        ]
        if early := sum(trial.curve.ended_early and trial.f1 is not None for trial in self.trials):
            notes.append(f"* ended early, since it was below the median of earlier trials: {early} in all.")
        notes += [
            f"trial {trial.number} could not be trained: {trial.curve.failure}"
            for trial in self.trials
            if trial.f1 is None
        ]
        if self.lost:
            notes.append(
                f"left out, since their workers died: {count_of(self.lost, 'trial')}. Run the command again."
            )
        return notes


def draw_trials(result: TuneResult, path: Path) -> None:
    """Write a PNG: F1 by trial with the best so far, F1 by each setting, and the best constant."""
    import_matplotlib()
    from matplotlib.figure import Figure

    trials = sorted(result.ranking, key=lambda trial: trial.number)
    f1 = [100 * (trial.f1 or 0) for trial in trials]
    lines = -(-(1 + len(result.space)) // _COLUMNS)
    figure: Any = Figure(figsize=(_COLUMNS * _PANEL_INCHES, lines * _PANEL_INCHES), layout="constrained")
    panels = iter(figure.subplots(lines, _COLUMNS, squeeze=False).flat)
    first = next(panels)
    first.plot([t.number for t in trials], f1, "o", markersize=4, label="trial")
    first.plot([t.number for t in trials], [max(f1[: i + 1]) for i in range(len(f1))], label="best so far")
    first.axhline(100 * result.best_constant, color="gray", linestyle="--", label="best constant")
    first.set(xlabel="trial")
    first.legend(fontsize=8)
    for setting, panel in zip(result.space, panels, strict=False):
        values = [trial.settings[setting.name] for trial in trials]
        if setting.choices:
            panel.plot([setting.choices.index(value) for value in values], f1, "o", markersize=4)
            panel.set_xticks(range(len(setting.choices)), [str(choice) for choice in setting.choices])
            panel.set_xlim(-0.5, len(setting.choices) - 0.5)
        else:
            panel.plot(values, f1, "o", markersize=4)
            if setting.log:
                panel.set_xscale("log")
                ends = (setting.low, setting.high)
                panel.set_xticks(ends, [_text(end) for end in ends])
                panel.minorticks_off()  # their labels overlap
        panel.axhline(100 * result.best_constant, color="gray", linestyle="--")
        panel.set(xlabel=setting.name.replace("_", " "))
    for panel in panels:
        panel.set_axis_off()
    figure.supylabel("validation vtf F1, %")
    with atomic_path(path) as partial:
        figure.savefig(partial, format="png", dpi=120)


def _changed(config: TrainConfig) -> dict[str, Any]:
    """Return the settings of a training that are not the defaults, by the names of its options."""
    kept = ("same_people", "model", "epochs", "val_fraction", "folds", "fold", "seed", "precision", "device")
    defaults = {field.name: field.default for field in fields(TrainConfig)}
    return {name: getattr(config, name) for name in kept if getattr(config, name) != defaults[name]}


def _text(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
