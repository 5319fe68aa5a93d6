"""messages.txt holds the wording of the most common errors; every one is produced by a real call.

VPAR_WRITE_MESSAGES=1 in the environment writes the file again instead of comparing it.
"""

from __future__ import annotations

import os
import shlex
import shutil
from pathlib import Path

from tests.cli.conftest import Call

FILE = Path(__file__).with_name("messages.txt")


def test_common_errors_read_as_agreed(vpar: Call, tiny_cache: Path, demo_root: Path, tmp_path: Path) -> None:
    shutil.copytree(tiny_cache.parent, tmp_path / "cache")
    shutil.copytree(demo_root, tmp_path / "unlabelled", ignore=shutil.ignore_patterns("*.csv"))
    (tmp_path / "cache" / "runs" / "first").mkdir(parents=True)
    (tmp_path / "cache" / "runs" / "first" / "metrics.json").write_text("{}")
    (tmp_path / "cache" / "runs" / "second").mkdir()
    (tmp_path / "cache" / "runs" / "second" / "run.json").write_text("{}")
    text = FILE.read_text("utf-8")
    commands = [line.removeprefix("$ vpar ") for line in text.splitlines() if line.startswith("$ vpar ")]
    blocks = []
    for command in commands:
        done = vpar(*shlex.split(command))
        assert (done.returncode, done.stdout) == (2, ""), command
        assert done.stderr.startswith("error: "), command
        assert done.stderr.count("\n") == 1, command
        blocks.append(f"$ vpar {command}\n{done.stderr}")
    produced = "\n".join(blocks)
    if os.environ.get("VPAR_WRITE_MESSAGES"):
        FILE.write_text(produced, "utf-8")
    assert len(commands) >= 15
    assert produced == FILE.read_text("utf-8")
