"""A training step of the paper's model at width 768: ours beside one that computes all 240 queries in fp32.

    python benchmarks/train_step.py

Ours is `vpar train --dim 768 --heads 12` on a cache of random features, an epoch's seconds for each tracklet: with
loading, precision as it comes. Theirs is the authors' step on tensors that are ready in memory, same batch of 16.
The target is 6 where the processor has bf16 instructions, else 2.5.
"""

from __future__ import annotations

import statistics
import tempfile
from pathlib import Path

import torch
from authors_loop import BATCH, HEADS, NUM_OUTPUTS, WIDTH, AuthorsTraining
from our_epoch import our_seconds_per_tracklet
from paired import timed, verdict
from random_inputs import DIM, TOKENS, write_cache

from vpar_cache.base.devices import resolve_precision

TRACKLETS, STEPS, REPEATS = 400, 3, 5


def main() -> None:
    native = resolve_precision("auto", torch.device("cpu")) == "bf16"
    theirs_training = AuthorsTraining()
    visual = torch.randn(BATCH, TOKENS, DIM)
    text = torch.randn(NUM_OUTPUTS, DIM)
    labels = torch.randint(0, 2, (BATCH, NUM_OUTPUTS)).float()

    def their_steps() -> None:
        for _ in range(STEPS):
            theirs_training.step(visual, text, labels)

    ratios = []
    with tempfile.TemporaryDirectory(prefix="vpar-step-") as folder:
        index = write_cache(Path(folder) / "random.h5", TRACKLETS)
        their_steps()
        for _ in range(REPEATS):
            theirs = timed(their_steps) / (STEPS * BATCH)
            ours = our_seconds_per_tracklet(index, Path(folder), dim=WIDTH, heads=HEADS, device="cpu")
            ratios.append(theirs / ours)
            print(f"theirs {1 / theirs:.1f} tracklets/s, ours {1 / ours:.1f}: {ratios[-1]:.2f} times")
    verdict("training step against all queries in fp32", statistics.median(ratios), 6 if native else 2.5)


if __name__ == "__main__":
    main()
