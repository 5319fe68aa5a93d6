"""How fast `vpar verify` reads, beside a plain read of the same files; the cost of the check at first use.

    python benchmarks/verify_speed.py --tracklets 500

The cache has rows of the real shape (197 x 512 float16) with random content. Reads alternate between the two
sides: with the pages in memory, and from the disk after the kernel was asked to drop them. The epoch is one of
the paper's model (vtf, width 512, batch 16) over the train rows, four in five, on this machine's first device.
"""

from __future__ import annotations

from pathlib import Path

from support.processes import forget_pages
from support.program import epoch_seconds, train
from support.random_caches import write_cache
from support.timing import (
    alternate,
    median_ratio,
    median_seconds,
    median_time,
    option_parser,
    scratch_folder,
    timed,
    verdict,
)

from vpar_cache.cache.features import open_features
from vpar_cache.cache.verify import verify_cache


def main() -> None:
    parser = option_parser(__doc__)
    parser.add_argument("--tracklets", type=int, default=500)
    parser.add_argument("--device", default="auto")
    options = parser.parse_args()
    with scratch_folder(options) as folder:
        index = write_cache(folder / "big.h5", options.tracklets)
        files = sorted(folder.rglob("*.h5"))
        megabytes = sum(path.stat().st_size for path in files) / 1e6
        for label, prepare in (("in memory", lambda: None), ("from disk", lambda: forget_pages(folder))):
            pairs = alternate(lambda: verify_cache(index), lambda: read_all(files), prepare=prepare)
            verify, plain = median_seconds(pairs)
            print(
                f"{label}: {megabytes:.0f} MB; plain read {megabytes / plain:.0f} MB/s, verify "
                f"{megabytes / verify:.0f} MB/s: {median_ratio(pairs):.2f} of the plain read"
            )
        first = timed(lambda: open_features(index))
        again = median_time(lambda: open_features(index))
        check = first - again
        print(f"opening: {first:.3f} s with the check at first use, {again:.3f} s after it")
        epoch = epoch_seconds(train(index, folder / "runs", epochs=2, device=options.device))[-1]
        print(f"one epoch: {epoch:.2f} s")
    verdict("seal check at first use, share of an epoch", check / epoch, 0.03, at_most=True)


def read_all(files: list[Path]) -> None:
    """Read every byte, in chunks as large as those of verify."""
    buffer = bytearray(8 << 20)
    for path in files:
        with path.open("rb", buffering=0) as file:
            while file.readinto(buffer):
                pass


if __name__ == "__main__":
    main()
