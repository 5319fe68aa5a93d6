"""Nothing calls out: not at import, not with --offline. Watched by the interpreter's own audit events."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.tiny_clip import TINY_CLIP

PROJECT = Path(__file__).resolve().parents[2]

WATCH = """
import sys
def refuse(event, arguments):
    if event.startswith("socket.") and event not in ("socket.__new__", "socket.gethostname"):
        sys.stderr.write(f"CALLED OUT: {event} {arguments}\\n")
        raise RuntimeError("no network in this test")
sys.addaudithook(refuse)
"""


def watched(code: str, *arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", WATCH + code, *arguments], capture_output=True, text=True, cwd=cwd, timeout=120
    )


@pytest.mark.parametrize(
    "call",
    [
        "socket.create_connection(('192.0.2.1', 80), 0.1)",
        "socket.socket().connect_ex(('192.0.2.1', 80))",
        "socket.getaddrinfo('example.org', 80)",
        "socket.socket(type=socket.SOCK_DGRAM).sendto(b'x', ('192.0.2.1', 53))",
    ],
)
def test_the_watch_sees_a_call(call: str, tmp_path: Path) -> None:
    done = watched(f"import socket; {call}", cwd=tmp_path)
    assert "CALLED OUT" in done.stderr


def test_importing_every_module_calls_nowhere(tmp_path: Path) -> None:
    """Of the package and of the command line, which is installed under another name than its folder's."""
    files = [path for folder in ("vpar_cache", "cli") for path in sorted((PROJECT / folder).rglob("*.py"))]
    names = [".".join(path.relative_to(PROJECT).with_suffix("").parts) for path in files]
    names = [name.removesuffix(".__init__") for name in names]
    names = [f"vpar_{name}" if name.partition(".")[0] == "cli" else name for name in names]
    done = watched(
        "import importlib\nfor name in sys.argv[1:]: importlib.import_module(name)", *names, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    assert "CALLED OUT" not in done.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("backbone", "weights", "status"),
    [
        ("tiny", "random:0", 0),
        ("ViT-B-16-quickgelu", "openai", 2),
        ("timm:resnet18", "random:0", 0),
        ("timm:resnet18", "pretrained", 2),
    ],
)
def test_offline_extraction_calls_nowhere(
    backbone: str, weights: str, status: int, demo_root: Path, tmp_path: Path
) -> None:
    """Random weights need no hub; hub weights that are not here are an error at once."""
    (tmp_path / "tiny.json").write_text(json.dumps(TINY_CLIP), "utf-8")
    code = f"import open_clip; open_clip.add_model_config({str(tmp_path / 'tiny.json')!r})\n"
    options = ["--dataset", "mars", "--root", str(demo_root), "--out", str(tmp_path / "c" / "mars.h5")]
    options += ["--backbone", backbone, "--limit", "4"]
    options += ["--weights", weights, "--offline", "--device", "cpu", "--frames", "1"]
    done = watched(f"{code}from vpar_cli.main import run; run()", "extract", *options, cwd=tmp_path)
    assert done.returncode == status, done.stderr
    assert "CALLED OUT" not in done.stderr
    if status:
        assert "--offline" in done.stderr
        assert "random:0" in done.stderr
        assert "FILE.safetensors" in done.stderr


def test_offline_training_calls_nowhere(tiny_cache: Path, tmp_path: Path) -> None:
    """--block-init alone would ask the hub."""
    options = ["--features", str(tiny_cache), "--block-init", "imagenet", "--dim", "768", "--heads", "12"]
    options += ["--device", "cpu", "--offline"]
    done = watched("from vpar_cli.main import run; run()", "train", *options, cwd=tmp_path)
    assert done.returncode == 2, done.stderr
    assert "CALLED OUT" not in done.stderr
    assert "--offline" in done.stderr
