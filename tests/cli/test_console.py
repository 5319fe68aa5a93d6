"""Whatever stdout and stderr are, no command ends in a traceback."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.fake_runs import make_run

NAME = "läufe-и-实验"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("work")
    make_run(folder / "cache" / "runs", NAME, details=True)
    return folder


def shell(folder: Path, command: str, **environment: str) -> subprocess.CompletedProcess[bytes]:
    """Run a line of bash in which $VPAR is the program."""
    program = f"{sys.executable} -m vpar_cache"
    return subprocess.run(
        ["bash", "-c", command],
        cwd=folder,
        env={**os.environ, "VPAR": program, "PYTHONWARNINGS": "default", **environment},
        capture_output=True,
        timeout=120,
    )


@pytest.mark.parametrize("encoding", ["ascii", "cp437", "latin-1"])
@pytest.mark.parametrize("command", ["report --details", "--help", "nonsense-и"])
def test_any_encoding_shows_all_that_it_can(folder: Path, encoding: str, command: str) -> None:
    done = shell(folder, f"$VPAR {command}", PYTHONIOENCODING=encoding, COLUMNS="100")
    assert done.returncode == (2 if "nonsense" in command else 0), done.stderr
    assert b"Traceback" not in done.stderr
    text = done.stdout.decode(encoding)
    if command.startswith("report"):
        assert NAME.encode(encoding, "backslashreplace").decode(encoding) in text
        assert "----" in text or "────" in text
    assert "\\u2500" not in text


def test_tables_stay_straight_in_ascii(folder: Path) -> None:
    plain = shell(folder, "$VPAR score cache/runs/*/predictions.parquet --schema absent.toml; $VPAR report")
    simple = shell(folder, "$VPAR report", PYTHONIOENCODING="ascii")
    one, other = plain.stdout.decode("utf-8").splitlines(), simple.stdout.decode("ascii").splitlines()
    lengths = [(len(a), len(b)) for a, b in zip(one, other, strict=True) if NAME not in a]
    assert all(a == b for a, b in lengths)


@pytest.mark.parametrize("command", ["report", "report --format json", "--help"])
def test_a_full_device_is_one_line_and_status_2(folder: Path, command: str) -> None:
    done = shell(folder, f"$VPAR {command} > /dev/full")
    assert done.returncode == 2
    assert done.stderr.count(b"\n") == 1
    assert b"stdout: No space left on device" in done.stderr


@pytest.mark.parametrize("command", ["report", "--help"])
def test_a_pipe_that_nobody_reads_ends_quietly(folder: Path, command: str) -> None:
    done = shell(folder, f"$VPAR {command} | true; echo ${{PIPESTATUS[0]}}")
    assert (done.stdout, done.stderr) == (b"141\n", b"")


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-", "<&- >&- 2>&-", "2>/dev/full"])
@pytest.mark.parametrize("command", ["report", "--version"])
def test_a_closed_stream_changes_no_status_and_gets_into_no_file(folder: Path, closed: str, command: str) -> None:
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    done = shell(folder, f"$VPAR {command} {closed}")
    assert (done.returncode, b"Traceback" in done.stderr) == (0, False)
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


def test_an_error_with_nowhere_to_go_keeps_its_status(folder: Path) -> None:
    for closed in ("2>/dev/full", "2>&-"):
        assert shell(folder, f"$VPAR nonsense {closed}").returncode == 2


def test_columns_limit_a_pipe_too(folder: Path) -> None:
    wide, narrow = (shell(folder, "$VPAR report", COLUMNS=columns).stdout.decode() for columns in ("", "60"))
    assert max(map(len, wide.splitlines())) > 80
    assert max(map(len, narrow.splitlines())) <= 60
    assert "\x1b" not in narrow


def test_windows_is_refused_in_one_line() -> None:
    code = (
        "import sys; sys.modules['fcntl'] = sys.modules['resource'] = None\n"
        "from vpar_cli import main\nmain.os.name = 'nt'\nmain.run()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert "Linux and macOS" in done.stderr
    assert "WSL" in done.stderr


def test_completion_can_be_shown(folder: Path) -> None:
    done = shell(folder, "$VPAR --show-completion", _TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION="1", SHELL="bash")
    shown = shell(folder, "_VPAR_COMPLETE=complete_bash COMP_WORDS='vpar ex' COMP_CWORD=1 $VPAR")
    assert b"extract" in shown.stdout
    assert b"--install-completion" in shell(folder, "$VPAR --help").stdout
    assert b"Traceback" not in done.stderr


@pytest.mark.parametrize("command", ["", "extract", "train", "report", "info", "figure"])
def test_help_shows_flags_without_a_type(folder: Path, command: str) -> None:
    shown = shell(folder, f"$VPAR {command} --help", COLUMNS="100").stdout.decode()
    assert "--help" in shown
    assert "<bool>" not in shown


def test_help_has_no_line_breaks_of_the_source(folder: Path) -> None:
    shown = shell(folder, "$VPAR demo --help", COLUMNS="250").stdout.decode()
    assert "shows that everything works and that the fusion model learns" in shown
