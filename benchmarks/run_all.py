"""All figures of speed and memory, one script after the other, and a table of what they found.

    python benchmarks/run_all.py [--only NAME ...]

The output of the scripts passes through. Status 1 where a figure misses its target or a script fails. Run
nothing else meanwhile. Together they take about 45 minutes on 2 cores and 10 GB of disk.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

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
    "predict_against_forward",
)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--only", nargs="+", choices=FIGURES, default=FIGURES, metavar="NAME")
    options = parser.parse_args()
    verdicts = {name: run(name) for name in options.only}
    print(f"\n{'script':32} {'ratio':>9} {'target':>7}")
    for name, found in verdicts.items():
        if not found:
            print(f"{name:32} {'failed':>9}")
        for one in found:
            print(f"{name:32} {one['ratio']:9.3f} {one['target']:7g}  {'met' if one['met'] else 'NOT MET'}")
    return int(any(not found or not all(one["met"] for one in found) for found in verdicts.values()))


def run(name: str) -> list[dict[str, Any]]:
    """Return the verdicts that a script prints; none where it fails otherwise than by a missed target."""
    print(f"\n== {name}", flush=True)
    script = Path(__file__).with_name(f"{name}.py")
    found = []
    with subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            print(line, end="", flush=True)
            if line.startswith('{"figure"'):
                found.append(json.loads(line))
    missed = any(not one["met"] for one in found)
    return found if process.returncode == 0 or (process.returncode == 1 and missed) else []


if __name__ == "__main__":
    sys.exit(main())
