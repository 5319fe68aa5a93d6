"""The program `vpar`: its commands, and the one place where errors become exit statuses.

Modules with commands do without postponed annotations: typer reads those of every command at every start, and
texts it would have to evaluate each time.
"""

import signal
import sys
from itertools import pairwise
from types import FrameType
from typing import Annotated

import typer

from vpar_cache import __version__
from vpar_cache.errors import VparError, printable

from . import benchmark, demo, extract, figure, info, report, score, train, verify
from .plain_values import PlainGroup

USER_ERROR, INTERRUPTED, TERMINATED = 2, 130, 143

app = typer.Typer(
    name="vpar",
    cls=PlainGroup,
    help="Video-based pedestrian attribute recognition on cached CLIP features.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for module in (extract, train, report, score, verify, info, figure, benchmark, demo):
    module.add_to(app)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"vpar-cache {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> None:
    """Read by `run` before the commands see them."""


def _terminate(number: int, frame: FrameType | None) -> None:
    raise SystemExit(TERMINATED)


def run() -> None:
    """Entry point. 0: done; 2: an error of input, in one line; 130, 143: interrupted, what is done is kept."""
    arguments = sys.argv[1:]
    debug = "--debug" in arguments
    signal.signal(signal.SIGTERM, _terminate)
    try:
        status = app([a for a in arguments if a != "--debug"], prog_name="vpar", standalone_mode=False)
    except VparError as error:
        if debug:
            raise
        status = _fail(str(error))
    except MemoryError:
        status = _fail("the memory does not suffice; use a smaller --batch-size, or look at the input's sizes")
    except typer.TyperException as error:
        status = _fail_usage(error, arguments)
    except (KeyboardInterrupt, typer.Abort):
        status = INTERRUPTED
    except SystemExit as stop:
        status = stop.code
    if status in (INTERRUPTED, TERMINATED):
        again = "again with --resume" if "train" in arguments[:1] else "again"
        sys.stderr.write(f"interrupted: what was finished is kept; run the same command {again} to go on\n")
    sys.exit(status)


def _fail_usage(error: typer.TyperException, arguments: list[str]) -> int:
    """Typer's own errors: an unknown option, a missing argument, text where a number is due."""
    context, parameter = getattr(error, "ctx", None), getattr(error, "param", None)
    command = context.command_path if context is not None else "vpar"
    message = error.format_message() if hasattr(error, "format_message") else str(error)
    if isinstance(error, typer.BadParameter) and parameter is not None:
        given = [b for a, b in pairwise(arguments) if a in parameter.opts]
        message = f"{given[-1]!r}: {message}" if given else message
    return _fail(f"{message} See `{command} --help`.") if message else USER_ERROR


def _fail(message: str) -> int:
    sys.stderr.write(f"error: {printable(' '.join(message.split()))}\n")
    return USER_ERROR
