"""The forward pass of the default encoder alone, on tensors that are on the device; rate of matrix products."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch.utils.flop_counter import FlopCounterMode

from support.program import WEIGHTS, is_bf16
from support.timing import timed
from vpar_cache.backbones.open_clip_vit import load_open_clip

ARCHITECTURE = "ViT-B-16-quickgelu"
ROUNDS, LEAST_FRAMES = 3, {"cpu": 48, "cuda": 8192}
"""Of the search for the best batch."""
MATRIX = {"cpu": 2048, "cuda": 8192}


def finished(device: torch.device, action: Callable[[], object]) -> float:
    """Return the seconds until the device has finished."""

    def wait() -> None:
        if device.type == "cuda":
            torch.cuda.synchronize(device)

    def run() -> None:
        action()
        wait()

    wait()
    return timed(run)


class BareForward:
    """The visual network, in the batch size that is the fastest here."""

    def __init__(self, device: torch.device, batches: Sequence[int], least_frames: int | None = None) -> None:
        self.device, self.dtype = device, _dtype(device)
        self._least_frames = least_frames or LEAST_FRAMES[device.type]
        self._network, _ = load_open_clip(ARCHITECTURE, WEIGHTS, offline=True)
        self._network.place(device, self.dtype)
        for batch in batches:
            self.seconds(batch, batch)  # the first of a size takes memory from the system
        rounds = [{batch: self._rate(batch) for batch in batches} for _ in range(ROUNDS)]  # in turn: rates drift
        rates = {batch: max(found[batch] for found in rounds) for batch in batches}
        self.batch = max(rates, key=lambda batch: rates[batch])
        self.frames_per_second = rates[self.batch]
        by_batch = {batch: round(rate, 1) for batch, rate in rates.items()}
        print(f"bare forward in {self.dtype}, frames/s by batch: {by_batch}", flush=True)

    def _rate(self, batch: int) -> float:
        frames = -(-self._least_frames // batch) * batch
        return frames / self.seconds(frames, batch)

    @torch.inference_mode()
    def seconds(self, frames: int, batch: int) -> float:
        """Return the seconds of `frames` frames, in batches."""
        images = torch.randn(batch, 3, 224, 224, device=self.device).to(self.dtype)  # (B, 3, 224, 224)
        return finished(self.device, lambda: [self._network.tokens(images) for _ in range(frames // batch)])


def matrix_rate(device: torch.device, size: int | None = None) -> float:
    """Return FLOP/s of the best of several products of two size x size matrices."""
    size = size or MATRIX[device.type]
    one, other = (torch.randn(size, size, device=device).to(_dtype(device)) for _ in range(2))
    return 10 * 2 * size**3 / min(finished(device, lambda: [one @ other for _ in range(10)]) for _ in range(7))


def flops_per_frame() -> int:
    """Return the FLOPs of the default encoder with its projection for one frame, counted by PyTorch."""
    network, _ = load_open_clip(ARCHITECTURE, WEIGHTS, offline=True)
    network.place(torch.device("cpu"), torch.float32)
    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)  # the counter does not see into it
    try:
        with torch.inference_mode(), FlopCounterMode(display=False) as counter:
            network.project(network.tokens(torch.randn(1, 3, 224, 224)))
    finally:
        torch.backends.mha.set_fastpath_enabled(before)
    return int(counter.get_total_flops())


def _dtype(device: torch.device) -> torch.dtype:
    return torch.bfloat16 if is_bf16(device) else torch.float32
