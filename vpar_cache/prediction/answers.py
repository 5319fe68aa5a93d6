"""From probabilities to answers: what each group says of a person, without the groups that are hidden."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from vpar_cache.attributes.schema import Group, Schema
from vpar_cache.errors import UserError, nearest
from vpar_cache.prediction.rows import Answer

YES, NO, UNKNOWN = "yes", "no", "unknown"


class Answering:
    """The groups of a schema that are shown, and the thresholds of their outputs."""

    def __init__(self, schema: Schema, threshold: NDArray[np.float64], hide: Sequence[str] = ()) -> None:
        """`threshold`: (A,) of all outputs. `hide`: names of groups. UserError for an unknown name."""
        names = [group.name for group in schema.groups]
        for name in hide:
            if name not in names:
                raise UserError(f"--hide: got {name!r}, which is no group of the run; {nearest(name, names)}")
        shown = [(group, columns) for group, columns in schema.slices() if group.name not in hide]
        if not shown:
            raise UserError("--hide: got every group; expected some to be left. Leave one out of --hide")
        self.schema = Schema(schema.name, tuple(group for group, _ in shown))
        """Without the hidden groups and the quality flags of a dataset."""
        self.columns = np.concatenate([np.arange(c.start, c.stop) for _, c in shown])  # (A shown,)
        self.threshold = threshold[self.columns]  # (A shown,)

    def answer(self, probabilities: NDArray[np.float32]) -> tuple[Answer, ...]:
        """Return an answer for each group from the probabilities (A shown,) of one person.

        A group of one output: yes above its threshold, else no. A choice: the most probable value, unknown if that
        is not above its threshold.
        """
        answers = []
        holds = probabilities > self.threshold.astype(probabilities.dtype)  # (A shown,)
        for group, columns in self.schema.slices():
            best = columns.start + int(probabilities[columns].argmax())
            if not group.is_choice:
                value = YES if holds[best] else NO
            else:
                value = group.value_names()[best - columns.start] if holds[best] else UNKNOWN
            answers.append(Answer(group.name, value, float(probabilities[best])))
        return tuple(answers)

    def describe(self, answers: Sequence[Answer]) -> list[str]:
        """Return what holds of a person, in words, as in: backpack, male, top color red."""
        return [words for words in self.describe_each(answers) if words]

    def describe_each(self, answers: Sequence[Answer]) -> list[str]:
        """Return the words for each answer; empty for unknown, and for what a person does not have."""
        said = []
        for group, answer in zip(self.schema.groups, answers, strict=True):
            text = meaning(group, answer.value)
            if group.is_choice:
                said.append("" if text == UNKNOWN else f"{group.name} {text}")
            else:
                said.append({YES: group.name, NO: ""}.get(text, text))
        return said


def meaning(group: Group, value: str) -> str:
    """Return an answer as people read it: of a group of one output what its value means, as in male and female.

    yes and no remain where the phrases are no more than that, as in `a backpack` and `no backpack`.
    """
    if group.is_choice:
        return value
    negative, phrase = group.value_names()
    if value == YES:
        return YES if phrase.removeprefix("a ") == group.name else phrase
    return NO if not negative or negative.startswith("no ") else negative


def share_of(answer: Answer) -> float:
    """Return how probable the value of an answer is: of no, the rest."""
    return 1 - answer.probability if answer.value == NO else answer.probability
