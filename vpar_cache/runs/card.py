"""card.md of a run: data, protocol, metrics with intervals, limits, intended and unacceptable use."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from vpar_cache.base.escaping import escape_markdown
from vpar_cache.models.systems import system_title

_CARD = """\
# Model card: {name}

{warning}- System: {system} (`--model {model}`)
- Backbone: {backbone}, weights {weights}, frozen
- Text encoder: {text_encoder}
- Made by vpar-cache {vpar_cache}, seed {seed}, on {device}

## Data

{dataset}: {num_train} tracklets to train, {num_validation} to choose by, {num_test} of {num_people} people to \
test. {num_groups} attribute groups.
Extraction: {extraction}.

## Recipe

{recipe} The test split chose nothing.

Training: {settings}.

## Metrics

{metrics}

## Limits

- The scores hold for this split of this dataset. Other cameras, places, seasons and clothes were not measured.
- Read every number against the prior, which looks at no image.
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
    "strict": "strict: people held out of the train split chose epoch {epoch} and threshold {threshold}.",
    "reference": "reference: the choices of the authors' code (loss weights, BatchNorm over logits, width 768, "
    "warm-up and cosine); all train people, last epoch, threshold 0.45.",
    "paper": "paper: all train people, last epoch, threshold 0.45.",
}
_ROWS = (
    ("vtf", "precision", "precision"), ("vtf", "recall", "recall"), ("vtf", "f1", "F1"),
    ("videopar", "f1", "macro F1"), ("videopar", "accuracy", "accuracy"),
)  # fmt: skip


def model_card(record: Mapping[str, Any], metrics: Mapping[str, Any]) -> str:
    """Return Markdown, from what run.json and metrics.json hold."""
    names = ("name", "backbone", "weights", "text_encoder", "device", "dataset")
    plain = ("model", "vpar_cache", "seed", "num_train", "num_validation", "num_test")
    weights = _text(record["weights"])
    return _CARD.format(
        **{name: _text(record[name]) for name in names},
        **{name: record[name] for name in plain},
        warning=_WARNING.format(weights=weights) if record["random_weights"] else "",
        system=_text(system_title(record["model"], str(record["backbone"]))),
        num_people=metrics["num_people"],
        num_groups=len(record["schema"]["groups"]),
        extraction=_list({key: value for key, value in record["extraction"].items() if value is not None}),
        recipe=_RECIPES[record["recipe"]].format(
            epoch=record["selected_epoch"], threshold=record["selected_threshold"]
        ),
        settings=_list(record["settings"]),
        metrics="\n".join(_metrics(metrics)),
    )


def _metrics(metrics: Mapping[str, Any]) -> Iterator[str]:
    """Averages over groups, then F1 of each group, in percent."""
    scores, prior, intervals = (metrics[key] for key in ("scores", "prior", "intervals"))
    one_person = intervals["vtf"] is None
    yield "In percent, test split, mean over groups. " + (
        "One person alone gives no interval." if one_person else "95 %: bootstrap over people."
    )
    yield "\n| protocol | metric | score | 95 % | prior |\n|:--|:--|--:|--:|--:|"
    for protocol, metric, name in _ROWS:
        score, constant = (block[protocol]["average"][metric] for block in (scores, prior))
        interval = None if one_person else intervals[protocol]["average"][metric]
        yield _row(f"{protocol} | {name}", score, interval, constant)
    yield "\n| group | vtf F1 | 95 % | prior |\n|:--|--:|--:|--:|"
    for group, found in scores["vtf"]["groups"].items():
        interval = None if one_person else intervals["vtf"]["groups"][group]["f1"]
        yield _row(_text(group), found["f1"], interval, prior["vtf"]["groups"][group]["f1"])


def _row(label: str, score: float, interval: list[float] | None, prior: float) -> str:
    shown = "–" if interval is None else f"{100 * interval[0]:.2f} to {100 * interval[1]:.2f}"
    return f"| {label} | {100 * score:.2f} | {shown} | {100 * prior:.2f} |"


def _list(values: Mapping[str, Any]) -> str:
    return _text(", ".join(f"{key} {value}" for key, value in values.items()))


def _text(value: Any) -> str:
    return escape_markdown(str(value))
