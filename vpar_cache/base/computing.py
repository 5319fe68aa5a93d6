"""How PyTorch computes: without the short cuts of a GPU, and with one line where memory runs out."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from vpar_cache.errors import UserError

_OUT_OF_MEMORY = re.compile(r"out of memory|can't allocate memory|not enough memory|ALLOC_FAILED", re.IGNORECASE)


_mutex = threading.Lock()
_blocks = 0
"""How many blocks of `fp32_without_tf32` run now, on all threads: the settings belong to the process."""
_of_the_caller: tuple[str, bool] = ("highest", True)
"""The settings before the first of them."""


@contextmanager
def fp32_without_tf32() -> Iterator[None]:
    """Compute fp32 products and convolutions on a GPU in full fp32 while the block runs.

    PyTorch's default for convolutions is TF32, which has 10 bits of fraction in place of 23. Blocks on several
    threads may overlap; the last one to end restores the settings of the caller.
    """
    import torch

    global _blocks, _of_the_caller
    with _mutex:
        if not _blocks:
            _of_the_caller = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
            torch.set_float32_matmul_precision("highest")
            torch.backends.cudnn.allow_tf32 = False
        _blocks += 1
    try:
        yield
    finally:
        with _mutex:
            _blocks -= 1
            if not _blocks:
                products, torch.backends.cudnn.allow_tf32 = _of_the_caller
                torch.set_float32_matmul_precision(products)


@contextmanager
def out_of_memory(fix: str) -> Iterator[None]:
    """Raise UserError, which ends in `fix`, where the block runs out of the memory of the machine or of a GPU."""
    try:
        yield
    except MemoryError as error:
        raise UserError(f"out of memory; {fix}") from error
    except RuntimeError as error:  # PyTorch's allocators have no type of their own on a CPU
        if _OUT_OF_MEMORY.search(str(error)) is None:
            raise
        raise UserError(f"out of memory; {fix}") from error
