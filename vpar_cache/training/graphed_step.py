"""One training step as a CUDA graph: the host starts one graph in place of some 140 single operations.

A step of the default model is short on a fast card: on an H200 its operations took 0.65 ms, but starting them one
by one 3.8 ms (benchmarks/RESULTS.md).
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

Step = Callable[[Tensor, Tensor, Tensor], Tensor]
"""Float16 rows (B, *row_shape), labels (B, A) and which labels are known (B, A) -> loss (). Computes gradients and
updates the weights."""
_WARM_UP = 3
"""Steps that PyTorch asks to run before a capture; they are steps of the training like all others."""


class GraphedStep:
    """Runs a step; from the fourth on, batches of the first batch's shape replay its captured graph.

    What the step reads besides its arguments, such as the learning rate, is fixed at the capture.
    """

    def __init__(self, step: Step) -> None:
        self._step = step
        self._stream = torch.cuda.Stream()
        self._graph: torch.cuda.CUDAGraph | None = None
        self._count = 0

    def __call__(self, rows: Tensor, labels: Tensor, known: Tensor) -> Tensor:
        """Run one step and return its loss (), valid until the next call."""
        batch = (rows, labels, known)  # (B, *row_shape), (B, A), (B, A)
        self._count += 1
        if self._count == 1:
            self._buffers = tuple(tensor.clone() for tensor in batch)
        if rows.shape != self._buffers[0].shape:
            return self._step(*batch)  # the last batch of an epoch
        if self._count <= _WARM_UP:
            self._stream.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(self._stream):
                loss = self._step(*batch)
            torch.cuda.current_stream().wait_stream(self._stream)
            return loss
        for buffer, tensor in zip(self._buffers, batch, strict=True):
            buffer.copy_(tensor)
        if self._graph is None:
            self._graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(self._graph):  # records the step, does not run it
                self._loss = self._step(*self._buffers)
        self._graph.replay()
        return self._loss
