"""`vpar extract` from JPEG to published shard beside the bare forward pass of its encoder, on the CPU.

    python benchmarks/extract_against_forward.py

The bare side is the same network on tensors that are ready in memory, at whatever batch is the fastest here and in
the precision that `--precision auto` comes to. Ours also reads, decodes, pads, resizes, hashes, averages,
projects, writes and seals. The two take turns.
"""

from __future__ import annotations

import statistics
import tempfile
from pathlib import Path

import torch
from bare_forward import BareForward
from our_extraction import our_seconds_per_frame
from paired import verdict

TRACKLETS, REPEATS, TARGET = 32, 5, 0.95
BATCHES = (1, 2, 4, 6, 8, 12, 16, 24, 48, 96)


def main() -> None:
    bare = BareForward(torch.device("cpu"), BATCHES)
    shares = []
    with tempfile.TemporaryDirectory(prefix="vpar-extract-") as folder:
        root, out = Path(folder) / "demo", Path(folder) / "demo.h5"
        our_seconds_per_frame(root, out, TRACKLETS)  # draws the pedestrians
        for _ in range(REPEATS):
            frames = 20 * bare.batch
            theirs = bare.seconds(frames, bare.batch) / frames
            ours = our_seconds_per_frame(root, out, TRACKLETS)
            shares.append(theirs / ours)
            print(f"bare {1 / theirs:.2f} frames/s, JPEG to shard {1 / ours:.2f}: {shares[-1]:.3f}")
    verdict("extraction on CPU, share of the bare forward", statistics.median(shares), TARGET)


if __name__ == "__main__":
    main()
