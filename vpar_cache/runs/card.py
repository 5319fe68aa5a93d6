"""card.md of a run: data, protocol, metrics with intervals, limits, intended and unacceptable use."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from vpar_cache.base.escaping import escape_markdown
from vpar_cache.metrics.evaluation import Evaluation
from vpar_cache.metrics.intervals import Interval
from vpar_cache.metrics.scoring import is_mean_accuracy_first
from vpar_cache.metrics.shuffled import Chance
from vpar_cache.metrics.verdict import verdict
from vpar_cache.models.systems import system_title

_CARD = """\
# Model card: {name}

{warning}- System: {system} (`--model {model}`)
- Backbone: {backbone}, weights {weights}, frozen
- Text encoder: {text_encoder}
- Made by vpar-cache {vpar_cache}, seed {seed}, on {device}

## Data

{dataset}: {num_train} {unit}s to train, {num_validation} to choose by, {num_test} {people}to \
test{test_sets}. {num_groups} attribute groups. {unknown}
Extraction: {extraction}.

## Recipe

{recipe} The test split chose nothing.

Training: {settings}.

## Metrics

{metrics}

## Limits

- The scores hold for this split of this dataset. Other cameras, places, seasons and clothes were not measured.
- Read every number against the best constant, which looks at no image.
- Label noise, and how far annotators agree, is not known.
- Whether some groups of people are served worse than others was not measured.

## Intended use

Research on pedestrian attribute recognition: comparing models on the same data under the same protocol.

## Unacceptable use

Identifying, sorting or judging people; watching people without their consent; decisions about anyone. Attributes
such as gender and age are the impressions that annotators had of blurred crops. They are not facts about people,
and a prediction of them is a guess at an impression.
"""
_WARNING = """\
> **Random weights ({weights}).** The encoder was not trained. These numbers show that the program works; they \
say nothing about the method.

"""
_RECIPES = {
    "strict": "strict: {over} that train nothing chose epoch {epoch}, threshold {threshold}, and for predictions "
    "a threshold for each output.",
    "reference": "reference: the choices of the authors' code (loss weights, BatchNorm over logits, width 768, "
    "stochastic depth, warm-up and cosine); all train people, last epoch, threshold 0.45.",
    "paper": "paper: all train people, last epoch, threshold 0.45.",
}
_METRICS = {"precision": "precision", "recall": "recall", "f1": "F1", "accuracy": "accuracy", "mA": "mA"}


def model_card(record: Mapping[str, Any], tests: Mapping[str, Evaluation]) -> str:
    """Return Markdown, from what run.json holds and all numbers of the test rows of each cache, by dataset."""
    names = ("name", "backbone", "weights", "text_encoder", "device", "dataset")
    plain = ("model", "vpar_cache", "seed", "num_train", "num_validation", "num_test")
    weights = _text(record["weights"])
    return _CARD.format(
        **{name: _text(record[name]) for name in names},
        **{name: record[name] for name in plain},
        unit=record["schema"].get("unit", "tracklet"),
        warning=_WARNING.format(weights=weights) if record["random_weights"] else "",
        system=_text(system_title(record["model"], str(record["backbone"]), record["settings"])),
        people=f"{_people(*tests.values())} " if len(tests) == 1 else "",
        test_sets="" if len(tests) == 1 else f" ({_text(', '.join(_counts(tests)))})",
        num_groups=len(record["schema"]["groups"]),
        unknown=_unknown(tests),
        extraction=_list({key: value for key, value in record["extraction"].items() if value is not None}),
        recipe=_RECIPES[record["recipe"]].format(
            epoch=record["selected_epoch"],
            threshold=record["selected_threshold"],
            over=next(iter(tests.values())).intervals.over,
        ),
        settings=_list(record["settings"]),
        metrics="\n\n".join(_sections(tests)),
    )


def _people(found: Evaluation) -> str:
    return "of unknown people" if found.num_people is None else f"of {found.num_people} people"


def _counts(tests: Mapping[str, Evaluation]) -> Iterator[str]:
    for dataset, found in tests.items():
        yield f"{dataset}: {found.num_tracklets} {_people(found)}"


def _unknown(tests: Mapping[str, Evaluation]) -> str:
    counts = [
        (f"{group} on {dataset}" if len(tests) > 1 else group, count)
        for dataset, found in tests.items()
        for group, count in found.unknown.items()
    ]
    if not counts:
        return "All test labels are known."
    said = ", ".join(f"{_text(where)} {count}" for where, count in counts)
    return f"Unknown test labels, which no score counts: {said}."


def _sections(tests: Mapping[str, Evaluation]) -> Iterator[str]:
    for dataset, found in tests.items():
        heading = f"### {_text(dataset)}\n\n" if len(tests) > 1 else ""
        yield heading + "\n".join(_metrics(found))


def _metrics(found: Evaluation) -> Iterator[str]:
    """Averages over groups, then vtf F1 of each group, in percent."""
    intervals = found.intervals
    yield f"{verdict(found)}\n"
    yield (
        f"In percent, test split; averages over groups, under `instance` over {found.unit}s. 95 %: bootstrap over "
        f"{intervals.over}. Best constant: the same answer for every {found.unit}, chosen on the train labels; it "
        f"sees no image. Shuffled: the run's own predictions, given to other {intervals.over}: mean of "
        f"{found.shuffles}, and p.\n"
    )
    yield "| protocol | metric | score | 95 % | best constant | shuffled | p |\n|:--|:--|--:|--:|--:|--:|--:|"
    for protocol in found.protocols:
        scores = found.scores[protocol]
        for metric, name in _metrics_of(protocol, found.unit):
            if metric in scores.average:
                yield _row(
                    f"{protocol} (above {scores.threshold:g}) | {name}",
                    scores.average[metric],
                    intervals.of(protocol, None, metric),
                    found.constant_of(protocol, None, metric),
                    found.chance_of(protocol, None, metric),
                )
    yield "\n| group | vtf F1 | 95 % | best constant | shuffled | p |\n|:--|--:|--:|--:|--:|--:|"
    for group, metrics in found.scores["vtf"].groups.items():
        yield _row(
            _text(group),
            metrics["f1"],
            intervals.of("vtf", group, "f1"),
            found.constant_of("vtf", group, "f1"),
            found.chance_of("vtf", group, "f1"),
        )


def _metrics_of(protocol: str, unit: str) -> list[tuple[str, str]]:
    """Return metrics with their names, in order."""
    found = list(_METRICS.items())
    return sorted(found, key=lambda item: item[0] != "mA") if is_mean_accuracy_first(protocol, unit) else found


def _row(label: str, score: float, interval: Interval | None, constant: float | None, luck: Chance | None) -> str:
    ends = "–" if interval is None else f"{100 * interval[0]:.2f} to {100 * interval[1]:.2f}"
    best = "–" if constant is None else f"{100 * constant:.2f}"
    shuffled = "– | –" if luck is None else f"{100 * luck.mean:.2f} | {luck.p:.3f}"
    return f"| {label} | {100 * score:.2f} | {ends} | {best} | {shuffled} |"


def _list(values: Mapping[str, Any]) -> str:
    return _text(", ".join(f"{key} {value}" for key, value in values.items()))


def _text(value: Any) -> str:
    return escape_markdown(str(value))
