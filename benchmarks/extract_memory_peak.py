"""The most memory that `vpar extract` holds on the CPU, with the default backbone and settings.

    python benchmarks/extract_memory_peak.py

A process of its own extracts drawn pedestrians, enough for more than one shard. The figure is its largest
resident set, as the kernel counts it: the network, libraries, frames on their way, and the shard.
"""

from __future__ import annotations

from support.processes import peak_bytes, vpar
from support.program import WEIGHTS
from support.timing import option_parser, scratch_folder, verdict

TRACKLETS, MOST_GIGABYTES = 300, 3.0


def main() -> None:
    options = option_parser(__doc__).parse_args()
    with scratch_folder(options) as folder:
        paths = [f"--root={folder}/demo", f"--out={folder}/cache/demo.h5"]
        settings = ["--dataset=demo", f"--weights={WEIGHTS}", "--device=cpu", f"--limit={TRACKLETS}"]
        gigabytes = peak_bytes(vpar("extract", *paths, *settings)) / 1e9
    print(f"{TRACKLETS} tracklets: at most {gigabytes:.2f} GB")
    verdict("memory of extraction on CPU, GB", gigabytes, MOST_GIGABYTES, at_most=True)


if __name__ == "__main__":
    main()
