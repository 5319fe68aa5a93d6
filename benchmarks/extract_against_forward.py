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
from our_extraction import WEIGHTS, our_seconds_per_frame
from paired import timed, verdict

from vpar_cache.backbones.open_clip_vit import load_open_clip
from vpar_cache.devices import resolve_precision

TRACKLETS, REPEATS, TARGET = 32, 5, 0.95
BATCHES = (1, 2, 4, 6, 8, 12, 16, 24, 48, 96)
TRIALS = 3


class BareForward:
    """The visual network alone."""

    def __init__(self) -> None:
        device = torch.device("cpu")
        self.dtype = torch.bfloat16 if resolve_precision("auto", device) == "bf16" else torch.float32
        self._network, _ = load_open_clip("ViT-B-16-quickgelu", WEIGHTS, offline=True)
        self._network.place(device, self.dtype)
        rates = {batch: self._rate(batch) for batch in BATCHES}
        self.batch = max(rates, key=lambda batch: rates[batch])
        print(
            f"bare forward in {self.dtype}, frames/s by batch:", {b: round(rate, 1) for b, rate in rates.items()}
        )

    def _rate(self, batch: int) -> float:
        return batch / min(self.seconds(batch, batch) for _ in range(TRIALS))

    @torch.inference_mode()
    def seconds(self, frames: int, batch: int) -> float:
        """Of `frames` frames, in batches."""
        images = torch.randn(batch, 3, 224, 224).to(self.dtype)
        return timed(lambda: [self._network.tokens(images) for _ in range(frames // batch)])


def main() -> None:
    bare = BareForward()
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
