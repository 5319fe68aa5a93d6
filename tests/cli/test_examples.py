"""Each command's help ends with examples, and each example runs as it stands.

The names in them (MARS, RUN, street.mp4, ...) are small real files in a folder of the test. A command may get
options after those of the example (MORE), so that it needs no weights and little time.
"""

from __future__ import annotations

import csv
import json
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import typer.main

from tests.cli.conftest import Call
from tests.support.hostile_files import call_vpar
from vpar_cache.datasets.demo.video import encode_video, write_video
from vpar_cache.extraction.config import ExtractConfig
from vpar_cache.extraction.extract import extract
from vpar_cache.training.config import TrainConfig
from vpar_cache.training.train import train
from vpar_cli.main import app

PROGRAM: Any = typer.main.get_command(app)
COMMANDS = list(PROGRAM.commands)
SMALL_BACKBONE = ("--backbone", "timm:test_vit", "--weights", "random:0", "--text", "none", "--frames", "1")
MORE: dict[str, tuple[str, ...]] = {
    "demo": ("--epochs", "1"),
    "extract": SMALL_BACKBONE,
    "train": ("--dim", "32", "--heads", "2", "--epochs", "2"),
    "tune": ("--model", "linear", "--trials", "2", "--epochs", "2"),
    "benchmark": ("--weights", "random:0", "--models", "linear", "--seeds", "1", "--epochs", "1", "--frames", "1"),
}
SLOW = {"demo", "benchmark"}
STATUS: dict[str, set[int]] = {}
"""Exit statuses of an example that is not 0 on every machine, by command."""


def examples() -> list[Any]:
    marks = {True: [pytest.mark.slow], False: []}
    return [
        pytest.param(line, id=line, marks=marks[name in SLOW])
        for name, command in PROGRAM.commands.items()
        for line in command.examples
    ]


def more(arguments: list[str], tiny_backbone: str) -> tuple[str, ...]:
    """Return the options to add to an example."""
    name = arguments[0]
    if "--from-run" in arguments:
        return ()
    if name == "predict" and "--zero-shot" in arguments:
        return ("--backbone", tiny_backbone, "--weights", "random:0")
    finds_people = name == "track" or (name == "predict" and "street.mp4" in arguments)
    if finds_people and not {"--boxes", "--detector"} & set(arguments):
        return ("--detector", "motion")
    return MORE.get(name, ())


def write_shop(root: Path, people: Path) -> None:
    """Write a folder as `vpar init` starts it, with labels that somebody gave."""
    for day in ("monday", "tuesday"):
        shutil.copytree(people, root / "shop" / day)
    assert call_vpar("init", "shop", folder=root).returncode == 0
    with (root / "shop/labels.csv").open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    for number, row in enumerate(rows):
        row["split"] = "test" if number % 3 == 0 else "train"
        row |= {"hat": str(number % 2), "backpack": str(number // 2 % 2), "top color": str(number % 5)}
    for path in (root / "shop/labels.csv", root / "labels-of-anna.csv"):
        with path.open("w", newline="") as file:
            table = csv.DictWriter(file, list(rows[0]))
            table.writeheader()
            table.writerows(rows)


def write_predictions(root: Path, run: Path) -> None:
    """Write the test predictions of a run as other programs would: as Parquet and as CSV, with lists in cells."""
    table = pq.read_table(run / "predictions.parquet")
    columns = ["tracklet_id", "probabilities", "labels"]
    rows = [{name: row[name] for name in columns} for row in table.to_pylist() if row["split"] == "test"]
    pq.write_table(table.select(columns).slice(table.num_rows - len(rows)), root / "predictions.parquet")
    with (root / "predictions.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        lists = (([float(p) for p in row["probabilities"]], [int(v) for v in row["labels"]]) for row in rows)
        writer.writerows(
            [row["tracklet_id"], json.dumps(probabilities), json.dumps(labels)]
            for row, (probabilities, labels) in zip(rows, lists, strict=True)
        )


@pytest.fixture(scope="module")
def template(
    tmp_path_factory: pytest.TempPathFactory,
    extract_config: Callable[..., ExtractConfig],
    demo_root: Path,
    people: Path,
) -> Path:
    """A folder with every name of the examples. Read only."""
    root = tmp_path_factory.mktemp("examples")
    shutil.copytree(demo_root, root / "MARS")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        for name in ("mars", "duke"):
            extract(extract_config(Path(f"cache/{name}.h5"), root=Path("MARS")))
        for seed, name in enumerate(("RUN", "OTHER")):
            settings = {"dim": 32, "heads": 2, "epochs": 2, "device": "cpu", "seed": seed, "name": name}
            run = train(TrainConfig(features="cache/mars.h5", val_fraction=0.34, **settings)).folder  # type: ignore[arg-type]
            write_predictions(root, run)
    write_shop(root, people)
    drawn = write_video(root / "drawn", people=12, frames=40, seed=1)
    encode_video(drawn, root / "street.mp4")
    shutil.copy(drawn / "gt/gt.txt", root / "boxes.txt")
    shutil.rmtree(drawn)
    (root / "crops").mkdir()
    for number, path in enumerate(sorted(people.rglob("*.jpg"))[:6]):
        shutil.copy(path, root / f"crops/{number}.jpg")
    (root / "search.toml").write_text("[lr]\nlow = 1e-4\nhigh = 1e-2\nlog = true\n")
    return root


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize("columns", [80, 120])
def test_the_help_ends_with_examples_of_the_command_each_whole_on_its_line(
    vpar: Call, name: str, columns: int
) -> None:
    lines = PROGRAM.commands[name].examples
    assert lines, f"the docstring of vpar {name} needs a section Examples:, with a command in each line"
    shown = [line.strip() for line in vpar(name, "--help", columns=columns).stdout.splitlines() if line.strip()]
    assert shown[-len(lines) - 1 :] == ["Examples:", *lines]
    assert all(line.startswith(f"vpar {name} ") or line == f"vpar {name}" for line in lines)


@pytest.mark.parametrize("arguments", [(), ("--help",)])
def test_the_first_screen_has_a_line_for_each_command_at_80_columns(
    vpar: Call, arguments: tuple[str, ...]
) -> None:
    done = vpar(*arguments, columns=80)
    panel = (done.stdout or done.stderr).partition("Commands")[2].splitlines()[1:]
    rows = [line.strip("│").split() for line in panel if line.startswith("│")]
    assert [row[0] for row in rows] == COMMANDS
    assert all(row[-1].endswith(".") for row in rows)


@pytest.mark.parametrize("line", examples())
def test_an_example_runs(line: str, template: Path, tmp_path: Path, tiny_backbone: str) -> None:
    pytest.importorskip("av")
    pytest.importorskip("trackers")
    folder = shutil.copytree(template, tmp_path / "here")
    arguments = shlex.split(line)[1:]
    if arguments[0] == "track":
        (folder / "boxes.txt").unlink()
    if arguments[0] == "extract":
        shutil.rmtree(folder / "cache")
    done = call_vpar(*arguments, *more(arguments, tiny_backbone), folder=folder)
    assert done.returncode in STATUS.get(arguments[0], {0}), (done.stdout, done.stderr)
