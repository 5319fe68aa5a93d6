"""How long `vpar --help` takes, beside the help of an empty typer application with rich.

    python benchmarks/startup_help.py

Whole processes in turn, with the files in memory. Beside ours stands the least that typer can do: an application
of one command that does nothing, printing its help with rich. What remains is what our own commands cost.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from paired import verdict
from processes import compare_processes, run_quietly, vpar

REPEATS = 25
EMPTY = '''import typer

app = typer.Typer(add_completion=False)


@app.command()
def main() -> None:
    """Do nothing."""


app()
'''


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument(
        "--folder", type=Path, help="Where to write the empty application. Default: a temporary folder."
    )
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="vpar-startup-", dir=options.folder) as folder:
        script = Path(folder) / "empty.py"
        script.write_text(EMPTY)
        empty = [sys.executable, str(script), "--help"]
        for command in (vpar("--help"), empty):
            assert "╭─ Options" in run_quietly(command), "the help was not drawn by rich"
        ratio = compare_processes(vpar("--help"), empty, REPEATS)
    verdict("vpar --help, seconds against an empty typer application", ratio, 1.2, at_most=True)


if __name__ == "__main__":
    main()
