"""How long `vpar info` takes on the index of MARS, beside a process that only imports what it cannot do without.

    python benchmarks/startup_info.py

Whole processes in turn, with the files in memory. The index is of MARS's size: 16,360 tracklets in 64 shards, with
labels, names, prompts and the digests of all rows. The shards themselves are not there: `vpar info` reads the
index alone. Beside it stands a process that imports h5py, typer and rich.table and ends.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from paired import verdict
from processes import compare_processes, run_quietly, vpar
from random_inputs import write_index_alone

REPEATS = 25
TRACKLETS = 16_360
IMPORTS = "import h5py, typer, rich.table"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--folder", type=Path, help="Where to write the index. Default: a temporary folder.")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="vpar-startup-", dir=options.folder) as folder:
        index = write_index_alone(Path(folder) / "mars.h5", TRACKLETS)
        assert f"{TRACKLETS} x 197 x 512" in run_quietly(vpar("info", index))
        print(f"index: {index.stat().st_size / 1e6:.2f} MB, {TRACKLETS} tracklets")
        ratio = compare_processes(vpar("info", index), [sys.executable, "-c", IMPORTS], REPEATS)
    verdict("vpar info on MARS, seconds against the imports that it needs", ratio, 1.3, at_most=True)


if __name__ == "__main__":
    main()
