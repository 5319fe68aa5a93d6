"""All figures of speed and memory, one script after the other, and a table of what they found.

    python benchmarks/run_all.py [--only NAME ...]

The output of the scripts passes through. Status 1 where a figure misses its target or a script fails. Run
nothing else meanwhile. Together they take about 40 minutes on 2 cores and 10 GB of disk.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

FIGURES = (
    "extract_against_forward",
    "extract_against_frame_by_frame",
    "train_step",
    "train_epoch_against_end_to_end",
    "rows_against_copy",
    "rows_against_h5py",
    "train_loading_share",
    "extract_memory_flat",
    "extract_memory_peak",
    "train_beyond_memory",
    "startup_help",
    "extract_nothing_new",
    "report_runs",
    "score_mars",
    "large_index",
    "ray_waiting",
)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--only", nargs="+", choices=FIGURES, default=FIGURES, metavar="NAME")
    options = parser.parse_args()
    verdicts = {name: run(name) for name in options.only}
    print(f"\n{'script':32} {'ratio':>9} {'target':>7}")
    for name, found in verdicts.items():
        if found is None:
            print(f"{name:32} {'failed':>9}")
        else:
            print(f"{name:32} {found['ratio']:9.3f} {found['target']:7g}  {'met' if found['met'] else 'NOT MET'}")
    return int(any(found is None or not found["met"] for found in verdicts.values()))


def run(name: str) -> dict[str, object] | None:
    """Return the verdict in the script's last line; None where it fails."""
    print(f"\n== {name}", flush=True)
    script = Path(__file__).with_name(f"{name}.py")
    last = ""
    with subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for last in process.stdout:
            print(last, end="", flush=True)
    return json.loads(last) if process.returncode == 0 else None


if __name__ == "__main__":
    sys.exit(main())
