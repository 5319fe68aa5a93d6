"""card.md of a run: data, protocol, metrics with intervals, limits, intended and unacceptable use."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from vpar_cache.errors import printable
from vpar_cache.models.systems import system_title

_USE = """\
## Intended use

Research on pedestrian attribute recognition: comparing models on the same data under the same protocol.

## Unacceptable use

Identifying, sorting or judging people; watching people without their consent; decisions about anyone. Attributes
such as gender and age are the impressions that annotators had of blurred crops. They are not facts about people,
and a prediction of them is a guess at an impression.
"""
_LIMITS = """\
- The scores hold for this split of this dataset. Other cameras, places, seasons and clothes were not measured.
- Read every number against the prior, which looks at no image.
- Label noise, and how far annotators agree, is not known.
- Whether some groups of people are served worse than others was not measured.
"""
_ROWS = (
    ("vtf", "precision", "precision"), ("vtf", "recall", "recall"), ("vtf", "f1", "F1"),
    ("videopar", "f1", "macro F1"), ("videopar", "accuracy", "accuracy"),
)  # fmt: skip


def model_card(record: Mapping[str, Any], metrics: Mapping[str, Any]) -> str:
    """Markdown from what run.json and metrics.json hold."""
    return "\n".join(_lines(record, metrics)) + "\n"


def _lines(record: Mapping[str, Any], metrics: Mapping[str, Any]) -> Iterator[str]:
    yield f"# Model card: {_text(record['name'])}"
    yield ""
    if record["random_weights"]:
        yield (
            f"> **Random weights ({_text(record['weights'])}).** The encoder was not trained. These numbers show "
            "that the program works; they say nothing about the method."
        )
        yield ""
    system = system_title(record["model"], str(record["backbone"]))
    yield f"- System: {_text(system)} (`--model {record['model']}`)"
    yield f"- Backbone: {_text(record['backbone'])}, weights {_text(record['weights'])}, frozen"
    yield f"- Text encoder: {_text(record['text_encoder'])}"
    yield f"- Made by vpar-cache {record['vpar_cache']}, seed {record['seed']}, on {_text(record['device'])}"
    yield ""
    yield "## Data"
    yield ""
    yield (
        f"{_text(record['dataset'])}: {record['num_train']} tracklets to train, {record['num_validation']} to "
        f"choose by, {record['num_test']} of {metrics['num_people']} people to test. "
        f"{len(record['schema']['groups'])} attribute groups."
    )
    settings = ", ".join(f"{key} {value}" for key, value in record["extraction"].items() if value is not None)
    yield f"Extraction: {_text(settings)}."
    yield ""
    yield "## Protocol"
    yield ""
    yield _protocol(record)
    yield ""
    yield "Training: " + _text(", ".join(f"{key} {value}" for key, value in record["settings"].items())) + "."
    yield ""
    yield "## Metrics"
    yield ""
    yield from _metrics(metrics)
    yield ""
    yield "## Limits"
    yield ""
    yield _LIMITS
    yield _USE.rstrip()


def _protocol(record: Mapping[str, Any]) -> str:
    if record["protocol"] == "strict":
        return (
            f"strict: people held out of the train split chose epoch {record['selected_epoch']} and threshold "
            f"{record['selected_threshold']}. The test split chose nothing."
        )
    if record["protocol"] == "reference":
        return (
            "reference: the choices of the authors' code (loss weights, BatchNorm over logits, width 768, warm-up "
            "and cosine); all train people, last epoch, threshold 0.45. The test split chose nothing."
        )
    return "paper: all train people, last epoch, threshold 0.45. The test split chose nothing."


def _metrics(metrics: Mapping[str, Any]) -> Iterator[str]:
    """Averages over groups, then F1 of each group, in percent."""
    intervals = metrics["intervals"]
    yield (
        "In percent, test split, mean over groups. 95 %: bootstrap over people."
        if intervals["vtf"] is not None
        else "In percent, test split, mean over groups. One person alone gives no interval."
    )
    yield ""
    yield "| protocol | metric | score | 95 % | prior |"
    yield "|:--|:--|--:|--:|--:|"
    for protocol, metric, name in _ROWS:
        score, prior = (metrics[key][protocol]["average"][metric] for key in ("scores", "prior"))
        yield _row(f"{protocol} | {name}", score, _interval(intervals, protocol, "average", metric), prior)
    yield ""
    yield "| group | vtf F1 | 95 % | prior |"
    yield "|:--|--:|--:|--:|"
    for group, scores in metrics["scores"]["vtf"]["groups"].items():
        prior = metrics["prior"]["vtf"]["groups"][group]["f1"]
        yield _row(_text(group), scores["f1"], _interval(intervals, "vtf", group, "f1"), prior)


def _interval(intervals: Any, protocol: str, group: str, metric: str) -> str:
    block = intervals[protocol]
    if block is None:
        return "–"
    low, high = block["average"][metric] if group == "average" else block["groups"][group][metric]
    return f"{100 * low:.2f} to {100 * high:.2f}"


def _row(label: str, score: float, interval: str, prior: float) -> str:
    return f"| {label} | {100 * score:.2f} | {interval} | {100 * prior:.2f} |"


def _text(value: Any) -> str:
    """Names come from files of anybody's making: no Markdown or HTML of theirs acts."""
    return "".join(f"\\{c}" if c in "\\`*_[]<>|~&$#" else c for c in printable(str(value)))
