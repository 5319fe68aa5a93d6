"""`vpar extract` from JPEG to published shard beside the authors' way to encode: one frame at a time, in fp32.

    python benchmarks/extract_against_frame_by_frame.py

Theirs encodes frames that are decoded already. The target is 3 where the processor has bf16 instructions, else
1.1.
"""

from __future__ import annotations

import statistics
import tempfile
from pathlib import Path

import torch
from authors_loop import encode_frame_by_frame, load_clip
from our_extraction import FRAMES, our_seconds_per_frame
from paired import timed, verdict

from vpar_cache.base.devices import resolve_precision

TRACKLETS, THEIR_TRACKLETS, REPEATS = 24, 4, 5


def main() -> None:
    native = resolve_precision("auto", torch.device("cpu")) == "bf16"
    clip = load_clip()
    frames = torch.randn(THEIR_TRACKLETS, FRAMES, 3, 224, 224)
    encode_frame_by_frame(clip, frames[:1])
    ratios = []
    with tempfile.TemporaryDirectory(prefix="vpar-extract-") as folder:
        root, out = Path(folder) / "demo", Path(folder) / "demo.h5"
        our_seconds_per_frame(root, out, TRACKLETS)  # draws the pedestrians
        for _ in range(REPEATS):
            theirs = timed(lambda: encode_frame_by_frame(clip, frames)) / (THEIR_TRACKLETS * FRAMES)
            ours = our_seconds_per_frame(root, out, TRACKLETS)
            ratios.append(theirs / ours)
            print(f"frame by frame {1 / theirs:.2f} frames/s, ours {1 / ours:.2f}: {ratios[-1]:.2f} times")
    verdict("extraction on CPU against frame by frame in fp32", statistics.median(ratios), 3 if native else 1.1)


if __name__ == "__main__":
    main()
