"""The learning rate over the epochs of a run."""

from __future__ import annotations

import math

WARMUP_EPOCHS = 5
WARMUP_START, FLOOR = 0.01, 0.002
"""Fractions of --lr."""


def lr_factor(schedule: str, epoch: int, epochs: int) -> float:
    """Return the factor on --lr in `epoch`, from 1 to `epochs`.

    constant: 1. warmup-cosine (the authors' code): a straight line from WARMUP_START to 1 over the first
    WARMUP_EPOCHS, then a cosine towards FLOOR, whose period counts the warm-up epochs too.
    """
    done = epoch - 1
    if schedule == "constant":
        return 1.0
    if done < WARMUP_EPOCHS:
        return WARMUP_START + (1 - WARMUP_START) * done / WARMUP_EPOCHS
    return FLOOR + (1 - FLOOR) * (1 + math.cos(math.pi * done / epochs)) / 2
