"""Nothing calls out: not at import, not with --offline. Watched by the interpreter's own audit events."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import TINY_CLIP

PROJECT = Path(__file__).resolve().parents[1]

WATCH = """
import sys
def refuse(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto"):
        sys.stderr.write(f"CALLED OUT: {event} {arguments}\\n")
        raise RuntimeError("no network in this test")
sys.addaudithook(refuse)
"""


def watched(code: str, *arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", WATCH + code, *arguments], capture_output=True, text=True, cwd=cwd, timeout=120
    )


def test_the_watch_sees_a_call(tmp_path: Path) -> None:
    done = watched("import socket; socket.create_connection(('192.0.2.1', 80), 0.1)", cwd=tmp_path)
    assert "CALLED OUT" in done.stderr


def test_importing_every_module_calls_nowhere(tmp_path: Path) -> None:
    files = sorted((PROJECT / "vpar_cache").rglob("*.py"))
    names = [".".join(path.relative_to(PROJECT).with_suffix("").parts) for path in files]
    names = [name.removesuffix(".__init__") for name in names]
    done = watched(
        "import importlib\nfor name in sys.argv[1:]: importlib.import_module(name)", *names, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    assert "CALLED OUT" not in done.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("weights", "status"), [("random:0", 0), ("openai", 2)])
def test_offline_extraction_calls_nowhere(weights: str, status: int, demo_root: Path, tmp_path: Path) -> None:
    """Random weights need no hub; hub weights that are not here are an error at once."""
    (tmp_path / "tiny.json").write_text(json.dumps(TINY_CLIP), "utf-8")
    code = f"import open_clip; open_clip.add_model_config({str(tmp_path / 'tiny.json')!r})\n"
    options = ["--dataset", "mars", "--root", str(demo_root), "--out", str(tmp_path / "c" / "mars.h5")]
    options += ["--backbone", "tiny" if weights == "random:0" else "ViT-B-16-quickgelu"]
    options += ["--weights", weights, "--offline", "--device", "cpu", "--frames", "1"]
    done = watched(f"{code}from vpar_cli.main import run; run()", "extract", *options, cwd=tmp_path)
    assert done.returncode == status, done.stderr
    assert "CALLED OUT" not in done.stderr
    if status:
        assert "--offline" in done.stderr
        assert "random:0" in done.stderr
        assert "FILE.safetensors" in done.stderr
