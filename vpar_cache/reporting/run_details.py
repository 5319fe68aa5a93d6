"""What the averages of one run hide: intervals, single outputs, calibration, thresholds, classes, parts."""

from __future__ import annotations

from collections.abc import Iterator

from vpar_cache.metrics.inputs import Groups
from vpar_cache.metrics.outputs import CURVE, Calibration, calibration, confusion, output_scores, threshold_curve
from vpar_cache.metrics.scoring import SELECTED, THRESHOLDS
from vpar_cache.rendering.sheets import Column, Details, Row, Sheet, Value
from vpar_cache.rendering.tables import Chart
from vpar_cache.reporting.slices import MIN_TRACKLETS, SliceScores, slice_scores
from vpar_cache.runs.predictions import RunPredictions, read_test_predictions
from vpar_cache.runs.scores import RunScores

_VTF = f"vtf, probability > {THRESHOLDS['vtf']:g}"
_VIDEOPAR = "videopar, the most probable class"
_BOTH = f"{_VTF}, and {_VIDEOPAR} (one output: probability > {THRESHOLDS['videopar']:g})"
_KINDS = {
    "quality": "parts with and without each of the dataset's quality flags",
    "camera": "parts by camera",
    "length": "quarters by length",
}
_FEW_PEOPLE = 30
"""Fewer leave out rare classes in many resamples, which lowers both ends of a macro F1."""
_OUTPUT_NOTE = (
    "outputs: P, R and F1 of the positive class over all tracklets, also where the group has several outputs; "
    "mA: (TPR + TNR) / 2, which is 50 for a predictor that always says the same (where both answers occur)."
)
_CALIBRATION_NOTE = (
    "calibration: of the tracklets that were given a probability p, a share of p should have the output. ECE is "
    "the mean gap between the two over ten bins, weighted by count. No protocol and no threshold enters it. "
    "A bin counts labels, not tracklets."
)


def run_details(run: RunScores, name: str, label: str) -> Details:
    """`name` is what the tables call the run, `label` the same with its marks (random weights), for titles.

    Raises CacheError for predictions that do not fit the run.
    """
    builder = _Builder(run, read_test_predictions(run), label)
    sheets, notes = tuple(builder.sheets()), tuple(builder.notes())
    return Details(run.place, name, "run", run.weights, run.random_weights, sheets, notes)


