"""Values that the program takes as they are: the same as typer's, at less cost; all others stay typer's."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Annotated, Any

import pytest
import typer
from typer.core import TyperCommand
from typer.testing import CliRunner

from vpar_cli.plain_values import PlainCommand

seen: dict[str, Any] = {}


def command(
    place: Annotated[Path, typer.Argument()],
    name: Annotated[str, typer.Option()] = "none",
    number: Annotated[int, typer.Option()] = 3,
    ratio: Annotated[float | None, typer.Option()] = None,
    maybe: Annotated[str | None, typer.Option()] = None,
    out: Annotated[Path | None, typer.Option()] = None,
    several: Annotated[list[Path] | None, typer.Option()] = None,
    fast: Annotated[bool, typer.Option()] = False,
) -> None:
    seen.update(locals())


def outcome(kind: type[TyperCommand], *arguments: str) -> tuple[int, dict[str, Any], str]:
    """Exit status, what the command was given, and what was printed."""
    seen.clear()
    app = typer.Typer(add_completion=False)
    app.command(cls=kind)(command)
    done = CliRunner().invoke(app, list(arguments))
    return done.exit_code, dict(seen), done.output


@pytest.mark.parametrize(
    "arguments",
    [
        ["a/b.h5"],
        ["a/b.h5", "--name", "", "--maybe", "None", "--out", "./x/../y"],
        ["a", "--number", "7", "--ratio", "1e-3", "--fast"],
        ["a", "--several", "b", "--several", "c"],
        ["~", "--no-fast"],
        [],
        ["a", "--number", "7.5"],
        ["a", "--ratio", "much"],
        ["a", "--unknown", "1"],
        ["a", "b"],
    ],
    ids=str,
)
def test_values_and_errors_are_those_of_typer(arguments: list[str]) -> None:
    status, values, output = outcome(PlainCommand, *arguments)
    assert (status, values, output) == outcome(TyperCommand, *arguments)
    assert {type(values[name]) for name in ("place", "out") if values.get(name) is not None} <= {type(Path())}


def test_a_path_that_cannot_be_read_is_refused_as_typer_refuses_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    locked = tmp_path / "locked.h5"
    locked.touch()
    monkeypatch.setattr("os.access", lambda path, mode, **_: Path(path) != locked)  # root may read everything
    refused = outcome(PlainCommand, str(locked))
    assert refused == outcome(TyperCommand, str(locked))
    assert refused[0] == 2
    assert "not readable" in refused[2]


def test_info_imports_no_validation_and_no_networks(tiny_cache: Path) -> None:
    code = (
        "import sys\nfrom vpar_cli.main import run\n"
        "try:\n    run()\nexcept SystemExit as stop:\n    assert not stop.code\n"
        "print({'pydantic', 'pydantic_core', 'torch', 'tomllib', 'hashlib', 'pyarrow'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "info", str(tiny_cache)],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout.splitlines()[-1] == "set()"
