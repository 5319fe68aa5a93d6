"""How long `vpar report` takes on 20 finished runs of MARS's test split (8,062 tracklets, 43 outputs).

    python benchmarks/report_runs.py

The runs are real: `vpar train` of one epoch on a cache of random features in a small shape, each with its own
seed; what the report reads (predictions, scores, intervals) has the full size. Then the real command runs as a
process of its own, with the files in memory. The figure is `vpar report`; printed beside it are the report with
every detail of every run as a page, and the comparison of the first run with each other one.
"""

from __future__ import annotations

from pathlib import Path

from support.processes import run_quietly, vpar
from support.program import train
from support.random_caches import Content, write_cache
from support.timing import median_time, option_parser, scratch_folder, verdict

RUNS, REPEATS, MOST_SECONDS = 20, 5, 3.0
TEST_TRACKLETS, TRAIN_TRACKLETS, PEOPLE = 8_062, 400, 656
"""Few to train on: the report does not depend on their number. People: as many in the test split as MARS has."""


def main() -> None:
    options = option_parser(__doc__).parse_args()
    with scratch_folder(options) as folder:
        runs = folder / "runs"
        train_runs(folder / "random.h5", runs)
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
        train(index, runs, seed=seed, model="linear", epochs=1)


def report_seconds(runs: Path, arguments: list[str]) -> float:
    """Return the median of several processes, after one that is not counted."""
    command = vpar("report", f"--runs={runs}", *arguments)
    return median_time(lambda: run_quietly(command), REPEATS)


if __name__ == "__main__":
    main()
