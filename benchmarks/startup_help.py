"""How long `vpar --help` takes, beside the help of an empty typer application with rich.

    python benchmarks/startup_help.py

Whole processes in turn, with the files in memory. Beside ours stands the least that typer can do: an
application of one command that does nothing, printing its help with rich. What remains is the cost of our own
commands.
"""

from __future__ import annotations

import sys

from support.processes import compare_processes, run_quietly, vpar
from support.timing import option_parser, scratch_folder, verdict

REPEATS = 25
EMPTY = '''import typer

app = typer.Typer(add_completion=False)


@app.command()
def main() -> None:
    """Do nothing."""


app()
'''


def main() -> None:
    options = option_parser(__doc__).parse_args()
    with scratch_folder(options) as folder:
        script = folder / "empty.py"
        script.write_text(EMPTY)
        empty = [sys.executable, str(script), "--help"]
        for command in (vpar("--help"), empty):
            assert "╭─ Options" in run_quietly(command).stdout, "the help was not drawn by rich"
        ratio = compare_processes(vpar("--help"), empty, REPEATS)
    verdict("vpar --help, seconds against an empty typer application", ratio, 1.2, at_most=True)


if __name__ == "__main__":
    main()
