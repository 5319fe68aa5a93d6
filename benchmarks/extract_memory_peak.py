"""The most memory that `vpar extract` ever holds on the CPU, with the default backbone and settings.

    python benchmarks/extract_memory_peak.py

A process of its own extracts drawn pedestrians, enough for more than one shard; what the kernel says of its
largest resident set is the figure. It includes everything: the network, libraries, frames on their way, and the
shard.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from paired import verdict
from processes import peak_bytes, vpar

TRACKLETS, MOST_GIGABYTES = 300, 3.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--folder", type=Path, help="Where to make the files. Default: a temporary folder.")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="vpar-peak-", dir=options.folder) as folder:
        paths = [f"--root={folder}/demo", f"--out={folder}/demo.h5"]
        settings = ["--dataset=demo", "--weights=random:0", "--device=cpu", f"--limit={TRACKLETS}"]
        gigabytes = peak_bytes(vpar("extract", *paths, *settings)) / 1e9
    print(f"{TRACKLETS} tracklets: at most {gigabytes:.2f} GB")
    verdict("memory of extraction on CPU, GB", gigabytes, MOST_GIGABYTES, at_most=True)


if __name__ == "__main__":
    main()
