"""How long `vpar report` takes on 20 finished runs of MARS's test split (8,062 tracklets, 43 outputs).

    python benchmarks/report_runs.py

The runs are real: `vpar train` of one epoch on a cache of random features in a small shape, with seeds of their
own; what the report reads (predictions, scores, intervals) has the full size. Then the real command runs as a
process of its own, with the files in memory. The figure is `vpar report`; printed beside it are the report with
every detail of every run as a page, and the comparison of the first run with each other one.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from pathlib import Path

from paired import timed, verdict
from processes import run_quietly, vpar
from random_inputs import Content, write_cache

from vpar_cache.training.config import TrainConfig
from vpar_cache.training.train import train

RUNS, REPEATS, MOST_SECONDS = 20, 5, 3.0
TEST_TRACKLETS, TRAIN_TRACKLETS, PEOPLE = 8_062, 400, 656
"""Few to train on: their number is nothing to the report. People: as many in the test split as MARS has."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--folder", type=Path, help="Where to make the files. Default: a temporary folder.")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="vpar-report-", dir=options.folder) as folder:
        runs = Path(folder) / "runs"
        train_runs(Path(folder) / "random.h5", runs)
        ways = {
            "vpar report": [],
            "vpar report --details --html": ["--details", f"--html={folder}/page.html"],
            "vpar report --compare": ["--compare"],
        }
        seconds = {name: report_seconds(runs, arguments) for name, arguments in ways.items()}
    for name, value in seconds.items():
        print(f"{name}: {value:.2f} s")
    verdict(f"report on {RUNS} runs, seconds", seconds["vpar report"], MOST_SECONDS, at_most=True)


def train_runs(index: Path, runs: Path) -> None:
    content = Content(side=1, num_test=TEST_TRACKLETS, people=PEOPLE)
    write_cache(index, TRAIN_TRACKLETS + TEST_TRACKLETS, content=content)
    for seed in range(RUNS):
        settings = {"model": "linear", "epochs": 1, "protocol": "paper", "device": "cpu"}
        train(TrainConfig(features=index, runs=runs, seed=seed, **settings))


def report_seconds(runs: Path, arguments: list[str]) -> float:
    """The median of several processes, after one that is not counted."""
    command = vpar("report", f"--runs={runs}", *arguments)
    run_quietly(command)
    return statistics.median(timed(lambda: run_quietly(command)) for _ in range(REPEATS))


if __name__ == "__main__":
    main()
