"""The default encoder's forward pass alone, on tensors that are ready on the device."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from paired import timed
from torch.utils.flop_counter import FlopCounterMode

from vpar_cache.backbones.open_clip_vit import load_open_clip
from vpar_cache.base.devices import resolve_precision

WEIGHTS = "random:0"
"""Numbers do not change how long a forward pass takes."""
ROUNDS, LEAST_FRAMES = 3, {"cpu": 48, "cuda": 8192}
"""Of the search for the best batch."""
MATRIX = {"cpu": 2048, "cuda": 8192}


def auto_dtype(device: torch.device) -> torch.dtype:
    """What `--precision auto` comes to."""
    return torch.bfloat16 if resolve_precision("auto", device) == "bf16" else torch.float32


def finished(device: torch.device, action: Callable[[], object]) -> float:
    """Seconds until the device is done with it."""

    def wait() -> None:
        if device.type == "cuda":
            torch.cuda.synchronize(device)

    def run() -> None:
        action()
        wait()

    wait()
    return timed(run)


class BareForward:
    """The visual network in the batch that is the fastest here."""

    def __init__(self, device: torch.device, batches: Sequence[int]) -> None:
        self.device, self.dtype = device, auto_dtype(device)
        self._network, _ = load_open_clip("ViT-B-16-quickgelu", WEIGHTS, offline=True)
        self._network.place(device, self.dtype)
        for batch in batches:
            self.seconds(batch, batch)  # the first of a size takes memory from the system
        rounds = [{batch: self._rate(batch) for batch in batches} for _ in range(ROUNDS)]  # in turn: rates drift
        rates = {batch: max(found[batch] for found in rounds) for batch in batches}
        self.batch = max(rates, key=lambda batch: rates[batch])
        self.frames_per_second = rates[self.batch]
        print(
            f"bare forward in {self.dtype}, frames/s by batch:", {b: round(rate, 1) for b, rate in rates.items()}
        )

    def _rate(self, batch: int) -> float:
        frames = -(-LEAST_FRAMES[self.device.type] // batch) * batch
        return frames / self.seconds(frames, batch)

    @torch.inference_mode()
    def seconds(self, frames: int, batch: int) -> float:
        """Of `frames` frames, in batches."""
        images = torch.randn(batch, 3, 224, 224, device=self.device).to(self.dtype)
        return finished(self.device, lambda: [self._network.tokens(images) for _ in range(frames // batch)])


def matrix_rate(device: torch.device) -> float:
    """FLOP/s of the best of several large products."""
    size = MATRIX[device.type]
    one, other = (torch.randn(size, size, device=device).to(auto_dtype(device)) for _ in range(2))
    return 10 * 2 * size**3 / min(finished(device, lambda: [one @ other for _ in range(10)]) for _ in range(7))


def flops_per_frame() -> int:
    """Of the default encoder with its projection, counted by PyTorch."""
    network, _ = load_open_clip("ViT-B-16-quickgelu", WEIGHTS, offline=True)
    network.place(torch.device("cpu"), torch.float32)
    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)  # the counter does not see into it
    try:
        with torch.inference_mode(), FlopCounterMode(display=False) as counter:
            network.project(network.tokens(torch.randn(1, 3, 224, 224)))
    finally:
        torch.backends.mha.set_fastpath_enabled(before)
    return int(counter.get_total_flops())
