"""Nothing calls out: not at import, not with --offline. Watched by the interpreter's own audit events.

One process does all of it, since importing the libraries takes longer than the rest.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.tiny_clip import TINY_CLIP

PROJECT = Path(__file__).resolve().parents[2]

WATCH = """
import sys
called = []
def refuse(event, arguments):
    if event.startswith("socket.") and event not in ("socket.__new__", "socket.gethostname"):
        called.append(f"{event} {arguments}")
        raise RuntimeError("no network in this test")
sys.addaudithook(refuse)
"""

CALLS = """
import json, socket
for call in (
    lambda: socket.create_connection(("192.0.2.1", 80), 0.1),
    lambda: socket.socket().connect_ex(("192.0.2.1", 80)),
    lambda: socket.getaddrinfo("example.org", 80),
    lambda: socket.socket(type=socket.SOCK_DGRAM).sendto(b"x", ("192.0.2.1", 53)),
):
    try:
        call()
    except RuntimeError:
        pass
print(json.dumps(called))
"""

COMMANDS = """
import contextlib, importlib, io, json
asked = json.loads(sys.argv[1])
for module in asked["modules"]:
    importlib.import_module(module)
done = [[0, "", list(called)]]
import open_clip
open_clip.add_model_config(asked["architecture"])
from vpar_cli.main import run
for command in asked["commands"]:
    called.clear()
    sys.argv, status, errors = ["vpar", *command], 0, io.StringIO()
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(errors):
        try:
            run()
        except SystemExit as stop:
            status = stop.code or 0
    done.append([status, errors.getvalue(), list(called)])
print(json.dumps(done))
"""


def watched(code: str, *arguments: str, cwd: Path) -> Any:
    """What a program of its own prints as JSON in its last line."""
    done = subprocess.run(
        [sys.executable, "-c", WATCH + code, *arguments], capture_output=True, text=True, cwd=cwd, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def module_names() -> list[str]:
    """Of the package and of the command line, which is installed under another name than its folder's."""
    files = [path for folder in ("vpar_cache", "cli") for path in sorted((PROJECT / folder).rglob("*.py"))]
    names = [".".join(path.relative_to(PROJECT).with_suffix("").parts) for path in files]
    names = [name.removesuffix(".__init__") for name in names]
    return [f"vpar_{name}" if name.partition(".")[0] == "cli" else name for name in names]


def test_the_watch_sees_a_call(tmp_path: Path) -> None:
    assert len(watched(CALLS, cwd=tmp_path)) == 4


@pytest.mark.slow
def test_neither_importing_every_module_nor_an_offline_command_calls_out(
    tiny_cache: Path, demo_root: Path, tmp_path: Path
) -> None:
    """Random weights need no hub; hub weights that are not here are an error at once."""
    (tmp_path / "empty").mkdir()
    architecture = tmp_path / "tiny.json"
    architecture.write_text(json.dumps(TINY_CLIP), "utf-8")
    common = ["--dataset", "mars", "--root", str(demo_root), "--limit", "4", "--frames", "1"]
    commands = [
        ["extract", *common, "--backbone", backbone, "--weights", weights, "--out", str(tmp_path / f"{number}.h5")]
        for number, (backbone, weights) in enumerate(
            (
                ("tiny", "random:0"),
                ("timm:resnet18", "random:0"),
                ("ViT-B-16-quickgelu", "openai"),
                ("timm:resnet18", "pretrained"),
            )
        )
    ]
    # --block-init alone would ask the hub.
    commands.append(
        ["train", "--features", str(tiny_cache), "--block-init", "imagenet", "--dim", "768", "--heads", "12"]
    )
    commands.append(["doctor", *common[:4], "--out", str(tmp_path / "doctor.h5")])
    asked = {
        "modules": module_names(),
        "architecture": str(architecture),
        "commands": [[*command, "--offline", "--device", "cpu"] for command in commands],
    }
    done = watched(COMMANDS, json.dumps(asked), cwd=tmp_path / "empty")
    assert [called for _, _, called in done] == [[]] * 7
    assert [status for status, _, _ in done] == [0, 0, 0, 2, 2, 2, 1], done
    for _, errors, _ in done[3:5]:
        assert "--offline" in errors
        assert "random:0" in errors
        assert "FILE.safetensors" in errors
    assert "--offline" in done[5][1]
    assert not [path for path in (tmp_path / "empty").rglob("*") if path.is_file()]
