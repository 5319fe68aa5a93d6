"""From probabilities to answers: what each group says of a person, without the groups that are hidden."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from vpar_cache.attributes.schema import Schema
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
        """Return what holds of a person, in words: the outputs with yes, and the known values of choices."""
        return [words for words in self.describe_each(answers) if words]

    def describe_each(self, answers: Sequence[Answer]) -> list[str]:
        """Return the words for each answer, empty for no and unknown."""
        said = []
        for group, answer in zip(self.schema.groups, answers, strict=True):
            if group.is_choice:
                said.append("" if answer.value == UNKNOWN else f"{group.name} {answer.value}")
            else:
                said.append(group.outputs[0].name if answer.value == YES else "")
        return said
