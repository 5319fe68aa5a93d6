"""How long `vpar extract` takes on a finished cache of MARS's size, where there is nothing to do.

    python benchmarks/extract_nothing_new.py

A dataset of MARS's size (see mars_tree.py: the pictures are tiny) is made in a temporary folder, and its cache by
the real pipeline with the settings that `vpar extract` has by default; only the network's forward pass is
replaced, by random numbers. Then the real command runs again and again as a process of its own, with the pages in
memory: it must keep every shard and compute none. Two more runs are not timed: the first compiles the sources of
what it imports, as an installation does, and the last lists its imports: libraries of networks must not be among
them. Needs 4 GB of disk with room for 1.2 million names, and as much memory for the pages.
"""

from __future__ import annotations

import argparse
import os
import re
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from unittest import mock

import numpy as np
from mars_tree import Size, write_mars_tree
from numpy.typing import NDArray
from paired import timed, verdict

from vpar_cache.backbones.encoder import EncodedBatch, Encoder
from vpar_cache.cache import format as fmt
from vpar_cache.cache.headers import read_shard_header
from vpar_cache.datasets.loaders import load_dataset
from vpar_cache.extraction.config import ExtractConfig
from vpar_cache.extraction.extract import extract

REPEATS = 5
MOST_SECONDS = 5.0
NETWORKS = {"torch", "torchvision", "open_clip", "timm", "transformers"}
_IMPORTED = re.compile(r"^import time: *\d+ \| *(\d+) \|( *)(\S+)$", re.MULTILINE)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--folder", type=Path, help="Where to make the files. Default: a temporary folder.")
    parser.add_argument("--scale", type=float, default=1.0, help="Of MARS's size, to try the script.")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="vpar-nothing-new-", dir=options.folder) as folder:
        root, index = Path(folder) / "mars", Path(folder) / "cache" / "mars.h5"
        size = Size().scaled(options.scale)
        frames = write_mars_tree(root, size)
        print(f"dataset: {size.train + size.test} labelled tracklets, {frames} frame names", flush=True)
        shards = make_cache(root, index)
        rerun(root, index, shards)
        seconds = [timed(lambda: rerun(root, index, shards)) for _ in range(REPEATS)]
        print(f"reruns: {', '.join(f'{s:.2f}' for s in seconds)} s")
        print_parts(root, index, rerun(root, index, shards, "-X", "importtime"))
    figure = "no-op rerun of a finished MARS-sized extraction, seconds"
    verdict(figure, statistics.median(seconds), MOST_SECONDS, at_most=True)


def make_cache(root: Path, index: Path) -> int:
    """The number of shards."""
    noise = np.random.default_rng(0).standard_normal(1 << 22, np.float32).astype(np.float16)

    def without_forward(self: Encoder, frames: NDArray[np.uint8], keep_frames: bool = False) -> EncodedBatch:
        batch, count = frames.shape[:2]
        tokens = np.resize(noise, (batch, self.num_tokens, self.dim))
        return EncodedBatch(tokens, np.resize(noise, (batch, count, self.dim)), None)

    config = ExtractConfig(dataset="mars", root=root, out=index, weights="random:0", devices=("cpu",))
    with mock.patch.object(Encoder, "encode_frames", without_forward):
        result = extract(config)
    print(f"cache: {result.shards_computed} shards, made in {result.seconds:.0f} s", flush=True)
    return result.shards_computed


def rerun(root: Path, index: Path, shards: int, *python_options: str) -> str:
    """The command; what it says on stderr."""
    options = {"dataset": "mars", "root": root, "out": index, "weights": "random:0", "device": "cpu"}
    command = [sys.executable, *python_options, "-c", "from vpar_cli.main import run; run()", "extract"]
    command += [f"--{name}={value}" for name, value in options.items()]
    # Where the environment forbids to write bytecode, python would compile every module at every run.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    environment["PYTHONPYCACHEPREFIX"] = str(index.parent / "bytecode")
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    assert f"shards: 0 computed, {shards} kept" in done.stderr, done.stderr[-500:]
    return done.stderr


def print_parts(root: Path, index: Path, imports: str) -> None:
    """What was imported, and how long the large parts take in a process that has imported everything."""
    found = _IMPORTED.findall(imports)
    assert found, "python lists no imports"
    networks = NETWORKS & {name for _, _, name in found}
    total = sum(int(micros) for micros, indent, _ in found if len(indent) == 1) / 1e6
    print(f"imports: {total:.2f} s as -X importtime counts; of networks: {', '.join(sorted(networks)) or 'none'}")
    load = timed(lambda: load_dataset("mars", root, None, "mars", 0))
    shards = sorted(fmt.shard_folder(index).glob("*.h5"))
    headers = timed(lambda: [read_shard_header(path) for path in shards])
    gigabytes = sum(path.stat().st_size for path in shards) / 1e9
    print(f"name lists, labels and folders: {load:.2f} s; seals of {gigabytes:.1f} GB: {headers:.2f} s")


if __name__ == "__main__":
    main()
