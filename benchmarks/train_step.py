"""A training step of the paper's model at width 768: ours beside one that computes all 240 queries in fp32.

    python benchmarks/train_step.py

Ours is `vpar train --dim 768 --heads 12` on a cache of random features: the seconds of an epoch per tracklet,
loading included, in the precision that `auto` resolves to. Theirs is the authors' step on tensors in memory,
same batch of 16. The target is 6 where the processor has bf16 instructions, else 2.5.
"""

from __future__ import annotations

import torch
from support.authors_code import BATCH, HEADS, NUM_OUTPUTS, WIDTH, AuthorsTraining
from support.program import epoch_seconds_per_tracklet, is_bf16
from support.random_caches import DIM, TOKENS, write_cache
from support.timing import compare_rates, option_parser, scratch_folder, timed, verdict

TRACKLETS, STEPS, REPEATS = 400, 3, 5


def main() -> None:
    options = option_parser(__doc__).parse_args()
    training = AuthorsTraining()
    visual = torch.randn(BATCH, TOKENS, DIM)
    text = torch.randn(NUM_OUTPUTS, DIM)
    labels = torch.randint(0, 2, (BATCH, NUM_OUTPUTS)).float()

    def their_steps() -> None:
        for _ in range(STEPS):
            training.step(visual, text, labels)

    with scratch_folder(options) as folder:
        index = write_cache(folder / "random.h5", TRACKLETS)
        ratio = compare_rates(
            lambda: epoch_seconds_per_tracklet(index, folder, dim=WIDTH, heads=HEADS),
            lambda: timed(their_steps) / (STEPS * BATCH),
            repeats=REPEATS,
            unit="tracklets",
        )
    target = 6 if is_bf16(torch.device("cpu")) else 2.5
    verdict("training step against all queries in fp32", ratio, target)


if __name__ == "__main__":
    main()
