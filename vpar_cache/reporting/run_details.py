"""What the averages of one run hide: intervals, single outputs, calibration, thresholds, classes, parts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from vpar_cache.metrics.inputs import Groups
from vpar_cache.metrics.outputs import calibration, confusion, output_scores, threshold_curve
from vpar_cache.metrics.scoring import SELECTED, THRESHOLD_GRID, THRESHOLDS
from vpar_cache.rendering.tables import COUNT, Block, Chart, Column, Notes, Number, Part, metric_table
from vpar_cache.reporting.numbers import about_run, run_label, score_numbers
from vpar_cache.reporting.slices import KINDS, MIN_TRACKLETS, slice_numbers
from vpar_cache.reporting.training_history import history_blocks, history_numbers
from vpar_cache.runs.finished import FinishedRun
from vpar_cache.runs.predictions import read_test_predictions

_VTF = f"vtf, probability > {THRESHOLDS['vtf']:g}"
_VIDEOPAR = "videopar, the most probable class"
_BOTH = f"{_VTF}, and {_VIDEOPAR} (one output: probability > {THRESHOLDS['videopar']:g})"
_FEW_PEOPLE = 30
"""Fewer leave out rare classes in many resamples, which lowers both ends of a macro F1."""
_TRIPLE = {"precision": "P", "recall": "R", "f1": "F1"}
_OUTPUT_NOTE = (
    "outputs: P, R and F1 of the positive class over all tracklets, also where the group has several outputs; "
    "mA: (TPR + TNR) / 2, which is 50 for a predictor that always says the same (where both answers occur)."
)
_CALIBRATION_NOTE = (
    "calibration: of the tracklets that were given a probability p, a share of p should have the output. ECE is "
    "the mean gap between the two over ten bins, weighted by count. It depends on no protocol and no threshold. "
    "A bin counts labels, not tracklets."
)
_PRIOR_NOTE = (
    "parts: over prior is the score less that of the prior of the whole train split on the same part. "
    "Parts differ in what their people wear, so compare the differences, not the scores. Under videopar a "
    "class that a part lacks scores 0 for everybody, which lowers both."
)

_Found = tuple[Sequence[Number], Sequence[Block]]
"""Numbers that are new in the long table, and the blocks that show them."""


def run_details(run: FinishedRun, name: str) -> Part:
    """Return the details of a run that the report calls `name`.

    Raises CacheError for predictions or a training history that do not fit the run.
    """
    details = _Details(run, name)
    found = list(details.all())
    numbers = tuple(number for numbers, _ in found for number in numbers)
    blocks = [block for _, blocks in found for block in blocks]
    return Part(details.title, numbers, (*blocks, Notes(tuple(details.notes(numbers)))))


class _Details:
    def __init__(self, run: FinishedRun, name: str) -> None:
        self.run, self.about = run, about_run(run, name)
        self.title = run_label(run, name)
        self.predictions = read_test_predictions(run)
        self.probabilities, self.labels = self.predictions.probabilities, self.predictions.labels  # (N, A) each
        self.groups: Groups = run.schema.named_slices()

    def numbers(
        self, table: str, group: str, item: str, values: Mapping[str, float], protocol: str = "", **fields: Any
    ) -> list[Number]:
        """Return the numbers of one row, by metric; `fields` are further ones of Number."""
        about = {**self.about, "group": group, "item": item, "protocol": protocol, "n": self.run.num_tracklets}
        about |= {"threshold": THRESHOLDS.get(protocol), **fields}
        return [Number(table=table, metric=metric, value=value, **about) for metric, value in values.items()]

    def all(self) -> Iterator[_Found]:
        yield self.intervals()
        yield self.outputs()
        yield self.calibration()
        yield self.reliability()
        yield self.threshold_curve()
        for (name, columns), group in zip(self.groups, self.run.schema.groups, strict=True):
            if group.is_choice:
                yield self.confusion(name, columns, group.value_names())
        yield self.slices()
        if history := history_numbers(self.run, **self.about):
            yield history, history_blocks(history, self.title)

    def intervals(self) -> _Found:
        """The numbers are those of the report's own tables."""
        numbers = [
            number
            for number in score_numbers(self.run.scores, self.run.intervals, **self.about)
            if number.metric == "f1" and number.protocol in THRESHOLDS
        ]
        numbers.sort(key=lambda number: number.table == "averages")
        columns = [
            Column(f"{protocol} {heading}", "f1", protocol, heading == "F1 95 %")
            for protocol in THRESHOLDS
            for heading in ("F1", "F1 95 %")
        ]
        title = f"{self.title}: F1 with 95 % intervals over {self.run.num_people} people, in percent; {_BOTH}"
        return (), [metric_table(title, "Group", numbers, columns, last_is_average=True)]

    def outputs(self) -> _Found:
        scores = output_scores(self.probabilities, self.labels, self.groups, THRESHOLDS["vtf"])
        positives = self.labels.sum(axis=0)  # (A,)
        headings = {**_TRIPLE, "mA": "mA"}
        numbers = []
        names = zip(self.run.schema.output_groups(), self.run.schema.outputs, strict=True)
        for a, (group, output) in enumerate(names):
            values = {metric: 100 * float(scores[metric][a]) for metric in headings}
            numbers += self.numbers("outputs", group, output.name, {"positives": int(positives[a])}, unit=COUNT)
            numbers += self.numbers("outputs", group, output.name, values, "vtf")
        columns = [Column("positives", "positives")]
        columns += [Column(heading, metric, "vtf") for metric, heading in headings.items()]
        title = f"{self.title}: each output, in percent; {_VTF}"
        return numbers, [metric_table(title, "Output", numbers, columns)]

    def calibration(self) -> _Found:
        numbers = []
        for name, columns in [*self.groups, ("", slice(None))]:
            error = 100 * calibration(self.probabilities[:, columns], self.labels[:, columns]).error
            numbers += self.numbers("calibration", name, "" if name else "all outputs", {"ece": error})
        title = f"{self.title}: expected calibration error of each group, in percent; no threshold"
        return numbers, [metric_table(title, "Group", numbers, [Column("ECE", "ece")], last_is_average=True)]

    def reliability(self) -> _Found:
        """All outputs pooled; an empty bin has a count and no shares."""
        found = calibration(self.probabilities, self.labels)
        numbers, points = [], []
        width = 1 / len(found.count)
        for i, count in enumerate(found.count):
            item = f"{i * width:g} to {(i + 1) * width:g}"
            numbers += self.numbers("reliability", "", item, {"labels": int(count)}, unit=COUNT)
            if count:
                mean, share = 100 * float(found.mean_probability[i]), 100 * float(found.frequency[i])
                numbers += self.numbers("reliability", "", item, {"mean_probability": mean, "frequency": share})
                points.append((mean, share))
        headings = {"labels": "labels", "mean_probability": "mean probability", "frequency": "share that holds"}
        columns = [Column(heading, metric) for metric, heading in headings.items()]
        title = f"{self.title}: reliability, all outputs pooled, in percent; no threshold"
        lines = (("this run", tuple(points)), ("calibrated", ((0.0, 0.0), (100.0, 100.0))))
        chart = Chart(title, "mean probability, %", "share that holds, %", lines)
        return numbers, [metric_table(title, "Probability", numbers, columns), chart]

    def threshold_curve(self) -> _Found:
        curve = 100 * threshold_curve(self.probabilities, self.labels, self.groups)  # (thresholds, 3)
        numbers = []
        for threshold, row in zip(THRESHOLD_GRID, curve.tolist(), strict=True):
            values = dict(zip(_TRIPLE, row, strict=True))
            item = f"{threshold:g}"
            numbers += self.numbers("threshold_curve", "average", item, values, "vtf", threshold=threshold)
        title = f"{self.title}: averages over groups at each threshold, in percent; vtf, probability > threshold"
        columns = [Column(heading, metric, "vtf") for metric, heading in _TRIPLE.items()]
        lines = tuple(
            (heading, tuple(zip(THRESHOLD_GRID, line, strict=True)))
            for heading, line in zip(_TRIPLE.values(), curve.T.tolist(), strict=True)
        )
        chart = Chart(title, "threshold", "average, %", lines)
        return numbers, [metric_table(title, "Threshold", numbers, columns), chart]

    def confusion(self, group: str, columns: slice, classes: tuple[str, ...]) -> _Found:
        counts = confusion(self.probabilities[:, columns], self.labels[:, columns])  # (K, K)
        numbers = []
        for name, row in zip(classes, counts.tolist(), strict=True):
            predicted = {f"predicted {other}": count for other, count in zip(classes, row, strict=True)}
            numbers += self.numbers("confusion", group, name, {"tracklets": sum(row)}, unit=COUNT)
            numbers += self.numbers("confusion", group, name, predicted, "videopar", unit=COUNT)
        headings = [Column("all", "tracklets"), *(Column(c, f"predicted {c}", "videopar") for c in classes)]
        title = f"{self.title}: {group}, tracklets by true class (rows) and predicted class; {_VIDEOPAR}"
        return numbers, [metric_table(title, "True class", numbers, headings)]

    def slices(self) -> _Found:
        numbers = slice_numbers(self.run, self.predictions, **self.about)
        columns = [
            Column("tracklets", "tracklets"),
            Column("people", "people"),
            Column("vtf F1", "f1", "vtf"),
            Column("vtf F1 over prior", "f1_over_prior", "vtf"),
            Column("vtf mA", "mA", "vtf"),
            Column("videopar F1", "f1", "videopar"),
            Column("videopar F1 over prior", "f1_over_prior", "videopar"),
        ]
        tables = []
        for kind, words in KINDS.items():
            if chosen := [number for number in numbers if number.table == f"slices_{kind}"]:
                title = f"{self.title}: {words}, averages over groups, in percent; {_BOTH}"
                tables.append(metric_table(title, "Part", chosen, columns))
        return numbers, tables

    def notes(self, numbers: Sequence[Number]) -> Iterator[str]:
        """Yield what a reader of these very tables must know."""
        yield self.interval_note()
        yield _OUTPUT_NOTE
        yield _CALIBRATION_NOTE
        if SELECTED in self.run.scores:
            chosen = self.run.scores[SELECTED].threshold
            yield f"thresholds: {chosen:g} was chosen on validation people; the highest of this table was not."
        yield _PRIOR_NOTE
        sizes = {n.item: n.value for n in numbers if n.metric == "tracklets" and n.table.startswith("slices")}
        if small := [name for name, size in sizes.items() if size < MIN_TRACKLETS]:
            yield f"no score for parts of fewer than {MIN_TRACKLETS} tracklets: {', '.join(small)}."

    def interval_note(self) -> str:
        intervals = self.run.intervals
        if self.run.num_people == 1:
            return "intervals: one person only, so there is nobody to resample and no interval."
        return (
            f"intervals: {intervals.method}, {intervals.resamples} resamples of {intervals.people} people with "
            "all their tracklets. They show how much a score depends on the choice of test people; other training "
            "seeds are not included."
            + (" With so few people they are rough." if intervals.people < _FEW_PEOPLE else "")
        )