class _Builder:
    def __init__(self, run: RunScores, predictions: RunPredictions, label: str) -> None:
        self.run, self.label = run, label
        self.probabilities, self.labels = predictions.probabilities, predictions.labels
        self.groups: Groups = [(group.name, columns) for group, columns in run.schema.slices()]
        self.parts = slice_scores(run, predictions)

    def title(self, what: str, rule: str) -> str:
        return f"{self.label}, {self.run.place}: {what}; {rule}"

    def sheets(self) -> Iterator[Sheet]:
        yield self.intervals()
        yield self.outputs()
        yield self.group_calibration()
        yield self.bins()
        yield self.curve()
        for (name, columns), group in zip(self.groups, self.run.schema.groups, strict=True):
            if group.is_choice:
                yield self.confusion(name, columns, group.value_names())
        for kind in _KINDS:
            if any(part.kind == kind for part in self.parts):
                yield self.slices(kind)

    def intervals(self) -> Sheet:
        """Scores as in metrics.json; a run without intervals still shows its F1 of each group."""
        columns = tuple(
            Column(f"{protocol} {heading}", metric, protocol, THRESHOLDS[protocol])
            for protocol in THRESHOLDS
            for heading, metric in (("F1", "f1"), ("F1 95 %", "f1_95"))
        )
        rows = [Row(name, "", None, self.with_intervals(name)) for name, _ in self.groups]
        rows.append(Row("average", "", None, self.with_intervals(None)))
        title = self.title(f"F1 with 95 % intervals over {self.run.num_people} people, in percent", _BOTH)
        return Sheet("intervals", title, "Group", columns, tuple(rows), last_is_average=True)

    def with_intervals(self, group: str | None) -> tuple[Value, ...]:
        values: list[Value] = []
        for protocol in THRESHOLDS:
            scores = self.run.scores[protocol]
            intervals = self.run.intervals
            values.append((scores.average if group is None else scores.groups[group])["f1"])
            values.append(None if intervals is None else intervals.of(protocol, group, "f1"))
        return tuple(values)

    def outputs(self) -> Sheet:
        headings = {"precision": "P", "recall": "R", "f1": "F1", "mA": "mA"}
        threshold = THRESHOLDS["vtf"]
        columns = tuple(Column(heading, metric, "vtf", threshold) for metric, heading in headings.items())
        scores = output_scores(self.probabilities, self.labels, self.groups, threshold)
        positives = self.labels.sum(axis=0)  # (A,)
        names = zip(self.run.schema.output_groups(), self.run.schema.outputs, strict=True)
        rows = tuple(
            Row(group, output.name, int(positives[a]), tuple(float(scores[metric][a]) for metric in headings))
            for a, (group, output) in enumerate(names)
        )
        title = self.title("each output, in percent", _VTF)
        return Sheet("outputs", title, "Output", columns, rows, n_heading="positives")

    def group_calibration(self) -> Sheet:
        rows = [
            Row(name, "", None, (calibration(self.probabilities[:, c], self.labels[:, c]).error,))
            for name, c in self.groups
        ]
        rows.append(Row("all outputs", "", None, (self.pooled.error,)))
        title = self.title("expected calibration error of each group, in percent", "no threshold")
        columns = (Column("ECE", "ece"),)
        return Sheet("calibration", title, "Group", columns, tuple(rows), last_is_average=True)

    @property
    def pooled(self) -> Calibration:
        return calibration(self.probabilities, self.labels)

    def bins(self) -> Sheet:
        """Reliability, all outputs pooled; an empty bin has a count and no numbers."""
        found = self.pooled
        numbers = list(zip(found.count, found.mean_probability, found.frequency, strict=True))
        width = 1 / len(numbers)
        rows = tuple(
            Row("all outputs", f"{i * width:g} to {(i + 1) * width:g}", int(count),
                (float(mean), float(frequency)) if count else (None, None))
            for i, (count, mean, frequency) in enumerate(numbers)
        )  # fmt: skip
        title = self.title("reliability, all outputs pooled, in percent", "no threshold")
        columns = (Column("mean probability", "mean_probability"), Column("share that holds", "frequency"))
        filled = [(100 * float(mean), 100 * float(share)) for count, mean, share in numbers if count]
        chart = Chart(
            title,
            "mean probability, %",
            "share that holds, %",
            ((self.label, tuple(filled)), ("calibrated", tuple((x, x) for x, _ in filled))),
            is_repeated=True,
        )
        return Sheet("reliability", title, "Probability", columns, rows, chart, n_heading="labels")

    def curve(self) -> Sheet:
        curve = threshold_curve(self.probabilities, self.labels, self.groups)  # (thresholds, 3)
        headings = (("P", "precision"), ("R", "recall"), ("F1", "f1"))
        columns = tuple(Column(f"vtf {heading}", metric, "vtf") for heading, metric in headings)
        rows = tuple(
            Row("average", f"{threshold:g}", None, tuple(map(float, scores)), threshold)
            for threshold, scores in zip(CURVE, curve, strict=True)
        )
        title = self.title("averages over groups at each threshold, in percent", "vtf, probability > threshold")
        lines = tuple(
            (heading, tuple((t, 100 * float(score)) for t, score in zip(CURVE, curve[:, i], strict=True)))
            for i, (heading, _) in enumerate(headings)
        )
        chart = Chart(title, "threshold", "average, %", lines, is_repeated=True)
        return Sheet("threshold_curve", title, "Threshold", columns, rows, chart)

    def confusion(self, group: str, columns: slice, classes: tuple[str, ...]) -> Sheet:
        counts = confusion(self.probabilities[:, columns], self.labels[:, columns])
        threshold = THRESHOLDS["videopar"]
        headings = tuple(Column(f"as {name}", f"predicted {name}", "videopar", threshold) for name in classes)
        rows = tuple(
            Row(group, name, int(row.sum()), tuple(map(int, row)))
            for name, row in zip(classes, counts, strict=True)
        )
        title = self.title(f"{group}, tracklets by true class (rows) and predicted class", _VIDEOPAR)
        return Sheet("confusion", title, "True class", headings, rows)

    def slices(self, kind: str) -> Sheet:
        vtf, videopar = (("vtf", THRESHOLDS["vtf"]), ("videopar", THRESHOLDS["videopar"]))
        columns = (
            Column("people", "people"),
            Column("vtf F1", "f1", *vtf),
            Column("vtf F1 over prior", "f1_over_prior", *vtf, is_signed=True),
            Column("vtf mA", "mA", *vtf),
            Column("videopar F1", "f1", *videopar),
            Column("videopar F1 over prior", "f1_over_prior", *videopar, is_signed=True),
        )
        shown = [part for part in self.parts if part.kind in (kind, "all")]
        rows = tuple(Row("average", part.name, part.num_tracklets, _part_values(part)) for part in shown)
        title = self.title(f"{_KINDS[kind]}, averages over groups, in percent", _BOTH)
        return Sheet(f"slices_{kind}", title, "Part", columns, rows)

    def notes(self) -> Iterator[str]:
        """What a reader of these very tables must know."""
        yield self.interval_note()
        yield _OUTPUT_NOTE
        yield _CALIBRATION_NOTE
        if SELECTED in self.run.scores:
            chosen = self.run.scores[SELECTED].threshold
            yield f"thresholds: {chosen:g} was chosen on validation people; the highest of this table was not."
        yield self.prior_note()
        if small := [part.name for part in self.parts if part.num_tracklets < MIN_TRACKLETS]:
            yield f"no score for parts of fewer than {MIN_TRACKLETS} tracklets: {', '.join(small)}."

    def interval_note(self) -> str:
        intervals = self.run.intervals
        if self.run.num_people == 1:
            return "intervals: one person only, so there is nobody to resample and no interval."
        if intervals is None:
            return "intervals: this run has none, since an older version trained it; train it again to get them."
        return (
            f"intervals: {intervals.method}, {intervals.resamples} resamples of {intervals.people} people with "
            "all their tracklets. They speak of the choice of test people; another training seed is not in them."
            + (" With so few people they are rough." if intervals.people < _FEW_PEOPLE else "")
        )

    def prior_note(self) -> str:
        if self.run.prior_rates is None:
            return (
                "parts: metrics.json has no prior_rates, so the prior of the train split cannot stand beside "
                "them, and they must not be compared with each other; train the run again."
            )
        return (
            "parts: over prior is the score less that of the prior of the whole train split on the same part. "
            "Parts differ in what their people wear, so compare the differences, not the scores. Under videopar a "
            "class that a part lacks scores 0 for everybody, which lowers both."
        )


def _part_values(part: SliceScores) -> tuple[Value, ...]:
    return (
        part.num_people,
        part.vtf_f1,
        part.over_prior("vtf"),
        part.vtf_ma,
        part.videopar_f1,
        part.over_prior("videopar"),
    )
