"""Whether the memory of `vpar extract` grows with the number of tracklets: 10,000 against 1,000.

    python benchmarks/extract_memory_flat.py

Two datasets in the layout of MARS, with as many frames a tracklet as it has (tiny pictures, see mars_tree.py),
each extracted by a process of its own, in turn. The backbone is timm's smallest ViT, so that minutes are enough;
as many tracklets go into a shard as with the default backbone. The kernel says how large each process has been.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from pathlib import Path

from mars_tree import Size, write_mars_tree
from paired import verdict
from processes import peak_bytes, vpar
from random_inputs import ROWS_PER_SHARD

FEW, MANY, REPEATS, TARGET = 1_000, 10_000, 3, 1.05
BACKBONE = "timm:test_vit"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--folder", type=Path, help="Where to make the files. Default: a temporary folder.")
    options = parser.parse_args()
    ratios = []
    with tempfile.TemporaryDirectory(prefix="vpar-flat-", dir=options.folder) as folder:
        for tracklets in (FEW, MANY):
            people = tracklets // 20
            size = Size(tracklets // 2, people, tracklets // 2, people, distractors=0, junk=0)
            frames = write_mars_tree(Path(folder) / f"mars-{tracklets}", size)
            print(f"{tracklets} tracklets of {frames} frames", flush=True)
        for number in range(REPEATS):
            few, many = (extraction_peak(Path(folder), tracklets, number) for tracklets in (FEW, MANY))
            ratios.append(many / few)
            print(f"at most {few / 1e6:.0f} MB and {many / 1e6:.0f} MB: {ratios[-1]:.3f}", flush=True)
    figure = f"memory of extraction, {MANY:,} tracklets against {FEW:,}"
    verdict(figure, statistics.median(ratios), TARGET, at_most=True)


def extraction_peak(folder: Path, tracklets: int, number: int) -> int:
    """Bytes."""
    paths = [f"--root={folder}/mars-{tracklets}", f"--out={folder}/cache-{number}-{tracklets}/mars.h5"]
    settings = ["--dataset=mars", f"--backbone={BACKBONE}", "--weights=random:0", "--device=cpu"]
    return peak_bytes(vpar("extract", *paths, *settings, f"--shard-size={ROWS_PER_SHARD}"))


if __name__ == "__main__":
    main()
