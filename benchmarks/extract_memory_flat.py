"""Whether the memory of `vpar extract` grows with the number of tracklets: 10,000 against 1,000.

    python benchmarks/extract_memory_flat.py

Two datasets in the layout of MARS, with as many frames a tracklet as it has (tiny pictures), each extracted by
a process of its own, in turn. The backbone is timm's smallest ViT, so that minutes are enough; a shard holds as
many tracklets as with the default backbone. The kernel says how large each process was.
"""

from __future__ import annotations

import statistics
from pathlib import Path

from support.mars_tree import Size, write_mars_tree
from support.processes import peak_bytes, vpar
from support.program import WEIGHTS
from support.random_caches import ROWS_PER_SHARD
from support.timing import option_parser, scratch_folder, verdict

FEW, MANY, REPEATS, TARGET = 1_000, 10_000, 3, 1.05
BACKBONE = "timm:test_vit"


def main() -> None:
    options = option_parser(__doc__).parse_args()
    ratios = []
    with scratch_folder(options) as folder:
        for tracklets in (FEW, MANY):
            people = tracklets // 20
            size = Size(tracklets // 2, people, tracklets // 2, people, distractors=0, junk=0)
            frames = write_mars_tree(folder / f"mars-{tracklets}", size)
            print(f"{tracklets} tracklets of {frames} frames", flush=True)
        for number in range(REPEATS):
            few, many = (extraction_peak(folder, tracklets, number) for tracklets in (FEW, MANY))
            ratios.append(many / few)
            print(f"at most {few / 1e6:.0f} MB and {many / 1e6:.0f} MB: {ratios[-1]:.3f}", flush=True)
    figure = f"memory of extraction, {MANY:,} tracklets against {FEW:,}"
    verdict(figure, statistics.median(ratios), TARGET, at_most=True)


def extraction_peak(folder: Path, tracklets: int, number: int) -> int:
    """Return bytes."""
    paths = [f"--root={folder}/mars-{tracklets}", f"--out={folder}/cache-{number}-{tracklets}/mars.h5"]
    settings = ["--dataset=mars", f"--backbone={BACKBONE}", f"--weights={WEIGHTS}", "--device=cpu"]
    return peak_bytes(vpar("extract", *paths, *settings, f"--shard-size={ROWS_PER_SHARD}"))


if __name__ == "__main__":
    main()
