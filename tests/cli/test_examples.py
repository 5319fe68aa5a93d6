"""Each command's help ends with examples, and each example runs as it stands.

The names in them (MARS, RUN, street.mp4, ...) are small real files in a folder of the test. A command may get
options after those of the example (MORE), so that it needs no weights and little time.
"""

from __future__ import annotations

import shlex
import shutil
from pathlib import Path
from typing import Any

import pytest
import typer.main

from tests.cli.conftest import Call
from tests.support.hostile_files import call_vpar
from vpar_cli.main import app

PROGRAM: Any = typer.main.get_command(app)
COMMANDS = list(PROGRAM.commands)
SMALL_BACKBONE = ("--backbone", "timm:test_vit", "--weights", "random:0", "--text", "none", "--frames", "1")
MORE: dict[str, tuple[str, ...]] = {
    "demo": ("--epochs", "1"),
    "doctor": ("--weights", "random:0"),
    "extract": SMALL_BACKBONE,
    "train": ("--dim", "32", "--heads", "2", "--epochs", "2"),
    "tune": ("--model", "linear", "--trials", "2", "--epochs", "2"),
    "benchmark": ("--weights", "random:0", "--models", "linear", "--seeds", "1", "--epochs", "1", "--frames", "1"),
}
SLOW = {"demo", "benchmark", "export", "doctor"}
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
def test_an_example_runs(line: str, example_folder: Path, tmp_path: Path, tiny_backbone: str) -> None:
    pytest.importorskip("av")
    pytest.importorskip("trackers")
    folder = shutil.copytree(example_folder, tmp_path / "here")
    arguments = shlex.split(line)[1:]
    if arguments[0] == "track":
        (folder / "boxes.txt").unlink()
    if arguments[0] in ("extract", "doctor"):
        shutil.rmtree(folder / "cache")
    done = call_vpar(*arguments, *more(arguments, tiny_backbone), folder=folder)
    assert done.returncode in STATUS.get(arguments[0], {0}), (done.stdout, done.stderr)
