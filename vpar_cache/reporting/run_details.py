"""What the averages of one run hide: intervals, single outputs, calibration, thresholds, classes, parts.

All of it was computed when the run was written (metrics/evaluation.py); here it becomes tables and charts.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from vpar_cache.errors import count_of
from vpar_cache.metrics.evaluation import Evaluation
from vpar_cache.metrics.parts import MIN_TRACKLETS
from vpar_cache.metrics.scoring import SELECTED, THRESHOLD_GRID, THRESHOLDS, protocols_of
from vpar_cache.rendering.tables import COUNT, Block, Chart, Column, Notes, Number, Part, metric_table
from vpar_cache.reporting.evaluation_tables import protocol_table
from vpar_cache.reporting.numbers import AVERAGES, about_run, evaluation_numbers, run_label, with_chance
from vpar_cache.reporting.training_history import history_blocks, history_numbers
from vpar_cache.runs.finished import FinishedRun

_VTF = f"vtf, probability > {THRESHOLDS['vtf']:g}"
_VIDEOPAR = "videopar, the most probable class"
_KINDS = {
    "quality": "parts with and without each of the dataset's quality flags",
    "camera": "parts by camera",
    "length": "quarters by length",
}
_FEW_PEOPLE = 30
"""Fewer leave out rare classes in many resamples, which lowers both ends of a macro F1."""
_TRIPLE = {"precision": "P", "recall": "R", "f1": "F1"}
_OUTPUT_NOTE = (
    "outputs: P, R and F1 of the positive class over all tracklets, also where the group has several outputs; mA: "
    "(TPR + TNR) / 2. Always yes: the F1 of saying yes to every tracklet, the best that a constant can do; its P "
    "is the share of positives, its R 100, its mA 50."
)
_CALIBRATION_NOTE = (
    "calibration: of the tracklets that were given a probability p, a share of p should have the output. ECE is "
    "the mean gap between the two over ten bins, weighted by count. It depends on no protocol and no threshold. "
    "A bin counts labels, not tracklets. prior ECE: that of the train frequencies, the same for every tracklet."
)
_PARTS_NOTE = (
    "parts: they differ in what their people wear, so read each score against the best constant and the shuffled "
    "predictions of the same part. Under videopar a class that a part lacks scores 0 for everybody."
)

_Found = tuple[Sequence[Number], Sequence[Block]]
"""Numbers that are new in the long table, and the blocks that show them."""


def run_details(run: FinishedRun, name: str) -> Part:
    """Return the details of a run that the report calls `name`.

    Raises CacheError for a training history that cannot be read.
    """
    details = _Details(run, name)
    found = list(details.all())
    numbers = tuple(number for numbers, _ in found for number in numbers)
    blocks = [block for _, blocks in found for block in blocks]
    return Part(details.title, numbers, (*blocks, Notes(tuple(details.notes(numbers)))), group="Single runs")


class _Details:
    def __init__(self, run: FinishedRun, name: str) -> None:
        self.run, self.about = run, about_run(run, name)
        self.title = run_label(run, name)

    def numbers(
        self, table: str, group: str, item: str, values: Mapping[str, float], protocol: str = "", **fields: Any
    ) -> list[Number]:
        """Return the numbers of one row, by metric; `fields` are further ones of Number."""
        about = {**self.about, "group": group, "item": item, "protocol": protocol, "n": self.run.num_tracklets}
        about |= {"threshold": THRESHOLDS.get(protocol), **fields}
        return [Number(table=table, metric=metric, value=value, **about) for metric, value in values.items()]

    def all(self) -> Iterator[_Found]:
        for protocol in protocols_of(self.run.unit):
            yield self.scores(protocol)
        yield self.outputs()
        yield self.calibration()
        yield self.reliability()
        yield self.threshold_curve()
        for (name, _), group in zip(self.run.schema.named_slices(), self.run.schema.groups, strict=True):
            if group.is_choice and name in self.run.details.confusions:
                yield self.confusion(name, group.value_names())
        yield self.parts()
        if self.run.validation is not None:
            yield self.validation(self.run.validation)
        if history := history_numbers(self.run, **self.about):
            yield history, history_blocks(history, self.title)

    def scores(self, protocol: str) -> _Found:
        """The numbers are those of the report's own tables."""
        numbers = evaluation_numbers(self.run, **self.about)
        return (), [protocol_table(f"{self.title}: each group", numbers, protocol, self.run.unit)]

    def outputs(self) -> _Found:
        headings = {**_TRIPLE, "mA": "mA"}
        numbers = []
        names = zip(
            self.run.schema.output_groups(), self.run.schema.outputs, self.run.details.outputs, strict=True
        )
        for group, output, found in names:
            counts = {"positives": found.positives, **({"unknown": found.unknown} if self.run.unknown else {})}
            numbers += self.numbers("outputs", group, output.name, counts, unit=COUNT)
            with_label = self.run.num_tracklets - found.unknown
            share = found.positives / with_label if with_label else 0.0
            always_yes = {"precision": share, "recall": float(share > 0), "f1": found.always_f1, "mA": 0.5}
            for metric in headings:
                value = {metric: 100 * float(getattr(found, metric))}
                fields = {"best_constant": 100 * always_yes[metric]}
                numbers += self.numbers("outputs", group, output.name, value, "vtf", **fields)
        columns = [Column("positives", "positives")]
        columns += [Column("unknown", "unknown")] if self.run.unknown else []
        columns += [Column(heading, metric, "vtf") for metric, heading in headings.items()]
        columns.insert(-1, Column("always yes F1", "f1", "vtf", "best_constant"))
        title = f"{self.title}: each output, in percent; {_VTF}"
        return numbers, [metric_table(title, "Output", numbers, columns)]

    def calibration(self) -> _Found:
        numbers = []
        for name, error in self.run.details.calibration.items():
            values = {"ece": 100 * error}
            if self.run.details.prior_calibration:
                values["prior_ece"] = 100 * self.run.details.prior_calibration[name]
            numbers += self.numbers("calibration", name, "" if name else "all outputs", values)
        title = f"{self.title}: expected calibration error of each group, in percent; no threshold"
        columns = [Column("ECE", "ece"), Column("prior ECE", "prior_ece")]
        return numbers, [metric_table(title, "Group", numbers, columns, last_is_average=True)]

    def reliability(self) -> _Found:
        """All outputs pooled; an empty bin has a count and no shares."""
        numbers, points = [], []
        width = 1 / len(self.run.details.bins)
        for i, found in enumerate(self.run.details.bins):
            item = f"{i * width:g} to {(i + 1) * width:g}"
            numbers += self.numbers("reliability", "", item, {"labels": found.labels}, unit=COUNT)
            if found.labels:
                mean, share = 100 * found.mean_probability, 100 * found.frequency
                numbers += self.numbers("reliability", "", item, {"mean_probability": mean, "frequency": share})
                points.append((mean, share))
        headings = {"labels": "labels", "mean_probability": "mean probability", "frequency": "share that holds"}
        columns = [Column(heading, metric) for metric, heading in headings.items()]
        title = f"{self.title}: reliability, all outputs pooled, in percent; no threshold"
        lines = (("this run", tuple(points)), ("calibrated", ((0.0, 0.0), (100.0, 100.0))))
        chart = Chart(title, "mean probability, %", "share that holds, %", lines)
        return numbers, [metric_table(title, "Probability", numbers, columns), chart]

    def threshold_curve(self) -> _Found:
        constant = self.run.best_constant.get("vtf")
        best = {} if constant is None else {metric: 100 * constant.average[metric] for metric in _TRIPLE}
        numbers = []
        for threshold, row in zip(THRESHOLD_GRID, self.run.details.threshold_curve, strict=True):
            for metric, value in zip(_TRIPLE, row, strict=True):
                fields: dict[str, Any] = {
                    "threshold": threshold,
                    "best_constant": best.get(metric),
                }
                item = f"{threshold:g}"
                values = {metric: 100 * value}
                numbers += self.numbers("threshold_curve", "average", item, values, "vtf", **fields)
        title = f"{self.title}: averages over groups at each threshold, in percent; vtf, probability > threshold"
        columns = [Column(heading, metric, "vtf") for metric, heading in _TRIPLE.items()]
        lines = [
            (heading, tuple((float(n.item), n.value) for n in numbers if n.metric == metric))
            for metric, heading in _TRIPLE.items()
        ]
        if best:
            constant_line = tuple((threshold, best["f1"]) for threshold in THRESHOLD_GRID)
            lines.append(("F1 of the best constant", constant_line))
        chart = Chart(title, "threshold", "average, %", tuple(lines))
        return numbers, [metric_table(title, "Threshold", numbers, columns), chart]

    def confusion(self, group: str, classes: tuple[str, ...]) -> _Found:
        numbers = []
        for name, row in zip(classes, self.run.details.confusions[group], strict=True):
            predicted = {f"predicted {other}": count for other, count in zip(classes, row, strict=True)}
            numbers += self.numbers("confusion", group, name, {"tracklets": sum(row)}, unit=COUNT)
            numbers += self.numbers("confusion", group, name, predicted, "videopar", unit=COUNT)
        headings = [Column("all", "tracklets"), *(Column(c, f"predicted {c}", "videopar") for c in classes)]
        title = f"{self.title}: {group}, {self.run.unit}s by true class (rows) and predicted class; {_VIDEOPAR}"
        return numbers, [metric_table(title, "True class", numbers, headings)]

    def parts(self) -> _Found:
        numbers: list[Number] = []
        tables = []
        for kind, words in _KINDS.items():
            found = list(self.part_numbers(kind))
            if found:
                what = f"{words}, averages in percent"
                tables.append(metric_table(f"{self.title}: {what}", "Part", found, _part_columns(self.run.unit)))
            numbers += found
        return numbers, tables

    def part_numbers(self, kind: str) -> Iterator[Number]:
        table = f"parts_{kind}"
        for part in self.run.parts:
            if part.kind != kind:
                continue
            n = part.num_tracklets
            counts = {"tracklets": n} | ({} if part.num_people is None else {"people": part.num_people})
            yield from self.numbers(table, "average", part.name, counts, unit=COUNT, n=n)
            for protocol, found in part.scores.items():
                best = None if found.best_constant is None else 100 * found.best_constant
                fields = {"n": n, "best_constant": best}
                for one in self.numbers(table, "average", part.name, {"f1": 100 * found.f1}, protocol, **fields):
                    yield with_chance(one, found.shuffled)
                if found.mA is not None:
                    values = {"mA": 100 * found.mA}
                    yield from self.numbers(table, "average", part.name, values, protocol, n=n, best_constant=50.0)

    def validation(self, found: Evaluation) -> _Found:
        about = {**self.about, "split": "validation"}
        numbers = [
            replace(number, table="validation")
            for number in evaluation_numbers(found, **about)
            if number.table == AVERAGES and number.metric == "f1" and number.protocol != SELECTED
        ]
        title = (
            f"{self.title}: average F1 on the {count_of(found.num_tracklets, f'validation {found.unit}')}, which "
            "chose the epoch and the thresholds, in percent"
        )
        return numbers, [metric_table(title, "Groups", numbers, _validation_columns(self.run.unit))]

    def notes(self, numbers: Sequence[Number]) -> Iterator[str]:
        """Yield what a reader of these very tables must know."""
        yield self.interval_note()
        yield _OUTPUT_NOTE
        yield _CALIBRATION_NOTE
        if SELECTED in self.run.scores:
            chosen = self.run.scores[SELECTED].threshold
            over = self.run.intervals.over
            yield f"thresholds: {chosen:g} was chosen on validation {over}; the highest of this table was not."
        if self.run.parts:
            yield _PARTS_NOTE
        sizes = {n.item: n.value for n in numbers if n.metric == "tracklets" and n.table.startswith("parts")}
        if small := [name for name, size in sizes.items() if size < MIN_TRACKLETS]:
            yield f"no score for parts of fewer than {MIN_TRACKLETS} {self.run.unit}s: {', '.join(small)}."

    def interval_note(self) -> str:
        found = self.run.intervals
        if found.number == 1:
            return "intervals: one person only, so there is nobody to resample and no interval."
        return (
            f"intervals: {found.method}, {found.resamples} resamples of {found.number} {found.over}. They show "
            f"how much a score depends on the choice of test {found.over}; other training seeds are not included."
            + (" With so few they are rough." if found.number < _FEW_PEOPLE else "")
        )


def _validation_columns(unit: str) -> list[Column]:
    return [
        column
        for protocol in protocols_of(unit)
        for column in (
            Column(f"{protocol} F1", "f1", protocol),
            Column(f"{protocol} best constant", "f1", protocol, "best_constant"),
        )
    ]


def _part_columns(unit: str) -> list[Column]:
    first = protocols_of(unit)[0]
    return [
        Column(f"{unit}s", "tracklets"),
        Column("people", "people"),
        Column(f"{first} mA", "mA", first),
        *(
            column
            for protocol in protocols_of(unit)
            for column in (
                Column(f"{protocol} F1", "f1", protocol),
                Column(f"{protocol} best constant", "f1", protocol, "best_constant"),
                Column(f"{protocol} shuffled", "f1", protocol, "shuffled"),
            )
        ),
    ]
