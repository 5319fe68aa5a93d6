"""`vpar doctor`: a line for each check, and a status that a script can read."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Call

STATES = {"ok", "warning", "fails"}


def options(root: Path, backbone: str) -> list[str]:
    return ["--dataset", "mars", "--root", str(root), "--backbone", backbone, "--device", "cpu", "--offline"]


def test_warnings_are_no_failure_and_nothing_is_left(
    vpar: Call, demo_root: Path, tiny_backbone: str, tmp_path: Path
) -> None:
    done = vpar("doctor", *options(demo_root, tiny_backbone), "--weights", "random:0", columns=1000)
    assert done.returncode == 0, done.stdout
    lines = done.stdout.splitlines()
    assert {line.split()[0] for line in lines} <= STATES
    assert sum(line.startswith("warning") for line in lines) >= 2, "random weights, and not the whole of MARS"
    assert f"{len(lines)} checks" in done.stderr
    assert not list(tmp_path.iterdir())


def test_what_would_fail_gives_status_1_and_the_other_checks_are_made(
    vpar: Call, tiny_backbone: str, tmp_path: Path
) -> None:
    done = vpar("doctor", *options(tmp_path / "nowhere", tiny_backbone), "--weights", "absent.pt", "--json")
    assert done.returncode == 1
    found = json.loads(done.stdout)
    assert found["state"] == "fails"
    checks = {check["name"]: check for check in found["checks"]}
    assert {checks["weights"]["state"], checks["dataset"]["state"]} == {"fails"}
    assert "absent.pt" in checks["weights"]["text"]
    assert {check["state"] for check in found["checks"]} <= STATES
    assert {"packages", "torch", "device", "threads", "disk", "file system", "cluster"} <= checks.keys()


@pytest.mark.parametrize(
    "arguments",
    [["--dataset", "mras"], ["--device", "gpu"], ["--frames", "most"], ["--out", "a.hdf"], ["--labels", "a.csv"]],
)
def test_a_wrong_option_gives_status_2(vpar: Call, arguments: list[str]) -> None:
    done = vpar("doctor", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert arguments[0] in done.stderr


@pytest.mark.parametrize("columns", [40, 80, 120])
def test_lines_fit_the_terminal(vpar: Call, tiny_backbone: str, columns: int) -> None:
    done = vpar("doctor", "--backbone", tiny_backbone, "--weights", "random:0", "--device", "cpu", columns=columns)
    assert done.returncode == 0, done.stdout
    wide = [line for line in done.stdout.splitlines() if len(line) > columns and len(line.split()) > 1]
    assert not wide
