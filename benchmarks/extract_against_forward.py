"""`vpar extract` from JPEG to published shard beside the bare forward pass of its encoder, on the CPU.

    python benchmarks/extract_against_forward.py

The bare side is the same network on tensors in memory, in the batch size that is the fastest here and in the
precision that `--precision auto` resolves to. Ours also reads, decodes, pads, resizes, hashes, averages,
projects, writes and seals. The two take turns, with as many frames each.
"""

from __future__ import annotations

import torch
from support.forward import BareForward
from support.program import extract_seconds_per_frame
from support.random_caches import FRAMES
from support.timing import compare_rates, option_parser, scratch_folder, verdict

TRACKLETS, REPEATS, TARGET = 32, 7, 0.95
BATCHES = (1, 2, 4, 6, 8, 12, 16, 24, 48, 96)


def main() -> None:
    options = option_parser(__doc__).parse_args()
    bare = BareForward(torch.device("cpu"), BATCHES)
    frames = TRACKLETS * FRAMES // bare.batch * bare.batch
    with scratch_folder(options) as folder:
        share = compare_rates(
            lambda: extract_seconds_per_frame(
                "demo", folder / "demo", folder / "cache" / "demo.h5", "cpu", limit=TRACKLETS
            ),
            lambda: bare.seconds(frames, bare.batch) / frames,
            repeats=REPEATS,
            unit="frames",
        )
    verdict("extraction on CPU, share of the bare forward", share, TARGET)


if __name__ == "__main__":
    main()
