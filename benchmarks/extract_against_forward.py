"""`vpar extract` from JPEG to published shard beside the bare forward pass of its encoder, on the CPU.

    python benchmarks/extract_against_forward.py

The bare side is the same network on tensors that are ready in memory, at whatever batch is the fastest here and in
the precision that `--precision auto` comes to. Ours also reads, decodes, pads, resizes, hashes, averages,
projects, writes and seals. The two take turns, with as many frames each.
"""

from __future__ import annotations

import statistics
import tempfile
from pathlib import Path

import torch
from bare_forward import BareForward
from our_extraction import FRAMES, our_seconds_per_frame
from paired import verdict

TRACKLETS, REPEATS, TARGET = 32, 7, 0.95
BATCHES = (1, 2, 4, 6, 8, 12, 16, 24, 48, 96)


def main() -> None:
    bare = BareForward(torch.device("cpu"), BATCHES)
    frames = TRACKLETS * FRAMES // bare.batch * bare.batch
    shares = []
    with tempfile.TemporaryDirectory(prefix="vpar-extract-") as folder:
        root, out = Path(folder) / "demo", Path(folder) / "demo.h5"

        def theirs() -> float:
            return bare.seconds(frames, bare.batch) / frames

        def ours() -> float:
            return our_seconds_per_frame(root, out, TRACKLETS)

        theirs(), ours()  # draws the pedestrians
        for number in range(REPEATS):
            if number % 2:  # neither side always comes after the other
                extraction, forward = ours(), theirs()
            else:
                forward, extraction = theirs(), ours()
            shares.append(forward / extraction)
            print(
                f"bare {1 / forward:.2f} frames/s, JPEG to shard {1 / extraction:.2f}: {shares[-1]:.3f}",
                flush=True,
            )
    verdict("extraction on CPU, share of the bare forward", statistics.median(shares), TARGET)


if __name__ == "__main__":
    main()
