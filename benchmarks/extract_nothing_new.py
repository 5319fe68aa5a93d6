"""How long `vpar extract` takes on a finished cache of MARS's size, where there is nothing to do.

    python benchmarks/extract_nothing_new.py

A dataset of MARS's size with tiny pictures is made in a temporary folder. Its cache comes from the real
pipeline with the default settings of `vpar extract`; only the network's forward pass is replaced, by random
numbers. Then the real command runs again and again as a process of its own, with the pages in memory: it must
keep every shard and compute none. Needs 4 GB of disk with room for 1.2 million names, and as much memory for
the pages.
"""

from __future__ import annotations

import os
import statistics
from pathlib import Path
from unittest import mock

import numpy as np
from numpy.typing import NDArray
from support.mars_tree import Size, write_mars_tree
from support.processes import run_quietly, vpar
from support.program import WEIGHTS, extract
from support.timing import option_parser, scratch_folder, timed, verdict

from vpar_cache.backbones.encoder import EncodedBatch, Encoder

REPEATS, MOST_SECONDS = 5, 20.0


def main() -> None:
    parser = option_parser(__doc__)
    parser.add_argument("--scale", type=float, default=1.0, help="Of MARS's size, to try the script.")
    options = parser.parse_args()
    with scratch_folder(options) as folder:
        root, index = folder / "mars", folder / "cache" / "mars.h5"
        size = Size().scaled(options.scale)
        frames = write_mars_tree(root, size)
        print(f"dataset: {size.train + size.test} labelled tracklets, {frames} frame names", flush=True)
        tracklets = make_cache(root, index)
        rerun(root, index, tracklets)  # compiles the sources of what it imports, as an installation does
        seconds = [timed(lambda: rerun(root, index, tracklets)) for _ in range(REPEATS)]
        print(f"reruns: {', '.join(f'{s:.2f}' for s in seconds)} s")
    figure = "no-op rerun of a finished MARS-sized extraction, seconds"
    verdict(figure, statistics.median(seconds), MOST_SECONDS, at_most=True)


def make_cache(root: Path, index: Path) -> int:
    """Return the number of tracklets."""
    noise = np.random.default_rng(0).standard_normal(1 << 22, np.float32).astype(np.float16)

    def without_forward(self: Encoder, frames: NDArray[np.uint8], *_: object) -> EncodedBatch:
        batch, count = frames.shape[:2]  # (B, T, H, W, 3)
        tokens = np.resize(noise, (batch, self.num_tokens, self.dim))  # (B, N, D)
        return EncodedBatch(tokens, np.resize(noise, (batch, count, self.dim)), None)

    with mock.patch.object(Encoder, "encode_frames", without_forward):
        result = extract(dataset="mars", root=root, out=index)
    print(f"cache: {result.shards_written} shards, made in {result.seconds:.0f} s", flush=True)
    return int(result.encoded)


def rerun(root: Path, index: Path, tracklets: int) -> None:
    """Run the command as a process of its own."""
    settings = ["--dataset=mars", f"--weights={WEIGHTS}", "--device=cpu"]
    # Where the environment forbids to write bytecode, python would compile every module at every run.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    environment["PYTHONPYCACHEPREFIX"] = str(index.parent / "bytecode")
    done = run_quietly(vpar("extract", f"--root={root}", f"--out={index}", *settings), environment)
    assert f"encoded 0, copied {tracklets};" in done.stderr, done.stderr[-500:]


if __name__ == "__main__":
    main()
